"""An experiment that runs in a second or two: a table of random walks, two analysts, one quick agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from alfred.config import Experiment, parse_experiment
from alfred.data.market import FIELDS, Market
from alfred.training import pipeline
from alfred.training.pipeline import Prepared
from tests.conftest import make_random_market

# One held-out block instead of four: what stages do does not depend on it, and a training costs a fifth.
DIRECT = {
    "kind": "direct",
    "total_steps": 256,
    "n_portfolios": 8,
    "episode_length": 32,
    "validate_every": 256,
    "validation_blocks": 1,
}


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.begun: list[str] = []

    def begin(self, name: str, total: int) -> Any:
        self.begun.append(name)
        return lambda _done: None

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def reasons(self) -> list[str]:
        return [line for line in self.said if " again, " in line]


def write_market(path: Path, market: Market) -> None:
    parts = [
        pd.DataFrame({"date": market.dates, "symbol": symbol, **{name: market.field(name)[:, n] for name in FIELDS}})
        for n, symbol in enumerate(market.symbols)
    ]
    pd.concat(parts).to_csv(path, index=False)


def write_prices(folder: Path, *, first: int = 60, seed: int = 0) -> Path:
    """Write 560 sessions less the `first` ones."""
    market = make_random_market(560, seed=seed)
    path = folder / "prices.csv"
    write_market(path, market.since(market.dates[first]))
    return path


def make_small(prices: Path, **changes: Any) -> Experiment:
    raw: dict[str, Any] = {
        "name": "small",
        "data": {"path": str(prices)},
        "analysts": [{"kind": "naive", "horizons": [1]}, {"kind": "momentum", "horizons": [1]}],
        "features": {"names": ["momentum_1"]},
        "blend": None,
        "forecast": {"min_train_days": 260, "refit_every_days": 100},
        "splits": {"n_folds": 2, "min_train_days": 60, "validation_days": 40, "embargo_days": 0},
        "agents": [DIRECT],
        "baselines": [],
        "training": {"n_seeds": 1, "n_jobs": 1},
        "intervals": {"n_replicates": 100},
    }
    return parse_experiment(raw | changes)


def run_small(
    root: Path, experiment: Experiment, *, fresh: bool = False, judge: bool = True
) -> tuple[Prepared, Lines, list[Any]]:
    lines = Lines()
    prepared, _, rows = pipeline.run_all(experiment, root, fresh=fresh, judge=judge, reporter=lines)
    return prepared, lines, rows


def stamp(root: Path, pattern: str = "policy.safetensors") -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in sorted(root.rglob(pattern))}
