"""Training agents over folds and seeds, each in a process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from alfred.agents.base import NetworkPolicy
from alfred.agents.kept import Kept
from alfred.agents.settings import AgentSettings
from alfred.config import TrainingSettings
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold, Range
from alfred.envs.settings import PortfolioSettings
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.evaluation.formatting import format_number, format_p_value
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.cross_fitting.blocks import count_steps, cross_fit, locate_block, read_pooled, walk_references
from alfred.training.effort.timings import Timed, time_call
from alfred.training.jobs import Job, run_jobs
from alfred.training.progress import Reporter
from alfred.training.provenance.stages import (
    Parts,
    describe_trainings,
    explain_change,
    fingerprint_agent,
    read_stage,
    require_same_code,
    write_stage,
)
from alfred.training.tensorboard.trainings import clear_seeds, write_seeds, write_training

SCORES_FILE = "scores.json"


@dataclass(frozen=True)
class TrainedAgent:
    """One agent on one fold from one seed.

    Attributes:
        fold: Index of the fold.
        seed: Seed of the training.
        policy: The policy that was kept.
        kept: Which network that is.
        train_sharpe: Annual Sharpe ratio of that policy, net and in excess of cash, on what it was trained on.
        validation_sharpe: The same of the networks of its step on the blocks that they were not trained on.
    """

    fold: int
    seed: int
    policy: NetworkPolicy
    kept: Kept
    train_sharpe: float
    validation_sharpe: float


@dataclass(frozen=True)
class Trainings:
    """The trainings of one agent on every fold from every seed.

    Attributes:
        settings: The agent.
        folder: Where policies and TensorBoard curves go, a folder each fold and seed.
        keys: Fold and seed of each training.
        finished: Those that are finished, by fold and seed.
        jobs: Those that are not.
        timed: Told how many seconds each job took.
    """

    settings: AgentSettings
    folder: Path
    keys: tuple[tuple[int, int], ...]
    finished: Mapping[tuple[int, int], TrainedAgent]
    jobs: Sequence[Job[Timed[TrainedAgent]]]
    timed: Callable[[float], None]

    def finish(self, done: Sequence[Timed[TrainedAgent]]) -> list[TrainedAgent]:
        """Return all of them, and write what the seeds of each fold have in common.

        Args:
            done: What came of the jobs, in their order.
        """
        trained = dict(self.finished)
        for item in done:
            trained[item.value.fold, item.value.seed] = item.value
            self.timed(item.seconds)
        for fold in dict.fromkeys(fold for fold, _ in self.keys):
            places = [locate_training(self.folder, *key) for key in self.keys if key[0] == fold]
            pooled = [read_pooled(place, self.settings) for place in places]
            write_seeds(places[0].parent, [item for item in pooled if item is not None])
        return [trained[key] for key in self.keys]


def train_agents(
    market: Market,
    signals: Signals,
    folds: Sequence[Fold],
    settings: AgentSettings,
    environment: PortfolioSettings,
    training: TrainingSettings,
    *,
    seed: int,
    n_jobs: int,
    folder: Path,
    reporter: Reporter,
) -> list[TrainedAgent]:
    """Train one agent on every fold from every seed; see `plan_trainings`, and `n_jobs` is the number of processes."""
    plan = plan_trainings(
        market, signals, folds, settings, environment, training, seed=seed, folder=folder, reporter=reporter
    )
    return plan.finish(run_jobs(plan.jobs, n_jobs, reporter))


def plan_trainings(
    market: Market,
    signals: Signals,
    folds: Sequence[Fold],
    settings: AgentSettings,
    environment: PortfolioSettings,
    training: TrainingSettings,
    *,
    seed: int,
    folder: Path,
    reporter: Reporter,
    timed: Callable[[float], None] = lambda _seconds: None,
) -> Trainings:
    """Return what training one agent on every fold from every seed takes.

    What is finished in `folder` is read while everything that it was trained on is the same; what is not the same is
    deleted and trained again, and the reporter is told why. An interrupted training goes on on the same terms.

    Args:
        market: The whole market; each training is handed a cut of it.
        signals: Out-of-sample signals.
        folds: The walk-forward folds.
        settings: The agent.
        environment: Costs, execution and reward.
        training: How many seeds.
        seed: Seed of the first training; the others count on from it.
        folder: Where policies and TensorBoard curves go, a folder each fold and seed.
        reporter: Progress callback.
        timed: Told how many seconds each training took that was not finished before.
    """
    jobs, trained = [], dict[tuple[int, int], TrainedAgent]()
    for fold in folds:
        # Cut before the processes start, and copied: a training cannot reach its own test range.
        known, known_signals = market.until(fold.validation[1]).copy(), signals.until(fold.validation[1]).copy()
        stage = describe_trainings(known, known_signals, fold, settings, environment)
        for number in range(training.n_seeds):
            place = locate_training(folder, fold.index, seed + number)
            name = f"{settings.label} fold {fold.index} seed {seed + number}"
            reason = clear_stale(place, stage)
            if (place / SCORES_FILE).exists():
                try:
                    found = load_trained(place, fold.index, seed + number)
                    trained[fold.index, seed + number] = found
                    reporter.say(f"{name}: {describe_training(found)}, made before")
                    continue
                except CheckpointError:
                    reason = "its files are damaged"
                    shutil.rmtree(place)
            if reason:
                reporter.say(f"{name}: trained again, {reason}")
            clear_seeds(place.parent)
            train = partial(
                train_agent, known, known_signals, fold, settings, environment, seed + number, place, stage=stage
            )
            steps = count_steps(settings)
            # Checkpoints are walked through all sessions, so that a longer history takes longer.
            weight = float(steps * known.n_dates)
            jobs.append(Job(name, partial(time_call, train), steps, _describe_timed, weight))
    keys = tuple((fold.index, seed + number) for fold in folds for number in range(training.n_seeds))
    return Trainings(settings, folder, keys, trained, jobs, timed)


def _describe_timed(timed: Timed[TrainedAgent]) -> str:
    return describe_training(timed.value)


def describe_training(trained: TrainedAgent) -> str:
    """Return on one line what a training kept, and why."""
    return describe_kept(trained.kept)


def describe_kept(kept: Kept) -> str:
    """Return the same of what was kept."""
    gain = f"{format_number(kept.gain, sign=True)} ± {format_number(kept.gain_error)} % a year"
    chance = format_p_value(kept.p_value)
    if kept.untrained:
        return f"kept the untrained start, equal weights (the best network gained {gain} on held-out blocks, {chance})"
    return f"kept the network of step {kept.step:,} ({gain} beyond the start on held-out blocks, {chance})"


def clear_stale(folder: Path, stage: Parts) -> str:
    """Delete what a training on anything else left in its folder, and say what was different.

    Returns:
        The reason on one line; empty when the folder holds nothing, or the same training, finished or interrupted.
    """
    if not folder.exists() or not (reason := explain_change(read_stage(folder), stage)):
        return ""
    finished = (folder / SCORES_FILE).exists()
    # First what says that the training is finished, so that a crash in between leaves nothing that looks whole.
    (folder / SCORES_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return reason if finished or reason != explain_change(None, stage) else ""


def train_agent(
    market: Market,
    signals: Signals,
    fold: Fold,
    settings: AgentSettings,
    environment: PortfolioSettings,
    seed: int,
    folder: Path,
    stage: Parts | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> TrainedAgent:
    """Train one agent on one fold from one seed, or read it when it is finished; see `train_agents`.

    See `alfred.training.cross_fitting.blocks` for what is trained on what, and `alfred.training.cross_fitting.choice`
    for what is kept.

    Raises:
        AlfredError: The code on disk is no longer that of `stage`.
    """
    if (folder / SCORES_FILE).exists():
        return load_trained(folder, fold.index, seed)
    if stage is not None:
        # A worker process loads the code as it stands when the worker starts.
        require_same_code(fingerprint_agent(settings, environment.reward), stage, settings.label)
        write_stage(folder, stage)
    policy, kept, pooled = cross_fit(market, signals, fold, settings, environment, seed, folder, progress)
    policy.save(folder)

    def walk(span: Range) -> Backtest:
        return backtest(policy, make_walk(market, signals, environment, policy, start=span[0], end=span[1]))

    trained_on, latest = walk((fold.train[0], fold.validation[1])), walk(fold.validation)
    periods = market.periods_per_year
    scores = {
        "train_sharpe": compute_sharpe(trained_on.excess, periods),
        "validation_sharpe": compute_sharpe(pooled.net[pooled.steps.index(kept.step)], periods),
    }
    references = walk_references(market, signals, environment, fold.validation)
    explanation = describe_kept(kept)
    blocks = [locate_block(folder, number) for number in range(settings.validation_blocks)]
    write_training(folder, pooled, kept, scores, latest, references, settings.total_steps, explanation, blocks)
    # Written last: its presence says that the training is finished.
    text = json.dumps({**scores, "kept": asdict(kept)})
    write_atomically(folder / SCORES_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    return TrainedAgent(fold.index, seed, policy, kept, **scores)


def locate_training(folder: Path, fold: int, seed: int) -> Path:
    """Return the folder of one training below that of its agent."""
    return folder / f"fold{fold}" / f"seed{seed}"


def load_trained(folder: Path, fold: int, seed: int) -> TrainedAgent:
    """Read a finished training.

    Raises:
        CheckpointError: A file is missing or damaged.
    """
    try:
        scores = read_json(folder / SCORES_FILE)
        train, validation = float(scores["train_sharpe"]), float(scores["validation_sharpe"])
        kept = Kept(**scores["kept"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} does not hold a finished training ({error}); run `alfred train`") from error
    return TrainedAgent(fold, seed, NetworkPolicy.load(folder), kept, train, validation)
