"""Where the tests find real data, and markets small enough to type."""

from __future__ import annotations

import os
from pathlib import Path

# One thread a process, as in a run: more are slower on a shared machine and add up floats in another order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Workers of pytest-xdist are told the width of its terminal, and tables would be folded to it.
os.environ.pop("COLUMNS", None)

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from alfred.data.market import Market
from alfred.training.tensorboard import trainings

_ADD_PICTURES = trainings.add_pictures
ROOT = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not path.is_dir():
        pytest.skip(f"{path} is absent; set {variable} to a folder with this data")
    return path


@pytest.fixture(scope="session", autouse=True)
def _pictures_left_out() -> Iterator[None]:
    """Leave the pictures of TensorBoard out of small runs, a fifth of what they cost; `pictures` brings them back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "add_pictures", lambda *_arguments: None)
        yield


@pytest.fixture(scope="module")
def pictures() -> Iterator[None]:
    """Draw the pictures of TensorBoard in the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "add_pictures", _ADD_PICTURES)
        yield


@pytest.fixture(scope="session")
def market_dir() -> Path:
    return _folder("ALFRED_MARKET_DIR", "market/daily")


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    return _folder("ALFRED_PARITY_DIR", "parity")


@pytest.fixture(scope="session")
def news_dir() -> Path:
    return _folder("ALFRED_NEWS_DIR", "news")


@pytest.fixture(scope="session")
def fundamentals_dir() -> Path:
    return _folder("ALFRED_FUNDAMENTALS_DIR", "fundamentals")


@pytest.fixture(scope="session")
def macro_dir() -> Path:
    return _folder("ALFRED_MACRO_DIR", "macro")


@pytest.fixture(scope="session")
def olps_dir() -> Path:
    return _folder("ALFRED_OLPS_DIR", "olps")


def make_random_market(
    n_dates: int = 300, n_symbols: int = 4, seed: int = 0, *, ohlc: bool = True, late_listing: bool = False
) -> Market:
    """Geometric random walks with a benchmark called SPY as the last column."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(3e-4, 0.01, (n_dates, n_symbols)), axis=0))
    gap = np.exp(rng.normal(0, 0.003, close.shape))
    opened = np.vstack([close[:1], close[:-1]]) * gap
    high = np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 0.003, close.shape)))
    low = np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 0.003, close.shape)))
    volume = rng.integers(1_000, 9_000, close.shape).astype(float)
    fields = [close, opened, high, low, volume]
    if late_listing:
        for array in fields:
            array[: n_dates // 3, 0] = np.nan
    symbols = [f"S{i}" for i in range(n_symbols - 1)] + ["SPY"]
    return Market.from_arrays(
        pd.bdate_range("2010-01-04", periods=n_dates),
        symbols,
        close,
        benchmark="SPY",
        **({"open": opened, "high": high, "low": low, "volume": volume} if ohlc else {}),
    )


@pytest.fixture
def market() -> Market:
    return make_random_market()
