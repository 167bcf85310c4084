"""The whole job from Python: the same experiment as in YAML, the same run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from alfred.config import Experiment
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.gym.episodes import read_settings
from alfred.envs.gym.portfolio import PortfolioEnv
from alfred.evaluation.results import ResultRow
from alfred.notebook.backtest import Backtest, Page
from alfred.training import pipeline


def make_env(market: Market, signals: Signals | None = None, *, settings: Any = None, **options: Any) -> PortfolioEnv:
    """Return the environment that `gymnasium.make("alfred/Portfolio-v0", ...)` makes, without its wrappers.

    Args:
        market: Prices.
        signals: Signals on the same symbols, or None.
        settings: `PortfolioSettings`, or a mapping of its keys.
        options: Further arguments of `PortfolioEnv`: `start`, `end`, `render_mode`.
    """
    chosen = read_settings(settings)
    return PortfolioEnv(market, signals, chosen, **options)


def run(experiment: Experiment, root: Path | str = "runs", *, fresh: bool = False) -> list[ResultRow]:
    """Run the whole job, or go on with it: forecast, train, evaluate, report.

    Args:
        experiment: What to do; `Experiment()` is the demonstration.
        root: Folder of all runs.
        fresh: Start over.

    Returns:
        The numbers of the report, the first agent first; the page stands in the run directory.

    Raises:
        AlfredError: The configuration or the data cannot give a run; the text says why.
    """
    _, _, rows = pipeline.run_all(experiment, root, fresh=fresh)
    return rows


def report(source: Backtest | Path | str) -> Page:
    """Return the page of a backtest, or of a run directory that was evaluated."""
    if isinstance(source, Backtest):
        return source.report()
    prepared = pipeline.reopen(source, (), pipeline.REPORT_KEYS)
    pipeline.rewrite_report(prepared)
    return Page(prepared.run.report.read_text(encoding="utf-8"))


def read_results(rows: list[ResultRow]) -> pd.DataFrame:
    """Return the numbers of a run as a table, one row a strategy."""
    return pd.DataFrame([row.to_json() for row in rows]).set_index("name")
