from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.errors import DataError, SignalError
from alfred.evaluation import forecast_metrics
from alfred.evaluation.forecast_metrics import (
    compute_rank_correlations,
    compute_realised_returns,
    compute_signal_skill,
    estimate_mean,
)
from tests.conftest import make_random_market


def make_signals(market: Market, values: np.ndarray, names: tuple[str, ...], **more: object) -> Signals:
    horizons = tuple(int(name.rsplit("_", 1)[1]) for name in names)
    early = np.full(market.n_dates, market.dates[0] - pd.Timedelta(days=1), dtype="datetime64[s]")
    return Signals(market.dates, market.symbols, names, values.astype(np.float32), early, horizons, **more)


def realised(market: Market, horizon: int) -> np.ndarray:
    return compute_realised_returns(market, market.dates, market.symbols, horizon)


def test_realised_returns_equal_a_plain_loop() -> None:
    market = make_random_market(40, 3, late_listing=True)
    result = realised(market, 5)
    for t in range(40):
        for n in range(3):
            known = t + 5 < 40 and market.tradable[t, n] and market.tradable[t + 5, n]
            expected = np.log(market.close[t + 5, n] / market.close[t, n]) if known else np.nan
            assert result[t, n] == pytest.approx(expected, nan_ok=True)


def test_rank_correlations_equal_scipy_date_by_date() -> None:
    rng = np.random.default_rng(0)
    signal, outcome = rng.standard_normal((2, 30, 9))
    signal[rng.random(signal.shape) < 0.2] = np.nan
    signal[:, 1] = np.round(signal[:, 1])
    signal[3] = np.nan
    signal[4] = 1.0
    signal[5, 2:] = np.nan
    result = compute_rank_correlations(signal, outcome)
    for t in range(30):
        known = np.isfinite(signal[t])
        usable = known.sum() >= 3 and t != 4
        expected = stats.spearmanr(signal[t, known], outcome[t, known]).statistic if usable else np.nan
        assert result[t] == pytest.approx(expected, nan_ok=True)


def test_pooled_measures_equal_scikit_learn() -> None:
    market = make_random_market(120, 6, seed=1, late_listing=True)
    rng = np.random.default_rng(2)
    outcome = realised(market, 1)
    values = np.nan_to_num(outcome) * 0.3 + rng.normal(0, 0.01, outcome.shape)
    row = compute_signal_skill(make_signals(market, values[:, :, None], ("a.expected_return_1",)), market).iloc[0]
    known = np.isfinite(outcome)
    truth, forecast = outcome[known], values[known].astype(np.float32).astype(float)
    assert row["n_pairs"] == known.sum() and row["n_dates"] == 119
    assert row["directional_accuracy"] == pytest.approx(((truth > 0) == (forecast > 0)).mean())
    assert row["base_rate"] == pytest.approx((truth > 0).mean())
    assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth > 0, forecast > 0))
    assert row["auc"] == pytest.approx(roc_auc_score(truth > 0, forecast))
    # scikit-learn compares with the mean; the forecast to beat here is zero.
    zero = 1 - ((truth - forecast) ** 2).sum() / (truth**2).sum()
    assert row["r2"] == pytest.approx(zero) != pytest.approx(r2_score(truth, forecast), rel=1e-6)
    assert row["auc_low"] < row["auc"] < row["auc_high"]


def test_always_up_has_no_balanced_skill() -> None:
    market = make_random_market(200, 5, seed=3)
    row = compute_signal_skill(make_signals(market, np.ones((200, 5, 1)), ("a.probability_up_1",)), market).iloc[0]
    assert row["directional_accuracy"] == pytest.approx(row["base_rate"])
    assert row["balanced_accuracy"] == 0.5 and row["auc"] == 0.5
    assert np.isnan(row["value"]) and np.isnan(row["r2"])


def test_interval_of_independent_dates_is_the_t_test() -> None:
    sample = np.random.default_rng(5).normal(0.02, 0.1, 400)
    estimate = estimate_mean(sample - sample.mean(), float(sample.mean()), without_skill=0.0, horizon=1)
    error = (estimate.high - estimate.low) / 2 / stats.t.ppf(0.975, estimate.n_effective - 1)
    # Never smaller than for independent dates, and here hardly larger.
    assert 1.0 <= error / (sample.std() / 20) < 1.25
    assert 250 < estimate.n_effective <= 400


@pytest.mark.parametrize("horizon", [1, 20])
def test_noise_is_significant_at_the_nominal_rate(horizon: int) -> None:
    """Overlapping outcomes and a slow signal, 300 times: 15 p-values below 0.05 expected, standard error 4."""
    rng = np.random.default_rng(horizon)
    small = 0
    for _ in range(300):
        daily = rng.standard_normal((520, 8))
        outcome = np.lib.stride_tricks.sliding_window_view(daily, horizon, axis=0).sum(axis=-1)[1:]
        signal = np.cumsum(rng.standard_normal((len(outcome), 8)), axis=0)
        scores = compute_rank_correlations(signal, outcome)
        mean = float(scores.mean())
        small += estimate_mean(scores - mean, mean, without_skill=0.0, horizon=horizon).p < 0.05
    assert 3 <= small <= 30


def test_planted_skill_is_found_and_its_horizon_matters() -> None:
    market = make_random_market(600, 12, seed=6)
    rng = np.random.default_rng(7)
    ahead = np.nan_to_num(realised(market, 5))
    values = np.stack([0.1 * ahead + rng.normal(0, 0.01, ahead.shape), rng.normal(0, 0.01, ahead.shape)], axis=2)
    skill = compute_signal_skill(make_signals(market, values, ("a.expected_return_5", "b.expected_return_5")), market)
    assert skill["p"][0] < 1e-6 and skill["low"][0] > 0
    assert skill["low"][1] < 0 < skill["high"][1]


def test_risk_is_judged_by_the_size_of_moves() -> None:
    market = make_random_market(400, 10, seed=8)
    size = np.abs(np.nan_to_num(realised(market, 1)))
    noise = np.random.default_rng(9).normal(0, 0.01, size.shape)
    values = np.stack([size + noise, -(size + noise)], axis=2)
    skill = compute_signal_skill(make_signals(market, values, ("a.dispersion_1", "a.cvar_5_1")), market)
    assert skill["value"][0] == pytest.approx(skill["value"][1]) and skill["low"][0] > 0.1
    assert skill["balanced_accuracy"].isna().all() and skill["measure"].unique().tolist() == ["with its size"]


def test_dates_before_and_after_a_knowledge_cutoff_stand_apart() -> None:
    market = make_random_market(300, 8, seed=10)
    cutoff = market.dates[149]
    ahead = np.nan_to_num(realised(market, 1))
    ahead[150:] = np.random.default_rng(11).normal(0, 0.01, ahead[150:].shape)
    values = np.stack([ahead, ahead], axis=2)
    names = ("big.expected_return_1", "small.expected_return_1")
    skill = compute_signal_skill(make_signals(market, values, names, knowledge_cutoffs={"big": cutoff}), market)
    assert skill["period"].tolist() == ["before cutoff", "after cutoff", "all"]
    assert skill["n_dates"].tolist() == [150, 149, 299]
    assert skill["value"][0] == pytest.approx(1.0)
    assert skill["low"][1] < 0 < skill["high"][1]


def test_outcomes_after_the_end_are_never_read() -> None:
    market = make_random_market(200, 5, seed=12)
    end = market.dates[149]
    changed = market.close.copy()
    changed[150:] *= np.exp(np.random.default_rng(1).normal(0, 1, changed[150:].shape))
    other = Market.from_arrays(market.dates, market.symbols, changed, benchmark="SPY")
    signals = make_signals(market, np.random.default_rng(2).standard_normal((200, 5, 1)), ("a.expected_return_5",))
    first, second = (compute_signal_skill(signals, one, market.dates[20], end) for one in (market, other))
    pd.testing.assert_frame_equal(first, second)
    # 130 dates from 20 to 149, of which the last five have no outcome yet.
    assert first["n_dates"][0] == 125
    assert not compute_signal_skill(signals, other)["value"].equals(compute_signal_skill(signals, market)["value"])


def test_signals_of_another_market_are_refused() -> None:
    market = make_random_market(50, 4)
    with pytest.raises(SignalError, match=r"a row for 2010-01-09, which is not a session"):
        compute_realised_returns(market, pd.DatetimeIndex(["2010-01-09"]), market.symbols, 1)
    with pytest.raises(DataError, match="unknown symbol 'XYZ'"):
        compute_realised_returns(market, market.dates, ("XYZ",), 1)


def test_one_symbol_has_no_rank_correlation_but_a_direction() -> None:
    market = make_random_market(300, 1, seed=13)
    values = np.nan_to_num(realised(market, 1))[:, :, None]
    row = compute_signal_skill(make_signals(market, values, ("a.expected_return_1",)), market).iloc[0]
    assert np.isnan(row["value"]) and row["balanced_accuracy"] == 1.0 and row["r2"] > 0.999


def test_areas_from_one_sort_are_those_of_three_to_the_last_bit() -> None:
    """Against ranks of all, of rises and of falls, each sorted on its own; with ties and gaps."""
    rng = np.random.default_rng(0)
    signal, outcome = np.round(rng.normal(size=(40, 6)), 1), rng.normal(size=(40, 6))
    known = rng.random((40, 6)) > 0.1
    values, rises = signal[known], outcome[known] > 0
    up, down = rises.sum(), (~rises).sum()
    ranks, placement = stats.rankdata(values), np.empty(len(values))
    placement[rises] = (ranks[rises] - stats.rankdata(values[rises])) / down
    placement[~rises] = 1.0 - (ranks[~rises] - stats.rankdata(values[~rises])) / up
    area = placement[rises].mean()
    share = (placement - area) / np.where(rises, up, down)
    found, influence = forecast_metrics._auc(signal, outcome, known)
    assert found == area
    np.testing.assert_array_equal(influence, 40 * np.bincount(np.nonzero(known)[0], weights=share, minlength=40))
