"""An account on paper: equal to the backtest, whole after a kill, blind to the future."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from alfred.data.signals import Signals
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.training.live.account import PaperAccount
from alfred.training.live.brokers import CsvBroker
from alfred.training.live.journal import Journal
from alfred.training.live.opened import open_live
from tests.commands import call, refuse
from tests.training.live.market import copy_run, extend, make_market, make_run, run_cli

MARKET = make_market()
DATES = [str(date.date()) for date in MARKET.dates]

CASES: dict[str, dict[str, Any]] = {
    "daily": {},
    "recurrent": {"recurrent": True},
    "every third session": {"env": {"rebalance_every": 3}},
    "next close": {"env": {"execution": "next_close"}},
    "mandate": {
        "env": {
            "constraints": {"max_weight": 0.4, "max_turnover": 0.3},
            "risk": {"stop_loss_pct": 2.0, "breaker_drawdown_pct": 4.0, "breaker_cooldown_days": 3},
            "impact": {"kind": "square_root", "capital": 1e5},
        }
    },
    "long and short": {"env": {"action": {"mode": "long_short", "max_leverage": 1.5}, "cash_rate_pct": 3.0}},
}
FAST = ("daily", "mandate")


def walk_backtest(run: Path, start: str) -> Backtest:
    live = open_live(run)
    prepared, settings = live.prepared, live.find_agent(None)
    stages = live.load_stages(settings)
    walk = make_walk(
        prepared.market, prepared.observed.scaled(), prepared.experiment.env, stages[0].policy, start=start
    )
    return backtest(stages, walk)


def read_record(account: Path) -> Backtest:
    opened = PaperAccount.open(account)
    days = opened.read_days(opened.open_run())
    return opened.make_desk(opened.open_run(), days[-1].date).walk_back(days, opened.terms.agent)


def read_lines(account: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (account / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["booked"], line["previous"], line["digest"]
    return lines


@pytest.mark.parametrize(
    "case", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_an_account_is_the_backtest_to_the_last_bit(case, made, tmp_path) -> None:
    run = copy_run(made, tmp_path) if case == "daily" else make_run(tmp_path, **CASES[case])
    account = tmp_path / "account"
    run_cli("paper", "start", run, account, "--from", DATES[430])
    run_cli("paper", "step", account, "--until", DATES[431])
    run_cli("paper", "step", account, "--until", DATES[435])
    # The first update brings no session, and a fold that is due; the second one brings the last session before another.
    for known in (560, 600, 661):
        extend(tmp_path, known)
        run_cli("update", run)
        run_cli("paper", "step", account)
    booked, expected = read_record(account), walk_backtest(run, DATES[430])
    n = len(booked.dates) - (case == "next close")  # the last close of a backtest has no trade of its own
    assert list(booked.dates[:n]) == list(expected.dates[:n])
    assert n >= 229
    assert len({line["fold"] for line in read_lines(account)} - {None}) == 4
    for name in ("weights", "gross", "costs", "net", "turnover", "benchmark", "cash_return"):
        np.testing.assert_array_equal(getattr(booked, name)[:n], getattr(expected, name)[:n], err_msg=name)
    assert booked.turnover.sum() > 1.0  # the policies do trade


def test_what_is_judged_is_what_is_booked(run, tmp_path) -> None:
    """The record that `alfred run` wrote, not one of this test's making."""
    judged = Backtest.load(next(path for path in run.glob("backtests/00-*.parquet")))
    first = MARKET.dates[MARKET.dates.get_loc(judged.dates[0]) - 1]
    run_cli("paper", "start", run, tmp_path / "account", "--from", first.date())
    run_cli("paper", "step", tmp_path / "account")
    booked = read_record(tmp_path / "account")
    assert list(booked.dates) == list(judged.dates)
    np.testing.assert_array_equal(booked.net, judged.net)


def test_the_future_changes_nothing(made, tmp_path) -> None:
    told = []
    for number, (known, future) in enumerate([(600, False), (680, False), (680, True)]):
        folder = tmp_path / str(number)
        run = copy_run(made, folder)
        extend(folder, known)
        if future:
            table = pd.read_csv(folder / "prices.csv", parse_dates=["date"])
            late = table["date"] > MARKET.dates[599]
            noise = np.exp(np.random.default_rng(1).normal(0, 0.1, late.sum()))
            for name in ("open", "high", "low", "close"):
                table.loc[late, name] *= noise
            table.to_csv(folder / "prices.csv", index=False)
        run_cli("update", run, "--accept-jumps")  # the noise has some
        run_cli("paper", "start", run, folder / "account", "--from", DATES[560])
        run_cli("paper", "step", folder / "account", "--until", DATES[599])
        found = json.loads(run_cli("allocate", run, "--date", DATES[599], "--cash", "1000", "--json"))
        orders = (folder / "account" / "orders" / f"{DATES[599]}.csv").read_text(encoding="utf-8")
        told.append((read_lines(folder / "account"), found["lines"], orders))
    assert told[0] == told[1] == told[2]


def kill_at(number: int) -> Callable[[], None]:
    """Return what has this process killed at its n-th write, sync or rename, half of the write done."""
    seen = 0
    write, fsync, replace = os.write, os.fsync, Path.replace

    def count(finish: Callable[[], object] = lambda: None) -> None:
        nonlocal seen
        seen += 1
        if seen > number:
            finish()
            os.kill(os.getpid(), signal.SIGKILL)

    def torn(descriptor: int, content: bytes) -> int:
        count(lambda: write(descriptor, content[: len(content) // 2]))
        return write(descriptor, content)

    def synced(descriptor: int) -> None:
        count()
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        count()
        return replace(path, target)

    def install() -> None:
        os.write, os.fsync, Path.replace = torn, synced, renamed  # type: ignore[assignment,method-assign]

    return install


def run_killed(number: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that is killed at its n-th write; return whether it was."""
    pid = os.fork()
    if not pid:
        try:
            kill_at(number)()
            work()
            os._exit(0)
        except BaseException:
            os._exit(9)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_kill_between_any_two_writes_loses_and_doubles_nothing(run, tmp_path) -> None:
    whole = tmp_path / "whole"
    PaperAccount.create(run, whole, start=MARKET.dates[550])
    list(PaperAccount.open(whole).step(MARKET.dates[553]))
    expected = read_lines(whole)
    orders = (whole / "orders" / f"{DATES[553]}.csv").read_text(encoding="utf-8")
    kills = 0
    while True:
        account = tmp_path / f"killed {kills}"

        def work(folder: Path = account) -> None:
            if len(Journal(folder / "journal.jsonl").read()) <= 1:
                PaperAccount.create(run, folder, start=MARKET.dates[550])
            list(PaperAccount.open(folder).step(MARKET.dates[553]))

        killed = run_killed(kills, work)
        # Once more where it stands, and once more there: a kill while the damage of a kill is mended.
        if killed:
            run_killed(2, work)
            work()
        assert read_lines(account) == expected
        assert (account / "orders" / f"{DATES[553]}.csv").read_text(encoding="utf-8") == orders
        if not killed:
            break
        kills += 1
    assert kills >= 2 * len(expected)  # each line is written and synced


def test_a_torn_line_is_not_a_day_and_a_changed_one_is_found(run, tmp_path) -> None:
    account = tmp_path / "account"
    run_cli("paper", "start", run, account, "--from", DATES[550])
    run_cli("paper", "step", account, "--until", DATES[552])
    path = account / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert len(Journal(path).read()) == 2
    run_cli("paper", "step", account, "--until", DATES[552])
    assert [line["date"] for line in read_lines(account)] == DATES[550:553]
    lines = whole.splitlines(keepends=True)
    last = json.loads(lines[2])
    for damaged in (
        lines[0] + lines[2],
        lines[0] + lines[1].replace(b'"turnover":0', b'"turnover":1') + lines[2],
        # The last line has no line after it that would tell.
        lines[0] + lines[1] + lines[2].replace(b'"turnover":0', b'"turnover":1'),
        lines[0] + lines[1] + json.dumps({**last, "wealth": 5.0}).encode() + b"\n",
        lines[0] + lines[1] + json.dumps({**last, "weights": [1.0]}, separators=(",", ":")).encode() + b"\n",
    ):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"line [23] of"):
            Journal(path).read()
        for command in ("step", "status", "report"):
            assert "was changed" in refuse("paper", command, account)


def test_a_journal_from_before_its_lines_had_digests_goes_on(tmp_path) -> None:
    path = tmp_path / "journal.jsonl"
    first = json.dumps({"day": 1, "previous": "0" * 16}, separators=(",", ":")).encode()
    link = hashlib.sha256(first).hexdigest()[:16]
    path.write_bytes(first + b"\n")
    Journal(path).add({"day": 2})
    assert Journal(path).read() == [{"day": 1}, {"day": 2}]
    assert json.loads(path.read_bytes().splitlines()[1])["previous"] == link


def test_a_broker_that_fails_is_one_line_and_is_asked_again(run, tmp_path, monkeypatch) -> None:
    account = tmp_path / "account"
    run_cli("paper", "start", run, account, "--from", DATES[550])
    place = CsvBroker.place
    for problem in (RuntimeError("rate limit"), ConnectionResetError("gone")):

        def fail(*_: object, problem: Exception = problem) -> None:
            raise problem

        monkeypatch.setattr(CsvBroker, "place", fail)
        monkeypatch.setattr(CsvBroker, "fetch", fail)
        line = refuse("paper", "step", account, "--until", DATES[552])
        assert f"{type(problem).__name__}: {problem}) on " in line
        assert "the day is booked" in line
        assert "reports no fills" in refuse("paper", "report", account)
    monkeypatch.setattr(CsvBroker, "place", place)
    assert "nothing to book" in run_cli("paper", "step", account, "--until", DATES[552])
    assert (account / "orders" / f"{DATES[552]}.csv").exists()


def test_a_restated_session_is_said_and_its_difference_booked(run, tmp_path) -> None:
    account = tmp_path / "account"
    run_cli("update", run)
    run_cli("paper", "start", run, account, "--from", DATES[550])
    run_cli("paper", "step", account)
    last = read_lines(account)[-1]
    extend(tmp_path, 565)
    table = pd.read_csv(tmp_path / "prices.csv")
    row = (table["date"] == DATES[559]) & (table["symbol"] == "S1")
    table.loc[row, "close"] *= 1.001
    table.to_csv(tmp_path / "prices.csv", index=False)
    message = refuse("update", run)
    assert f"close of S1 on {DATES[559]}" in message
    assert "--accept-restated" in message
    assert "alfred update" in refuse("paper", "step", account)
    run_cli("update", run, "--accept-restated")
    assert "was restated and is worth" in run_cli("paper", "step", account)
    lines = read_lines(account)
    assert lines[len(lines) - 6] == last  # what was booked stays
    corrected = lines[-5]["corrected"]
    held = last["weights"][1]
    assert corrected / last["wealth"] - 1 == pytest.approx(0.001 * held, rel=1e-2)
    assert "walked now, book otherwise" in run_cli("paper", "report", account).replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "2009-01-01"), "were trained on sessions up to the test"),
        (("--from", DATES[600]), "is no session up to"),
        (("--from", "yesterday"), "is not a date"),
        (("--cash", "-5"), "must be a positive amount"),
        (("--cash", "1e308"), "from 1e-06 to 1e+15"),
        (("--cash", "nan"), "the capital is nan"),
        (("--agent", "nobody"), "no agent is called 'nobody'"),
        (("--broker", "cvs"), "Did you mean 'csv'?"),
    ],
)
def test_bad_starts_are_one_line(run, tmp_path, words, told) -> None:
    assert told in refuse("paper", "start", run, tmp_path / "account", *words)
    assert not (tmp_path / "account").exists()


def test_bad_steps_are_one_line(run, tmp_path) -> None:
    account = tmp_path / "account"
    for command in ("step", "status", "report"):
        assert "holds no account" in refuse("paper", command, account)
    run_cli("paper", "start", run, account, "--from", DATES[550])
    assert "is the future" in refuse("paper", "step", account, "--until", DATES[600])
    run_cli("paper", "step", account, "--until", DATES[555])
    assert "is booked already" in refuse("paper", "step", account, "--until", DATES[554])
    assert "holds an account already" in refuse("paper", "start", run, account, "--from", DATES[551])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "is not empty" in refuse("paper", "start", run, tmp_path / "full")


def test_a_run_that_changed_underneath_is_one_line(run, tmp_path) -> None:
    account = tmp_path / "account"
    extend(tmp_path, 565)
    run_cli("update", run)
    run_cli("paper", "start", run, account, "--from", DATES[555])
    run_cli("paper", "step", account)
    config = run / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("cost_bps: 5.0", "cost_bps: 50.0"), encoding="utf-8")
    for command in ("step", "status", "report"):
        assert "trades on other terms" in refuse("paper", command, account)
    config.write_text(text.replace("risk_aversion: 10.0", "risk_aversion: 9.0"), encoding="utf-8")
    run_cli("paper", "status", account)  # what a training reads is not what is booked
    config.write_text(text, encoding="utf-8")
    shutil.rmtree(run / "live")
    extend(tmp_path, 560)
    for command in ("step", "status", "report"):
        assert f"has booked {DATES[560]}, which" in refuse("paper", command, account)


def test_a_session_that_came_late_does_not_stop_the_report(run, tmp_path) -> None:
    account = tmp_path / "account"
    extend(tmp_path, 566)
    table = pd.read_csv(tmp_path / "prices.csv")
    table[table["date"] != DATES[562]].to_csv(tmp_path / "prices.csv", index=False)
    run_cli("update", run)
    run_cli("paper", "start", run, account, "--from", DATES[558])
    run_cli("paper", "step", account)
    extend(tmp_path, 568)
    before = Signals.load(run / "live" / "signals.parquet")
    run_cli("update", run, "--accept-restated")
    signals = Signals.load(run / "live" / "signals.parquet")
    assert list(signals.dates[-10:]) == list(MARKET.dates[558:568])
    np.testing.assert_array_equal(signals.values[signals.dates.get_indexer(before.dates)], before.values)
    run_cli("paper", "step", account)
    run_cli("allocate", run)
    assert [line["date"] for line in read_lines(account)] == [*DATES[558:562], *DATES[563:568]]
    assert "walked now, book otherwise" in run_cli("paper", "report", account).replace("\n", " ")


def test_two_commands_cannot_book_at_once(run, tmp_path) -> None:
    from alfred.training.locks import hold_run

    account = tmp_path / "account"
    run_cli("paper", "start", run, account, "--from", DATES[550])
    pid = os.fork()
    if not pid:
        with hold_run(account):
            (tmp_path / "held").touch()
            signal.pause()
    while not (tmp_path / "held").exists():
        pass
    try:
        assert "another process is writing" in refuse("paper", "step", account)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert call("paper", "step", account).exit_code == 0
