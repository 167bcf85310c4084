"""What the analysts that read a table share: from a market to examples, from windows to a Gaussian forecast."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.analysts.inputs import ReadsInputs
from alfred.analysts.tabular.examples import (
    Examples,
    Names,
    check_dropped,
    choose_fields,
    compute_scales,
    drop_constant,
    make_examples,
    read_columns,
)
from alfred.analysts.tabular.settings import TableSettings, TabularSettings
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import CheckpointError
from alfred.learning.tensors import read_tensors, write_tensors
from alfred.typing import Float

Arrays = dict[str, npt.NDArray[Any]]
"""What was learnt, by name."""

_FILE = "model.safetensors"


class TableAnalyst(ReadsInputs, Analyst):
    """Forecasts the forward log return of a window from numbers read off it, in units of the window's volatility.

    A subclass reads windows in `_read` and says by `_choose_fields` what they must hold; it learns in `_learn`,
    forecasts in `_forecast`, and names its arrays in `_to_tensors` and `_from_tensors`.

    Attributes:
        names_: Features that are read, `[F]`.
        spread_: Root mean square error of the validation part, whose labels were not learnt from when it was measured,
            in units of the window's volatility, `[H]`. The median and all quantiles are those of a normal around the
            mean.
    """

    settings: TableSettings

    names_: tuple[str, ...]
    spread_: Float

    def fit(self, market: Market) -> Self:
        """Learn from all windows with a known label; see the base class."""
        self.fields = self._choose_fields(market)
        whole = make_examples(market, self.settings, self.fields, self._read)
        examples, dropped = drop_constant(whole)
        self._check_dropped(whole, dropped)
        self.names_ = examples.names
        # Threads add up floats in another order on another machine.
        with threadpool_limits(limits=1):
            notes = self._learn(examples)
        if dropped:
            notes = (f"{self.settings.label} does not read {', '.join(dropped)}: constant in its history.", *notes)
        self.notes = notes
        self.is_fitted = True
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The features that are read; see the base class."""
        return self.names_

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window; see the base class."""
        self.require_fitted()
        values = self.read_inputs(contexts)
        scales = compute_scales(contexts, self.horizons)
        return Forecast.from_gaussian(self._forecast(values, scales), self.spread_ * scales, self.horizons)

    def _make_inputs(self, contexts: Contexts) -> Float:
        table, names = self._read(contexts)
        return table[:, [names.index(name) for name in self.names_]]

    @abstractmethod
    def _choose_fields(self, market: Market) -> tuple[str, ...]:
        """Return the fields that a context must hold; DataError says what the market lacks."""

    @abstractmethod
    def _read(self, contexts: Contexts) -> tuple[Float, Names]:
        """Return what is read off each window, `[B, F]`, NaN where unknown, and the names of the columns."""

    def _check_dropped(self, examples: Examples, dropped: Names) -> None:
        """Refuse the examples when what does not move in them cannot be done without."""

    @abstractmethod
    def _learn(self, examples: Examples) -> tuple[str, ...]:
        """Learn, set `spread_`, and return what a report has to say about it."""

    @abstractmethod
    def _forecast(self, values: Float, scales: Float) -> Float:
        """Return the mean log return, `[B, H]`, from features `[B, F]` and volatilities over horizons `[B, H]`."""

    @abstractmethod
    def _to_tensors(self) -> Arrays:
        """Return what was learnt, beside the spread."""

    @abstractmethod
    def _from_tensors(self, arrays: Arrays) -> None:
        """Take what `_to_tensors` returned; KeyError and ValueError say that it does not fit."""

    def _save_weights(self, folder: Path) -> None:
        arrays = {"spread": self.spread_, **self._to_tensors()}
        note = {"fields": self.fields, "names": self.names_, "notes": self.notes}
        write_tensors(folder / _FILE, {name: torch.as_tensor(array) for name, array in arrays.items()}, note)

    def _load_weights(self, folder: Path) -> None:
        tensors, note = read_tensors(folder / _FILE)
        self.fields, self.names_, self.notes = (_read_texts(note, key) for key in ("fields", "names", "notes"))
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        self.spread_ = arrays["spread"]
        if self.spread_.shape != (len(self.horizons),):
            raise CheckpointError(
                f"{folder / _FILE} holds spreads of shape {self.spread_.shape} for {len(self.horizons)} horizons; its "
                "settings.json belongs to other weights"
            )
        self._from_tensors(arrays)


class TabularAnalyst(TableAnalyst):
    """Reads technical and momentum features of the window, and columns of the market that are chosen by name.

    `fit` decides by the market whether volume is read.
    """

    settings: TabularSettings

    def _choose_fields(self, market: Market) -> tuple[str, ...]:
        return choose_fields(market, self.settings)

    def _read(self, contexts: Contexts) -> tuple[Float, Names]:
        return read_columns(contexts, self.settings)

    def _check_dropped(self, examples: Examples, dropped: Names) -> None:
        check_dropped(examples, dropped, self.settings)


def _read_texts(note: Mapping[str, object], key: str) -> tuple[str, ...]:
    found = note[key]
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError(f"'{key}' is {found!r}, not a list of texts")
    return tuple(found)
