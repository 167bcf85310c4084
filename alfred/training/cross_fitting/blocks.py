"""Cross-fitting: an agent is trained once for each block that is held out, and once more on everything.

What is decided on (is a trained network kept, and after how many steps?) comes from sessions that the networks judged
on them were not trained on, and covers the whole training and validation range. The policy that is kept is then trained
on all of that range, with the same settings and for the number of steps that was chosen.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from alfred.agents.base import Agent, NetworkPolicy, TrainingTask
from alfred.agents.kept import Kept
from alfred.agents.registry import make_agent
from alfred.agents.settings import AgentSettings
from alfred.agents.strategies.registry import make_baselines
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold, Range
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import CheckpointError, DataError, name_own_code
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.learning.events import EventFile
from alfred.training.cross_fitting.choice import choose
from alfred.training.cross_fitting.held_out import Block, HeldOut, cut_blocks, pool
from alfred.training.cross_fitting.utility import compute_utility
from alfred.training.tensorboard.validation import ValidationCurves

_FEWEST_BARS = 4  # of a range that is learnt from, or held out


def count_steps(settings: AgentSettings) -> int:
    """Return the environment steps of one training of an agent, those on held-out blocks included."""
    return settings.total_steps * (settings.validation_blocks + 1)


def cross_fit(
    market: Market,
    signals: Signals,
    fold: Fold,
    settings: AgentSettings,
    environment: PortfolioSettings,
    seed: int,
    folder: Path,
    progress: Callable[[int], None],
) -> tuple[NetworkPolicy, Kept, HeldOut]:
    """Train an agent on one fold; an interrupted training goes on where it stopped.

    Args:
        market: Cut at the end of the validation range.
        signals: Cut at the same date.
        fold: The fold.
        settings: The agent.
        environment: Costs, execution and reward.
        seed: Of every random choice.
        folder: Where curves and checkpoints go, a folder a block.
        progress: Told the steps done so far, of `count_steps`.

    Returns:
        The policy, which network it is, and what all checkpoints earned on the held-out blocks.

    Raises:
        DataError: The history is too short for so many blocks.
    """
    first = max(fold.train[0], signals.dates[0])
    tape = prepare_tape(market, signals, environment, start=first, end=fold.validation[1], holdable=market.universe)
    blocks = cut_blocks(tape, fold, market.dates, settings.validation_blocks)
    _check_length(tape, blocks, settings, environment)
    work = _Work(market, signals, environment, make_agent(settings), seed)
    records = []
    for number, block in enumerate(blocks):
        done = number * settings.total_steps
        place = locate_block(folder, number)
        records.append(work.train_block(tape, block, place, lambda steps, done=done: progress(done + steps)))  # type: ignore[misc]
    pooled = pool(records)
    kept = choose(pooled, market.periods_per_year)
    if kept.untrained:
        policy = work.agent.start(tape, environment)
    else:
        done = len(blocks) * settings.total_steps
        policy = work.train_whole(tape, kept.step, folder / "whole", lambda steps: progress(done + steps))
    progress(count_steps(settings))
    return policy, kept, pooled


def locate_block(folder: Path, number: int) -> Path:
    """Return the folder of the training on one held-out block."""
    return folder / f"block{number}"


def read_pooled(folder: Path, settings: AgentSettings) -> HeldOut | None:
    """Return what all checkpoints of a finished training earned on its held-out blocks; None when a file is gone.

    A damaged file is as good as gone: what the training ended with stands in files of its own.
    """
    try:
        records = [HeldOut.load(locate_block(folder, number)) for number in range(settings.validation_blocks)]
    except CheckpointError:
        return None
    found = [record for record in records if record is not None]
    return pool(found) if len(found) == len(records) else None


def walk_references(market: Market, signals: Signals, environment: PortfolioSettings, span: Range) -> list[Backtest]:
    """Return the records of the benchmark held and of equal weights."""
    records = []
    for policy in make_baselines((), market, signals.names):
        walk = make_walk(market, signals, environment, policy, start=span[0], end=span[1])
        records.append(backtest(policy, walk))
    return records


class _Work:
    """What all trainings of one cross-fit share."""

    def __init__(
        self, market: Market, signals: Signals, environment: PortfolioSettings, agent: Agent, seed: int
    ) -> None:
        self.market, self.signals, self.environment = market, signals, environment
        self.agent, self.seed = agent, seed

    def train_block(self, tape: Tape, block: Block, folder: Path, progress: Callable[[int], None]) -> HeldOut:
        """Train without a block and return what the checkpoints earned on it."""
        try:
            record = HeldOut.load(folder) or HeldOut()
        except CheckpointError:
            shutil.rmtree(folder)  # its checkpoints go on from where the record said; the other blocks are kept
            record = HeldOut()
        if record.finished:
            return record
        references = walk_references(self.market, self.signals, self.environment, block.held_out)
        untrained = self.agent.start(tape, self.environment)
        # All checkpoints of a training walk one tape.
        first, last = block.held_out
        walk = make_walk(self.market, self.signals, self.environment, untrained, start=first, end=last)
        start = backtest(untrained, walk)
        with EventFile(folder) as events:
            curves = ValidationCurves(events, references, start, self.environment)

            def validate(policy: Policy, steps: int) -> float:
                found = backtest(policy, walk)
                utility = compute_utility(found, self.environment.reward.risk_aversion)
                # A training with a warm start is no longer untrained before its first step.
                moved = steps > 0 or not np.array_equal(found.net, start.net)
                record.add(max(steps, 1) if moved else 0, found, utility)
                record.save(folder)
                curves.write(found, steps, utility)
                return utility

            record.add(0, start, compute_utility(start, self.environment.reward.risk_aversion))
            self._train(replace(tape, spans=block.spans), folder, events, validate, progress)
        record.finished = True
        record.save(folder)
        return record

    def train_whole(self, tape: Tape, steps: int, folder: Path, progress: Callable[[int], None]) -> NetworkPolicy:
        """Train on everything and return the network as it stands after some steps."""
        with EventFile(folder) as events:
            return self._train(tape, folder, events, lambda _policy, at: -abs(at - steps), progress, stop=steps)

    def _train(
        self,
        tape: Tape,
        folder: Path,
        events: EventFile,
        validate: Callable[[Policy, int], float],
        progress: Callable[[int], None],
        stop: int | None = None,
    ) -> NetworkPolicy:
        torch.manual_seed(self.seed)
        task = TrainingTask(tape, self.environment, self.seed, folder, validate, progress, stop, events)
        with name_own_code(self.agent, f"agent '{self.agent.settings.label}'", "train"):
            return self.agent.train(task)


def _check_length(tape: Tape, blocks: list[Block], settings: AgentSettings, environment: PortfolioSettings) -> None:
    needed = _FEWEST_BARS * environment.rebalance_every
    shortest = min(max((stop - first for first, stop in block.spans), default=0) for block in blocks)
    held = tape.n_bars // len(blocks)
    if min(shortest, held) < needed:
        raise DataError(
            f"{tape.n_bars} sessions to train and validate on are too few for validation_blocks "
            f"{settings.validation_blocks}: one leaves {shortest} in one piece to learn from and holds out {held}, and "
            f"{needed} are needed; lower validation_blocks or give more history"
        )
