"""How much skill would be enough: signals of several strengths are planted, and agents are judged against equal weight.

Each strength is planted several times, with other noise and another training seed, into the user's own market. For
every agent the mean gain in Sharpe ratio over equal weight on the test range, and its standard error, make a curve over
the strength. *The smallest skill at which it beats equal weight* is where the lower end of the 95 % interval of that
gain crosses zero, found on the curve made monotone (what is planted more strongly cannot be worth less: isotonic
regression) and interpolated linearly between the strengths, unless every training kept its start at the weaker one.

Its own interval is that of the same crossing on curves that are drawn from the gains and their errors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import isotonic_regression

from alfred.agents.settings import AgentSettings
from alfred.agents.strategies.prices import MixSettings
from alfred.config import Experiment
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold, make_folds
from alfred.envs.gym.episodes import prepare_tape
from alfred.evaluation.backtest import backtest, make_walk
from alfred.evaluation.statistics.significance import compare_sharpe
from alfred.training.cross_fitting.folds import train_agent
from alfred.training.doctor.diagnose import ENOUGH_STEPS, Evaluator, choose_agents, measure_sharpe
from alfred.training.doctor.oracle import plant_signal
from alfred.training.jobs import Job, count_workers, open_executor, run_jobs
from alfred.training.progress import Reporter, Silence
from alfred.typing import FloatArray

_Z = 1.96
_DRAWS = 2_000
_NO_GAIN = 1e-3  # in Sharpe ratio: what equal weights differ by from equal weights
_LEAST_GAIN = 0.05  # of the oracle over no skill: a share of less is a share of noise


@dataclass(frozen=True)
class Outcome:
    """What one agent made of one planting.

    Attributes:
        share: Of the oracle's gain in Sharpe ratio over no skill; NaN where the oracle has nothing to gain.
        gain: Sharpe ratio a year less that of equal weight, on the test range.
        error: Standard error of `gain`.
        untrained: Whether the agent kept its untrained start.
    """

    share: float
    gain: float
    error: float
    untrained: bool


@dataclass(frozen=True)
class Point:
    """What an agent makes of one strength.

    Attributes:
        ic: Planted correlation.
        agent: Name of the agent.
        share: Mean share of the attainable gain, None where there is nothing to gain.
        sharpe_minus_equal_weight: Mean gain in Sharpe ratio.
        ci: Its 95 % interval: the larger of the error over plantings and the error of one history.
        beats: Whether the interval lies above zero.
        kept: Share of trainings that kept a trained network.
    """

    ic: float
    agent: str
    share: float | None
    sharpe_minus_equal_weight: float
    ci: tuple[float, float]
    beats: bool
    kept: float


@dataclass(frozen=True)
class Measured:
    """The skill of one signal of a run on the same scale: pooled correlation with growth to the next execution."""

    signal: str
    ic: float
    low: float
    high: float


@dataclass(frozen=True)
class SkillCurve:
    """The curve, and what follows from it.

    Attributes:
        curve: One point a strength and agent.
        smallest_skill: By agent: `ic`, its interval `ci`, and `at_most` where the weakest planted strength was
            enough already; None where no planted strength was enough.
        measured: Skill of the run's own signals; empty without a run.
        short_budgets: Steps of each agent that has too few of them to be judged, by its name.
    """

    curve: tuple[Point, ...]
    smallest_skill: Mapping[str, Mapping[str, object] | None]
    measured: tuple[Measured, ...]
    short_budgets: Mapping[str, int] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The findings in one sentence."""
        strongest = max(point.ic for point in self.curve)
        needs = []
        for agent, found in self.smallest_skill.items():
            if agent in self.short_budgets:
                steps = self.short_budgets[agent]
                needs.append(f"{steps:,} steps are too few to judge {agent} (at least {ENOUGH_STEPS:,})")
                continue
            if found is not None and found["at_most"] and found["ic"] == 0.0:
                needs.append(f"{agent} beats it without any signal, so that its gain says nothing of yours")
                continue
            needed = f"more than {strongest:g}" if found is None else f"{found['ic']:.3f}"
            needed += " or less" if found is not None and found["at_most"] else ""
            needs.append(f"{agent} needs {needed} here")
        told = ", ".join(needs)
        if not self.measured:
            return f"To beat equal weight: {told}."
        best = max(self.measured, key=lambda item: item.ic)
        return f"Your best signal, {best.signal}, has {best.ic:.3f} ({best.low:.3f} to {best.high:.3f}); {told}."

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            **asdict(self),
            "smallest_skill": dict(self.smallest_skill),
            "short_budgets": dict(self.short_budgets),
            "sentence": self.sentence,
        }


def draw_curve(
    experiment: Experiment,
    market: Market,
    ics: Sequence[float],
    *,
    max_steps: int,
    n_seeds: int = 3,
    signals: Signals | None = None,
    reporter: Reporter | None = None,
) -> SkillCurve:
    """Plant several strengths and say how much skill would be enough.

    Args:
        experiment: The configuration; the direct agent is added when it is not among its agents.
        market: Its market.
        ics: Correlations to plant.
        max_steps: Environment steps of each training at most; twice as many for the direct agent.
        n_seeds: Plantings of each strength.
        signals: Signals of a run, whose skill is put on the same axis, or None.
        reporter: Progress callback.
    """
    fold = make_folds(market.dates, experiment.splits, experiment.env.rebalance_every)[-1]
    agents = choose_agents(experiment.agents, max_steps)
    jobs = [
        Job(
            f"doctor: {settings.label} at {ic:g}, planting {seed}",
            partial(measure_outcome, experiment, market, fold, settings, ic, seed),
        )
        for ic in ics
        for settings in agents
        for seed in range(n_seeds)
    ]
    with open_executor(experiment.training):
        results = run_jobs(jobs, count_workers(experiment.training), reporter or Silence())
    found: dict[tuple[float, str], list[Outcome]] = {}
    places = [(ic, settings.label) for ic in ics for settings in agents for _ in range(n_seeds)]
    for place, result in zip(places, results, strict=True):
        found.setdefault(place, []).append(result)
    points = tuple(summarise(ic, agent, outcomes) for (ic, agent), outcomes in found.items())
    smallest = {
        settings.label: find_smallest([point for point in points if point.agent == settings.label])
        for settings in agents
    }
    measured = () if signals is None else measure_signals(experiment, market, signals, fold)
    short = {item.label: item.total_steps for item in agents if item.total_steps < ENOUGH_STEPS}
    return SkillCurve(points, smallest, measured, short)


def measure_outcome(
    experiment: Experiment,
    market: Market,
    fold: Fold,
    settings: AgentSettings,
    ic: float,
    seed: int,
    progress: Callable[[int], None] = lambda _done: None,
) -> Outcome:
    """Plant a signal, train one agent on it, and judge it on the test range; see `draw_curve`."""
    rng = np.random.default_rng([experiment.seed, seed])
    planted = plant_signal(market, experiment.env, ic, rng, known=fold.train)
    evaluator = Evaluator(experiment, market, fold, planted)
    base = measure_sharpe(evaluator.walk(evaluator.make_oracle(1.0, knows=False), fold.test))
    best = measure_sharpe(evaluator.walk(evaluator.find_oracle(), fold.test))
    known, known_signals = market.until(fold.validation[1]).copy(), planted.signals.until(fold.validation[1]).copy()
    with tempfile.TemporaryDirectory() as folder:
        trained = train_agent(
            known, known_signals, fold, settings, experiment.env, experiment.seed + seed, Path(folder)
        )
    record = evaluator.walk(trained.policy, fold.test)
    policy = MixSettings(rebalance_every=experiment.env.rebalance_every).build(market, ())
    equal = backtest(policy, make_walk(market, None, experiment.env, policy, start=fold.test[0], end=fold.test[1]))
    test = compare_sharpe(record.excess, equal.excess, market.periods_per_year)
    progress(1)
    error = 0.0 if np.isnan(test.error) else test.error
    share = (measure_sharpe(record) - base) / (best - base) if best - base > _LEAST_GAIN else float("nan")
    if trained.kept.untrained or not np.isfinite(test.difference):
        # Its start is equal weights, from which it differs by rounding, and rounding has no error to speak of.
        return Outcome(share, 0.0, error, trained.kept.untrained)
    return Outcome(share, test.difference, error, untrained=False)


def summarise(ic: float, agent: str, outcomes: Sequence[Outcome]) -> Point:
    """Return the point of a strength: means over plantings, which share one history of returns.

    The error of one history does not shrink with the number of plantings, since all of them are judged on the same
    test.
    """
    gains = np.array([item.gain for item in outcomes])
    spread = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    error = max(spread, float(np.mean([item.error for item in outcomes])))
    mean = float(gains.mean())
    shares = np.array([item.share for item in outcomes])
    share = float(np.nanmean(shares)) if np.isfinite(shares).any() else None
    ci = (mean - _Z * error, mean + _Z * error)
    return Point(ic, agent, share, mean, ci, ci[0] > 0.0, float(np.mean([not item.untrained for item in outcomes])))


def find_smallest(points: Sequence[Point]) -> dict[str, object] | None:
    """Return the smallest skill that is enough, with its interval; None where no planted strength was.

    Args:
        points: Of one agent.
    """
    ordered = sorted(points, key=lambda point: point.ic)
    ics = np.array([point.ic for point in ordered])
    means = np.array([point.sharpe_minus_equal_weight for point in ordered])
    errors = np.array([(point.ci[1] - point.ci[0]) / (2 * _Z) for point in ordered])
    lower = smooth(means, errors) - _Z * errors
    crossing = find_crossing(ics, lower)
    if crossing is None:
        return None
    rng = np.random.default_rng(0)
    # One history moves all strengths alike.
    drawn = means + errors * rng.normal(size=(_DRAWS, 1))
    crossings = [find_crossing(ics, smooth(row, errors) - _Z * errors) for row in drawn]
    values = np.array([ics[-1] if value is None else value for value in crossings])
    low, high = np.quantile(values, [0.025, 0.975])
    reached = float(np.mean([value is not None for value in crossings])) >= 0.975
    at_most = bool(crossing == ics[0])
    ci = [None if low == ics[0] and at_most else float(low), float(high) if reached else None]
    return {"ic": crossing, "ci": ci, "at_most": at_most}


def smooth(means: FloatArray, errors: FloatArray) -> FloatArray:
    """Return the closest gains that never fall as the strength grows, weighted by their errors: isotonic regression.

    What is planted more strongly cannot be worth less, so that one lucky strength below a failing one says nothing.

    Args:
        means: Gain at each strength, ascending, `[I]`.
        errors: Their standard errors, `[I]`.
    """
    # A kept start has no error, and is no surer than half of the surest training.
    known = errors[errors > _NO_GAIN]
    least = 0.5 * float(known.min()) if len(known) else 1.0
    fitted = isotonic_regression(means, weights=1.0 / np.maximum(errors, least) ** 2)
    return np.asarray(fitted.x)


def find_crossing(ics: FloatArray, lower: FloatArray) -> float | None:
    """Return where the last stretch above zero begins, or None where a curve ends below it.

    Args:
        ics: Strengths, ascending, `[I]`.
        lower: Lower ends of the gain, `[I]`.
    """
    curve = lower
    below = np.flatnonzero(curve <= 0.0)
    place = int(below[-1]) + 1 if len(below) else 0
    if place == len(curve):
        return None
    if place == 0:
        return float(ics[0])
    left, right = curve[place - 1], curve[place]
    if left > -_NO_GAIN:
        # Every training kept its start there, so that the gain is zero without an error, and the line says nothing.
        return float(ics[place])
    return float(ics[place - 1] + (ics[place] - ics[place - 1]) * (0.0 - left) / (right - left))


def measure_signals(experiment: Experiment, market: Market, signals: Signals, fold: Fold) -> tuple[Measured, ...]:
    """Return the skill of signals as it is planted: the pooled correlation with growth from execution to execution.

    Each symbol's growth is standardised, and the signal as well, so that the correlation is that of `plant_signal`; the
    interval is Fisher's, with one observation a date for the symbols of a date move together.

    Args:
        experiment: Says when a decision is executed.
        market: The market.
        signals: Scaled signals of a run.
        fold: Its test range is judged.
    """
    tape = prepare_tape(market, signals, experiment.env, start=fold.test[0], end=fold.test[1])
    growth = (tape.overnight if tape.intraday is None else tape.overnight * tape.intraday)[:, :-1] - 1.0
    traded = tape.tradable[:, :-1]
    spread = np.where(traded, growth, np.nan)
    standard = (growth - np.nanmean(spread, axis=0)) / np.maximum(np.nanstd(spread, axis=0), 1e-12)
    found = []
    for column, name in enumerate(signals.names):
        values = tape.signals[:, :, column].astype(np.float64)
        known = traded & (values != 0.0)
        if known.sum() < 3 or values[known].std() == 0.0:
            continue
        ic = float(np.corrcoef(values[known], standard[known])[0, 1])
        half = _Z / np.sqrt(max(int(known.any(axis=1).sum()) - 3, 1))
        low, high = np.tanh(np.arctanh(np.clip(ic, -0.999, 0.999)) + np.array([-half, half]))
        found.append(Measured(name, ic, float(low), float(high)))
    return tuple(found)
