"""Calibrated quantiles hold what they say, know nothing of the future, and are not bought with worse forecasts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import ndtri
from scipy.stats import halfnorm

from alfred.analysts.calibration.calibrator import Calibrator, calibrate_panel
from alfred.analysts.calibration.horizon import HorizonCalibrator
from alfred.analysts.calibration.scores import ScoreDistribution, TrailingVolatility
from alfred.analysts.forecast import DEFAULT_LEVELS
from alfred.analysts.settings import CalibrationSettings, NaiveSettings

LEVELS = np.asarray(DEFAULT_LEVELS)
HORIZONS = (1, 5, 20)
EARLY = CalibrationSettings(min_sessions=30, min_outcomes=60)


class Panel(NamedTuple):
    """Forecasts of a simulated market: `[T, N, H]`, `[T, N, H, Q]`, `[T, N]`, and the true daily volatility."""

    mean: np.ndarray
    quantiles: np.ndarray
    log_close: np.ndarray
    sigma: np.ndarray


def simulate(n_dates: int, n_symbols: int = 8, horizons: tuple[int, ...] = HORIZONS, seed: int = 0) -> Panel:
    """Normal returns whose volatility wanders by a factor; the forecasts know the volatility of each day.

    The volatility of the day t + 1 is known at the close of t and stands for the whole horizon: right for one session,
    nearly right for more.
    """
    rng = np.random.default_rng(seed)
    log_sigma = np.zeros((n_dates + 1, n_symbols))
    for row in range(n_dates):
        log_sigma[row + 1] = 0.98 * log_sigma[row] + 0.1 * rng.standard_normal(n_symbols)
    sigma = np.geomspace(0.01, 0.04, n_symbols) * np.exp(log_sigma)
    log_close = np.cumsum(sigma[:-1] * rng.standard_normal((n_dates, n_symbols)), axis=0)
    scale = sigma[1:, :, None] * np.sqrt(horizons)
    return Panel(np.zeros_like(scale), scale[..., None] * ndtri(LEVELS), log_close, sigma[1:])


def find_outcomes(log_close: np.ndarray, horizon: int) -> np.ndarray:
    outcome = np.full_like(log_close, np.nan)
    outcome[:-horizon] = log_close[horizon:] - log_close[:-horizon]
    return outcome


def measure(panel: Panel, quantiles: np.ndarray, place: int, horizon: int, first: int) -> tuple[float, float]:
    """Return the share of outcomes in the 90 per cent interval and the mean pinball loss, from a row on."""
    outcome = find_outcomes(panel.log_close, horizon)[first:]
    known, chosen = np.isfinite(outcome), quantiles[first:, :, place]
    inside = (outcome >= chosen[..., 0]) & (outcome <= chosen[..., -1])
    apart = outcome[..., None] - chosen
    loss = np.maximum(LEVELS * apart, (LEVELS - 1) * apart)
    return float(inside[known].mean()), float(loss[known].mean())


def calibrate(panel: Panel, settings: CalibrationSettings = EARLY, horizons: tuple[int, ...] = HORIZONS) -> np.ndarray:
    mean, quantiles = calibrate_panel(settings, horizons, LEVELS, panel.mean, panel.quantiles, panel.log_close)
    np.testing.assert_array_equal(mean, panel.mean)
    return quantiles


@pytest.mark.parametrize("factor", [0.12, 3.0])
def test_a_wrong_scale_is_put_right(factor: float) -> None:
    panel = simulate(1400)
    wrong = panel._replace(quantiles=factor * panel.quantiles)
    found = calibrate(wrong)
    for place, horizon in enumerate(HORIZONS):
        before, loss_before = measure(wrong, wrong.quantiles, place, horizon, 200)
        after, loss_after = measure(wrong, found, place, horizon, 200)
        assert not 0.5 < before < 0.98
        assert 0.88 <= after <= 0.92
        assert loss_after < 0.9 * loss_before
        # Nearly as good as who knows the truth.
        assert loss_after < 1.03 * measure(panel, panel.quantiles, place, horizon, 200)[1]


def test_a_forecast_that_is_right_stays_as_good() -> None:
    panel = simulate(1400)
    found = calibrate(panel)
    for place, horizon in enumerate(HORIZONS):
        before, after = (measure(panel, item, place, horizon, 200) for item in (panel.quantiles, found))
        assert after[1] < 1.005 * before[1]
        assert 0.88 <= after[0] <= 0.92


def test_a_break_is_followed() -> None:
    """From one day on the forecasts are five times too narrow."""
    panel = simulate(1600, horizons=(1,))
    factor = np.where(np.arange(1600) < 800, 1.0, 0.2)[:, None, None, None]
    panel = panel._replace(quantiles=factor * panel.quantiles)
    covered, _ = measure(panel, calibrate(panel, EARLY, (1,)), 0, 1, 800)
    assert 0.88 <= covered <= 0.92


def test_a_static_window_has_a_closed_form() -> None:
    """Every move is one per cent, up or down: every scale but the own is 1 %, and so is every outcome."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (300, 5))
    log_close = np.cumsum(0.01 * signs, axis=0)
    own = np.broadcast_to(0.003 * ndtri(LEVELS), (300, 5, 1, 11))
    settings = CalibrationSettings(rate=0.0, window=10**9, min_sessions=30, min_outcomes=30)
    _, found = calibrate_panel(settings, (1,), LEVELS, np.zeros((300, 5, 1)), own, log_close)
    expected = 0.01 * np.sign(LEVELS - 0.5)
    np.testing.assert_allclose(found[-1, :, 0], np.broadcast_to(expected, (5, 11)), rtol=0.02)


def test_the_histogram_has_the_quantiles_of_a_weighted_sample() -> None:
    scores = np.abs(np.random.default_rng(1).standard_t(4, (40, 500, 2))) * [1.0, 30.0]
    distribution = ScoreDistribution(2)
    for batch in scores:
        distribution.decay(0.9)
        distribution.add(batch)
    levels = np.array([0.0, 0.2, 0.5, 0.9, 0.99])
    found = distribution.quantile(levels)
    weights = np.repeat(0.9 ** np.arange(39, -1, -1), 500)
    for place in range(2):
        flat = scores[:, :, place].ravel()
        order = np.argsort(flat)
        below = np.cumsum(weights[order]) / weights.sum()
        expected = flat[order][np.searchsorted(below, levels[1:])]
        np.testing.assert_allclose(found[place, 1:], expected, rtol=0.02)
        assert found[place, 0] == 0.0
    normal = ScoreDistribution(1)
    normal.add(halfnorm.ppf((np.arange(100_000) + 0.5) / 100_000)[:, None])
    np.testing.assert_allclose(normal.quantile(levels[1:])[0], halfnorm.ppf(levels[1:]), rtol=1e-3)


def test_trailing_volatility_is_the_weighted_root_mean_square() -> None:
    moves = np.random.default_rng(2).normal(0, 0.02, 60)
    close = np.concatenate([[0.0], np.cumsum(moves)])
    close[20] = np.nan
    volatility = TrailingVolatility(1)
    for row, value in enumerate(close):
        volatility.observe(np.array([value]))
        if row == 10:
            assert np.isfinite(volatility.read()).all()
        elif row < 10:
            assert np.isnan(volatility.read()).all()
    # Over a halt there is one move, from the last close to the next.
    whole = np.diff(close[np.isfinite(close)])
    for place, decay in enumerate((0.94, 0.985)):
        weights = decay ** np.arange(len(whole) - 1, -1, -1)
        expected = np.sqrt((weights * whole**2).sum() / weights.sum())
        np.testing.assert_allclose(volatility.read()[0, place], expected)


def test_a_dispersion_that_says_nothing_loses_its_weight_and_one_that_knows_keeps_it() -> None:
    panel = simulate(900, horizons=(1,))
    noise = np.exp(np.random.default_rng(5).normal(0, 0.8, (900, 8, 1, 1)))
    for own, knows in ((panel.quantiles, True), (noise * panel.quantiles, False)):
        calibrator = Calibrator(EARLY, (1,), LEVELS, 8)
        for row in range(900):
            calibrator.observe(panel.log_close[row])
            calibrator.calibrate(panel.mean[row], own[row])
        losses = calibrator._parts[0].losses
        assert bool(losses[0] == losses.min()) is knows
        assert bool(losses[0] > 1.05 * losses.min()) is not knows


def test_where_raw_quantiles_did_better_they_are_used() -> None:
    """Outcomes are never negative: an interval around the median cannot be right, the forecast is."""
    rng = np.random.default_rng(3)
    log_close = np.cumsum(0.01 * rng.exponential(1.0, (500, 6)), axis=0)
    truth = np.broadcast_to(-0.01 * np.log1p(-LEVELS), (500, 6, 1, 11))
    mean = np.full((500, 6, 1), 0.01)
    _, found = calibrate_panel(EARLY, (1,), LEVELS, mean, truth, log_close)
    np.testing.assert_array_equal(found[200:], truth[200:])


def test_raw_until_there_are_enough_outcomes() -> None:
    panel = simulate(120, 3, (1, 5))
    panel = panel._replace(quantiles=0.1 * panel.quantiles)
    settings = CalibrationSettings(min_sessions=40, min_outcomes=150)
    found = calibrate(panel, settings, (1, 5))
    for place, horizon in enumerate((1, 5)):
        changed = (found[:, :, place] != panel.quantiles[:, :, place]).any(axis=(1, 2))
        # Three outcomes a session from row 0 + horizon on; 150 of them are known with that of row 49. Scores of the
        # first rows, before a volatility is known, are scaled by the dispersion.
        assert np.flatnonzero(changed)[0] == 49 + horizon


@pytest.mark.parametrize("horizons", [(1,), (1, 5, 20)])
def test_nothing_looks_ahead(horizons: tuple[int, ...]) -> None:
    panel = simulate(260, 4, horizons)
    panel = panel._replace(quantiles=0.2 * panel.quantiles)
    true = calibrate(panel, EARLY, horizons)
    assert (true[150:] != panel.quantiles[150:]).any()
    for row in (60, 150, 200):
        for seed in range(2):
            other = panel.log_close.copy()
            other[row + 1 :] += np.random.default_rng(seed).normal(0, 1, other[row + 1 :].shape)
            scrambled = calibrate(panel._replace(log_close=other), EARLY, horizons)
            np.testing.assert_array_equal(scrambled[: row + 1], true[: row + 1])
            assert (scrambled[row + 1 :] != true[row + 1 :]).any()


def test_monotone_finite_and_free_of_units() -> None:
    panel = simulate(400, 4)
    rng = np.random.default_rng(4)
    noisy = np.sort(panel.quantiles + 0.01 * rng.standard_normal(panel.quantiles.shape), axis=-1)
    panel = panel._replace(quantiles=noisy)
    found = calibrate(panel)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=-1) >= 0).all()
    large = Panel(1e3 * panel.mean, 1e3 * noisy, 1e3 * panel.log_close, panel.sigma)
    np.testing.assert_allclose(calibrate(large), 1e3 * found, rtol=1e-6, atol=1e-9)
    # The level of prices is no part of a return.
    np.testing.assert_allclose(calibrate(panel._replace(log_close=panel.log_close - 20.0)), found, rtol=1e-6, atol=1e-9)


def test_gaps_and_flat_prices_are_left_alone() -> None:
    panel = simulate(300, 4, (1, 5))
    panel.log_close[:150, 0] = np.nan  # listed late
    panel.log_close[200:, 1] = np.nan  # never traded again
    panel.log_close[:, 2] = 0.0  # never moves
    panel.mean[:160, 0] = panel.quantiles[:160, 0] = np.nan
    panel.quantiles[:, 2] = 0.0
    found = calibrate(panel, EARLY, (1, 5))
    assert np.isnan(found[:160, 0]).all()
    assert np.isfinite(found[160:, 0]).all()
    np.testing.assert_array_equal(found[:, 2], 0.0)
    assert np.isfinite(found[:, 3]).all()


def test_the_level_is_corrected_where_the_window_is_too_long_to_follow() -> None:
    """The volatility stays, but rare large moves give way to even ones: only the adaptive level sees it in time."""
    rng = np.random.default_rng(7)
    rare = np.where(rng.random((500, 10)) < 1 / 7, np.sqrt(7), 0.0) * rng.choice([-1, 1], (500, 10))
    moves = 0.01 * np.concatenate([rare, rng.uniform(-np.sqrt(3), np.sqrt(3), (1000, 10))])
    log_close = np.cumsum(moves + 0.001 * rng.standard_normal((1500, 10)), axis=0)
    quantiles = np.broadcast_to(0.01 * ndtri(LEVELS), (1500, 10, 1, 11))
    panel = Panel(np.zeros((1500, 10, 1)), quantiles, log_close, np.full((1500, 10), 0.01))
    covered = []
    for rate in (0.0, 0.02):
        settings = EARLY.model_copy(update={"rate": rate, "window": 10**6})
        covered.append(measure(panel, calibrate(panel, settings, (1,)), 0, 1, 600)[0])
    assert abs(covered[1] - 0.9) < 0.01 < abs(covered[0] - 0.9)


def test_old_outcomes_count_less_by_the_session() -> None:
    part = HorizonCalibrator(EARLY.model_copy(update={"window": 10}), 1, LEVELS)
    quantiles = np.tile(ndtri(LEVELS), (2, 1))
    for session in (0, 7, 9):
        part.calibrate(session, np.zeros(2), np.zeros(2), np.ones((2, 3)), quantiles)
        part.learn(session + 1, np.array([1.0, 2.0]))
    np.testing.assert_allclose(part._scores.counts.sum(axis=1), 2 * (0.9**9 + 0.9**2 + 1))


def test_the_correction_and_the_weights_have_closed_forms() -> None:
    part = HorizonCalibrator(CalibrationSettings(min_sessions=0, min_outcomes=1, rate=0.1), 5, np.array([0.05, 0.75]))
    quantiles = np.array([[-1.0, 1.0]] * 4)
    for session in (0, 5):
        part.calibrate(session, np.zeros(4), np.zeros(4), np.ones((4, 3)), quantiles)
        # All scores are one, so that both radii are; of the second outcomes a quarter is held.
        part.learn(session + 5, np.ones(4) if session == 0 else np.array([0.5, 1.5, -1.5, 2.0]))
    coverage = np.array([0.9, 0.5])
    np.testing.assert_allclose(part.corrections, 2 * 0.1 / 5 * (coverage - 0.25) / (coverage * (1 - coverage)))
    part.losses = np.array([1.0, 1.01, 1.02])
    np.testing.assert_allclose(part._weigh(), np.exp([0.0, -1.0, -2.0]) / np.exp([0.0, -1.0, -2.0]).sum())


def test_wider_intervals_are_never_shorter_whatever_the_corrections() -> None:
    part = HorizonCalibrator(EARLY.model_copy(update={"min_sessions": 0, "min_outcomes": 1}), 1, LEVELS)
    scales, quantiles = np.ones((50, 3)), np.tile(ndtri(LEVELS), (50, 1))
    part.calibrate(0, np.zeros(50), np.zeros(50), scales, quantiles)
    part.learn(1, np.linspace(0.0, 3.0, 50))
    part.corrections = np.where(np.abs(LEVELS - 0.5) < 0.35, 3.0, -3.0)
    _, found = part.calibrate(1, np.zeros(50), np.zeros(50), scales, quantiles)
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[0, -1] == found[0, -2] == found[0, -3] > 2.5


def test_the_size_of_one_symbol_is_nothing_to_the_others() -> None:
    panel = simulate(300, 4)
    factor = np.array([1.0, 1.0, 50.0, 1.0])
    larger = Panel(panel.mean, panel.quantiles * factor[:, None, None], panel.log_close * factor, panel.sigma)
    expected = calibrate(panel) * factor[:, None, None]
    np.testing.assert_allclose(calibrate(larger), expected, rtol=1e-6, atol=1e-9)


def test_before_a_symbol_has_a_volatility_its_dispersion_stands_in() -> None:
    panel = simulate(300, 5, (20,))
    panel.log_close[:250, 0] = np.nan
    panel.mean[:250, 0] = panel.quantiles[:250, 0] = np.nan
    # The dispersions of the others say nothing, so that only volatilities have a weight.
    panel.quantiles[:, 1:] *= np.exp(np.random.default_rng(8).normal(0, 1, (300, 4, 1, 1)))
    found = calibrate(panel, EARLY, (20,))[250:258, 0, 0]
    np.testing.assert_allclose(found[:, -1], panel.quantiles[250:258, 0, 0, -1], rtol=0.35)


@pytest.mark.parametrize("levels", [(0.5,), (0.9,), (0.1, 0.9), (0.05, 0.25, 0.4, 0.7)])
def test_any_levels(levels: tuple[float, ...]) -> None:
    panel = simulate(700, 6, (1,))
    narrow = 0.3 * panel.sigma[:, :, None, None] * ndtri(np.asarray(levels))
    _, found = calibrate_panel(EARLY, (1,), levels, panel.mean, narrow, panel.log_close)
    outcome = find_outcomes(panel.log_close, 1)[150:-1]
    below = (outcome[..., None] < found[150:-1, :, 0]).mean(axis=(0, 1))
    np.testing.assert_allclose(below, levels, atol=0.02)


def test_a_centre_of_noise_shrinks_when_asked_to_and_one_that_knows_does_not() -> None:
    panel = simulate(800, 8, (1,))
    known = find_outcomes(panel.log_close, 1)[..., None]
    for centre, shrinks in (
        (panel.sigma[..., None] * np.random.default_rng(6).standard_normal((800, 8, 1)), True),
        (0.5 * np.nan_to_num(known), False),
    ):
        moved = panel.quantiles + centre[..., None]
        settings = EARLY.model_copy(update={"shrink_centre": True})
        kept, _ = calibrate_panel(EARLY, (1,), LEVELS, centre, moved, panel.log_close)
        np.testing.assert_array_equal(kept, centre)
        mean, found = calibrate_panel(settings, (1,), LEVELS, centre, moved, panel.log_close)
        ratio = np.abs(mean[400:]).sum() / np.abs(centre[400:]).sum()
        assert bool(ratio < 0.1) is shrinks
        assert bool(ratio > 0.99) is not shrinks
        np.testing.assert_allclose(found[400:, :, 0, 5], mean[400:, :, 0], atol=1e-12)


def test_forecasts_that_were_not_made_are_not_learnt_from() -> None:
    part = HorizonCalibrator(EARLY, 5, LEVELS)
    part.learn(5, np.ones(3))
    assert part.n_outcomes == 0
    scales = np.ones((3, 3))
    part.calibrate(5, np.zeros(3), np.zeros(3), scales, np.tile(ndtri(LEVELS), (3, 1)))
    part.learn(9, np.ones(3))
    assert part.n_outcomes == 0
    part.learn(10, np.array([1.0, np.nan, 2.0]))
    assert part.n_outcomes == 2


def test_settings_are_checked() -> None:
    assert NaiveSettings().calibration.kind == "conformal"
    for wrong in ({"kind": "platt"}, {"window": 1}, {"rate": -0.1}, {"min_outcomes": 0}):
        with pytest.raises(ValidationError):
            NaiveSettings.model_validate({"calibration": wrong})
