"""What an agent loses without each signal: the trained policies walk the test again without what it says.

Axes legend: T sessions, K signals, L lanes: portfolios that are walked side by side, M changes.
"""

from __future__ import annotations

import numpy as np

from alfred.errors import ConfigError, suggest
from alfred.evaluation.ablation import Ablated, Ablation, Change, Way, note_short
from alfred.evaluation.portfolio_metrics import compute_sharpe, is_constant
from alfred.evaluation.statistics.paired import judge_changes
from alfred.evaluation.statistics.significance import compute_sharpe_influence
from alfred.training.cross_fitting.folds import TrainedAgent
from alfred.training.judging.explain import DEFAULT_SHIFTS, prepare_lanes, walk_lanes
from alfred.training.prepared import Prepared
from alfred.training.progress import Reporter, Silence
from alfred.typing import Float, FloatArray


def ablate_agent(
    prepared: Prepared,
    trained: dict[str, list[TrainedAgent]],
    agent: str | None = None,
    *,
    shifts: int = DEFAULT_SHIFTS,
    reporter: Reporter | None = None,
) -> Ablation:
    """Say what the Sharpe ratio of an agent owes to each signal.

    Every signal is set to its missing value, and it is shifted in time within the test (see
    `alfred.training.judging.explain`); the agent is not trained again. The changes of both kinds are one family, judged
    by a paired block bootstrap.

    Args:
        prepared: The run.
        trained: Its trainings, by the label of the agent.
        agent: Label of the agent; the first one when left out.
        shifts: Random shifts of each signal.
        reporter: Progress callback.

    Raises:
        ConfigError: The run has no agent, or none of that name.
    """
    experiment = prepared.experiment
    labels = [settings.label for settings in experiment.agents]
    label = labels[0] if agent is None else agent
    if label not in labels:
        raise ConfigError(f"no agent is called '{label}'; the run has {', '.join(labels)}.{suggest(label, labels)}")
    if all(item.kept.untrained for item in trained[label]):
        still = [Ablated(name, ()) for name in prepared.observed.names]
        return Ablation(label, "agent", still, "It did not learn: no signal moves its weights.")
    stages, walk, lanes = prepare_lanes(prepared, trained[label], label, shifts, drop=True)
    _, excess = walk_lanes(stages, walk, lanes, reporter or Silence())
    year = prepared.market.periods_per_year
    names = prepared.observed.names
    ways: list[tuple[str, Way]] = []
    values, columns, spreads = [], [], []
    for number, name in enumerate(names):
        of = [place for place, lane in enumerate(lanes) if lane and lane.signal == number]
        groups: dict[Way, list[int]] = {
            "dropped": [place for place in of if (lane := lanes[place]) is not None and lane.shift is None],
            "permuted": [place for place in of if (lane := lanes[place]) is not None and lane.shift is not None],
        }
        for way, places in groups.items():
            value, influence, spread = measure_change(excess[:, 0], excess[:, places], year)
            ways.append((name, way))
            values.append(value)
            columns.append(influence)
            spreads.append(spread)
    tests = judge_changes(np.array(values), np.stack(columns, axis=1), experiment.intervals, spread=np.array(spreads))
    changes = [Change.from_test(way, "sharpe", 0, test) for (_, way), test in zip(ways, tests, strict=True)]
    parts = [
        Ablated(name, tuple(change for (own, _), change in zip(ways, changes, strict=True) if own == name))
        for name in names
    ]
    return Ablation(label, "agent", parts, note_short(parts))


def measure_change(truth: FloatArray, without: FloatArray, periods_per_year: int) -> tuple[float, Float, float]:
    """Return the Sharpe ratio a year less the mean of those without, what each session adds, and its spread.

    Args:
        truth: Net returns in excess of cash, `[T]`.
        without: The same without a signal, one column a shift, `[T, L]`.
        periods_per_year: Sessions in a year.

    Returns:
        The change, its influence `[T]`, and the standard error that the random shifts add: a signal that says nothing
        is one shift more, and differs from their mean as they do from each other.
    """
    series = [without[:, place] for place in range(without.shape[1])]
    still = np.zeros(len(truth))
    if is_constant(truth) or any(is_constant(item) for item in series):
        return 0.0, still, 0.0
    sharpes = np.array([compute_sharpe(item, periods_per_year) for item in series])
    influence = compute_sharpe_influence(truth) - np.mean([compute_sharpe_influence(item) for item in series], axis=0)
    n = len(sharpes)
    spread = float(np.sqrt(sharpes.var(ddof=1) * (1.0 + 1.0 / n))) if n > 1 else 0.0
    value = compute_sharpe(truth, periods_per_year) - float(sharpes.mean())
    return value, np.asarray(influence * np.sqrt(periods_per_year)), spread
