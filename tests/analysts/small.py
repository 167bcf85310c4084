"""Settings that make each analyst train in about a second; an analyst that is quick by itself needs none."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from alfred.analysts.registry import ANALYSTS

_BRIEF = {"steps": 20, "batch_size": 16, "validate_every": 10}
_KRONOS = {"context_length": 24, "horizons": (1, 5), "samples": 2, "tokenizer_fitting": _BRIEF, "model_fitting": _BRIEF}

SMALL: dict[str, dict[str, object]] = {
    "kronos": _KRONOS,
    "kronos_ensemble": {**_KRONOS, "temperatures": (0.1, 0.25)},
    "lstm": {"hidden_size": 8, "fitting": {"steps": 20, "batch_size": 64, "validate_every": 10}},
    "fracast": {"context_length": 64, "horizons": (1, 5), "forecast_every_days": 20, "device": "cpu"},
    "chronos": {
        "checkpoint": str(Path(__file__).parent / "foundation/data/chronos-2"),
        "knowledge_cutoff": "2020-01-01",
        "context_length": 64,
        "device": "cpu",
    },
    "toto": {"fitting": {"steps": 20, "batch_size": 32, "validate_every": 10}},
}

_EXTRAS = {"fracast": "fracast", "chronos": "chronos"}
"""The package that an analyst cannot do without, where it comes with an extra."""


def list_kinds(*slow: str) -> list[Any]:
    """Return every registered analyst as a parameter; one whose extra is missing is skipped.

    Args:
        slow: Beginnings of the kinds that take too long for every run.
    """
    found = []
    for kind in ANALYSTS:
        marks = [pytest.mark.slow] if kind.startswith(slow) else []
        if kind in _EXTRAS and importlib.util.find_spec(_EXTRAS[kind]) is None:
            marks.append(pytest.mark.skip(reason=f"the extra '{kind}' is not installed"))
        found.append(pytest.param(kind, marks=marks))
    return found
