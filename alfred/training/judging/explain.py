"""Which signals move an agent's weights: each is taken out of step with the world, and the test is walked again.

A signal is shifted in time by a random number of sessions, around the end of the test, for all symbols together. It
keeps its distribution, its memory and its likeness across symbols, so that an agent that trades on it trades as much as
before; only what it says about the day is lost. Shuffling its days instead would make it jump, and the agent would pay
for turnover that it never had.

Axes legend: T closes, N symbols, K signals, L lanes: portfolios that are walked side by side, the first on what is
true.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from alfred.data.files import read_json, write_atomically
from alfred.envs.observations import observe
from alfred.envs.policy import Policy
from alfred.envs.simulator import PortfolioSimulator
from alfred.errors import ConfigError, suggest
from alfred.evaluation.backtest import Stage, Walk, make_walk
from alfred.evaluation.explanation import Effect, Explanation, SignalEffect
from alfred.evaluation.portfolio_metrics import compute_sharpe, is_constant
from alfred.evaluation.statistics.significance import compute_long_run_variance, compute_sharpe_influence
from alfred.training.cross_fitting.folds import TrainedAgent
from alfred.training.judging.walking import find_first_decision, make_stages
from alfred.training.prepared import Prepared
from alfred.training.progress import Reporter, Silence
from alfred.training.provenance.stages import compute_digest, read_stage
from alfred.typing import FloatArray, Observation

DEFAULT_SHIFTS = 4
_STILL = 1e-3  # of wealth: weights that move less do not move
_LEAST_SHIFT = 0.1  # of the test: a slow signal is not out of step after a few days


@dataclass(frozen=True)
class Lane:
    """What one portfolio sees instead of the truth: a signal shifted, or (`shift` None) set to zero."""

    signal: int
    shift: int | None


def explain(
    prepared: Prepared,
    trained: dict[str, list[TrainedAgent]],
    agent: str | None = None,
    *,
    shifts: int = DEFAULT_SHIFTS,
    drop: bool = False,
    reporter: Reporter | None = None,
) -> Explanation:
    """Say which signals move the weights of an agent, and what that is worth.

    The interval of a change of Sharpe ratio is that of the delta method (Ledoit and Wolf, 2008) on the influence of
    each session, averaged over the shifts and paired with the truth; it allows for serial correlation, is no
    narrower than the shifts differ from each other, and wide enough that all intervals together hold the truth at least
    as often as the level says (Bonferroni).

    Args:
        prepared: The run.
        trained: Its trainings, by the label of the agent.
        agent: Label of the agent; the first one when left out.
        shifts: Random shifts of each signal.
        drop: Whether each signal is set to zero as well.
        reporter: Progress callback.

    Raises:
        ConfigError: No agent has that name.
    """
    experiment = prepared.experiment
    labels = [settings.label for settings in experiment.agents]
    label = labels[0] if agent is None else agent
    if label not in labels:
        raise ConfigError(f"no agent is called '{label}'; the run has {', '.join(labels)}.{suggest(label, labels)}")
    names = prepared.observed.names
    stages, walk, lanes = prepare_lanes(prepared, trained[label], label, shifts, drop=drop)
    weights, excess = walk_lanes(stages, walk, lanes, (reporter or Silence()))
    level = 1.0 - (1.0 - experiment.intervals.level) / max(len(names), 1)
    effects = [
        measure_effect(name, number, lanes, weights, excess, prepared.market.periods_per_year, level)
        for number, name in enumerate(names)
    ]
    return Explanation(label, tuple(effects), all(item.kept.untrained for item in trained[label]))


def prepare_lanes(
    prepared: Prepared, trained: Sequence[TrainedAgent], label: str, shifts: int, *, drop: bool
) -> tuple[list[Stage], Walk, list[Lane | None]]:
    """Return what a walk through the test without each signal stands on: stages of the agent, walk and lanes.

    Args:
        prepared: The run.
        trained: The trainings of the agent.
        label: Its name.
        shifts: Shifts of each signal.
        drop: Whether each signal is set to zero as well.
    """
    experiment = prepared.experiment
    settings = next(item for item in experiment.agents if item.label == label)
    stages = make_stages(settings, trained, prepared.folds)
    walk = make_walk(
        prepared.market,
        prepared.observed.scaled(),
        experiment.env,
        stages[0].policy,
        start=find_first_decision(prepared),
        end=prepared.folds[-1].test[1],
    )
    bars = walk.tape.n_bars - walk.warm_up
    return stages, walk, draw_lanes(prepared.observed.n_signals, bars, shifts, drop, experiment.seed)


def draw_lanes(n_signals: int, n_bars: int, shifts: int, drop: bool, seed: int) -> list[Lane | None]:
    """Return the lanes, the truth (None) first.

    Args:
        n_signals: Signals K.
        n_bars: Bars of the test.
        shifts: Shifts of each signal.
        drop: Whether each signal is set to zero as well.
        seed: Of the shifts.
    """
    rng = np.random.default_rng(seed)
    least = max(int(_LEAST_SHIFT * n_bars), 1)
    lanes: list[Lane | None] = [None]
    for signal in range(n_signals):
        drawn = rng.integers(least, max(n_bars - least, least) + 1, size=shifts)
        lanes += [Lane(signal, int(shift)) for shift in drawn]
        lanes += [Lane(signal, None)] if drop else []
    return lanes


def walk_lanes(
    stages: Sequence[Stage], walk: Walk, lanes: Sequence[Lane | None], reporter: Reporter
) -> tuple[FloatArray, FloatArray]:
    """Walk the stages of an agent through the test once for every lane.

    Args:
        stages: The policies and the dates on which they take over.
        walk: As `make_walk` builds it.
        lanes: What each portfolio sees.
        reporter: Progress callback.

    Returns:
        Mean distance of each lane's weights from the first one's, `[L]`, and net returns in excess of cash, `[T, L]`.
    """
    tape, first = walk.tape, walk.warm_up
    starts = [stage.start for stage in stages]
    simulator = PortfolioSimulator(tape, walk.simulator.settings, len(lanes), record=True)
    everyone = np.zeros(len(lanes), dtype=np.int64)
    simulator.reset(everyone + first, everyone + tape.n_bars)
    update = reporter.begin("explain", tape.n_bars)
    active: Policy | None = None
    distance, wealth = np.zeros(len(lanes)), [np.ones(len(lanes))]
    while (simulator.bar < simulator.stop).any():
        today = int(simulator.bar.max())
        place = max(int(np.searchsorted(np.array(starts), tape.dates[today], side="right")) - 1, 0)
        if stages[place].policy is not active:
            active = stages[place].policy
            _warm_up(active, walk, lanes, today)
        simulator.step(active.predict(_disguise(observe(simulator), simulator, lanes, first)))
        for mark in simulator.marks:
            distance += 0.5 * np.abs(mark.weights - mark.weights[:1]).sum(axis=1)
            wealth.append(mark.wealth)
        simulator.marks.clear()
        update(int(simulator.bar.max()))
    levels = np.array(wealth)
    before = np.where(levels[:-1] > 0.0, levels[:-1], 1.0)
    net = levels[1:] / before - 1.0
    cash = np.concatenate([[0.0], tape.cash_returns[first + 1 : first + len(net)]])
    return distance / len(net), net - cash[:, None]


def measure_effect(
    name: str,
    number: int,
    lanes: Sequence[Lane | None],
    distance: FloatArray,
    excess: FloatArray,
    periods_per_year: int,
    level: float,
) -> SignalEffect:
    """Return what one signal does.

    Args:
        name: Of the signal.
        number: Its place.
        lanes: What each portfolio saw.
        distance: See `walk_lanes`, `[L]`.
        excess: See `walk_lanes`, `[T, L]`.
        periods_per_year: Sessions in a year.
        level: Coverage of this interval.
    """
    shifted = [place for place, lane in enumerate(lanes) if lane and lane.signal == number and lane.shift is not None]
    dropped = [place for place, lane in enumerate(lanes) if lane and lane.signal == number and lane.shift is None]
    moved = float(distance[shifted].mean())
    truth = excess[:, 0]
    extra = {}
    if dropped:
        change = compute_sharpe(truth, periods_per_year) - compute_sharpe(excess[:, dropped[0]], periods_per_year)
        extra = {"dropped_weight_change": float(distance[dropped[0]]), "dropped_sharpe_change": _clean(change)}
    series = [excess[:, place] for place in shifted]
    if moved < _STILL or is_constant(truth) or any(is_constant(item) for item in series):
        return SignalEffect(name, moved, 0.0, None, "no effect", **extra)
    without = np.array([compute_sharpe(item, periods_per_year) for item in series])
    change = compute_sharpe(truth, periods_per_year) - float(without.mean())
    influence = compute_sharpe_influence(truth) - np.mean([compute_sharpe_influence(item) for item in series], axis=0)
    variance = max(compute_long_run_variance(influence), 0.0) / len(influence) * periods_per_year
    # A signal that says nothing is one shift more, so that it may differ from their mean as they do from each other.
    if len(without) > 1:
        variance = max(variance, float(without.var(ddof=1)) * (1.0 + 1.0 / len(without)))
    half = float(stats.norm.ppf((1.0 + level) / 2.0) * np.sqrt(variance))
    verdict: Effect = "helps" if change > half else "hurts" if change < -half else "cannot tell"
    return SignalEffect(name, moved, change, (change - half, change + half), verdict, **extra)


def save_explanation(prepared: Prepared, found: Explanation) -> None:
    """Write `explain.json` into the run, with a digest of the records that it belongs to."""
    facts = {"run": str(prepared.run.path), "stage": _digest_records(prepared), **found.to_json()}
    text = json.dumps(facts, indent=2, allow_nan=False)
    write_atomically(prepared.run.explanation, lambda path: path.write_text(text, encoding="utf-8"))


def read_explanation(prepared: Prepared) -> Explanation | None:
    """Return the stored explanation of a run, or None when there is none for the records that stand in it."""
    try:
        raw = read_json(prepared.run.explanation)
        if raw["stage"] != _digest_records(prepared):
            return None
        signals = [_read_effect(item) for item in raw["signals"]]
        return Explanation(str(raw["agent"]), tuple(signals), bool(raw["untrained"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_effect(raw: dict[str, Any]) -> SignalEffect:
    """Return one entry of `explain.json`; a TypeError or ValueError where a number is none."""
    effect = SignalEffect(**{**raw, "ci": raw["ci"] and tuple(float(end) for end in raw["ci"])})
    for value in (effect.weight_change, effect.sharpe_change):
        if not isinstance(value, int | float):
            raise TypeError(f"{value!r} is not a number")
    return effect


def _digest_records(prepared: Prepared) -> str:
    return compute_digest(read_stage(prepared.run.backtests), prepared.experiment.intervals.level)


def _disguise(
    observation: Observation, simulator: PortfolioSimulator, lanes: Sequence[Lane | None], first: int
) -> Observation:
    """Return the observations with the signal of each lane shifted, or set to zero."""
    tape = simulator.tape
    if "signals" not in observation:
        return observation
    signals = observation["signals"].copy()
    bars = np.minimum(simulator.bar, tape.n_bars - 1)
    for place, lane in enumerate(lanes):
        if lane is None:
            continue
        other = (
            0.0
            if lane.shift is None
            else tape.signals[_shift(bars[place], lane.shift, first, tape.n_bars), :, lane.signal]
        )
        signals[place, :, lane.signal] = other
    return {**observation, "signals": signals}


def _shift(bar: np.integer, shift: int, first: int, stop: int) -> int:
    """Return the bar that stands `shift` bars later, around the end of the test; those before it stay."""
    if bar < first:
        return int(bar)
    return first + (int(bar) - first + shift) % (stop - first)


def _warm_up(policy: Policy, walk: Walk, lanes: Sequence[Lane | None], bar: int) -> None:
    """Reset a policy and walk it, with a portfolio of its own, through the sessions before it takes over."""
    policy.reset()
    begin = max(bar - getattr(policy, "burn_in", 0), 0)
    shadow = PortfolioSimulator(walk.tape, walk.simulator.settings, len(lanes))
    rows: npt.NDArray[np.int64] = np.zeros(len(lanes), dtype=np.int64)
    shadow.reset(rows + begin, rows + bar)
    while (shadow.bar < shadow.stop).any():
        shadow.step(policy.predict(_disguise(observe(shadow), shadow, lanes, walk.warm_up)))


def _clean(value: float) -> float | None:
    return value if np.isfinite(value) else None
