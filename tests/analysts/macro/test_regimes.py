"""Regimes: the filter is that of statsmodels, the fit finds what was planted, and nothing is smoothed."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.analysts.macro.regimes import Regimes
from tests.analysts.macro.world import make_macro_market

markov = pytest.importorskip(
    "statsmodels.tsa.regime_switching.markov_regression", reason="the extra 'macro' is not installed"
)

MARKET, VOLATILE = make_macro_market(0.0)
RETURNS = np.diff(np.log(MARKET.field("market_level")[:, 0]))
FOUND = Regimes.fit(RETURNS)


def test_the_filter_is_that_of_statsmodels() -> None:
    model = markov.MarkovRegression(100 * RETURNS, k_regimes=2, switching_trend=False, switching_variance=True)
    told = np.array([FOUND.stay_calm, 1 - FOUND.stay_volatile, FOUND.mean, FOUND.calm, FOUND.volatile])
    expected = model.filter(told).filtered_marginal_probabilities[:, 1]
    ours = [FOUND.filter(RETURNS[None, : end + 1])[0] for end in range(0, len(RETURNS), 37)]
    np.testing.assert_allclose(ours, expected[::37], atol=1e-9)


def test_the_fit_climbs_to_the_maximum_of_statsmodels() -> None:
    model = markov.MarkovRegression(100 * RETURNS, k_regimes=2, switching_trend=False, switching_variance=True)
    told = np.array([FOUND.stay_calm, 1 - FOUND.stay_volatile, FOUND.mean, FOUND.calm, FOUND.volatile])
    truth = np.array([0.985, 0.04, 0.0, 0.25 + 0.09 / 4, 4.0 + 0.09 / 4])
    assert model.loglike(told) > model.loglike(truth)
    followed = VOLATILE[2:]
    shares = [1 - followed[~VOLATILE[1:-1]].mean(), 1 - followed[VOLATILE[1:-1]].mean()]
    np.testing.assert_allclose(told[[0, 1]], shares, atol=0.02)
    np.testing.assert_allclose(told[3:], truth[3:], rtol=0.2)


def test_the_volatile_regime_is_recognised() -> None:
    windows = np.lib.stride_tricks.sliding_window_view(RETURNS, 120)
    volatile = FOUND.filter(windows) > 0.5
    assert (volatile == VOLATILE[120:]).mean() > 0.9


def test_a_probability_is_filtered_and_never_smoothed() -> None:
    windows = np.array(np.lib.stride_tricks.sliding_window_view(RETURNS, 120)[::50])
    before = FOUND.filter(windows)
    # What comes after a date stands in no window that ends there, and no probability of a batch follows another.
    for row in (0, 7):
        assert FOUND.filter(windows[row : row + 1])[0] == before[row]
    # A smoothed probability would follow what comes next; the one of a longer window differs only by its own end.
    longer = np.array([*RETURNS[:500], 0.2])
    assert FOUND.filter(longer[None])[0] > 0.99
    assert FOUND.filter(longer[None, :-1])[0] == FOUND.filter(RETURNS[None, :500])[0]


def test_a_missing_return_tells_nothing() -> None:
    gap = np.concatenate([RETURNS[:100], [np.nan]])
    now = FOUND.filter(RETURNS[None, :100])[0]
    assert FOUND.filter(gap[None])[0] == pytest.approx(
        now * FOUND.stay_volatile + (1 - now) * (1 - FOUND.stay_calm), abs=1e-12
    )
    shares = (1 - FOUND.stay_calm) / (2 - FOUND.stay_calm - FOUND.stay_volatile)
    assert FOUND.filter(np.full((1, 50), np.nan))[0] == pytest.approx(shares)
    assert np.isfinite(FOUND.filter(np.array([[5.0, -9.0, 0.0]]))).all()


@pytest.mark.parametrize(
    "returns",
    [
        np.random.default_rng(0).normal(0, 0.01, 1500),
        0.01 * np.random.default_rng(0).standard_t(3, 1500),
        np.zeros(1500),
        np.full(1500, np.nan),
        RETURNS[:200],
    ],
    ids=["one regime", "fat tails", "no moves", "nothing known", "too short"],
)
def test_what_has_no_two_regimes_has_none(returns) -> None:
    assert Regimes.fit(returns) is None


def test_the_same_history_gives_the_same_regimes() -> None:
    np.random.seed(1)  # noqa: NPY002  what statsmodels would draw its starts from
    assert Regimes.fit(RETURNS) == FOUND
