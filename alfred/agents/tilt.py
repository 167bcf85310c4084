"""The tilt: equal weights, bent by a few slopes that are learnt through the ledger and shrunk towards none.

What a few thousand sessions can teach is little, and a network with thousands of weights learns the past by heart.
This agent has one number a signal and a pace (`alfred.agents.networks.TiltNetwork`), the exact gradient of its reward
net of costs, and one strength of shrinkage after another. Each is a checkpoint, so that held-out blocks choose the
strength as they choose the steps of other agents. So few numbers over all of history at once need no sampling: a
quasi-Newton method (L-BFGS: Liu and Nocedal, 1989) finds their best to many digits. What a seed draws is how much each
window of the history counts (the Bayesian bootstrap of Rubin, 1981, made milder), so that seeds differ by what the
history leaves open, and their mean is bagged (Breiman, 1996).
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch

from alfred.agents.base import Agent, NetworkPolicy, TrainingTask, describe_network
from alfred.agents.networks import TiltNetwork, make_network
from alfred.agents.selection import Selection, open_checkpoints
from alfred.agents.settings import TiltSettings
from alfred.envs.differentiable.simulator import DifferentiableSimulator, Portfolios, compute_weights
from alfred.envs.tape import Tape
from alfred.errors import DataError
from alfred.learning.checkpoints import Snapshot
from alfred.typing import FloatArray

_PACE = 0.0  # logit of the share of the way that the first portfolio goes
_RESAMPLING = 4.0  # shape of the gamma weights of windows; their variance is a quarter of that of a bootstrap
_HISTORY = 10  # pairs of gradients that the quasi-Newton method remembers


class TiltAgent(Agent):
    """Learns a few slopes by a quasi-Newton method on the whole history."""

    settings_class = TiltSettings
    settings: TiltSettings

    def train(self, task: TrainingTask) -> NetworkPolicy:
        """Learn under one penalty after another, and return the policy that validated best; see the base class.

        Raises:
            ConfigError: The reward is `differential_sharpe`, or the actions sell short.
            CheckpointError: The folder holds checkpoints that are damaged or of another training.
            DataError: No range is as long as a decision.
        """
        training = _Training(self.settings, task)
        checkpoints = open_checkpoints(self.settings, task)
        if (snapshot := checkpoints.load()) is not None:
            training.restore(snapshot)
            task.curves.resume(training.step)
        saved_at = training.step
        while training.step < self.settings.total_steps and not training.selection.exhausted:
            training.advance()
            if training.step - saved_at >= self.settings.checkpoint_every:
                saved_at = training.step
                task.curves.flush()
                checkpoints.save(saved_at, training.save())
        training.validate()
        checkpoints.clear()
        return training.selection.finish()


class _Walk(NamedTuple):
    """What all windows earned in one pass.

    Attributes:
        reward: Mean of each window, a decision, `[W]`.
        returns: Net returns in excess of cash of all decisions, `[S, W]`.
        turnover: Mean over all of them.
        ended: The portfolios at their ends.
    """

    reward: torch.Tensor
    returns: torch.Tensor
    turnover: torch.Tensor
    ended: Portfolios


class _Training:
    """One training: everything that changes from penalty to penalty."""

    def __init__(self, settings: TiltSettings, task: TrainingTask) -> None:
        self.settings, self.task = settings, task
        # Single precision is too rough for line searches.
        self.simulator = DifferentiableSimulator(task.tape, task.settings, torch.float64)
        self.network = cast("TiltNetwork", make_network(describe_network(task.tape, settings, task.settings.action)))
        self.network.scale.copy_(torch.as_tensor(measure_spread(task.tape)))
        self.selection = Selection(settings, task)
        self.step = 0
        self.learning = cast("TiltNetwork", make_network(self.network.spec)).double()
        self.learning.load_state_dict(self.network.state_dict())
        self.penalties = np.geomspace(settings.strongest, settings.weakest, settings.total_steps)
        every = task.settings.rebalance_every
        starts, self.before, self.length = cut_windows(task.tape, settings.window, every)
        drawn = np.random.default_rng(task.seed).gamma(_RESAMPLING, size=len(starts))
        self.weights = torch.as_tensor(drawn / drawn.sum())
        self.decisions_a_year = task.tape.periods_per_year / every
        self.years = len(starts) * self.length / self.decisions_a_year
        self.starts = self._begin(torch.as_tensor(starts))
        self.cash = torch.as_tensor(compute_cash_growth(task.tape, every))
        with torch.no_grad():
            self.volatility = self._measure(self._walk())[1]

    def advance(self) -> None:
        """Learn under the next penalty, from the slopes of the one before."""
        if self.step == 0:
            self.validate()
            with torch.no_grad():
                self.learning.pace.fill_(_PACE)
            self._hand_over()
        penalty = float(self.penalties[self.step])
        slopes = self.learning.slopes
        optimizer = torch.optim.LBFGS(
            self.learning.parameters(),
            max_iter=self.settings.iterations,
            history_size=_HISTORY,
            line_search_fn="strong_wolfe",
        )

        def measure() -> torch.Tensor:
            optimizer.zero_grad()
            loss: torch.Tensor = penalty / self.years * (slopes**2).sum() - self._judge(self._walk())
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        self.learning.train()
        optimizer.step(measure)  # type: ignore[no-untyped-call]
        self.step += 1
        self._hand_over()
        self._record(penalty)
        self.task.progress(self.step)
        if self.step < self.settings.total_steps and self.selection.is_due(self.step):
            self.validate()

    def validate(self) -> None:
        """Show the network as it stands to the validation."""
        self.network.load_state_dict(self.learning.state_dict())
        self.selection.validate(self.network, self.step)

    def save(self) -> Snapshot:
        """Return all that `restore` needs."""
        snapshot = Snapshot(facts={"step": self.step})
        snapshot.add("learning", self.learning.state_dict())
        snapshot.add("starts", self.starts._asdict())
        self.selection.save_to(snapshot)
        return snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to the moment of a snapshot."""
        self.step = int(snapshot.facts["step"])
        self.learning.load_state_dict(snapshot.below("learning"))
        self.starts = Portfolios(**snapshot.below("starts"))
        self.selection.restore_from(snapshot, self.network)

    def _walk(self) -> _Walk:
        """Walk all windows side by side."""
        current, rewards, returns, turnovers = self.starts, [], [], []
        for _ in range(self.length):
            scores, _ = self.learning(self.simulator.observe(current))
            holdable = self.simulator.find_holdable(current.bar)
            step = self.simulator.step(current, compute_weights(scores, self.task.settings.action, holdable))
            returns.append(step.growth - self.cash[current.bar])
            current = step.portfolios
            rewards.append(step.reward)
            turnovers.append(step.turnover)
        reward = torch.stack(rewards).mean(dim=0)
        return _Walk(reward, torch.stack(returns), torch.stack(turnovers).mean(), current)

    def _judge(self, walk: _Walk) -> torch.Tensor:
        """Return what is climbed, a year."""
        if self.settings.objective == "reward":
            reward = (walk.reward * self.weights).sum()
            return reward * (self.decisions_a_year / self.task.settings.reward.scale)
        mean, deviation = self._measure(walk)
        return mean / deviation * self.volatility * self.decisions_a_year

    def _measure(self, walk: _Walk) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation of the net returns of a decision in excess of cash."""
        mean = (walk.returns.mean(dim=0) * self.weights).sum()
        variance = (((walk.returns - mean) ** 2).mean(dim=0) * self.weights).sum()
        return mean, variance.clamp(min=1e-16).sqrt()

    def _begin(self, bars: torch.Tensor) -> Portfolios:
        """Return the portfolios at the starts of all windows, in equal weights of what may be held."""
        fresh = self.simulator.start(bars)
        start = self.learning.find_start(self.simulator.observe(fresh)["tradable"])
        weights = compute_weights(start, self.task.settings.action, self.simulator.find_holdable(bars))
        return fresh._replace(drifted=weights, weights=weights)

    def _hand_over(self) -> None:
        """Start each window from what the one before it ended with."""
        self.learning.train()
        with torch.no_grad():
            ended = self._walk().ended
        follows = self.before >= 0
        before = torch.as_tensor(self.before).clamp(min=0)
        mask = torch.as_tensor(follows).unsqueeze(-1)
        self.starts = self.starts._replace(
            drifted=torch.where(mask, ended.drifted[before], self.starts.drifted),
            weights=torch.where(mask, ended.weights[before], self.starts.weights),
        )

    def _record(self, penalty: float) -> None:
        if not self.task.curves.is_on:
            return
        with torch.no_grad():
            walk = self._walk()
            scores, _ = self.learning(self.simulator.observe(self.starts))
        curves = {
            "reward": float((walk.reward * self.weights).sum()),
            "turnover": float(walk.turnover),
            "penalty": penalty,
            "pace": float(torch.sigmoid(self.learning.pace.detach())),
        }
        self.task.curves.add_scalars({f"2_train/{name}": value for name, value in curves.items()}, self.step)
        self.task.curves.add_histogram("5_distributions/actions", scores.numpy(), self.step)


def compute_cash_growth(tape: Tape, every: int) -> FloatArray:
    """Return what cash grows to from each bar over as many bars as lie between decisions, `[E]`."""
    growth = np.cumprod(np.append(1.0, tape.overnight[:, -1]))
    later = np.minimum(np.arange(tape.n_bars) + every, tape.n_bars)
    return np.asarray(growth[later] / growth[:-1])


def measure_spread(tape: Tape) -> FloatArray:
    """Return the spread of each signal over what trades, root mean square over the bars to learn from, `[K]`.

    One where a signal does not tell assets apart.
    """
    spans = tape.spans or ((0, tape.n_bars),)
    rows = np.concatenate([np.arange(first, stop) for first, stop in spans])
    traded = tape.tradable_then[rows, :, None].astype(np.float64)
    signals = tape.signals[rows].astype(np.float64) * traded
    count = np.maximum(traded.sum(axis=1, keepdims=True), 1.0)
    apart = (signals - signals.sum(axis=1, keepdims=True) / count) * traded
    spread = np.sqrt((apart**2).sum(axis=(0, 1)) / max(float(traded.sum()), 1.0))
    return np.where(spread > 1e-12, spread, 1.0)


def cut_windows(tape: Tape, window: int, every: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Cut the ranges to learn from into windows that follow each other.

    Args:
        tape: Holds the ranges.
        window: Decisions in a window; fewer where no range is as long.
        every: Bars between decisions.

    Returns:
        The first bar of each window, which window it follows (-1 when it is the first of its range), and the decisions
        in each.

    Raises:
        DataError: No range is as long as a decision.
    """
    length = min(window, tape.longest_span // every)
    if length < 1:
        raise DataError(
            f"no range to learn from is as long as one decision ({every} sessions): lower env.rebalance_every or give "
            "more history"
        )
    starts: list[int] = []
    before: list[int] = []
    for first, stop in tape.spans or ((0, tape.n_bars),):
        count = (stop - first) // (length * every)
        # What is left over is dropped at the front: the latest sessions are the most alike those to come.
        begin = stop - count * length * every
        for number in range(count):
            before.append(len(starts) - 1 if number else -1)
            starts.append(begin + number * length * every)
    return np.array(starts, dtype=np.int64), np.array(before, dtype=np.int64), length
