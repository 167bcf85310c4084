"""Settings that make each analyst train in about a second; an analyst that is quick by itself needs none."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import AnalystSettings
from alfred.data.market import Market
from alfred.data.point_in_time.asof import forward_fill
from alfred.data.point_in_time.fundamentals import REPORT_AGE
from alfred.data.point_in_time.headlines import Headlines

_BRIEF = {"steps": 20, "batch_size": 16, "validate_every": 10}
_KRONOS = {"context_length": 24, "horizons": (1, 5), "samples": 2, "tokenizer_fitting": _BRIEF, "model_fitting": _BRIEF}

SMALL: dict[str, dict[str, object]] = {
    "extractor": {"context_length": 17, "fitting": _BRIEF},
    "hermite": {"context_length": 17, "fitting": _BRIEF},
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
    "ridge": {"context_length": 40},
    "toto": {"fitting": {"steps": 20, "batch_size": 32, "validate_every": 10}},
    "fundamentals": {"horizons": (1, 5), "quarters": 3, "fitting": _BRIEF},
    "macro": {
        "context_length": 40,
        **dict.fromkeys(("short_yield", "long_yield", "vix", "oil")),
    },
    "news": {"context_length": 40},
    "trees": {"context_length": 40, "n_rounds": 20},
}

_EXTRAS = {"fracast": "fracast", "chronos": "chronos", "macro": "statsmodels", "news": "vaderSentiment"}
"""The package that an analyst cannot do without, where it comes with an extra of its own name."""


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


def add_headlines(market: Market, share: float = 0.3, seed: int = 0) -> Market:
    """Return the market with headlines that mean nothing: of each symbol, on a share of the sessions."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random(market.close.shape) < share)
    texts = rng.choice(["posts a great profit", "warns of a terrible loss", "to hold a meeting"], len(rows))
    numbered = [f"{text} {number}" for number, text in enumerate(texts)]
    symbols = np.asarray(market.symbols, dtype=object)[columns]
    news = Headlines(market.dates[rows], symbols, np.asarray(numbered, dtype=object))
    return dataclasses.replace(market, headlines=news)


def add_reports(market: Market, every: int = 12, seed: int = 0) -> Market:
    """Return the market with reports that mean nothing, the same of all symbols, every few sessions."""
    rng = np.random.default_rng(seed)
    age = np.arange(market.n_dates) % every
    surprise = forward_fill(np.where(age == 0, rng.normal(0.0, 10.0, market.n_dates), np.nan)[:, None])
    panels = {REPORT_AGE: age[:, None].astype(float), "eps_surprise_pct": surprise}
    extras = {name: np.repeat(panel, market.n_symbols, axis=1) for name, panel in panels.items()}
    return dataclasses.replace(market, extras={**market.extras, **extras})


def prepare_market(kind: str, market: Market) -> Market:
    """Return the market with what an analyst reads besides prices."""
    if kind == "fundamentals":
        return add_reports(market)
    return add_headlines(market) if kind == "news" else market


def make_small_settings(kind: str, **changes: object) -> AnalystSettings:
    """Return settings of a kind that is registered, with a trained analyst where one is needed."""
    raw = {"kind": kind, **SMALL.get(kind, {}), **changes}
    if kind == "saved":
        raw |= {"path": _train_once()}
        for read in ("context_length", "horizons"):
            raw.pop(read, None)
    if kind == "registry":
        chosen = [({"kind": "momentum", "context_length": 253}, ["S0"]), (SMALL["ridge"] | {"kind": "ridge"}, ["S1"])]
        raw = {
            "kind": kind,
            "path": "unread",
            "looks": 12,
            "chosen_until": "2009-12-31",
            "chosen": [{"analyst": analyst, "symbols": symbols} for analyst, symbols in chosen],
            **{name: value for name, value in changes.items() if name != "context_length"},
        }
    settings: AnalystSettings = ANALYSTS.load_settings(kind).model_validate(raw)
    return settings


@functools.cache
def _train_once() -> str:
    from alfred.training.library import train_analysts
    from alfred.training.progress import Silence
    from tests.conftest import make_random_market

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = make_small_settings("lstm", name="trained")
    train_analysts(make_random_market(200), [settings], folder, n_jobs=1, reporter=Silence())
    return str(folder / "trained")
