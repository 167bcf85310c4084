"""Which configuration forecasts each symbol best so far, with the history of all that were tried.

One JSON file, written whole or not at all. The history keeps every run, the bad ones too: how many were tried is part
of what the best one is worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from alfred.analysts.baseline import Comparison
from alfred.data.files import read_json, write_atomically
from alfred.errors import CheckpointError

_VERSION = 1


@dataclass(frozen=True)
class Improvement:
    """One run on one symbol.

    Attributes:
        run: Name of the run.
        recorded: When it was recorded, ISO 8601, UTC.
        horizon: Sessions ahead.
        mae_pct: Error of the run, in per cent of the price.
        naive_mae_pct: Error of persistence on the same windows.
        settings: The configuration.
        judged: On which windows: only runs on the same ones are compared.
    """

    run: str
    recorded: str
    horizon: int
    mae_pct: float
    naive_mae_pct: float
    settings: Mapping[str, object]
    judged: str = ""

    @property
    def improvement_pct(self) -> float:
        """Improvement over persistence, in per cent of its error."""
        return 100 * (1 - self.mae_pct / self.naive_mae_pct)


class ImprovementTracker:
    """The best configuration of each symbol and horizon, and all that were tried."""

    def __init__(self, path: Path | str) -> None:
        """Open the tracker; the file is made by the first `record`.

        Raises:
            CheckpointError: The file exists and is not a tracker.
        """
        self.path = Path(path)
        self._history: dict[str, list[Improvement]] = {}
        if self.path.exists():
            self._history = self._read()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols with at least one run."""
        return tuple(self._history)

    def history(self, symbol: str, horizon: int) -> tuple[Improvement, ...]:
        """Return the runs of a symbol at a horizon, oldest first; empty when there is none."""
        return tuple(entry for entry in self._history.get(symbol, []) if entry.horizon == horizon)

    def best(self, symbol: str, horizon: int, judged: str | None = None) -> Improvement | None:
        """Return the run with the greatest improvement over persistence; the first of equals, None without a run.

        Args:
            symbol: The symbol.
            horizon: Sessions ahead.
            judged: Only runs on these windows count; those of the latest run when left out.
        """
        whole = self.history(symbol, horizon)
        judged = whole[-1].judged if judged is None and whole else judged
        runs = [entry for entry in whole if entry.judged == judged]
        return max(runs, key=lambda entry: entry.improvement_pct) if runs else None

    def record(
        self, run: str, comparison: Comparison, settings: Mapping[str, object], *, judged: str = ""
    ) -> tuple[str, ...]:
        """Add a run and write the file; the same run again is not added twice.

        Symbols on which persistence makes no error cannot be improved on, and are passed over.

        Args:
            run: Name of the run.
            comparison: Its errors beside those of persistence.
            settings: Its configuration, anything JSON can hold.
            judged: On which windows, such as the first and last date; only runs on the same ones are compared.

        Returns:
            The symbols of which it is now the best.
        """
        improved = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            self._history = self._read() if self.path.exists() else {}
            for symbol, entry in self._make_entries(run, comparison, settings, judged):
                best = self.best(symbol, comparison.horizon, judged)
                if best is None or entry.improvement_pct > best.improvement_pct:
                    improved.append(symbol)
                runs = self._history.setdefault(symbol, [])
                if not any(replace(other, recorded=entry.recorded) == entry for other in runs):
                    runs.append(entry)
            text = json.dumps(self._describe(), indent=2)
            write_atomically(self.path, lambda path: path.write_text(text, encoding="utf-8"))
        return tuple(improved)

    @staticmethod
    def _make_entries(
        run: str, comparison: Comparison, settings: Mapping[str, object], judged: str
    ) -> Iterator[tuple[str, Improvement]]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for symbol, row in comparison.table.iterrows():
            if not row["naive_mae_pct"] > 0:
                continue
            entry = Improvement(
                run=run,
                recorded=now,
                horizon=comparison.horizon,
                mae_pct=float(row["mae_pct"]),
                naive_mae_pct=float(row["naive_mae_pct"]),
                settings=json.loads(json.dumps(dict(settings))),
                judged=judged,
            )
            yield str(symbol), entry

    def _describe(self) -> dict[str, object]:
        symbols = {}
        for symbol, entries in self._history.items():
            bests = (self.best(symbol, horizon) for horizon in sorted({entry.horizon for entry in entries}))
            symbols[symbol] = {
                "best": {str(entry.horizon): entry.run for entry in bests if entry is not None},
                "history": [vars(entry) for entry in entries],
            }
        return {"version": _VERSION, "symbols": symbols}

    def _read(self) -> dict[str, list[Improvement]]:
        try:
            raw = read_json(self.path)
            if raw["version"] != _VERSION:
                raise ValueError(f"version {raw['version']}, not {_VERSION}")
            return {
                symbol: [Improvement(**entry) for entry in record["history"]]
                for symbol, record in raw["symbols"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{self.path} does not hold improvements ({error}); move it away to start a new file"
            ) from error
