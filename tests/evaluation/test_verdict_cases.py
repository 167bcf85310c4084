"""Cases in which a verdict, or a number beside it, was wrong without a word."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from alfred.agents.strategies.prices import MixSettings
from alfred.agents.strategies.registry import make_baselines
from alfred.data import Market
from alfred.envs import ActionSettings, PortfolioSettings
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.evaluation.results import compute_results
from alfred.evaluation.settings import IntervalSettings
from alfred.training.judging.caveats import find_payout_caveat
from tests.conftest import make_random_market

FREE = PortfolioSettings(cost_bps=0, slippage_bps=0)
QUICK = IntervalSettings(n_replicates=400)


def make_record(name: str, net: np.ndarray) -> Backtest:
    n = len(net)
    weights = np.tile([1.0, 0.0], (n, 1))
    zero = np.zeros(n)
    return Backtest(name, pd.bdate_range("2015-01-05", periods=n), ("A",), weights, net, zero, net, zero, zero)


def make_monthly(missing: int | None) -> Market:
    rng = np.random.default_rng(3)
    close = np.exp(np.cumsum(rng.normal(0.01, 0.04, (130, 3)), axis=0))
    if missing is not None:
        close[missing : missing + 3, 0] = np.nan
    return Market.from_arrays(
        pd.date_range("2005-01-31", periods=130, freq="BME"), ["A", "B", "SPY"], close, benchmark="SPY"
    )


def test_three_missing_months_are_a_halt_and_not_the_end() -> None:
    whole, holed = make_monthly(None), make_monthly(50)
    held = MixSettings(weights={"A": 1.0}, hold=True)
    wealth = []
    for market in (whole, holed):
        policy = held.build(market, ())
        wealth.append(backtest(policy, make_walk(market, None, FREE, policy)).wealth[-1])
    assert wealth[1] == pytest.approx(wealth[0], rel=1e-12)
    assert find_payout_caveat(holed, FREE, holed.dates[0], holed.dates[-1]) == ""


def test_a_payout_that_was_assumed_is_named() -> None:
    market = make_monthly(50)
    told = FREE.model_copy(update={"delisting_after": 2})
    caveat = find_payout_caveat(market, told, market.dates[0], market.dates[-1])
    assert f"A on {market.dates[51].date()} (it trades again later)" in caveat
    assert "70% of the last price" in caveat


def test_the_level_of_verdicts_cannot_be_lowered() -> None:
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.95"):
        IntervalSettings(level=0.8)
    with pytest.raises(ValidationError, match="raise n_replicates to 400"):
        IntervalSettings(level=0.99, n_replicates=100)


def test_a_ruined_book_beats_nothing() -> None:
    rng = np.random.default_rng(0)
    net = rng.normal(0.002, 0.01, 600)
    net[300], net[301:] = -1.0, 0.0
    rows = compute_results(
        [make_record("ruined", net), make_record("SPY", rng.normal(-0.001, 0.01, 600))],
        benchmark="SPY",
        intervals=QUICK,
    )
    verdict = rows[0].versus_benchmark
    assert (verdict.outcome, verdict.ruined) == ("does not beat", True)
    assert verdict.explain().startswith("All wealth was lost")
    assert np.isnan(verdict.detectable)


@pytest.mark.parametrize(("n_differing", "told"), [(8, True), (1, False)])
def test_series_that_differ_on_a_few_sessions(n_differing, told) -> None:
    rng = np.random.default_rng(1)
    spy = rng.normal(0.0005, 0.01, 1500)
    out = spy.copy()
    out[np.argsort(spy)[:n_differing]] = 0.0
    verdict = compute_results([make_record("out", out), make_record("SPY", spy)], benchmark="SPY")[0].versus_benchmark
    assert np.isfinite(verdict.interval[0]) == told
    assert np.isfinite(verdict.detectable) == told
    assert ("too few sessions" in verdict.explain()) != told
    assert "no Sharpe ratio" not in verdict.explain()


@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
def test_the_benchmark_itself_earns_no_session_that_a_book_cannot(execution) -> None:
    market = make_random_market(80)
    held = make_baselines((), market, [])[0]
    settings = FREE.model_copy(update={"execution": execution, "action": ActionSettings()})
    record = backtest(held, make_walk(market, None, settings, held))
    np.testing.assert_allclose(record.benchmark, record.net, atol=1e-12)
