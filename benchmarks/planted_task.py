"""A planted market as a training task, and the share of what is attainable that a policy recovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alfred.agents.base import TrainingTask
from alfred.data.signals import Signals
from alfred.data.synthetic import PlantedModel, SyntheticMarket, make_planted_market
from alfred.envs.observations import observe
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings, RewardSettings
from alfred.envs.simulator import PortfolioSimulator, StepResult
from alfred.envs.tape import Tape, make_tape

COST_BPS = 5.0
RISK_AVERSION = 10.0
TRAIN_DAYS, VALIDATION_DAYS, TEST_DAYS = 390_000, 32_000, 50_000
_WINDOW_DAYS, _BURN_IN_DAYS = 270, 20
SETTINGS = PortfolioSettings(cost_bps=COST_BPS, slippage_bps=0.0, reward=RewardSettings(risk_aversion=RISK_AVERSION))


@dataclass(frozen=True)
class Measured:
    """What a policy does on fresh paths of the planted market.

    Attributes:
        sharpe: Sharpe ratio a year, net of costs.
        share: Of the gain over no skill that is attainable; NaN without a signal.
        turnover: Mean turnover a day.
        sharpe_error: Standard error of `sharpe`, by the jackknife over windows.
    """

    sharpe: float
    share: float
    turnover: float
    sharpe_error: float


class PlantedTask:
    """One planted market: a long path to train on, and two others to validate and to measure on.

    Args:
        ic: Information coefficient of the planted signal.
        train_days: Sessions to train on.
        test_seed: Seed of the path to measure on.
        train_seed: Seed of the path to train on.
        model: The market, instead of the usual one with `ic`.
        view: What an agent sees of a path; asked for the training path first. All signals when left out.
        lookback: Sessions of returns that it sees, L.
    """

    def __init__(
        self,
        ic: float,
        train_days: int = TRAIN_DAYS,
        test_seed: int = 3,
        *,
        train_seed: int = 1,
        model: PlantedModel | None = None,
        view: Callable[[SyntheticMarket], Signals] = lambda world: world.signals,
        lookback: int = 0,
    ) -> None:
        """Draw the three paths."""
        self.model = model or PlantedModel(ic=ic)
        self.train = self.draw(train_days, seed=train_seed)
        self.test = self.draw(TEST_DAYS, seed=test_seed)
        self.optimum = self.test.optimum
        self.train_tape = _lay_out(self.train, view(self.train), lookback)
        self.test_tape = _lay_out(self.test, view(self.test), lookback)
        validation = self.draw(VALIDATION_DAYS, seed=train_seed + 1)
        self._validation_tape = _lay_out(validation, view(validation), lookback)

    def make_training(
        self, folder: Path, seed: int, watch: Callable[[Policy, int], None] | None = None
    ) -> TrainingTask:
        """Return the task of one seed; `watch` is shown every policy that is validated."""

        def validate(policy: Policy, steps: int) -> float:
            if watch is not None:
                watch(policy, steps)
            return self.validate(policy)

        return TrainingTask(self.train_tape, SETTINGS, seed, folder, validate, lambda _done: None)

    def validate(self, policy: Policy) -> float:
        """Return the realised utility on the validation path, in per cent a year."""
        growth = []
        for _, before, simulator, _ in _walk(policy, self._validation_tape):
            growth.append(simulator.wealth / before)
        net = np.maximum(np.array(growth) - 1.0, -0.999)
        return float(25_200.0 * np.mean(np.log1p(net) - 0.5 * RISK_AVERSION * net**2))

    def measure(self, policy: Policy) -> Measured:
        """Return what a policy attains on the test path.

        Only the weights are drawn: mean and variance of each session's return are the known conditional ones, as in
        `alfred.data.synthetic.attainable`.
        """
        n = self.model.n_assets
        means = self.model.expect(self.test.signals.values[:, :n, 0].astype(np.float64))
        covariance = self.model.covariance
        expected, variance, turnover = [], [], []
        for bar, _, simulator, result in _walk(policy, self.test_tape):
            # The weights of the benchmark, equal weights of all assets, are spread over them.
            held = simulator.weights[:, :n] + simulator.weights[:, n : n + 1] / n
            # Bar b executes the decision of row b, whose signal foretells the return from bar b to the next.
            expected.append((held * means[bar]).sum(axis=1) - result.cost)
            variance.append(((held @ covariance) * held).sum(axis=1))
            turnover.append(result.turnover)
        kept = slice(_BURN_IN_DAYS, None)
        mean, spread = np.array(expected)[kept], np.array(variance)[kept]
        sums = np.stack([mean, mean**2, spread]).mean(axis=1)
        windows = sums.shape[1]
        sharpe = _annualise(sums.mean(axis=1))
        left_out = np.array([_annualise((sums.sum(axis=1) - sums[:, i]) / (windows - 1)) for i in range(windows)])
        gain = self.optimum.sharpe - self.optimum.no_skill_sharpe
        return Measured(
            sharpe=sharpe,
            share=(sharpe - self.optimum.no_skill_sharpe) / gain if self.model.ic else float("nan"),
            turnover=float(np.mean(np.array(turnover)[kept])),
            sharpe_error=float(np.sqrt((windows - 1) * left_out.var())),
        )

    def draw(self, n_days: int, seed: int) -> SyntheticMarket:
        """Draw a path of the market."""
        return make_planted_market(
            n_days=n_days, seed=seed, cost_bps=COST_BPS, risk_aversion=RISK_AVERSION, model=self.model
        )


def _lay_out(world: SyntheticMarket, signals: Signals, lookback: int) -> Tape:
    return make_tape(world.market, signals, execution="next_close", holdable=world.market.universe, lookback=lookback)


def _walk(policy: Policy, tape: Tape) -> Iterator[tuple[np.ndarray, np.ndarray, PortfolioSimulator, StepResult]]:
    """Walk a policy through windows of a tape side by side; yield bars, wealth before, simulator and result."""
    starts = np.arange(0, tape.n_bars - _WINDOW_DAYS, _WINDOW_DAYS)
    simulator = PortfolioSimulator(tape, SETTINGS, len(starts))
    simulator.reset(starts, starts + _WINDOW_DAYS)
    for _ in range(_WINDOW_DAYS):
        bar, before = simulator.bar.copy(), simulator.wealth
        result = simulator.step(policy.predict(observe(simulator)))
        yield bar, before, simulator, result


def _annualise(moments: np.ndarray) -> float:
    mean, square, variance = moments
    return float(mean / np.sqrt(variance + square - mean**2) * np.sqrt(252))
