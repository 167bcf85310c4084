"""Looks at the holdout segment: the first is free, every further one must be asked for and is written down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from alfred.data.files import read_json, write_atomically
from alfred.errors import CheckpointError, ConfigError
from alfred.training.provenance.trials import DataIdentity

LOOKS_FILE = "holdout-looks.json"


@dataclass(frozen=True)
class Look:
    """One look at a holdout segment.

    Attributes:
        time: When it began, in universal time.
        benchmark: The symbol of the benchmark.
        symbols: The universe, without the benchmark.
        start: First date of the segment.
        end: Last date of it.
        experiments: Who was tested.
        choice: Digest of all that they were told.
        again: Whether an earlier look was passed over.
        finished: Whether its results were shown; one that was killed may go on.
    """

    time: str
    benchmark: str
    symbols: tuple[str, ...]
    start: str
    end: str
    experiments: tuple[str, ...]
    choice: str
    again: bool = False
    finished: bool = False


class Looks:
    """The file of looks beside the experiments; whoever calls holds the lock of the holdout phase.

    Args:
        folder: Folder of all phases.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the place; nothing is read or written yet."""
        self.path = folder / LOOKS_FILE

    def read(self) -> list[Look]:
        """Return all looks, oldest first.

        Raises:
            CheckpointError: The file is damaged: what it says cannot be passed over.
        """
        try:
            raw = read_json(self.path)
            looks = [
                Look(**{**item, "symbols": tuple(item["symbols"]), "experiments": tuple(item["experiments"])})
                for item in raw
            ]
            for look in looks:
                pd.Timestamp(look.start), pd.Timestamp(look.end)
            return looks
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{self.path} says which holdout segments were looked at, and cannot be read ({error}): restore it"
            ) from error

    def begin(
        self,
        identity: DataIdentity,
        start: pd.Timestamp,
        end: pd.Timestamp,
        experiments: Sequence[str],
        choice: str,
        *,
        again: bool,
    ) -> bool:
        """Write a look down before anything of the segment is computed.

        A look at the same data over overlapping dates counts, whatever was tested then. One that was killed before
        its results were shown goes on when the same is asked for.

        Args:
            identity: Which data.
            start: First date of the segment.
            end: Last date of it.
            experiments: Who is tested.
            choice: Digest of all that they are told.
            again: Whether to look although somebody looked before.

        Returns:
            Whether this is a first look, or goes on with one.

        Raises:
            ConfigError: Somebody looked before, and `again` is not set.
        """
        looks = self.read()
        earlier = [look for look in looks if _overlaps(look, identity, start, end)]
        if earlier and not earlier[-1].finished and earlier[-1].choice == choice:
            return not earlier[-1].again
        if earlier and not again:
            last = earlier[-1]
            raise ConfigError(
                f"the holdout segment {start.date()} to {end.date()} was looked at on {last.time[:10]} "
                f"({', '.join(last.experiments)}; {len(earlier)} in all): a second look is no holdout any more. "
                f"`alfred experiments show --phase holdout` shows what was found; --again looks once more, which is "
                f"written down in {self.path}"
            )
        look = Look(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            benchmark=identity.benchmark,
            symbols=identity.symbols,
            start=str(start.date()),
            end=str(end.date()),
            experiments=tuple(experiments),
            choice=choice,
            again=bool(earlier),
        )
        self._write([*looks, look])
        return not earlier

    def finish(self, choice: str) -> None:
        """Write down that the results of the latest look were shown."""
        looks = self.read()
        if looks and looks[-1].choice == choice:
            self._write([*looks[:-1], replace(looks[-1], finished=True)])

    def count(self, identity: DataIdentity, start: pd.Timestamp, end: pd.Timestamp) -> int:
        """Return how many looks there were at a segment."""
        return sum(_overlaps(look, identity, start, end) for look in self.read())

    def _write(self, looks: Sequence[Look]) -> None:
        text = json.dumps([asdict(look) for look in looks], indent=2)
        write_atomically(self.path, lambda path: path.write_text(text, encoding="utf-8"))


def _overlaps(look: Look, identity: DataIdentity, start: pd.Timestamp, end: pd.Timestamp) -> bool:
    same = identity.matches(DataIdentity(look.benchmark, look.symbols))
    return same and pd.Timestamp(look.start) <= end and start <= pd.Timestamp(look.end)
