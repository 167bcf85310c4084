"""The log of trials: every strategy that was ever judged, so that luck among many is paid for without anyone counting.

`trials.jsonl` stands beside the runs, a line a trial, and is only ever added to; it outlives the runs themselves. The
daily returns of each trial stand in `.trials` beside it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfred.data.files import parse_json, read_array, read_bytes, write_atomically
from alfred.data.market import Market
from alfred.data.sources import compute_market_checksum
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_sharpe

LOG_FILE = "trials.jsonl"
_RETURNS = ".trials"
_RETURNS_FILE = re.compile(rf"{re.escape(_RETURNS)}/[0-9a-f]{{24}}\.npy")
_ROW = np.dtype([("date", "<M8[D]"), ("excess", "<f8")])


@dataclass(frozen=True)
class DataIdentity:
    """Which data a strategy was judged on.

    Attributes:
        benchmark: The symbol of the benchmark.
        symbols: The universe, without the benchmark.
    """

    benchmark: str
    symbols: tuple[str, ...]

    @classmethod
    def from_market(cls, market: Market) -> DataIdentity:
        """Read it off a market."""
        return cls(market.benchmark, tuple(sorted(market.universe)))

    def matches(self, other: DataIdentity) -> bool:
        """Say whether the luck of one is the luck of the other.

        It is when the benchmark is the same and at least half of the smaller universe is in both: to leave out a stock
        or to add a hundred makes no new history.
        """
        smaller = min(len(self.symbols), len(other.symbols))
        return self.benchmark == other.benchmark and 2 * len({*self.symbols} & {*other.symbols}) >= smaller


@dataclass(frozen=True)
class Trial:
    """One strategy, judged once.

    Attributes:
        time: When, in universal time.
        run: Name of the run.
        strategy: Name of the agent.
        benchmark: The symbol of the benchmark.
        symbols: The universe, without the benchmark.
        data: Checksum of the market over the test range.
        start: First date of the test.
        end: Last date of it.
        config: Hash of everything that a person can choose and that changes the result: settings, seeds and code.
        sharpe: Annual Sharpe ratio in excess of cash; None where it does not exist.
        returns: File of the daily returns in excess of cash, below the folder of the log.
        periods_per_year: Sessions in a year; None in lines that are older than this field.
    """

    time: str
    run: str
    strategy: str
    benchmark: str
    symbols: tuple[str, ...]
    data: str
    start: str
    end: str
    config: str
    sharpe: float | None
    returns: str
    periods_per_year: int | None = None

    @property
    def identity(self) -> DataIdentity:
        """Which data it was judged on."""
        return DataIdentity(self.benchmark, self.symbols)

    @property
    def choice(self) -> tuple[object, ...]:
        """What tells it from other trials: the same choice made again is no new trial, on other bars it is one."""
        return (self.benchmark, self.symbols, self.config, self.periods_per_year)


class TrialLog:
    """The log beside the runs.

    Args:
        root: Folder of all runs.
    """

    def __init__(self, root: Path | str) -> None:
        """Keep the place; nothing is read or written yet."""
        self.root = Path(root)

    @property
    def path(self) -> Path:
        """The file."""
        return self.root / LOG_FILE

    def add(self, record: Backtest, market: Market, config: str, run: str) -> Trial:
        """Enter what a strategy did; what stands there already, word for word, is not repeated.

        Args:
            record: What it did over the test range.
            market: The whole market.
            config: Hash of its configuration.
            run: Name of the run.
        """
        rows = np.empty(len(record.dates), dtype=_ROW)
        rows["date"], rows["excess"] = record.dates.to_numpy(), record.excess
        content = io.BytesIO()
        np.save(content, rows, allow_pickle=False)
        name = f"{_RETURNS}/{hashlib.sha256(content.getvalue()).hexdigest()[:24]}.npy"
        if not (self.root / name).exists():
            write_atomically(self.root / name, lambda path: path.write_bytes(content.getvalue()))
        identity = DataIdentity.from_market(market)
        tested = market.until(record.dates[-1]).since(record.dates[0])
        trial = Trial(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            run=run,
            strategy=record.name,
            benchmark=identity.benchmark,
            symbols=identity.symbols,
            data=hash_market(tested),
            start=str(record.dates[0].date()),
            end=str(record.dates[-1].date()),
            config=config,
            sharpe=_compute_sharpe(record),
            returns=name,
            periods_per_year=record.periods_per_year,
        )
        known = {_drop_time(item) for item in self.read()}
        if _drop_time(trial) not in known:
            self._append(trial)
        return trial

    def read(self) -> list[Trial]:
        """Return all trials, oldest first; a line that a crash tore, or that is no trial, is left out."""
        try:
            lines = read_bytes(self.path).decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        trials = []
        for line in lines:
            try:
                trials.append(_parse_trial(parse_json(line)))
            except (ValueError, TypeError, KeyError):
                continue
        return trials

    def read_returns(self, trial: Trial) -> pd.Series:
        """Return the daily returns of a trial in excess of cash, by date.

        Raises:
            CheckpointError: They are missing or damaged, or the line of the log names another place.
        """
        path = self.root / trial.returns
        try:
            if not _RETURNS_FILE.fullmatch(trial.returns):
                raise ValueError("the log names another place than its own folder")
            rows = read_array(path)
            return pd.Series(rows["excess"], index=pd.DatetimeIndex(rows["date"]), name=trial.strategy)
        except (OSError, ValueError, IndexError) as error:
            raise CheckpointError(f"{path} does not hold the returns of a trial ({error}); restore it") from error

    def _append(self, trial: Trial) -> None:
        line = json.dumps(asdict(trial), allow_nan=False).encode() + b"\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size:
                os.lseek(descriptor, size - 1, os.SEEK_SET)
                # After a torn line the next one begins afresh.
                line = line if os.read(descriptor, 1) == b"\n" else b"\n" + line
            # One call: lines of two runs that end at once do not mix.
            if os.write(descriptor, line) < len(line):
                # A trial that is lost would not be paid for; what is torn off is passed over by whoever reads.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def select_trials(
    trials: Sequence[Trial], identity: DataIdentity, start: pd.Timestamp | str, end: pd.Timestamp | str
) -> list[Trial]:
    """Return the trials on the same data whose tests overlap a range, each choice once, as it was judged last.

    Args:
        trials: The log.
        identity: Which data.
        start: First date of the test.
        end: Last date of it.
    """
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    found = [
        trial
        for trial in trials
        if identity.matches(trial.identity) and pd.Timestamp(trial.start) <= last and first <= pd.Timestamp(trial.end)
    ]
    return list({trial.choice: trial for trial in found}.values())


def count_trials(log: TrialLog, identity: DataIdentity, start: pd.Timestamp | str, end: pd.Timestamp | str) -> int:
    """Return how many strategies were tried on the same data over an overlapping test; see `select_trials`."""
    return len(select_trials(log.read(), identity, start, end))


def hash_market(market: Market) -> str:
    """Return the checksum of a market, short enough for a line of the log."""
    return compute_market_checksum(market)[:24]


def _parse_trial(raw: dict[str, Any]) -> Trial:
    """Read a line of the log.

    Raises:
        ValueError: A value is not what it should be.
        TypeError: The same, or a field is missing or unknown.
    """
    trial = Trial(**raw)
    names = [trial.time, trial.run, trial.strategy, trial.benchmark, trial.data, trial.config, trial.returns]
    symbols = raw["symbols"]
    if not isinstance(symbols, list) or not all(isinstance(item, str) for item in (*names, *symbols)):
        raise TypeError("a name is not a text")
    if type(trial.periods_per_year) not in (int, type(None)):
        raise TypeError("the sessions of a year are no number")
    if trial.sharpe is not None and (type(trial.sharpe) not in (int, float) or not math.isfinite(trial.sharpe)):
        raise ValueError("the Sharpe ratio is not a number")
    for day in (trial.start, trial.end):
        pd.Timestamp(date.fromisoformat(day))
    return replace(trial, symbols=tuple(symbols))


def _compute_sharpe(record: Backtest) -> float | None:
    sharpe = compute_sharpe(record.excess, record.periods_per_year)
    return sharpe if math.isfinite(sharpe) else None


def _drop_time(trial: Trial) -> tuple[object, ...]:
    return (trial.run, trial.strategy, trial.data, trial.start, trial.end, trial.sharpe, trial.returns, *trial.choice)
