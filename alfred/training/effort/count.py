"""What a run is going to make, counted before it begins, with about how long it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alfred.agents.settings import AgentSettings
from alfred.analysts.settings import AnalystSettings
from alfred.config import Experiment, ForecastSettings
from alfred.data.market import Market
from alfred.data.splits import Fold
from alfred.errors import ConfigError
from alfred.training.cross_fitting.blocks import count_steps
from alfred.training.effort.timings import read_factors
from alfred.training.forecasting import make_blocks, specialise
from alfred.training.jobs import count_workers

MOST_DAYS = 3.0
"""Days of work beyond which a run must be meant: `--yes`."""

# Seconds of one fit and of one window at the defaults, and of an environment step, on one core of 2026; what was timed
# on this machine corrects them. A kind of one's own counts as a small one.
_FITS: Mapping[str, tuple[float, float]] = {
    "naive": (0.01, 4e-6),
    "momentum": (0.01, 7e-6),
    "lstm": (5.0, 1.5e-5),
    "toto": (6.0, 1.5e-4),
    "kronos": (20.0, 5e-3),
    "kronos_ensemble": (20.0, 1e-2),
    "hermite": (20.0, 5e-5),
    "extractor": (10.0, 5e-5),
    "trees": (5.0, 5e-5),
    "chronos": (1.0, 2e-2),
    "fracast": (1.0, 1e-2),
}
_OTHER_FIT = (1.0, 2e-5)
_STEPS: Mapping[str, float] = {"direct": 5e-5, "ppo": 2e-4, "a2c": 2e-4, "recurrent_ppo": 6e-4}
_OTHER_STEP = 2e-3  # agents that learn off policy take a gradient step a decision


@dataclass(frozen=True)
class Work:
    """One analyst or agent of a run.

    Attributes:
        what: `analyst lstm`, `agent ppo`: its kind, by which it is timed.
        count: Fits of an analyst, trainings of an agent with those on held-out blocks.
        seconds: About how long all of it takes on one core.
        keys: Settings that make it less, with their values.
    """

    what: str
    count: int
    seconds: float
    keys: str


@dataclass(frozen=True)
class Effort:
    """What a run is going to make, when nothing of it stands on disk.

    Attributes:
        works: Each analyst and agent.
        n_jobs: Processes at once.
        formula: How the trainings are counted.
    """

    works: tuple[Work, ...]
    n_jobs: int
    formula: str

    @property
    def trainings(self) -> int:
        """Trainings of agents, those on held-out blocks included."""
        return sum(item.count for item in self.works if item.what.startswith("agent "))

    @property
    def fits(self) -> int:
        """Fits of analysts."""
        return sum(item.count for item in self.works if item.what.startswith("analyst "))

    @property
    def seconds(self) -> float:
        """About how long all of it takes; nothing is faster than its longest piece."""
        return max(sum(item.seconds for item in self.works) / self.n_jobs, 1.0)

    def describe(self) -> str:
        """Return it on one line."""
        return (
            f"{self.trainings} trainings ({self.formula}) and {self.fits} fits of analysts: about "
            f"{format_duration(self.seconds)} on {self.n_jobs} core{'s' if self.n_jobs > 1 else ''}, less what stands "
            "on disk"
        )


def count_effort(experiment: Experiment, market: Market, folds: Sequence[Fold], root: Path) -> Effort:
    """Count what a run is going to make.

    Args:
        experiment: The run.
        market: Its market.
        folds: Its folds.
        root: Folder of all runs, where timings of earlier work stand.
    """
    factors = read_factors(root)
    works = [
        *(_count_fits(item, experiment.forecast, market, factors, i) for i, item in enumerate(experiment.analysts)),
        *(_count_trainings(item, experiment, len(folds), factors, i) for i, item in enumerate(experiment.agents)),
    ]
    n_jobs = count_workers(experiment.training)
    blocks = "/".join(dict.fromkeys(str(item.validation_blocks + 1) for item in experiment.agents))
    formula = (
        f"{len(folds)} folds x {experiment.training.n_seeds} seeds x {blocks} blocks with the last on all x "
        f"{len(experiment.agents)} agents"
    )
    return Effort(tuple(works), n_jobs, formula)


def require_meant(effort: Effort, *, yes: bool) -> None:
    """Refuse days of work that nobody asked for in so many words.

    Raises:
        ConfigError: It takes more than `MOST_DAYS`; the text says what to reduce.
    """
    if yes or effort.seconds <= MOST_DAYS * 86_400:
        return
    largest = max(effort.works, key=lambda item: item.seconds)
    share = largest.seconds / sum(item.seconds for item in effort.works)
    raise ConfigError(
        f"this run is {effort.describe()}. {share:.0%} of that is {largest.what}: lower {largest.keys}, or say --yes"
    )


def expect_forecasts(settings: AnalystSettings, schedule: ForecastSettings, market: Market) -> tuple[int, float]:
    """Return the fits of an analyst on a market, and the seconds that they and its forecasts are expected to take."""
    own = specialise(schedule, settings)
    blocks = make_blocks(market.n_dates, own)
    dates = sum(math.ceil(len(block.rows) / own.forecast_every_days) for block in blocks)
    fit, window = _FITS.get(settings.kind, _OTHER_FIT)
    fitting = getattr(settings, "fitting", None)
    if fitting is not None:
        usual = type(settings).model_fields["fitting"].get_default(call_default_factory=True)
        fit *= fitting.steps / max(getattr(usual, "steps", fitting.steps), 1)
    samples = getattr(settings, "samples", 1)
    window *= max(samples, 1) if isinstance(samples, int) and settings.kind.startswith("kronos") else 1
    return len(blocks), len(blocks) * fit + dates * market.n_symbols * window


def expect_training(settings: AgentSettings) -> float:
    """Return the seconds that a training with its held-out blocks is expected to take."""
    return count_steps(settings) * _STEPS.get(settings.kind, _OTHER_STEP)


def _count_fits(
    settings: AnalystSettings, schedule: ForecastSettings, market: Market, factors: Mapping[str, float], number: int
) -> Work:
    what = f"analyst {settings.kind}"
    fits, seconds = expect_forecasts(settings, schedule, market)
    own = specialise(schedule, settings)
    keys = (
        f"the number of refits and forecasts with a larger analysts.{number}.refit_every_days ({own.refit_every_days}) "
        f"or forecast_every_days ({own.forecast_every_days})"
    )
    return Work(what, fits, seconds * factors.get(what, 1.0), keys)


def _count_trainings(
    settings: AgentSettings, experiment: Experiment, n_folds: int, factors: Mapping[str, float], number: int
) -> Work:
    what = f"agent {settings.kind}"
    trainings = n_folds * experiment.training.n_seeds
    keys = (
        f"agents.{number}.total_steps ({settings.total_steps:,}), training.n_seeds ({experiment.training.n_seeds}) or "
        f"splits.n_folds ({n_folds})"
    )
    seconds = trainings * expect_training(settings) * factors.get(what, 1.0)
    return Work(what, trainings * (settings.validation_blocks + 1), seconds, keys)


def format_duration(seconds: float) -> str:
    """Return a duration to the precision of an estimate: seconds, minutes, hours or days."""
    for unit, size in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 1.5 * size:
            value = seconds / size
            text = f"{value:.0f}" if value >= 10 or unit == "minute" else f"{value:.1f}"
            return f"{text} {unit}s"
    return f"{max(seconds, 1.0):.0f} second{'s' if round(seconds) > 1 else ''}"
