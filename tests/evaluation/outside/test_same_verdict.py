"""The judge says of a series what a run says of it, and walks weights through the very ledger of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import alfred
from alfred.agents.strategies.prices import MixSettings
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.typing import Float, Observation
from tests.conftest import make_random_market
from tests.evaluation.outside.files import call, judge, refuse
from tests.training.small import make_small, run_small, write_market, write_prices

# What does not follow from the returns: trades, and the family of the other rows of a run's table.
_OWN = {
    *("name", "turnover", "cost", "gross_exposure", "concentration", "effective_names", "cash", "behaviour", "kept"),
    *("untrained", "trainings", "headline", "headline_tone", "warnings", "benchmark_verdict"),
}


def test_returns_of_a_run_get_the_numbers_of_the_run(tmp_path: Path) -> None:
    write_prices(tmp_path)
    prepared, _, rows = run_small(tmp_path, make_small(tmp_path / "prices.csv", intervals={}))
    files = sorted(prepared.run.backtests.glob("*.parquet"))
    own, held = (
        next(record for record in map(Backtest.load, files) if record.name == name)
        for name in (rows[0].name, prepared.market.benchmark)
    )
    frame = pd.DataFrame({"returns": own.net, "benchmark": held.net, "cash_return": own.cash_return}, index=own.dates)
    frame.to_csv(tmp_path / "mine.csv")
    found = judge(tmp_path, tmp_path / "mine.csv", "--trials", rows[0].n_trials)["results"][0]
    expected = {key: value for key, value in rows[0].to_json().items() if "equal_weight" not in key}
    compared = [key for key in expected if key not in _OWN]
    assert {"sharpe_ci", "sharpe_minus_benchmark_ci", "benchmark_deflated", "benchmark_p_value"} <= set(compared)
    for key in compared:
        # The verdict is the same to the last bit; sums over all rows of a table are taken in the table's order.
        loose = "benchmark" not in key and isinstance(expected[key], float | list)
        assert found[key] == (pytest.approx(expected[key], rel=1e-9) if loose else expected[key]), key


def test_the_verdict_is_that_of_a_backtest(tmp_path: Path) -> None:
    market = make_random_market(700, 4, seed=4)
    policy = MixSettings(name="mine").build(market, ())
    walked = alfred.backtest(policy, market, n_trials=7)
    own, held = walked.records[0], walked.records[1]
    pd.DataFrame({"returns": own.net}, index=own.dates).to_csv(tmp_path / "mine.csv")
    pd.DataFrame({"returns": held.net}, index=held.dates).to_csv(tmp_path / "SPY.csv")
    found = judge(tmp_path, tmp_path / "mine.csv", "--benchmark", tmp_path / "SPY.csv", "--trials", 7)["results"][0]
    expected = walked.results[0].versus_benchmark
    assert found["benchmark_verdict"] == expected.outcome
    assert found["sharpe_minus_benchmark"] == expected.difference
    assert found["sharpe_minus_benchmark_ci"] == list(expected.interval)
    assert found["benchmark_deflated"] == expected.deflated


class _Fixed:
    """Trades to given weights at the first decision, and every 21 sessions after."""

    name = "fixed"
    rebalance_every: int | None = 21
    lookback = 0

    def __init__(self, weights: Float) -> None:
        self.weights, self.row = weights, 0

    def reset(self, rows: np.ndarray | None = None) -> None:
        self.row = 0

    def predict(self, observation: Observation) -> Float:
        self.row += 1
        row = self.weights[self.row - 1]
        return np.concatenate([row, [0.0, 1.0 - row.sum()]])[None]


@pytest.mark.parametrize("long", [False, True])
def test_weights_are_booked_as_in_a_run(tmp_path: Path, long: bool) -> None:
    market = make_random_market(500, 4, seed=8)
    write_market(tmp_path / "prices.csv", market)
    decisions = market.dates[10:-5:21]
    weights = np.random.default_rng(0).dirichlet(np.ones(4), len(decisions))[:, :3]
    table = pd.DataFrame(weights, index=decisions.rename("date"), columns=["S0", "S1", "S2"])
    if long:
        table = table.reset_index().melt("date", var_name="tic", value_name="weight").sort_values("date")
    table.to_csv(tmp_path / "mine.csv", index=not long)
    found = judge(tmp_path, tmp_path / "mine.csv", "--prices", tmp_path / "prices.csv", "--cost-bps", 20)
    assert found["detected"]["costs"].startswith("20 bps commission and 5 bps slippage")
    policy = _Fixed(weights)
    settings = PortfolioSettings(cost_bps=20)
    record = backtest(policy, make_walk(market, None, settings, policy, start=decisions[0], end=decisions[-1]))
    row = found["results"][0]
    assert row["n_days"] == len(record.dates)
    assert row["cagr"] == pytest.approx(record.wealth[-1] ** (252 / len(record.dates)) - 1, rel=1e-9)
    assert row["turnover"] == pytest.approx(record.turnover.mean() * 252, rel=1e-9)
    assert [item["name"] for item in found["results"]] == ["mine", "SPY", "equal weight"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<th scope="col">Selection</th>' in page and "cannot be told" not in page


def test_embedded_prices_and_benchmark(tmp_path: Path) -> None:
    market = alfred.load_market(start="2015-01-01", end="2017-12-31")
    table = pd.DataFrame({"AAPL": 0.5, "JPM": 0.5}, index=market.dates.rename("date"))
    table.to_csv(tmp_path / "mine.csv")
    found = judge(tmp_path, tmp_path / "mine.csv")
    assert found["detected"]["benchmark"].startswith("SP500TR")
    # Halves traded back to every day are equal weight of the two, to within a month's drift.
    assert found["results"][0]["sharpe"] == pytest.approx(found["results"][2]["sharpe"], abs=0.05)
    returns = pd.Series(np.random.default_rng(0).normal(0, 0.01, market.n_dates), index=market.dates, name="returns")
    returns.to_csv(tmp_path / "other.csv")
    row = judge(tmp_path, tmp_path / "other.csv")["results"][1]
    close = market.close[:, market.index_of("SP500TR")]
    assert row["name"] == "SP500TR"
    assert row["n_days"] == market.n_dates
    assert row["volatility"] == pytest.approx(np.std(close[1:] / close[:-1], ddof=1) * 252**0.5, rel=1e-2)


def test_weights_that_are_none(tmp_path: Path) -> None:
    market = make_random_market(200, 4, seed=8)
    write_market(tmp_path / "prices.csv", market)
    prices = ("--prices", tmp_path / "prices.csv")
    dates = market.dates[5:100].rename("date")

    def write(**columns: object) -> Path:
        pd.DataFrame(columns, index=dates).to_csv(tmp_path / "mine.csv")
        return tmp_path / "mine.csv"

    assert "no prices of 'S9'" in refuse(write(S0=0.5, S9=0.5), *prices)
    assert "with their cash" in refuse(write(S0=0.5, S1=0.5, cash=0.1), "--kind", "weights", *prices)
    assert "divide them by 100 if they are per cent" in refuse(write(S0=50, S1=50), "--kind", "weights", *prices)
    doubled = write(**{"weight of S0": 0.6, "S0": 0.4})
    assert "two columns of weights of S0; keep one" in refuse(doubled, "--kind", "weights", *prices)
    assert "zero everywhere" in refuse(write(S0=0.0, S1=0.0), "--kind", "weights", *prices)
    result = call(write(S0=1.0, S1=-0.4), "--kind", "weights", *prices, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "short or levered, up to 1.40" in " ".join(result.output.split())


def test_torch_is_not_loaded(tmp_path: Path) -> None:
    dates = pd.bdate_range("2018-01-01", periods=100)
    pd.DataFrame({"returns": np.linspace(-0.01, 0.011, 100), "benchmark": 0.001}, index=dates).to_csv(
        tmp_path / "mine.csv"
    )
    code = (
        "import sys; from alfred.cli import app; "
        f"app({['judge', str(tmp_path / 'mine.csv'), '--out', str(tmp_path / 'out')]!r}, standalone_mode=False); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))[0]["name"] == "mine"
