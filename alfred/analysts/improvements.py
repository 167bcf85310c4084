"""Which configuration forecasts each symbol best so far, with the history of all that were tried.

One JSON file, written whole or not at all. The history keeps every run, the bad ones too: how many were tried is part
of what the best one is worth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alfred.analysts.baseline import Comparison
from alfred.data.files import write_atomically
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
    """

    run: str
    recorded: str
    horizon: int
    mae_pct: float
    naive_mae_pct: float
    settings: Mapping[str, object]

    @property
    def improvement_pct(self) -> float:
        """Improvement over persistence, in per cent of its error: what makes runs on other windows comparable."""
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

    def best(self, symbol: str, horizon: int) -> Improvement | None:
        """Return the run with the greatest improvement over persistence; the first of equals, None without a run."""
        runs = self.history(symbol, horizon)
        return max(runs, key=lambda entry: entry.improvement_pct) if runs else None

    def record(self, run: str, comparison: Comparison, settings: Mapping[str, object]) -> tuple[str, ...]:
        """Add a run and write the file.

        Args:
            run: Name of the run.
            comparison: Its errors beside those of persistence.
            settings: Its configuration, anything JSON can hold.

        Returns:
            The symbols of which it is now the best.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        improved = []
        for symbol, row in comparison.table.iterrows():
            entry = Improvement(
                run=run,
                recorded=now,
                horizon=comparison.horizon,
                mae_pct=float(row["mae_pct"]),
                naive_mae_pct=float(row["naive_mae_pct"]),
                settings=dict(settings),
            )
            best = self.best(str(symbol), comparison.horizon)
            if best is None or entry.improvement_pct > best.improvement_pct:
                improved.append(str(symbol))
            self._history.setdefault(str(symbol), []).append(entry)
        text = json.dumps(self._describe(), indent=2)
        write_atomically(self.path, lambda path: path.write_text(text, encoding="utf-8"))
        return tuple(improved)

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
            raw = json.loads(self.path.read_text(encoding="utf-8"))
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
