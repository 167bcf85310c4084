"""The folder that keeps finished pieces of forecasts, so that a killed run goes on and a changed one redoes little.

A piece holds forecasts as the analyst made them, means and quantiles: what is made of them afterwards, calibration and
signals, takes seconds and is never kept.

Everything in it is addressed by what it was computed from, and appears whole or not at all, so that any number of runs
may share it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from alfred.analysts.base import Analyst
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import AnalystSettings
from alfred.data.files import read_array, read_json, write_array, write_atomically
from alfred.data.market import Market
from alfred.data.sources import compute_market_checksum
from alfred.errors import CheckpointError
from alfred.training.provenance.stages import compute_digest, digest_analyst, list_packages, read_public_versions

Grid = npt.NDArray[np.float32]

_LEVELS_FILE = "levels.json"

# What says when an analyst forecasts, and what is made of it afterwards, but not what it forecasts.
_AROUND = frozenset({"name", "refit_every_days", "forecast_every_days", "calibration"})


@dataclass(frozen=True)
class Cache:
    """All fits of one analyst.

    Attributes:
        folder: The folder of the cache.
        code: Digest of the code of the analyst.
        readable: Whether what is there already is used.
    """

    folder: Path
    code: str
    readable: bool = True

    def open(self, past: Market, settings: AnalystSettings) -> Shelf:
        """Return the place of one fit, named by everything that it depends on."""
        address = compute_digest(
            digest_analyst(settings, _AROUND),
            compute_market_checksum(past),
            self.code,
            read_public_versions(list_packages(settings)),
        )
        return Shelf(self.folder / f"{settings.kind}-{address}", self.readable)


@dataclass(frozen=True)
class Shelf:
    """One fit: the model and the pieces that it forecast.

    Attributes:
        folder: Where they stand.
        readable: Whether what is there already is used.
    """

    folder: Path
    readable: bool

    @property
    def model(self) -> Path:
        """Folder of the model."""
        return self.folder / "model"

    def read_model(self, settings: AnalystSettings) -> Analyst | None:
        """Return the fitted analyst, or None when there is none or it is damaged."""
        if not self.readable or not (self.model / "settings.json").exists():
            return None
        try:
            return ANALYSTS.load(settings.kind).from_pretrained(self.model)
        except CheckpointError:
            return None  # a damaged model is fitted again

    def hold(self) -> FileLock:
        """Return the lock of those who fit the model; the system's, so that it ends with the process that holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "fit.lock")

    def open_checkpoints(self) -> Path:
        """Return the folder from which a fit that was killed goes on; a fresh one is emptied."""
        folder = self.folder / "training"
        if not self.readable:
            shutil.rmtree(folder, ignore_errors=True)
        return folder

    def read_levels(self) -> tuple[float, ...] | None:
        """Return the levels of the quantiles in the pieces, `[Q]`, or None when nothing says them."""
        if not self.readable:
            return None
        try:
            raw = read_json(self.folder / _LEVELS_FILE)
        except (OSError, ValueError):
            return None  # without them every piece is made again
        is_good = isinstance(raw, list) and all(isinstance(level, float) and 0 < level < 1 for level in raw)
        return tuple(raw) if is_good and raw == sorted(set(raw)) and raw else None

    def write_levels(self, levels: tuple[float, ...]) -> None:
        """Keep the levels of the quantiles, `[Q]`; they go before the first piece."""
        text = json.dumps(levels)
        write_atomically(self.folder / _LEVELS_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def read(self, name: str, shape: tuple[int, ...]) -> Grid | None:
        """Return a piece, `[R, N, H, 1 + Q]`, or None when there is none, it is damaged or of another shape."""
        if not self.readable:
            return None
        try:
            piece: Grid = read_array(self._locate(name))
        except (OSError, ValueError):
            return None  # a damaged piece is made again
        return piece if piece.shape == shape and piece.dtype == np.float32 else None

    def write(self, name: str, piece: Grid) -> None:
        """Keep a piece."""
        write_array(self._locate(name), piece)

    def _locate(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


def identify_piece(window: Market, rows: npt.NDArray[np.int64], settings: AnalystSettings) -> str:
    """Name one piece by the bars that its windows hold and by which symbols have enough history."""
    first = max(0, int(rows[0]) - settings.context_length + 1)
    history = window.tradable[: rows[0] + 1].sum(axis=0)
    bars = compute_market_checksum(window.since(window.dates[first]))
    return compute_digest(bars, (rows - first).tolist(), history.tolist())
