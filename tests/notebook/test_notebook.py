"""Markets and signals from tables, and strategies of every kind judged in one call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from stable_baselines3 import PPO

import alfred
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError, SignalError
from alfred.evaluation.settings import IntervalSettings
from tests.conftest import make_random_market

MARKET = make_random_market(400, 5, seed=3)
FREE = {"cost_bps": 0, "slippage_bps": 0, "execution": "next_close"}
QUICK = IntervalSettings(n_replicates=100)


def to_wide(market: Market = MARKET) -> pd.DataFrame:
    return pd.DataFrame(market.close, index=market.dates, columns=list(market.symbols))


def to_long(market: Market = MARKET) -> pd.DataFrame:
    return to_wide(market).rename_axis("date").reset_index().melt("date", var_name="symbol", value_name="close")


@pytest.mark.parametrize("kind", ["long", "wide", "arrow", "file"])
def test_a_market_is_the_same_from_any_table(kind: str, tmp_path: Path) -> None:
    source: object = to_wide() if kind == "wide" else to_long()
    if kind == "arrow":
        source = pa.Table.from_pandas(to_long())
    if kind == "file":
        to_long().to_csv(tmp_path / "prices.csv", index=False)
        source = tmp_path / "prices.csv"
    market = alfred.load_market(source, benchmark="SPY")
    assert set(market.symbols) == set(MARKET.symbols) and market.benchmark == "SPY"
    order = [market.symbols.index(symbol) for symbol in MARKET.symbols]
    np.testing.assert_allclose(market.close[:, order], MARKET.close, rtol=1e-12)


def test_a_bad_cell_of_a_frame_is_named_as_that_of_a_file_is() -> None:
    table = to_long()
    table.loc[17, "close"] = -1.0
    with pytest.raises(DataError, match=r"-1.*"):
        alfred.load_market(table)
    with pytest.raises(DataError, match="no column 'SPY' for the benchmark"):
        alfred.load_market(to_wide().drop(columns="SPY"))
    with pytest.raises(DataError, match="must be a DataFrame of pandas or speak Arrow"):
        alfred.load_market(3.0)


def test_signals_are_aligned_and_nothing_is_guessed() -> None:
    frame = pd.DataFrame({"S1": 1.0, "S0": 2.0}, index=MARKET.dates[50:100])
    signals = alfred.make_signals({"mine": frame}, MARKET, horizon=5)
    assert signals.names == ("own.mine_5",) and signals.dates[0] == MARKET.dates[50] and len(signals.dates) == 50
    assert np.isnan(signals.values[:, MARKET.symbols.index("S2")]).all()
    with pytest.raises(SignalError, match=r"no symbol 'S9'"):
        alfred.make_signals(frame.rename(columns={"S0": "S9"}), MARKET)
    with pytest.raises(SignalError, match="is not a session"):
        alfred.make_signals(frame.set_index(frame.index + pd.Timedelta(days=365 * 20)), MARKET)


def test_a_table_of_weights_earns_what_multiplication_says() -> None:
    rng = np.random.default_rng(0)
    weights = pd.DataFrame(rng.dirichlet(np.ones(5), 400)[:, :4], MARKET.dates, [f"S{n}" for n in range(4)])
    result = alfred.backtest(weights, MARKET, settings=FREE, intervals=QUICK)
    # A row of t is traded at the close of t+1 and earns from there to the close of t+2.
    columns = [MARKET.symbols.index(name) for name in weights.columns]
    growth = MARKET.close[2:, columns] / MARKET.close[1:-1, columns] - 1
    expected = (weights.to_numpy()[:-2] * growth).sum(axis=1)
    np.testing.assert_allclose(result.returns["weights"].to_numpy()[1:], expected, rtol=1e-9, atol=1e-12)
    assert list(result.weights.columns) == [*MARKET.symbols, "cash"]
    first = result.trades[result.trades["date"] == MARKET.dates[1]].set_index("symbol")["after"]
    np.testing.assert_allclose(first[weights.columns], weights.iloc[0], rtol=1e-9)


def test_sparse_rows_stand_until_the_next_and_a_late_first_row_is_refused() -> None:
    table = pd.DataFrame({"S0": [1.0, 0.0], "S1": [0.0, 1.0]}, index=MARKET.dates[[0, 200]])
    result = alfred.backtest(table, MARKET, settings=FREE, intervals=QUICK)
    assert result.weights["S0"].iloc[:200].min() > 0.999 and result.weights["S1"].iloc[201:].min() > 0.999
    with pytest.raises(DataError, match="after the first decision"):
        alfred.backtest(table.iloc[1:], MARKET, settings=FREE)
    with pytest.raises(DataError, match="name 'S7'"):
        alfred.backtest(table.rename(columns={"S1": "S7"}), MARKET, settings=FREE)


def test_functions_modules_and_models_are_judged_alike() -> None:
    signals = alfred.make_signals({"mine": to_wide().pct_change(fill_method=None).iloc[1:]}, MARKET)

    def equal(observation: dict[str, np.ndarray]) -> pd.Series:
        assert observation["signals"].shape == (5, 1)
        return pd.Series(0.25, index=["S0", "S1", "S2", "S3"])

    class Even(torch.nn.Module):
        def forward(self, observation: dict[str, torch.Tensor]) -> torch.Tensor:
            scores = torch.zeros_like(observation["weights"])
            scores[:, -1] = -1.0
            return scores

    found = [alfred.backtest(one, MARKET, signals, settings=FREE, intervals=QUICK) for one in (equal, Even())]
    assert [item.records[0].name for item in found] == ["equal", "Even"]
    np.testing.assert_allclose(found[0].returns["equal"], found[1].returns["Even"], atol=1e-4)
    for flat, kind in ((False, "MultiInputPolicy"), (True, "MlpPolicy")):
        settings = alfred.PortfolioSettings(**FREE, observation="flat" if flat else "dict")  # type: ignore[arg-type]
        model = PPO(kind, alfred.make_env(MARKET, signals, settings=settings), n_steps=32, batch_size=32, seed=0)
        result = alfred.backtest(model, MARKET, signals, settings=settings, name="ppo", intervals=QUICK)
        assert list(result.returns.columns) == ["ppo", "SPY", "equal weight"]
        assert result.headline and result.summary.loc["ppo", "Sharpe"] == pytest.approx(result.results[0].sharpe)
    with pytest.raises(ConfigError, match="the model was trained on observations"):
        alfred.backtest(model, MARKET, None, settings=settings)
    with pytest.raises(ConfigError, match="a strategy must be a policy"):
        alfred.backtest(3, MARKET)
    with pytest.raises(DataError, match=r"'tall' returned weights that sum to 2"):
        alfred.backtest(lambda seen: [2.0, 0, 0, 0, 0, 0], MARKET, name="tall")
    with pytest.raises(ConfigError, match="stands beside another of that name"):
        alfred.backtest(equal, MARKET, signals, name="SPY")


def test_the_page_is_the_report_and_a_name_cannot_break_out_of_it(tmp_path: Path) -> None:
    weights = pd.DataFrame({"S0": 1.0}, index=MARKET.dates)
    result = alfred.backtest(weights, MARKET, name="<script>x</script>", intervals=QUICK)
    page = alfred.report(result)
    result.report(tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page.text
    assert "<script>x</script>" not in page.text and "<script>x</script>" not in result._repr_html_()
    assert page._repr_html_().startswith('<iframe srcdoc="&lt;!')
    assert len(result.plot().axes[0].lines) == 3


def test_an_experiment_in_python_is_that_of_a_file(tmp_path: Path) -> None:
    experiment = alfred.Experiment(agents=[{"kind": "direct", "total_steps": 64}], analysts=[{"kind": "naive"}])  # type: ignore[arg-type]
    from alfred.config import load_experiment

    (tmp_path / "c.yaml").write_text(experiment.to_yaml(), encoding="utf-8")
    assert load_experiment(tmp_path / "c.yaml") == experiment
    assert alfred.Experiment() == load_experiment()
    with pytest.raises(ValueError, match="unknown agent kind 'direkt'"):
        alfred.Experiment(agents=[{"kind": "direkt"}])  # type: ignore[arg-type]


def test_what_a_gain_came_from_stands_on_the_page_and_adds_up() -> None:
    market = make_random_market(300, 4, seed=2)
    weights = pd.DataFrame([[0.6, 0.3, 0.0, 0.0]], index=market.dates[20:21], columns=["S0", "S1", "S2", "SPY"])
    found = alfred.backtest(weights, market, start=market.dates[20], settings={"cost_bps": 30})
    broken = found.make_report_input().breakdown
    assert broken is not None and not broken.missing
    for gain, other in zip(broken.gains, found.records[1:], strict=True):
        whole = gain.whole
        assert gain.reference == other.name
        assert whole.selection + whole.timing + whole.cash + whole.costs == pytest.approx(whole.total, abs=1e-9)
        assert whole.total == pytest.approx(25_200 * (found.records[0].net - other.net).mean(), rel=1e-9)
        assert whole.cash != 0.0
    assert '<th scope="col">Selection</th>' in found.report().text
