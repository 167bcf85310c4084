"""Checks that need no second world: batches, shuffled signals, and whether a reward belongs to its action."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.analysts.base import Analyst
from alfred.analysts.checks import take_windows
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.synthetic import make_planted_market
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.ledger import solve_trade
from alfred.envs.settings import PortfolioSettings, RewardSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.training.audit.layers import Leak
from alfred.training.audit.worlds import World
from alfred.training.pieces import fit_analyst

_SHUFFLES = 15
_ERRORS = 4.0  # standard errors of skill that shuffled dates never show
_TOLERANCE = 1e-4  # of a forecast in another batch: matrix products round differently, and no more
_DATES = 6
_FEW = 0.25  # of the windows may answer differently in another batch
_PAID = 1e-9


def check_shuffled(market: Market, signals: Signals, seed: int) -> list[Leak]:
    """Demand that signals whose dates are shuffled have no skill.

    What a signal says of a symbol on all dates is taken away first: a symbol that always looks risky may well be so,
    and no order of dates changes that. The same shuffle of dates holds for all symbols, and each
    shuffle deals the series to other symbols, so that ties and skews favour none. Skill that is left knows the
    outcomes of every date at once: a normalisation
    or a selection over the whole sample, or a measure that reads its own future.

    Args:
        market: With the outcomes.
        signals: Out of sample.
        seed: Of the shuffles.
    """
    rng = np.random.default_rng(seed)
    # Ranked over its own dates, every symbol has the same distribution, and no order of dates favours one.
    values = signals.values.astype(np.float64)
    for column in range(values.shape[2]):
        values[:, :, column] = pd.DataFrame(values[:, :, column]).rank(pct=True).to_numpy()
    found = []
    skills = []
    for _ in range(_SHUFFLES):
        order = rng.permutation(len(signals.dates))
        # Every row stands on a date of its own now, so that it is nobody's forecast: it may claim no training.
        shuffled = Signals(
            signals.dates,
            signals.symbols,
            signals.names,
            values[order][:, rng.permutation(len(signals.symbols))].astype(np.float32),
            np.minimum(signals.trained_until, signals.trained_until[:1]),
            signals.horizons,
        )
        skills.append(compute_signal_skill(shuffled, market).set_index("signal")["t"])
    for name, t in pd.concat(skills, axis=1).mean(axis=1).items():
        # All shuffles share one history, so that their mean is no surer than one of them.
        if np.isfinite(t) and abs(t) > _ERRORS:
            found.append(Leak("skill", str(name), "", "", "skill"))
    return found


def check_batches(world: World, analyst: Analyst | None = None, label: str = "") -> list[Leak]:
    """Demand that every analyst forecasts the same in another order and in another batch.

    Args:
        world: The true world.
        analyst: A fitted analyst to check instead of those of the configuration.
        label: Its name.
    """
    market, experiment = world.market, world.experiment
    last = min(experiment.forecast.min_train_days, market.n_dates - _DATES - 1) - 1
    past = market.until(market.dates[last]).copy()
    if analyst is not None:
        return _compare_batches(market, analyst, label, last)
    found = []
    for settings in experiment.analysts:
        found += _compare_batches(market, fit_analyst(settings, past), settings.label, last)
    return found


def _compare_batches(market: Market, analyst: Analyst, label: str, last: int) -> list[Leak]:
    rows = np.arange(last + 1, min(last + 1 + _DATES, market.n_dates))
    shape = {"length": analyst.context_length, "fields": analyst.fields, "min_history": analyst.min_history}
    batches = [contexts for _, _, contexts in iterate_contexts(market, rows, batch_size=10**9, **shape)]  # type: ignore[arg-type]
    if not batches:
        return []
    [together] = batches
    whole = analyst.predict(together).mean
    order = np.random.default_rng(0).permutation(len(whole))
    turned = np.empty_like(whole)
    turned[order] = analyst.predict(take_windows(together, order)).mean
    alone = np.concatenate([analyst.predict(take_windows(together, [number])).mean for number in range(len(whole))])
    size = max(float(np.abs(whole).max()), 1e-12)
    for other in (alone, turned):
        differs = np.abs(other - whole).max(axis=1) > _TOLERANCE * size
        # A sampled token flips now and then; a batch that is read as a whole moves nearly every window.
        if differs.mean() > _FEW:
            place = int(np.argmax(differs))
            day = str(together.dates[place].date())
            return [Leak(f"forecasts of {label}", label, together.symbols[place], day, "batch")]
    return []


def check_rewards(environment: PortfolioSettings) -> list[Leak]:
    """Demand on a planted market that the reward of a step is what its action earned, net of its costs.

    Weights are drawn at random; the reward of each step is compared with `log((1 - cost) w . growth)` of its own
    execution and the next, computed here from prices alone, less the reference and the risk term of the configuration
    being left out (kind growth, no risk).

    Args:
        environment: The user's costs and execution.
    """
    world = make_planted_market(0.1, n_days=120, seed=5)
    market = world.market
    settings = PortfolioSettings(
        cost_bps=environment.cost_bps,
        slippage_bps=environment.slippage_bps,
        execution="next_close",
        cash_rate_pct=0.0,
        reward=RewardSettings(kind="growth", risk_aversion=0.0, scale=1.0),
    )
    tape = prepare_tape(market, None, settings)
    simulator = PortfolioSimulator(tape, settings)
    simulator.reset(np.array([0]), np.array([tape.n_bars]))
    rng = np.random.default_rng(0)
    held = np.zeros(market.n_symbols + 1)
    held[-1] = 1.0
    rates = np.full(market.n_symbols + 1, (settings.cost_bps + settings.slippage_bps) / 1e4)
    rates[-1] = 0.0
    for bar in range(tape.n_bars):
        target = rng.dirichlet(np.ones(market.n_symbols + 1))
        reward = float(simulator.step(target[None]).reward[0])
        trade = solve_trade(held[None], target[None], rates)
        row = int(market.dates.get_loc(tape.dates[bar]))
        growth = np.append(market.close[row + 1] / market.close[row], 1.0)
        earned = float(target @ growth)
        if abs(reward - np.log(float(trade.growth[0]) * earned)) > _PAID:
            return [Leak("rewards", "reward", "", str(tape.dates[bar].date()), "reward")]
        held = target * growth / earned
    return []
