"""Files as other tools write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from typer.testing import Result

from tests import commands

N_DAYS = 600


def make_days(n_days: int = N_DAYS) -> pd.DatetimeIndex:
    return pd.bdate_range("2018-01-02", periods=n_days)


def make_returns(seed: int = 0, n_days: int = N_DAYS, mean: float = 5e-4) -> pd.Series:
    rng = np.random.default_rng(seed)
    return pd.Series(rng.normal(mean, 0.01, n_days), index=make_days(n_days))


def write_spy(folder: Path, n_days: int = N_DAYS) -> Path:
    """Write prices whose returns are those of seed 99; the first session is the one before the first return."""
    returns = make_returns(99, n_days)
    days = returns.index.insert(0, returns.index[0] - pd.Timedelta(days=1))
    close = 100 * np.cumprod(np.concatenate([[1.0], 1.0 + returns.to_numpy()]))
    path = folder / "SPY.csv"
    pd.DataFrame({"Date": days, "Close": close * 2, "Adj Close": close, "Volume": 1}).to_csv(path, index=False)
    return path


def call(*words: object) -> Result:
    return commands.call("judge", *words)


def judge(folder: Path, *words: object) -> dict[str, Any]:
    """Judge, and return what `--json` prints."""
    result = call(*words, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refuse(*words: object) -> str:
    """Return the one line with which a file is refused."""
    return commands.refuse("judge", *words)
