"""The classic data sets of online portfolio selection as markets, and what only hindsight knows about them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize

from alfred.data.market import Market

SETS = ("nyse_o", "nyse_n", "tse", "sp500", "msci", "djia")
BENCHMARK = "uniform, held"
ROOT = Path(__file__).resolve().parents[1]
Array = npt.NDArray[np.float64]


def locate_sets() -> Path:
    return Path(os.environ.get("ALFRED_OLPS_DIR") or ROOT.parent / "shared" / "olps")


def read_relatives(name: str, folder: Path) -> pd.DataFrame:
    """Return the price relatives of a set, a row a day and a column a symbol."""
    return pd.read_parquet(folder / f"{name}.parquet").astype(np.float64)


def make_market(relatives: pd.DataFrame) -> Market:
    """Return the market that moves by these relatives, from one at the close before their first day.

    The sets have no dates; weekdays stand in. The benchmark is one more column, the literature's "market": all symbols
    bought in equal parts and held. No baseline invests in it, since it is no part of the universe.
    """
    close = np.vstack([np.ones(relatives.shape[1]), np.cumprod(relatives.to_numpy(), axis=0)])
    return Market.from_arrays(
        pd.bdate_range("1980-01-01", periods=len(close)),
        [*map(str, relatives.columns), BENCHMARK],
        np.column_stack([close, close.mean(axis=1)]),
        benchmark=BENCHMARK,
    )


def find_best_constant(relatives: npt.ArrayLike) -> Array:
    """Return the constant rebalanced portfolio that earned most, `[N]`.

    It is found on the very days that it is judged on. Nobody can hold it, so it is no baseline.
    """
    x = np.asarray(relatives, dtype=np.float64)
    held = np.arange(x.shape[1])
    best = np.full(len(held), 1.0 / len(held))
    for _ in range(4):  # whoever is left out of the optimum blurs it for the solver
        part = x[:, held]
        result = minimize(
            lambda b, part=part: -np.log(part @ b).mean(),
            best[held] / best[held].sum(),
            jac=lambda b, part=part: -(part / (part @ b)[:, None]).mean(axis=0),
            bounds=[(0.0, 1.0)] * len(held),
            constraints={"type": "eq", "fun": lambda b: b.sum() - 1.0, "jac": np.ones_like},
            method="SLSQP",
            options={"ftol": 1e-16, "maxiter": 1000},
        )
        best = np.zeros(x.shape[1])
        best[held] = np.maximum(result.x, 0.0)
        held = np.flatnonzero(best > 1e-6)
    return best / best.sum()
