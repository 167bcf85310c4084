"""How far the seeds of a training move what came of it: a figure that another processor may move as well."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_sharpe

HEADING = "Every agent over its seeds"


def name_seed(agent: str, seed: int) -> str:
    """Return the name of the record of one seed of an agent."""
    return f"{agent} seed {seed}"


def tabulate_seeds(records: Sequence[Backtest], agents: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """Return the range of Sharpe ratio and turnover over the seeds of each agent, a row an agent.

    Args:
        records: Of every seed of every agent, named by `name_seed`.
        agents: Names of the agents.
        seeds: The seeds.
    """
    by_name = {record.name: record for record in records}
    rows = {}
    for agent in agents:
        own = [by_name[name_seed(agent, seed)] for seed in seeds]
        sharpe = [compute_sharpe(record.excess, record.periods_per_year) for record in own]
        turnover = [float(record.turnover.mean() * record.periods_per_year) for record in own]
        rows[agent] = (len(own), min(sharpe), max(sharpe), min(turnover), max(turnover))
    columns = ["seeds", "lowest Sharpe", "highest Sharpe", "least turnover", "most turnover"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def describe_seeds(table: pd.DataFrame) -> list[str]:
    """Return one line an agent from `tabulate_seeds`."""
    return [
        f"{agent} over {int(row.iloc[0])} seed(s): Sharpe {row.iloc[1]:.2f} to {row.iloc[2]:.2f}, turnover "
        f"{row.iloc[3]:.1f} to {row.iloc[4]:.1f} a year".replace("-", "\u2212")
        for agent, row in table.iterrows()
    ]
