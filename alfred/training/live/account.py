"""A paper account: a folder with the journal of its days, booked by the ledger of the backtest.

`account.json` says whose decisions are booked; `journal.jsonl` has one line a session, with what the session made of
the account and what is to be traded next. A step that is killed at any moment has booked a session or has not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfred.data.files import read_json, write_atomically
from alfred.errors import AlfredError, CheckpointError, ConfigError, DataError
from alfred.training.live.brokers import BROKERS, Broker, CsvBroker, Fill, Order
from alfred.training.live.desk import Day, Desk
from alfred.training.live.journal import Journal, sync_folder
from alfred.training.live.opened import LiveRun, open_live
from alfred.training.locks import hold_run
from alfred.training.provenance.stages import compute_digest

ACCOUNT_FILE, JOURNAL_FILE = "account.json", "journal.jsonl"
_NOT_BOOKED = ("reward", "episode_length", "observation", "lookback")  # what trainings read of `env`
_SAME_CAPITAL = 0.01
# Money is counted in numbers that hold 15 digits, and is drawn.
_LEAST_CAPITAL, _MOST_CAPITAL = 1e-6, 1e15
_LEAST_TRADE = 1e-9  # of wealth


@dataclass(frozen=True)
class Terms:
    """What an account is.

    Attributes:
        run: Directory of the run whose agent decides.
        agent: Its name.
        start: ISO date of the close of the first decision.
        capital: Money at the start, in the currency of the prices.
        broker: Name of the broker.
        symbols: What is traded, in the order of the weights; cash comes last.
        traded_on: Digest of costs, execution, mandate and schedule; empty in accounts from before it was kept.
    """

    run: str
    agent: str
    start: str
    capital: float
    broker: str
    symbols: tuple[str, ...]
    traded_on: str = ""


class PaperAccount:
    """An account in a folder.

    Args:
        folder: The folder.
        terms: What the account is.
    """

    def __init__(self, folder: Path, terms: Terms) -> None:
        """Store both."""
        self.folder = folder
        self.notes: tuple[str, ...] = ()
        self.terms = terms
        self.journal = Journal(folder / JOURNAL_FILE)

    @classmethod
    def create(
        cls,
        run: Path | str,
        folder: Path,
        *,
        agent: str | None = None,
        start: pd.Timestamp | None = None,
        capital: float = 100_000.0,
        broker: str = "csv",
    ) -> PaperAccount:
        """Start an account; its first decision is taken at a close that is known.

        The same command after a kill goes on.

        Args:
            run: Directory of the run.
            folder: Of the account.
            agent: Name of the agent; the first one when left out.
            start: Close of the first decision; the last one that is known when left out.
            capital: Money at the start.
            broker: Name of the broker.

        Raises:
            AlfredError: The folder holds another account, or the account cannot begin so.
        """
        if not _LEAST_CAPITAL <= capital <= _MOST_CAPITAL:
            raise ConfigError(
                f"the capital is {capital:g}: it must be a positive amount of money, from {_LEAST_CAPITAL:g} to "
                f"{_MOST_CAPITAL:g}"
            )
        BROKERS.load(broker)
        live = open_live(run)
        settings = live.find_agent(agent)
        first = live.until if start is None else start
        place = str(Path(run).resolve())
        symbols = live.prepared.market.symbols
        traded_on = digest_terms(live)
        terms = Terms(place, settings.label, str(first.date()), float(capital), broker, symbols, traded_on)
        with hold_run(folder):
            if (folder / ACCOUNT_FILE).exists():
                found = cls.open(folder)
                if found.terms != terms or len(found.journal.read()) > 1:
                    raise ConfigError(f"{folder} holds an account already; choose another folder, or delete it")
            elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
                # A name that begins with a dot is what a kill left of a file that never was.
                raise ConfigError(f"{folder} is not empty and holds no account; choose another folder")
            account = cls(folder, terms)
            desk = Desk(live.prepared, live.load_stages(settings), first)
            day = desk.begin()
            text = json.dumps(asdict(terms), indent=2)
            write_atomically(folder / ACCOUNT_FILE, lambda path: path.write_text(text, encoding="utf-8"))
            sync_folder(folder)
            if not account.journal.read():
                account.journal.add(write_day(day))
            account._place_orders(desk, day)
            account.notes = tell_impact(live, capital)
            return account

    @classmethod
    def open(cls, folder: Path | str) -> PaperAccount:
        """Open the account in a folder.

        Raises:
            ConfigError: There is none.
            CheckpointError: It is damaged.
        """
        path = Path(folder) / ACCOUNT_FILE
        if not path.is_file():
            raise ConfigError(f"{folder} holds no account; start one with `alfred paper start RUN {folder}`")
        try:
            raw = read_json(path)
            return cls(Path(folder), Terms(**{**raw, "symbols": tuple(raw["symbols"])}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); restore it from a copy") from error

    def open_run(self) -> LiveRun:
        """Open the run that the account follows.

        Raises:
            AlfredError: It cannot be opened, or trades something else now.
        """
        live = open_live(self.terms.run)
        if live.prepared.market.symbols != self.terms.symbols:
            raise DataError(f"{self.terms.run} trades other symbols than {self.folder} does; start another account")
        if self.terms.traded_on not in ("", digest_terms(live)):
            raise DataError(
                f"{self.terms.run} trades on other terms than when {self.folder} was started (costs, execution, "
                "mandate or schedule under env); restore them, or start another account"
            )
        return live

    def open_broker(self) -> Broker:
        """Return the broker of the account."""
        return BROKERS.load(self.terms.broker)(self.folder)

    def read_booked(self) -> list[Day]:
        """Return the days as they stand in the journal; the first one is that of the first decision.

        Raises:
            CheckpointError: The journal is damaged.
        """
        days = [read_day(line, self.journal.path) for line in self.journal.read()]
        if not days:
            raise CheckpointError(
                f"{self.folder} has no first day, its start was interrupted; give `alfred paper start` again"
            )
        return days

    def read_days(self, live: LiveRun) -> list[Day]:
        """Return the days that are booked, all of which the run must know.

        Args:
            live: The run.

        Raises:
            CheckpointError: The journal is damaged.
            DataError: The run does not know a session that is booked.
        """
        days = self.read_booked()
        unknown = [day.date for day in days if day.date not in live.prepared.market.dates]
        if unknown:
            raise DataError(
                f"{self.folder} has booked {unknown[0].date()}, which {self.terms.run} does not know (until "
                f"{live.until.date()}); `alfred update {self.terms.run}`, or restore the data or the run"
            )
        return days

    def make_desk(self, live: LiveRun, until: pd.Timestamp | None = None) -> Desk:
        """Return the desk of the account."""
        stages = live.load_stages(live.find_agent(self.terms.agent))
        return Desk(live.prepared, stages, pd.Timestamp(self.terms.start), until)

    def step(self, until: pd.Timestamp | None = None) -> Iterator[Day]:
        """Book every session that is known and not booked yet, each once.

        Args:
            until: Last session to book; the last one that is known when left out.

        Yields:
            Each day, after it is on the disk.

        Raises:
            AlfredError: The data or the models do not allow it; what is booked stays.
        """
        with hold_run(self.folder):
            live = self.open_run()
            if until is not None and until > live.until:
                raise DataError(f"nothing is known after {live.until.date()}; {until.date()} is the future")
            days = self.read_days(live)
            if until is not None and until < days[-1].date:
                raise DataError(
                    f"{days[-1].date.date()} is booked already; a journal does not go back to {until.date()}"
                )
            desk = self.make_desk(live, until)
            last = days[-1]
            for last in desk.go_on(days):
                self.journal.add(write_day(last))
                yield last
            # After the last day only: what earlier ones decided is traded already. Where nothing was booked, a kill may
            # have come between a day and its orders.
            self._place_orders(desk, last)

    def list_orders(self, desk: Desk, day: Day) -> list[Order]:
        """Return what is to be traded after a close, based on its prices, as the mandate leaves it.

        Args:
            desk: Of the account, which knows nothing after that close.
            day: The last one that is booked.
        """
        if day.decision is None:
            return []
        money = self.terms.capital * day.wealth
        plan = desk.plan(day.decision)
        found = []
        for column, symbol in enumerate(self.terms.symbols):
            change, price = float(plan.traded[column]), float(desk.closes[column])
            if abs(change) > _LEAST_TRADE and np.isfinite(price):
                weight = float(plan.after[column])
                found.append(Order(str(day.date.date()), symbol, change * money / price, price, weight))
        return found

    def _place_orders(self, desk: Desk, day: Day) -> None:
        if day.decision is not None and day.date == desk.dates[-1]:
            orders = self.list_orders(desk, day)
            try:
                self.open_broker().place(str(day.date.date()), orders)
            except AlfredError:
                raise
            except Exception as error:  # whatever a broker of one's own does wrong, or its connection
                told = f"broker '{self.terms.broker}' failed ({type(error).__name__}: {error}) on {len(orders)} orders"
                raise AlfredError(
                    f"{told} of {day.date.date()}; the day is booked, and `alfred paper step {self.folder}` hands them "
                    "over again"
                ) from error

    def fetch_orders(self) -> list[Order]:
        """Return the orders that were handed over, where the broker keeps them."""
        broker = self.open_broker()
        return broker.read_orders() if isinstance(broker, CsvBroker) else []

    def fetch_fills(self) -> list[Fill]:
        """Return what the broker reports.

        Raises:
            AlfredError: It fails.
        """
        try:
            return self.open_broker().fetch()
        except AlfredError:
            raise
        except Exception as error:
            raise AlfredError(
                f"broker '{self.terms.broker}' reports no fills ({type(error).__name__}: {error}); try again"
            ) from error


def tell_impact(live: LiveRun, capital: float) -> tuple[str, ...]:
    """Return a sentence where market impact is not that of an account of this size."""
    impact = live.prepared.experiment.env.impact
    if impact.kind == "none" or abs(capital / impact.capital - 1.0) <= _SAME_CAPITAL:
        return ()
    return (
        f"market impact is that of {impact.capital:,.0f} (env.impact.capital), and the account begins with "
        f"{capital:,.0f}: its costs are too {'low' if capital > impact.capital else 'high'}",
    )


def digest_terms(live: LiveRun) -> str:
    """Return a digest of all that decides how an account is booked, beside prices and policies."""
    env = live.prepared.experiment.env.model_dump(mode="json")
    return compute_digest({name: value for name, value in env.items() if name not in _NOT_BOOKED})


def write_day(day: Day) -> dict[str, Any]:
    """Return a day as the journal keeps it; floats are written with all their digits."""
    before = None
    if day.before is not None:
        before = {
            name: {"dtype": array.dtype.str, "shape": array.shape, "values": array.ravel().tolist()}
            for name, array in day.before.items()
        }
    return {
        "date": str(day.date.date()),
        "wealth": day.wealth,
        "paid": day.paid,
        "turnover": day.turnover,
        "weights": day.weights.tolist(),
        "benchmark": day.benchmark,
        "cash_return": day.cash_return,
        "decision": None if day.decision is None else day.decision.tolist(),
        "fold": day.fold,
        "corrected": day.corrected,
        "before": before,
        "booked": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_day(line: dict[str, Any], path: Path) -> Day:
    """Read what `write_day` wrote.

    Raises:
        CheckpointError: It is something else.
    """
    try:
        before = line["before"] and {
            name: np.array(item["values"], dtype=item["dtype"]).reshape(item["shape"])
            for name, item in line["before"].items()
        }
        return Day(
            date=pd.Timestamp(line["date"]),
            weights=np.array(line["weights"], dtype=np.float64),
            decision=None if line["decision"] is None else np.array(line["decision"], dtype=np.float64),
            fold=line["fold"],
            before=before,
            corrected=line["corrected"],
            **{name: float(line[name]) for name in ("wealth", "paid", "turnover", "benchmark", "cash_return")},
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} holds a line that is no day ({error}); restore it from a copy") from error
