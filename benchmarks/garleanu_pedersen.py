"""The direct agent against the exact optimum of Garleanu and Pedersen (2013) under quadratic trading costs.

Their problem is the ledger's with linear market impact, long and short books, and assets without a common factor: then
covariance, and with it the cost, is diagonal. Wealth compounds in the ledger and is constant in theirs; at the small
exposures of a risk aversion of 50 the difference is of the second order.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from alfred.agents.base import TrainingTask
from alfred.agents.direct import DirectAgent
from alfred.agents.settings import DirectSettings
from alfred.data.signals import Signals
from alfred.data.synthetic import PlantedModel, QuadraticOptimum, SyntheticMarket, make_quadratic_market
from alfred.envs.observations import observe
from alfred.envs.policy import Policy
from alfred.envs.settings import ActionSettings, ImpactSettings, PortfolioSettings, RewardSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape, make_tape

RISK_AVERSION, COST = 50.0, 500.0
TRAIN_DAYS, VALIDATION_DAYS, TEST_DAYS = 200_000, 100_000, 20_000
_WINDOW_DAYS, _BURN_IN_DAYS = 250, 30
MODEL = PlantedModel(ic=0.05, sharpe=0.0, factor_volatility=0.0, n_distractors=0)
SETTINGS = PortfolioSettings(
    cost_bps=0.0,
    slippage_bps=0.0,
    impact=ImpactSettings(kind="linear"),
    action=ActionSettings(mode="long_short", max_leverage=5.0),
    # Log growth itself has a risk aversion of one.
    reward=RewardSettings(kind="growth", risk_aversion=RISK_AVERSION - 1.0),
)


def measure_garleanu_pedersen(seed: int = 0) -> dict[str, float]:
    """Train the direct agent and return its utility beside the optimal one, on the same fresh path."""
    train, _ = _draw(TRAIN_DAYS, seed=1)
    validation_tape = _lay_out(_draw(VALIDATION_DAYS, seed=2)[0])
    test, optimum = _draw(TEST_DAYS, seed=3)
    test_tape = _lay_out(test)
    settings = DirectSettings(
        total_steps=5_000_000, validate_every=250_000, patience=None, network="shared", learning_rate=6e-3
    )

    def validate(policy: Policy, _steps: int) -> float:
        # Realised, as an agent has to do it: the model is not known to it.
        rewards = [result for _, _, result in _walk(policy, validation_tape)]
        return float(np.mean(rewards))

    with tempfile.TemporaryDirectory() as folder:
        task = TrainingTask(_lay_out(train), SETTINGS, seed, Path(folder), validate, lambda _done: None)
        began = time.process_time()
        policy = DirectAgent(settings).train(task)
        seconds = time.process_time() - began
    exposures, bars = [], []
    for bar, weights, _ in _walk(policy, test_tape):
        exposures.append(weights[:, :-1])
        bars.append(bar)
    held, rows = np.array(exposures), np.array(bars)
    utility = _compute_utility(held, rows, test)
    # Row r of the signals is executed at bar r, and so are the exposures of the optimum.
    best = _compute_utility(optimum.exposures[rows], rows, test)
    return {
        "utility": utility,
        "optimal_utility": best,
        "closed_form_utility": optimum.utility,
        "share": utility / best,
        "trading_rate": optimum.rate,
        "cpu_seconds": seconds,
    }


def _compute_utility(exposures: np.ndarray, rows: np.ndarray, world: SyntheticMarket) -> float:
    """Return the mean of x'm - risk_aversion / 2 x'Sx - cost / 2 (dx)'S(dx), with the known m and S."""
    means = MODEL.expect(world.signals.values[:, :, 0].astype(np.float64))[rows]
    variances = np.diag(MODEL.covariance)
    trades = np.diff(exposures, axis=0, prepend=exposures[:1])
    gain = (exposures * means).sum(axis=2) - 0.5 * RISK_AVERSION * (exposures**2 * variances).sum(axis=2)
    paid = 0.5 * COST * (trades**2 * variances).sum(axis=2)
    return float((gain - paid)[_BURN_IN_DAYS:].mean())


def _draw(n_days: int, seed: int) -> tuple[SyntheticMarket, QuadraticOptimum]:
    world, optimum = make_quadratic_market(
        n_days=n_days, seed=seed, risk_aversion=RISK_AVERSION, cost=COST, model=MODEL
    )
    # The market's benchmark, which holds all assets, is no asset of theirs.
    names = world.market.symbols[:-1]
    signals = world.signals
    kept = Signals(signals.dates, names, signals.names, signals.values[:, :-1], signals.trained_until, signals.horizons)
    market = world.market.select(names, benchmark=names[0])
    return world._replace(market=market, signals=kept), optimum


def _lay_out(world: SyntheticMarket) -> Tape:
    tape = make_tape(world.market, world.signals, execution="next_close")
    variances = np.append(np.diag(MODEL.covariance), 0.0)
    scale = np.broadcast_to(0.5 * COST * variances, (tape.n_bars, len(variances)))
    return replace(tape, impact_scale=np.ascontiguousarray(scale))


def _walk(policy: Policy, tape: Tape):
    """Walk a policy through windows side by side; yield bars, weights after the trade, and rewards."""
    starts = np.arange(0, tape.n_bars - _WINDOW_DAYS, _WINDOW_DAYS)
    simulator = PortfolioSimulator(tape, SETTINGS, len(starts))
    simulator.reset(starts, starts + _WINDOW_DAYS)
    for _ in range(_WINDOW_DAYS):
        bar = simulator.bar.copy()
        result = simulator.step(policy.predict(observe(simulator)))
        yield bar, simulator.weights.copy(), result.reward
