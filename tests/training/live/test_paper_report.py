"""Status, page and fills of an account, as a user meets them; a broker of one's own."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from alfred.envs.settings import ImpactSettings
from alfred.evaluation.backtest import Backtest
from alfred.training.live.account import tell_impact
from alfred.training.live.opened import open_live
from tests.commands import refuse
from tests.serve.browser import open_browser
from tests.training.live.market import extend, make_market, run_cli

MARKET = make_market()
DATES = [str(date.date()) for date in MARKET.dates]

PLUGIN = """
import json
from pathlib import Path

from alfred.training.live.brokers import BROKERS, Fill


class Notebook:
    def __init__(self, folder):
        self.path = Path(folder) / "notebook.json"

    def place(self, decided_on, orders):
        known = json.loads(self.path.read_text()) if self.path.exists() else {}
        known.update({item.key: item.shares for item in orders})
        self.path.write_text(json.dumps(known))

    def fetch(self):
        known = json.loads(self.path.read_text())
        return [Fill("%s", "S0", shares, %r) for key, shares in known.items() if key == "%s-S0"]


BROKERS.register(Notebook, "notebook")
"""


def start(run: Path, folder: Path, close: int, *words: str) -> Path:
    run_cli("paper", "start", run, folder / "account", "--from", DATES[close], *words)
    return folder / "account"


def test_status_says_what_is_held_and_what_waits(run, tmp_path) -> None:
    account = start(run, tmp_path, 550)
    found = json.loads(run_cli("paper", "status", account, "--json"))
    assert (found["date"], found["n_waiting"], found["wealth"], found["gain"]) == (DATES[550], 9, 100_000.0, 0.0)
    assert {item["symbol"]: item["weight"] for item in found["weights"]}["CASH"] == 1.0
    assert sum(item["decision"] for item in found["weights"]) == pytest.approx(1.0)
    run_cli("paper", "step", account)
    later = json.loads(run_cli("paper", "status", account, "--json"))
    assert (later["date"], later["n_waiting"]) == (DATES[559], 0)
    assert sum(item["weight"] for item in later["weights"]) == pytest.approx(1.0)
    assert any("due to be refitted" in note for note in later["notes"])
    assert "session(s) to book" in run_cli("paper", "status", account)


def test_market_impact_of_another_capital_is_said(run) -> None:
    live = open_live(run)
    assert tell_impact(live, 5e4) == ()
    experiment = live.prepared.experiment
    impact = ImpactSettings(kind="square_root", capital=1e5)
    changed = experiment.model_copy(update={"env": experiment.env.model_copy(update={"impact": impact})})
    large = dataclasses.replace(live, prepared=dataclasses.replace(live.prepared, experiment=changed))
    assert tell_impact(large, 1e5) == ()
    assert "of 100,000 (env.impact.capital), and the account begins with 5,000,000" in tell_impact(large, 5e6)[0]
    assert tell_impact(large, 5e6)[0].endswith("too low")
    assert tell_impact(large, 5e3)[0].endswith("too high")


def test_the_report_holds_realised_against_expected(run, tmp_path) -> None:
    run_cli("update", run)
    account = start(run, tmp_path, 540)
    before = json.loads(run_cli("paper", "report", account, "--json"))
    assert before["realised"] is None
    extend(tmp_path, 640)
    run_cli("update", run)
    booked = json.loads(run_cli("paper", "step", account, "--json"))["booked"]
    found = json.loads(run_cli("paper", "report", account, "--json"))
    assert found["n_days"] == len(booked) == 99
    assert found["tracking_error"] == 0.0
    assert found["fills"] is None
    judged = Backtest.load(next(iter(run.glob("backtests/00-*.parquet"))))
    assert found["drift"]["n_new"] == (MARKET.dates[:640] > judged.dates[-1]).sum()
    assert found["drift"]["n_judged"] == len(judged.dates) - 21
    assert found["judged"]["cost"] == pytest.approx(judged.costs.mean() * 252)
    page = (account / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 2
    assert "as the same policies, walked now, would book it" in page
    shown = run_cli("paper", "report", account)
    assert "realised" in shown
    assert "report.html" in shown
    with open_browser(tmp_path / "profile") as browser:
        browser.open((account / "report.html").as_uri(), 390)
        assert browser.measure_overflow() == 0
        # What was realised and what was expected are seen without scrolling.
        assert browser.evaluate("document.querySelector('table').getBoundingClientRect().right") <= 390


def test_another_strategy_sets_off_the_alarm(run, tmp_path) -> None:
    """The account of an agent whose policies were replaced by ones that hold something else entirely."""
    run_cli("update", run)
    account = start(run, tmp_path, 559)
    extend(tmp_path, 680)
    run_cli("update", run)
    path = next(iter(run.glob("backtests/00-*.parquet")))
    judged = Backtest.load(path)
    calm = np.random.default_rng(0).normal(0.0, 1e-4, len(judged.net))
    changed = judged.benchmark + 3e-3 + calm
    Backtest(**{**{name: getattr(judged, name) for name in judged.__dataclass_fields__}, "net": changed}).save(path)
    run_cli("paper", "step", account)
    found = json.loads(run_cli("paper", "report", account, "--json"))
    assert found["drift"]["alarm"] is not None
    assert found["sentences"][0].startswith("Alarm since ")
    assert '<p class="warn">Alarm since' in (account / "report.html").read_text(encoding="utf-8")


def test_a_run_that_was_not_judged_has_no_alarm(run, tmp_path) -> None:
    import shutil

    shutil.rmtree(run / "backtests")
    account = start(run, tmp_path, 550)
    run_cli("paper", "step", account)
    found = json.loads(run_cli("paper", "report", account, "--json"))
    assert found["judged"] is None
    assert "the run was not evaluated" in found["sentences"][0]


def test_orders_go_out_and_fills_come_in(run, tmp_path) -> None:
    account = start(run, tmp_path, 555, "--cash", "50000")
    run_cli("paper", "step", account, "--until", DATES[556])
    # Only the latest decision is handed over: the one before was traded already when it was booked.
    assert [path.name for path in (account / "orders").glob("*.csv")] == [f"{DATES[556]}.csv"]
    with (account / "orders" / f"{DATES[556]}.csv").open(encoding="utf-8") as file:
        orders = list(csv.DictReader(file))
    assert orders
    for order in orders:
        assert order["key"] == f"{DATES[556]}-{order['symbol']}"
        assert float(order["price"]) == pytest.approx(MARKET.close[556, MARKET.index_of(order["symbol"])])
    run_cli("paper", "step", account)
    fills = account / "fills"
    fills.mkdir()
    shortfall = value = 0.0
    rows = ["date,symbol,shares,price,fee"]
    for order in orders:
        opened, shares = MARKET.open[557, MARKET.index_of(order["symbol"])], float(order["shares"])
        price = float(opened) * (1.001 if shares > 0 else 0.999)
        rows.append(f"{DATES[557]},{order['symbol']},{shares!r},{price!r},0.5")
        shortfall += abs(shares) * abs(price - opened) + 0.5
        value += abs(shares) * price
    (fills / "first.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = json.loads(run_cli("paper", "report", account, "--json"))["fills"]
    assert found["count"] == len(orders)
    assert found["value"] == pytest.approx(value, rel=1e-6)
    assert found["shortfall"] == pytest.approx(shortfall, rel=1e-4)
    assert found["bps"] == pytest.approx(1e4 * shortfall / value, rel=1e-4)


def test_fills_that_are_not_what_was_ordered_are_named(run, tmp_path) -> None:
    account = start(run, tmp_path, 555, "--cash", "5000000")
    run_cli("paper", "step", account, "--until", DATES[556])
    with (account / "orders" / f"{DATES[556]}.csv").open(encoding="utf-8") as file:
        orders = {order["symbol"]: float(order["shares"]) for order in csv.DictReader(file)}
    assert len(orders) > 1
    run_cli("paper", "step", account)
    (account / "fills").mkdir()
    first, *others = orders
    price = {symbol: float(MARKET.open[557, MARKET.index_of(symbol)]) for symbol in orders}

    def report(**shares: float) -> str:
        rows = [f"{DATES[557]},{symbol},{number!r},{price[symbol]!r}" for symbol, number in shares.items()]
        text = "\n".join(["date,symbol,shares,price", *rows])
        (account / "fills" / "a.csv").write_text(text + "\n", encoding="utf-8")
        return " ".join(json.loads(run_cli("paper", "report", account, "--json"))["sentences"])

    assert "not what was ordered" not in report(**orders)
    # Whole shares are what is ordered.
    assert "not what was ordered" not in report(
        **{symbol: float(round(number)) for symbol, number in orders.items() if round(number)}
    )
    for wrong in (0.5, 2.0, -1.0):
        told = report(**{**orders, first: wrong * orders[first]})
        assert f"{first} on {DATES[557]}: {wrong * orders[first]:+.6g} shares filled of {orders[first]:+.6g}" in told
        assert all(f"{symbol} on" not in told for symbol in others)
    assert f"{first} on {DATES[557]}: +0 shares filled of" in report(**{symbol: orders[symbol] for symbol in others})
    price[first] *= 100
    assert f"{first} on {DATES[557]} at {price[first]:.6g}, booked at" in report(**orders)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("date,symbol,shares\n2012-01-02,S0,1\n", "has no column price"),
        (f"date,symbol,shares,price\n{DATES[551]},S0,x,1\n", "row 2 of"),
        (f"date,symbol,shares,price\n{DATES[551]},S0,1,-1\n", "the price must be positive"),
        (f"date,symbol,shares,price\n{DATES[551]},S7,1,1\n", "which the run does not trade"),
        ("date,symbol,shares,price\n2012-01-01,S0,1,1\n", "is no session that the run knows"),
    ],
)
def test_bad_fills_are_one_line(run, tmp_path, text, told) -> None:
    account = start(run, tmp_path, 550)
    (account / "fills").mkdir()
    (account / "fills" / "a.csv").write_text(text, encoding="utf-8")
    assert told in refuse("paper", "report", account)


def test_a_broker_is_a_plugin_of_one_class(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ALFRED_PLUGINS", "")
    plugin = tmp_path / "notebook_broker.py"
    price = float(MARKET.open[557, 0])
    plugin.write_text(PLUGIN % (DATES[557], price, DATES[556]), encoding="utf-8")
    account = start(run, tmp_path, 555, "--broker", "notebook", "--plugin", str(plugin))
    run_cli("paper", "step", account, "--until", DATES[556])
    run_cli("paper", "step", account, "--until", DATES[556])  # once more changes nothing
    known = json.loads((account / "notebook.json").read_text(encoding="utf-8"))
    assert set(known) <= {f"{DATES[556]}-{symbol}" for symbol in MARKET.symbols}
    found = json.loads(run_cli("paper", "report", account, "--json"))["fills"]
    assert found["count"] == 1
    assert found["shortfall"] == pytest.approx(0.0, abs=1e-6 * found["value"])


def test_an_account_cannot_trade_at_the_close_it_decides_on(tmp_path) -> None:
    from tests.training.live.market import make_run

    run = make_run(tmp_path, env={"execution": "close"})
    assert "env.execution is 'close'" in refuse("paper", "start", run, tmp_path / "account")
    assert "env.execution is 'close'" in refuse("allocate", run)
