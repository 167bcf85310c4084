"""Signals: forecasts as the environment sees them, stamped with what their model had read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.files import read_json, read_parquet, write_atomically
from alfred.errors import SignalError

_CHUNK = 128  # rows of a panel that are worked on at once
_STAMP = "trained_until"


@dataclass(frozen=True)
class SignalSpec:
    """What one signal is.

    Attributes:
        analyst: Who forecast it; `feature` for features.
        quantity: What it says, such as `expected_return` or `dispersion`.
        horizon: Sessions ahead; 0 for features.
    """

    analyst: str
    quantity: str
    horizon: int

    @property
    def name(self) -> str:
        """The name in tables and files."""
        return f"{self.analyst}.{self.quantity}" + (f"_{self.horizon}" if self.horizon else "")

    @classmethod
    def from_name(cls, name: str, horizon: int) -> SignalSpec:
        """Read the name of a stored signal; the one place that does."""
        analyst, _, rest = name.partition(".")
        return cls(analyst, rest.removesuffix(f"_{horizon}") if horizon else rest, horizon)


@dataclass(frozen=True, eq=False)
class Signals:
    """Out-of-sample forecasts of every symbol on every date.

    Axes legend: T dates, N symbols, K signals.

    Attributes:
        dates: Sessions, `[T]`.
        symbols: Names, `[N]`.
        names: Name of each signal, `analyst.quantity_horizon`, `[K]`.
        values: `[T, N, K]` float32; NaN where the analyst had too little to go by.
        trained_until: Last date that the model behind each signal had read in training, `[T, K]` datetime64; the row
            for date t must come from a model trained before it. One stamp a row, `[T]`, is taken for all signals.
        horizons: Horizon in sessions of each signal, `[K]`.
        knowledge_cutoffs: Last date that a pretrained model may have seen, by analyst.
        notes: Caveats of the analysts for the report, one sentence each.
    """

    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    trained_until: npt.NDArray[np.datetime64]
    horizons: tuple[int, ...]
    knowledge_cutoffs: Mapping[str, pd.Timestamp] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Give every signal a stamp of its own; refuse rows from the future, of no date, and shapes that disagree.

        Raises:
            SignalError: A row was made by a model trained after its date, or does not say until when, or the shapes
                disagree.
        """
        shape = (len(self.dates), len(self.symbols), len(self.names))
        stamps = self.trained_until
        if stamps.shape == shape[:1]:
            object.__setattr__(self, "trained_until", np.repeat(stamps[:, None], len(self.names), axis=1))
        if (
            self.values.shape != shape
            or self.trained_until.shape != (shape[0], shape[2])
            or len(self.horizons) != shape[2]
        ):
            raise SignalError(
                f"signals disagree: values {self.values.shape}, trained_until {self.trained_until.shape}, "
                f"{len(self.horizons)} horizons, but dates x symbols x names is {shape}"
            )
        empty = np.isnat(self.trained_until)
        if empty.any():
            row, column = (int(position) for position in np.argwhere(empty)[0])
            raise SignalError(
                f"'{self.names[column]}': trained_until is missing for {self.dates[row].date()}; give the last date "
                "that the model behind the signals had read"
            )
        late = self.trained_until > self.dates.to_numpy()[:, None]
        if late.any():
            row, column = (int(position) for position in np.argwhere(late)[0])
            raise SignalError(
                f"'{self.names[column]}': the signals of {self.dates[row].date()} come from a model trained until "
                f"{pd.Timestamp(self.trained_until[row, column]).date()}: that is the future; refit on "
                "market.until(date)"
            )

    @property
    def n_signals(self) -> int:
        """Number of signals K."""
        return len(self.names)

    @property
    def analysts(self) -> tuple[str, ...]:
        """Names of the analysts behind the signals, each once, in order."""
        return tuple(dict.fromkeys(spec.analyst for spec in self.specs))

    @property
    def specs(self) -> tuple[SignalSpec, ...]:
        """What each signal is, `[K]`."""
        return tuple(map(SignalSpec.from_name, self.names, self.horizons))

    def select(self, names: Sequence[str]) -> Signals:
        """Return some of the signals.

        Raises:
            SignalError: A name is unknown.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise SignalError(f"unknown signal '{unknown[0]}'; known: {', '.join(self.names)}")
        columns = [self.names.index(name) for name in names]
        kept = {self.specs[column].analyst for column in columns}
        return Signals(
            dates=self.dates,
            symbols=self.symbols,
            names=tuple(names),
            values=self.values[:, :, columns],
            trained_until=self.trained_until[:, columns],
            horizons=tuple(self.horizons[column] for column in columns),
            knowledge_cutoffs={key: value for key, value in self.knowledge_cutoffs.items() if key in kept},
            notes=self.notes,
        )

    def since(self, date: pd.Timestamp | str) -> Signals:
        """Return the rows on and after `date`."""
        start = int(self.dates.searchsorted(pd.Timestamp(date), side="left"))
        return self._rows(slice(start, None))

    def until(self, date: pd.Timestamp | str) -> Signals:
        """Return the rows up to and including `date`."""
        stop = int(self.dates.searchsorted(pd.Timestamp(date), side="right"))
        return self._rows(slice(0, stop))

    def copy(self) -> Signals:
        """Return the same signals in memory of their own: nothing in them leads back to what they were cut from."""
        return self._replace(
            dates=pd.DatetimeIndex(self.dates.to_numpy().copy()),
            values=self.values.copy(),
            trained_until=self.trained_until.copy(),
        )

    def scaled(self, clip: float = 5.0) -> Signals:
        """Divide each signal by its root mean square over all earlier rows and symbols, clipped to +-`clip`.

        The scale of a row uses strictly earlier rows, so that nothing looks ahead; the sign and the common level of
        a signal survive, which a cross-sectional rank would lose. The first row with data has no scale and is zero.
        """
        n_dates, _, n_signals = self.values.shape
        sums, counts = np.zeros((n_dates, n_signals)), np.zeros((n_dates, n_signals), dtype=np.int64)
        # A few hundred rows at a time stay in the processor's cache; all at once take three times as long.
        chunks = [slice(first, first + _CHUNK) for first in range(0, n_dates, _CHUNK)]
        for rows in chunks:
            values = self.values[rows].astype(np.float64)
            known = np.isfinite(values)
            counts[rows] = known.sum(axis=1)
            values[~known] = 0.0
            sums[rows] = np.square(values, out=values).sum(axis=1)
        total, count = np.cumsum(sums, axis=0) - sums, np.cumsum(counts, axis=0) - counts
        scaled = np.empty(self.values.shape, dtype=np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.sqrt(total / count)[:, None, :]
            for rows in chunks:
                values = self.values[rows].astype(np.float64)
                without = np.where(np.isfinite(values), 0.0, np.nan)
                np.divide(values, scale[rows], out=without, where=scale[rows] > 0)
                scaled[rows] = np.clip(without, -clip, clip, out=without)
        return self._replace(values=scaled)

    def save(self, path: Path | str) -> None:
        """Write `path` (Parquet, one row a date and symbol) and the description beside it (`.json`).

        Args:
            path: File ending in `.parquet`; both files appear whole or not at all.
        """
        target = Path(path)
        index = pd.MultiIndex.from_product([self.dates, self.symbols], names=["date", "symbol"])
        table = pd.DataFrame(self.values.reshape(-1, self.n_signals), index=index, columns=list(self.names))
        stamps = self.trained_until.astype("datetime64[s]")
        latest = stamps.max(axis=1) if self.n_signals else self.dates.to_numpy(dtype="datetime64[s]")
        table[_STAMP] = np.repeat(latest, len(self.symbols))
        # A signal whose model had read less than that has a column of its own.
        for column, name in enumerate(self.names):
            if (stamps[:, column] != latest).any():
                table[_stamp_column(name)] = np.repeat(stamps[:, column], len(self.symbols))
        write_atomically(target, lambda temporary: table.reset_index().to_parquet(temporary, index=False))
        description = {
            "names": self.names,
            "horizons": self.horizons,
            "symbols": self.symbols,
            "knowledge_cutoffs": {name: str(date.date()) for name, date in self.knowledge_cutoffs.items()},
            "notes": self.notes,
        }
        text = json.dumps(description, indent=2)
        write_atomically(target.with_suffix(".json"), lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: Path | str) -> Signals:
        """Read what `save` wrote.

        Raises:
            SignalError: A file is missing or damaged, or a row comes from the future.
        """
        target = Path(path)
        try:
            description = read_json(target.with_suffix(".json"))
            table = read_parquet(target)
            names, symbols = tuple(description["names"]), tuple(description["symbols"])
            dates = pd.DatetimeIndex(table["date"].unique())
            values = table[list(names)].to_numpy(dtype=np.float32)
            columns = [_stamp_column(name) if _stamp_column(name) in table else _STAMP for name in names]
            stamps = table[columns].to_numpy(dtype="datetime64[s]")[:: len(symbols)]
            return cls(
                dates=dates,
                symbols=symbols,
                names=names,
                values=values.reshape(len(dates), len(symbols), len(names)),
                trained_until=stamps.reshape(len(dates), len(names)),
                horizons=tuple(int(horizon) for horizon in description["horizons"]),
                knowledge_cutoffs={name: pd.Timestamp(date) for name, date in description["knowledge_cutoffs"].items()},
                notes=tuple(str(note) for note in description["notes"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, NotImplementedError) as error:
            raise SignalError(
                f"{target} does not hold signals ({error}); make them again with `alfred forecast`"
            ) from error

    def _rows(self, rows: slice) -> Signals:
        return self._replace(dates=self.dates[rows], values=self.values[rows], trained_until=self.trained_until[rows])

    def _replace(self, **changes: object) -> Signals:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Signals(**{**fields, **changes})


def _stamp_column(name: str) -> str:
    return f"{_STAMP} of {name}"


def concatenate_signals(parts: Sequence[Signals]) -> Signals:
    """Put the signals of several analysts side by side, on the dates that all of them have.

    Each signal keeps the `trained_until` of its own model.

    Raises:
        SignalError: There is nothing to join, the symbols differ, a name stands twice or no date is common.
    """
    if not parts:
        raise SignalError("there are no signals to join; name at least one analyst")
    first = parts[0]
    names = [name for part in parts for name in part.names]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SignalError(f"signal '{twice}' stands twice; give the analysts different names")
    dates = first.dates
    for part in parts[1:]:
        if part.symbols != first.symbols:
            raise SignalError(f"the symbols of {part.analysts} differ from those of {first.analysts}")
        dates = dates.intersection(part.dates)
    if not len(dates):
        raise SignalError("the analysts have no date in common; give them overlapping histories")
    rows = [part.dates.get_indexer(dates) for part in parts]
    cutoffs = {name: date for part in parts for name, date in part.knowledge_cutoffs.items()}
    return Signals(
        dates=dates,
        symbols=first.symbols,
        names=tuple(names),
        values=np.concatenate([part.values[row] for part, row in zip(parts, rows, strict=True)], axis=2),
        trained_until=np.concatenate([part.trained_until[row] for part, row in zip(parts, rows, strict=True)], axis=1),
        horizons=tuple(horizon for part in parts for horizon in part.horizons),
        knowledge_cutoffs=cutoffs,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
