"""`alfred allocate`: the weights of the next execution, the trades that lead there, and why."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.signals import Signals
from alfred.evaluation.backtest import backtest, make_walk
from alfred.training.live.opened import open_live
from alfred.training.live.tomorrow import BLANK, extend_market, extend_signals, guess_sessions
from tests.commands import refuse
from tests.training.live.market import extend, make_market, make_run, run_cli

MARKET = make_market()
DATES = [str(date.date()) for date in MARKET.dates]


def find_traded(run: Path, close: int) -> np.ndarray:
    """Weights after the trade that a backtest over later sessions too makes at the open after a close."""
    live = open_live(run)
    prepared, stages = live.prepared, live.load_stages(live.find_agent(None))
    walk = make_walk(
        prepared.market,
        prepared.observed.scaled(),
        prepared.experiment.env,
        stages[0].policy,
        start=MARKET.dates[MARKET.dates.get_loc(live.base[0].test[0]) - 1],
    )
    backtest(stages, walk)
    bar = walk.tape.dates.get_loc(MARKET.dates[close + 1])
    return next(trade.after[0] for trade in walk.simulator.trades if trade.bar[0] == bar)


@pytest.mark.parametrize("recurrent", [False, True])
def test_it_is_what_the_backtest_trades_on_the_next_session(recurrent, run, tmp_path) -> None:
    if recurrent:
        (tmp_path / "recurrent").mkdir()
        run = make_run(tmp_path / "recurrent", recurrent=True)
    folder = run.parents[1]
    extend(folder, 620)
    run_cli("update", run)
    for close in (500, 580, 618):
        found = json.loads(run_cli("allocate", run, "--date", DATES[close], "--json"))
        assert found["date"] == DATES[close]
        target = [line["target"] for line in found["lines"]]
        # The trade begins from the weights of the open, which nobody knows at the close: costs differ by that.
        np.testing.assert_allclose(target, find_traded(run, close), atol=2e-5)


def test_holdings_become_trades_that_add_up(run, tmp_path) -> None:
    holdings = tmp_path / "holdings.csv"
    holdings.write_text("symbol,shares\nS0,10\nSPY,5\nCASH,250\n", encoding="utf-8")
    found = json.loads(run_cli("allocate", run, "--holdings", holdings, "--json", "--out", tmp_path / "out.csv"))
    lines = {line["symbol"]: line for line in found["lines"]}
    close = dict(zip(MARKET.symbols, MARKET.close[559], strict=True))
    assert lines["S0"]["price"] == pytest.approx(close["S0"])
    wealth = 10 * close["S0"] + 5 * close["SPY"] + 250
    assert found["wealth"] == pytest.approx(wealth)
    assert lines["S0"]["weight"] == pytest.approx(10 * close["S0"] / wealth)
    # Money in is money out: cash pays for the purchases and all costs.
    paid = sum(line["cost"] for line in found["lines"])
    assert sum(line["value"] for line in found["lines"]) == pytest.approx(-paid, abs=1e-6)
    assert paid == pytest.approx(found["cost"] * wealth)
    for name, shares in (("S0", 10), ("SPY", 5), ("S1", 0)):
        line = lines[name]
        held = (shares + line["shares"]) * close[name]
        assert held / (wealth - paid) == pytest.approx(line["target"], abs=1e-12)
        assert line["value"] == pytest.approx(line["shares"] * close[name])
    assert sum(line["target"] for line in found["lines"]) == pytest.approx(1.0)
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["symbol"] for row in rows] == [line["symbol"] for line in found["lines"]]
    assert float(rows[0]["shares"]) == lines["S0"]["shares"]


def test_what_is_held_is_what_the_policy_sees(run, tmp_path) -> None:
    """The policies of this run answer to their weights, so that other holdings are other targets."""
    cash = json.loads(run_cli("allocate", run, "--cash", "1000", "--json"))
    own = json.loads(run_cli("allocate", run, "--json"))
    holdings = tmp_path / "holdings.csv"
    holdings.write_text("symbol,shares\nS2,10\n", encoding="utf-8")
    held = json.loads(run_cli("allocate", run, "--holdings", holdings, "--json"))
    targets = [[line["target"] for line in found["lines"]] for found in (cash, own, held)]
    assert np.abs(np.subtract(targets[0], targets[1])).max() > 1e-4
    assert np.abs(np.subtract(targets[0], targets[2])).max() > 1e-4
    assert own["wealth"] is None
    assert own["lines"][0]["shares"] is None


def test_reasons_are_what_a_zero_signal_takes_away(run) -> None:
    found = json.loads(run_cli("allocate", run, "--json"))
    explained = [line for line in found["lines"] if line["reasons"]]
    changes = sorted(found["lines"][:-1], key=lambda line: -abs(line["target"] - line["weight"]))
    assert {line["symbol"] for line in explained} <= {line["symbol"] for line in changes[:3]}
    live = open_live(run)
    prepared, [*_, stage] = live.prepared, live.load_stages(live.find_agent(None))
    names = prepared.observed.names
    assert explained
    for line in explained:
        sizes = [abs(reason["effect"]) for reason in line["reasons"]]
        assert sizes == sorted(sizes, reverse=True)
        assert {reason["signal"] for reason in line["reasons"]} <= set(names)
        column = prepared.market.index_of(line["symbol"])
        scaled = prepared.observed.scaled().values[-1, column]
        for reason in line["reasons"]:
            assert reason["value"] == pytest.approx(float(scaled[names.index(reason["signal"])]))
    assert stage.policy.name == found["agent"]


def test_the_mandate_holds_for_what_is_proposed(tmp_path) -> None:
    run = make_run(tmp_path, env={"constraints": {"max_weight": 0.3}})
    found = json.loads(run_cli("allocate", run, "--cash", "1000", "--json"))
    assert max(line["target"] for line in found["lines"][:-1]) <= 0.3 * 1.01
    assert found["lines"][-1]["symbol"] == "CASH"


def test_ages_and_the_table_are_said(run) -> None:
    shown = run_cli("allocate", run, "--cash", "1000").replace("\n", " ")
    assert f"decided at the close of {DATES[559]}, traded at the next open" in shown
    assert f"known until: data {DATES[559]} (" in shown
    assert "days ago" in shown
    found = json.loads(run_cli("allocate", run, "--json", "--date", "2012-02-18"))
    assert found["date"] == "2012-02-17"
    assert any("2012-02-18 is no session" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("symbol,shares\nS9,1\n", "the run does not trade S9"),
        ("symbol,shares\nS0,many\n", "row 2 of"),
        ("symbol,shares\nS0,1\nS0,2\n", "stands twice"),
        ("ticker,amount\nS0,1\n", "has no column 'symbol': it needs symbol and shares, and has ticker, amount"),
        ("symbol,shares\n", "holds no holdings"),
        ("symbol,shares\nS0,-1\nCASH,1000\n", "is held short"),
        ("symbol,shares\nS0,0\n", "there must be something to invest"),
        ("symbol,shares\nS0,inf\n", "row 2 of"),
        ("symbol,shares\nS0,1,000\n", "has more cells than the header"),
    ],
)
def test_bad_holdings_are_one_line(run, tmp_path, text, told) -> None:
    path = tmp_path / "holdings.csv"
    path.write_text(text, encoding="utf-8")
    assert told in refuse("allocate", run, "--holdings", path)


def test_what_does_not_trade_is_valued_at_an_old_price_and_said_so(run, tmp_path) -> None:
    extend(tmp_path, 580)
    table = pd.read_csv(tmp_path / "prices.csv")
    table[(table["symbol"] != "S1") | (table["date"] <= DATES[569])].to_csv(tmp_path / "prices.csv", index=False)
    run_cli("update", run)
    path = tmp_path / "holdings.csv"
    path.write_text("Symbol, Shares\nS1,10\ncash,1000\n", encoding="utf-8")
    found = json.loads(run_cli("allocate", run, "--holdings", path, "--json"))
    assert found["wealth"] == pytest.approx(1000 + 10 * MARKET.close[569, MARKET.index_of("S1")])
    [note] = [note for note in found["notes"] if "did not trade" in note]
    assert note.startswith("S1 ") and f"its price of {DATES[569]}, 10 session(s) before" in note


def test_bad_questions_are_one_line(run, tmp_path) -> None:
    assert f"nothing is known after {DATES[559]}" in refuse("allocate", run, "--date", DATES[560])
    extend(tmp_path, 600)
    assert "run `alfred update` first" in refuse("allocate", run, "--date", DATES[590])
    assert "ask for" in refuse("allocate", run, "--date", "2010-06-01")
    assert "is not a date" in refuse("allocate", run, "--date", "soon")
    assert "no agent is called" in refuse("allocate", run, "--agent", "x")
    assert "cannot be read" in refuse("allocate", run, "--holdings", tmp_path / "none.csv")
    assert "there must be something to invest" in refuse("allocate", run, "--cash", "0")
    path = tmp_path / "holdings.csv"
    path.write_text("symbol,shares\nCASH,5\n", encoding="utf-8")
    assert "leave one of them out" in refuse("allocate", run, "--holdings", path, "--cash", "5")


def test_the_blank_sessions_say_nothing() -> None:
    market = MARKET.until(MARKET.dates[299])
    extended = extend_market(market)
    extended.validate()
    assert extended.n_dates == 300 + BLANK
    np.testing.assert_array_equal(extended.close[:300], market.close)
    np.testing.assert_array_equal(extended.close[300:], np.tile(market.close[-1], (BLANK, 1)))
    signals = Signals(
        market.dates, market.symbols, ("a.b",), np.ones((300, 4, 1), np.float32), market.dates.to_numpy(), (0,)
    )
    longer = extend_signals(signals, extended.dates[300:])
    assert np.isnan(longer.values[300:]).all()
    assert list(guess_sessions(MARKET.dates[:5])) == list(MARKET.dates[5:8])  # a Friday, then Monday
