"""Layers: what a stage computed, by date, symbol and name, on disk between two processes; and where two of them differ.

Axes legend: T dates, N symbols, K names.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from alfred.data.files import parse_json, read_json, require_file, write_atomically
from alfred.data.signals import Signals
from alfred.errors import CheckpointError

INDEX = "layers.json"


@dataclass(frozen=True)
class Leak:
    """One thing that saw the future.

    Attributes:
        stage: Stage that computed it.
        name: Column.
        symbol: Symbol; empty where a whole date or column is concerned.
        date: First date on which it shows; empty where there is none.
        kind: `future` (changed with what came after it), `outside` (did not change although all tables did: it reads
            something else), `rows` (other dates or symbols), `skill` (skill with shuffled
            dates), `batch` (another batch, another answer), `reward` (paid for another action), `error`.
    """

    stage: str
    name: str
    symbol: str
    date: str
    kind: str


@dataclass(frozen=True, eq=False)
class Layer:
    """What one stage computed.

    Attributes:
        stage: Name of the stage.
        dates: `[T]`.
        symbols: `[N]`.
        names: `[K]`.
        values: `[T, N, K]`.
    """

    stage: str
    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    names: tuple[str, ...]
    values: npt.NDArray[np.floating]

    @classmethod
    def from_signals(cls, stage: str, signals: Signals) -> Layer:
        """Return signals as a layer."""
        return cls(stage, signals.dates, signals.symbols, signals.names, signals.values)


def save_layers(folder: Path, layers: Sequence[Layer]) -> None:
    """Write layers, and last the index that says that they are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for number, layer in enumerate(layers):
        facts = {
            "stage": layer.stage,
            "dates": [str(day.date()) for day in layer.dates],
            "symbols": list(layer.symbols),
            "names": list(layer.names),
        }
        arrays = {"values": np.ascontiguousarray(layer.values)}
        write = functools.partial(save_file, arrays, metadata={"facts": json.dumps(facts)})
        write_atomically(folder / f"{number:03d}.safetensors", write)
        index.append(layer.stage)
    write_atomically(folder / INDEX, lambda path: path.write_text(json.dumps(index), encoding="utf-8"))


def load_layers(folder: Path) -> list[Layer]:
    """Read what `save_layers` wrote.

    Raises:
        CheckpointError: A file is missing or damaged.
    """
    try:
        count = len(read_json(folder / INDEX))
        layers = []
        for number in range(count):
            with safe_open(require_file(folder / f"{number:03d}.safetensors"), framework="np") as file:
                facts = parse_json(file.metadata()["facts"])
                values = file.get_tensor("values")
            dates = pd.DatetimeIndex(facts["dates"])
            layers.append(Layer(facts["stage"], dates, tuple(facts["symbols"]), tuple(facts["names"]), values))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} does not hold the layers of an audit ({error})") from error
    return layers


def find_differences(true: Layer, other: Layer, date: pd.Timestamp) -> list[Leak]:
    """Return the first difference of each column up to a date; none when the two are equal bit for bit.

    Args:
        true: From the true world.
        other: From the world that is random after `date`.
        date: Last date that is the same in both.
    """
    rows, others = true.dates <= date, other.dates <= date
    if true.symbols != other.symbols or true.names != other.names:
        changed = [*sorted(set(true.symbols) ^ set(other.symbols)), *sorted(set(true.names) ^ set(other.names))]
        return [Leak(true.stage, true.stage, changed[0] if changed else "", str(date.date()), "rows")]
    if not true.dates[rows].equals(other.dates[others]):
        odd = true.dates[rows].symmetric_difference(other.dates[others])
        return [Leak(true.stage, true.stage, "", str(odd[0].date()), "rows")]
    mine, theirs = true.values[rows], other.values[others]
    differs = ~((mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
    found = []
    for column in np.flatnonzero(differs.any(axis=(0, 1))):
        row, symbol = np.argwhere(differs[:, :, column])[0]
        day = str(true.dates[rows][row].date())
        found.append(Leak(true.stage, true.names[column], true.symbols[symbol], day, "future"))
    return found
