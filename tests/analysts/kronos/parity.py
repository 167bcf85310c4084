"""Folders of reference arrays: those kept beside the tests, and every one in ALFRED_PARITY_DIR."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from alfred.analysts.kronos.checkpoint import KronosPair, load_pair
from alfred.data.files import compute_checksum

ROOT = Path(__file__).resolve().parents[3]
OWN = Path(__file__).resolve().parent / "data"


@dataclass(frozen=True)
class Parity:
    """A model folder with its arrays, and the inputs beside it."""

    folder: Path

    @cached_property
    def pair(self) -> KronosPair:
        return load_pair(self.folder)

    @cached_property
    def modules(self) -> dict[str, torch.Tensor]:
        return {
            name: torch.from_numpy(np.asarray(array)) for name, array in np.load(self.folder / "modules.npz").items()
        }

    @cached_property
    def forecasts(self) -> dict[str, npt.NDArray[np.generic]]:
        return dict(np.load(self.folder / "forecasts.npz").items())

    @cached_property
    def windows(self) -> dict[str, dict[str, int]]:
        windows: dict[str, dict[str, int]] = json.loads((self.folder.parent / "meta.json").read_text())["windows"]
        return windows

    @cached_property
    def series(self) -> list[pd.DataFrame]:
        table = pd.read_csv(self.folder.parent / "input.csv", parse_dates=["timestamps"])
        return [part.reset_index(drop=True) for _, part in table.groupby("series", sort=False)]


def find_parity() -> list[Parity]:
    """Return every folder, each content once."""
    shared = Path(os.environ.get("ALFRED_PARITY_DIR") or ROOT.parent / "shared" / "parity") / "kronos"
    found: dict[str, Parity] = {}
    for root in (OWN, shared):
        for file in sorted(root.glob("*/forecasts.npz")):
            found.setdefault(compute_checksum(file), Parity(file.parent))
    return list(found.values())


FOLDERS = find_parity()
WINDOWS = [(parity, name) for parity in FOLDERS for name in parity.windows]


def name_folder(value: object) -> str | None:
    """Name a parameter in the test's id."""
    return f"{value.folder.parent.name}-{value.folder.name}" if isinstance(value, Parity) else None
