"""The forecasts of one analyst on every date, kept so that they can be judged again later."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from alfred.data.files import parse_json, require_file, write_atomically
from alfred.errors import SignalError

_NOTE = "alfred"


@dataclass(frozen=True, eq=False)
class ForecastRecord:
    """Out-of-sample forecasts of the log return from the close of a date to the close `horizon` sessions later.

    Axes legend: T dates, N symbols, H horizons, Q quantile levels.

    Attributes:
        dates: Sessions at whose close the forecasts were made, ascending and unique, `[T]`.
        symbols: Names, `[N]`.
        horizons: Sessions ahead, `[H]`.
        levels: Quantile levels in (0, 1), ascending, `[Q]`; empty for an analyst that has no distribution.
        mean: Expected log return, `[T, N, H]` float32; NaN where the analyst had too little to go by.
        quantiles: Quantiles of the log return, `[T, N, H, Q]` float32, not decreasing along Q; NaN where unknown.
        trained_until: Last date that the model behind each row had read in training, `[T]` datetime64; the row for
            date t must come from a model trained until then at the latest.
    """

    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    mean: npt.NDArray[np.float32]
    quantiles: npt.NDArray[np.float32]
    trained_until: npt.NDArray[np.datetime64]

    def __post_init__(self) -> None:
        """Bring the numbers to float32; refuse rows from the future and anything that disagrees.

        Raises:
            SignalError: A row was made by a model trained after its date, the shapes or names disagree, a number is
                infinite, or quantiles decrease.
        """
        for name in ("mean", "quantiles"):
            # What is larger than float32 can hold becomes infinite, and is refused below.
            with np.errstate(over="ignore"):
                object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float32))
        self._check_axes()
        shape = (len(self.dates), len(self.symbols), len(self.horizons))
        if (
            self.mean.shape != shape
            or self.quantiles.shape != (*shape, len(self.levels))
            or self.trained_until.shape != shape[:1]
        ):
            raise SignalError(
                f"forecasts disagree: mean {self.mean.shape}, quantiles {self.quantiles.shape}, trained_until "
                f"{self.trained_until.shape}, but dates x symbols x horizons x levels is {(*shape, len(self.levels))}"
            )
        for name, values in (("mean", self.mean), ("quantiles", self.quantiles)):
            if np.isinf(values).any():
                row, column = np.argwhere(np.isinf(values))[0][:2]
                raise SignalError(
                    f"{name} of '{self.symbols[column]}' on {self.dates[row].date()} is infinite; a forecast is a "
                    "number, or NaN where there is none"
                )
        falling = np.diff(self.quantiles, axis=3) < 0
        if falling.any():
            row, column = np.argwhere(falling)[0][:2]
            raise SignalError(
                f"quantiles of '{self.symbols[column]}' on {self.dates[row].date()} decrease along the levels; sort "
                "them before building the record"
            )
        self._check_stamps()

    def _check_axes(self) -> None:
        if self.dates.tz is not None or not self.dates.is_unique or not self.dates.is_monotonic_increasing:
            raise SignalError("the dates of forecasts must ascend, each once and without a zone; sort the rows by date")
        if len(set(self.symbols)) != len(self.symbols):
            twice = next(symbol for symbol in self.symbols if self.symbols.count(symbol) > 1)
            raise SignalError(f"symbol '{twice}' stands twice among the forecasts; drop one of its columns")
        if len(set(self.horizons)) != len(self.horizons) or any(horizon < 1 for horizon in self.horizons):
            raise SignalError(f"horizons {self.horizons} must be different numbers of sessions, 1 at least")
        edges = (0.0, *self.levels, 1.0)
        if not all(low < high for low, high in pairwise(edges)):
            raise SignalError(f"quantile levels {self.levels} must ascend inside (0, 1)")

    def _check_stamps(self) -> None:
        if np.isnat(self.trained_until).any():
            raise SignalError(
                f"trained_until is missing for {self.dates[int(np.argmax(np.isnat(self.trained_until)))].date()}; give "
                "the last date that the model had read"
            )
        late = self.trained_until > self.dates.to_numpy()
        if late.any():
            row = int(np.argmax(late))
            raise SignalError(
                f"the forecasts of {self.dates[row].date()} come from a model trained until "
                f"{pd.Timestamp(self.trained_until[row]).date()}: that is the future; refit on market.until(date)"
            )

    def since(self, date: pd.Timestamp | str) -> ForecastRecord:
        """Return the forecasts that were made on a date or later."""
        rows = np.flatnonzero(self.dates >= pd.Timestamp(date))
        return replace(
            self,
            dates=self.dates[rows],
            mean=self.mean[rows],
            quantiles=self.quantiles[rows],
            trained_until=self.trained_until[rows],
        )

    def save(self, path: Path | str) -> None:
        """Write one safetensors file, with the names as JSON in its header; it appears whole or not at all.

        Args:
            path: File, usually ending in `.safetensors`.

        Raises:
            StorageError: The file cannot be written.
        """
        tensors = {
            "dates": self.dates.to_numpy().astype("datetime64[s]").astype(np.int64),
            "trained_until": self.trained_until.astype("datetime64[s]").astype(np.int64),
            "mean": np.ascontiguousarray(self.mean),
            "quantiles": np.ascontiguousarray(self.quantiles),
        }
        note = {"symbols": self.symbols, "horizons": [int(h) for h in self.horizons], "levels": self.levels}
        metadata = {_NOTE: json.dumps(note)}
        write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))

    @classmethod
    def load(cls, path: Path | str) -> ForecastRecord:
        """Read what `save` wrote; no code of the file is run.

        Raises:
            SignalError: The file is missing or damaged, or a row comes from the future.
        """
        source = Path(path)
        try:
            with safe_open(require_file(source), framework="numpy") as file:
                note = parse_json((file.metadata() or {})[_NOTE])
                arrays = {name: file.get_tensor(name) for name in ("dates", "trained_until", "mean", "quantiles")}
            return cls(
                dates=pd.DatetimeIndex(arrays["dates"].astype("datetime64[s]")),
                symbols=tuple(str(symbol) for symbol in note["symbols"]),
                horizons=tuple(int(horizon) for horizon in note["horizons"]),
                levels=tuple(float(level) for level in note["levels"]),
                mean=cast("npt.NDArray[np.float32]", arrays["mean"]),
                quantiles=cast("npt.NDArray[np.float32]", arrays["quantiles"]),
                trained_until=arrays["trained_until"].astype("datetime64[s]"),
            )
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SignalError(
                f"{source} does not hold forecasts ({error}); make them again, or name a file that ForecastRecord.save "
                "wrote"
            ) from error
