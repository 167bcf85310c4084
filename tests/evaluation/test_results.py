from __future__ import annotations

import json

import numpy as np
import pytest

from alfred.errors import DataError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_portfolio_metrics
from alfred.evaluation.results import compute_results, resample_sharpe_differences
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.bootstrap import compute_interval
from alfred.evaluation.statistics.comparisons import Pair, judge
from alfred.evaluation.statistics.deflation import Trials
from alfred.evaluation.statistics.significance import compare_sharpe
from tests.evaluation.conftest import draw_returns, make_backtest

QUICK = IntervalSettings(n_replicates=300)


@pytest.fixture(scope="module")
def backtests() -> list[Backtest]:
    returns = draw_returns(700, [0.9, 0.6, 0.7], 0.8, seed=1)
    return [
        make_backtest(series, name, benchmark=returns[:, 1] + 1e-5)
        for name, series in zip(("agent", "SPY", "equal weight"), returns.T, strict=True)
    ]


def test_a_row_holds_what_the_parts_compute(backtests: list[Backtest]) -> None:
    rows = compute_results(backtests, benchmark="SPY", equal_weight="equal weight", intervals=QUICK)
    assert [row.name for row in rows] == ["agent", "SPY", "equal weight"]
    agent, net, held = rows[0], backtests[0].net, backtests[1].net
    expected = compute_portfolio_metrics(backtests[0], held)
    assert agent.sharpe == expected.sharpe and agent.beta == expected.beta
    test = compare_sharpe(net, held)
    assert agent.sharpe_minus_benchmark == pytest.approx(agent.sharpe - rows[1].sharpe)
    assert agent.versus_benchmark.p_value == pytest.approx(test.p_value, abs=0.1)
    assert agent.versus_benchmark.error == pytest.approx(test.error, rel=0.1)
    again = resample_sharpe_differences(backtests[0], backtests[1:], QUICK)
    assert agent.sharpe_minus_benchmark_ci == pytest.approx(compute_interval(again["SPY"], 0.95))
    assert agent.versus_equal_weight is not None
    assert agent.versus_equal_weight.interval == pytest.approx(compute_interval(again["equal weight"], 0.95))
    for low, value, high in (
        (agent.sharpe_ci[0], agent.sharpe, agent.sharpe_ci[1]),
        (agent.cagr_ci[0], agent.cagr, agent.cagr_ci[1]),
        (agent.volatility_ci[0], agent.volatility, agent.volatility_ci[1]),
    ):
        assert low < value < high


def test_paired_intervals_are_narrower_than_unpaired_ones(backtests: list[Backtest]) -> None:
    row = compute_results(backtests, benchmark="SPY", intervals=QUICK)[0]
    width = row.sharpe_minus_benchmark_ci[1] - row.sharpe_minus_benchmark_ci[0]
    assert width < 0.8 * (row.sharpe_ci[1] - row.sharpe_ci[0])


def test_without_a_name_the_benchmark_is_free_of_cost(backtests: list[Backtest]) -> None:
    row = compute_results(backtests, intervals=QUICK)[0]
    expected = compare_sharpe(backtests[0].net, backtests[0].benchmark).difference
    assert row.sharpe_minus_benchmark == pytest.approx(expected)
    assert row.versus_benchmark.baseline == "the benchmark, free of cost"
    assert row.versus_equal_weight is None and "sharpe_minus_equal_weight" not in row.to_json()


def test_the_mapping_is_plain_json(backtests: list[Backtest]) -> None:
    flat = make_backtest(np.zeros(700), "all cash", benchmark=backtests[0].benchmark)
    rows = compute_results([*backtests, flat], benchmark="SPY", equal_weight="equal weight", intervals=QUICK)
    text = json.dumps([row.to_json() for row in rows], allow_nan=False)
    agent, cash = json.loads(text)[0], json.loads(text)[3]
    assert agent["sharpe"] == rows[0].sharpe
    for name in ("periods_per_year", "n_trials", "trials_spread", "block_days", "detectable", "sharpe_error"):
        assert agent[name] is not None, name
    assert agent["detectable"] == agent["benchmark_detectable"] == rows[0].detectable
    assert agent["benchmark_p_adjusted"] is None and rows[2].to_json()["benchmark_p_adjusted"] is not None
    assert agent["sharpe_minus_benchmark_ci"] == list(rows[0].sharpe_minus_benchmark_ci)
    assert agent["equal_weight_verdict"] in ("beats", "does not beat", "cannot tell")
    assert cash["sharpe"] is None and cash["sharpe_ci"] == [None, None] and cash["benchmark_verdict"] == "cannot tell"


def test_a_planted_winner_beats_and_a_planted_loser_does_not() -> None:
    returns = draw_returns(2500, [3.0, 0.3, -2.0], 0.8, seed=4)
    winner, held, loser = (make_backtest(series, name) for name, series in zip("abc", returns.T, strict=True))
    rows = compute_results([winner, held, loser], benchmark="b", n_trials=50, intervals=QUICK)
    assert [row.versus_benchmark.outcome for row in rows] == ["beats", "cannot tell", "does not beat"]


def test_equal_skill_rarely_beats_and_never_after_many_trials() -> None:
    """300 pairs of equal skill: the interval lies above zero in one of 40, so 7.5 are expected; 16 is 3 errors more."""
    returns = draw_returns(400, [0.5] * 600, 0.5, seed=5)
    outcomes = {1: 0, 100: 0}
    for column in range(0, 600, 2):
        quick = IntervalSettings(n_replicates=199, seed=column)
        for n_trials in outcomes:
            pair = returns[:, column : column + 2]
            outcomes[n_trials] += judge(pair, [Pair(0, 1, "b")], quick, Trials(n_trials))[0].outcome == "beats"
    assert 1 <= outcomes[1] <= 16
    assert outcomes[100] == 0


def test_what_cannot_be_compared_is_refused(backtests: list[Backtest]) -> None:
    with pytest.raises(DataError, match="there is no backtest to report"):
        compute_results([])
    with pytest.raises(DataError, match=r"no backtest is called 'SPX'; there are agent, SPY, equal weight\."):
        compute_results(backtests, benchmark="SPX")
    with pytest.raises(DataError, match=r"two backtests are called 'agent'"):
        compute_results([backtests[0], backtests[0]])
    short = make_backtest(backtests[0].net[:100], "short")
    with pytest.raises(DataError, match=r"'short' covers 100 days, 2015-01-02 to .*'agent' covers 700 days"):
        compute_results([backtests[0], short])
