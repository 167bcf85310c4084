"""Folders of reference arrays: those kept beside the tests, and every one in ALFRED_PARITY_DIR."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.analysts.toto.networks import load_checkpoint
from alfred.analysts.toto.v1.network import Toto1
from alfred.analysts.toto.v2.network import Toto2
from alfred.learning.hub import resolve_checkpoint

ROOT = Path(__file__).resolve().parents[3]
OWN = Path(__file__).resolve().parent / "data"
# What two float32 implementations should meet, from the README of the arrays: one pass, and what is fed back, the
# latter in scales of the last patch.
ONE_PASS = 1e-4
FED_BACK = 3e-4


@dataclass(frozen=True)
class Case:
    """One input of one model, with all that came out of it."""

    folder: Path
    name: str

    @cached_property
    def version(self) -> str:
        return "1.0" if "embed_dim" in resolve_checkpoint(self.folder).config else "2.0"

    @cached_property
    def network(self) -> Toto1 | Toto2:
        return load_checkpoint(resolve_checkpoint(self.folder), self.version).eval()

    @cached_property
    def arrays(self) -> dict[str, torch.Tensor]:
        prefix = f"{self.name}/"
        loaded = np.load(find_expected(self.folder))
        return {key.removeprefix(prefix): torch.tensor(loaded[key]) for key in loaded if key.startswith(prefix)}

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.arrays[name]

    def matching(self, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the rest of the name and the array of every name with this prefix."""
        for name, array in self.arrays.items():
            if name.startswith(prefix):
                yield name.removeprefix(prefix), array

    def __str__(self) -> str:
        return f"{self.folder.parent.name}-{self.folder.name}-{self.name}"


def find_expected(folder: Path) -> Path:
    """Return the arrays of a folder; those of `x` hold for `x_fused`."""
    own = folder / "expected.npz"
    return own if own.exists() else folder.with_name(folder.name.removesuffix("_fused")) / "expected.npz"


def every_case(version: str, *needed: str) -> pytest.MarkDecorator:
    """Parametrize a test over every case of a version that has the arrays it needs."""
    cases = [case for case in find_cases() if case.version == version and all(name in case.arrays for name in needed)]
    return pytest.mark.parametrize("case", cases, ids=str)


@cache
def find_cases() -> list[Case]:
    """Return every case, those of the shared folders after our own."""
    shared = Path(os.environ.get("ALFRED_PARITY_DIR") or ROOT.parent / "shared" / "parity") / "toto"
    folders = [file.parent for root in (OWN, shared) for file in sorted(root.glob("**/model.safetensors"))]
    return [
        Case(folder, name)
        for folder in folders
        if find_expected(folder).exists()
        for name in sorted({key.split("/")[0] for key in np.load(find_expected(folder)).files})
    ]


def require_close(
    actual: torch.Tensor, expected: torch.Tensor, tolerance: float, scale: torch.Tensor | float = 1.0
) -> None:
    """Fail unless `|actual - expected| <= tolerance (1 + |expected|)`, all in units of `scale`."""
    scale = torch.as_tensor(scale)
    error = (actual.double() - expected.double()).abs() / scale
    worst = float((error / (1 + expected.abs() / scale)).max())
    assert actual.shape == expected.shape
    assert worst <= tolerance, f"off by {worst:.2e}, allowed {tolerance:.0e}"
