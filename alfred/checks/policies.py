"""The contract of a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.signals import Signals
from alfred.data.synthetic import make_noise_market
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.observations import observe
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape
from alfred.errors import require_promise
from alfred.typing import Float

_STEPS = 120
_EXACT = 1e-6  # matrix products of another batch round differently
_RESET = np.array([0, 2])  # of three portfolios: neither all of them nor only the first

_ALONE = "a portfolio must be decided for alike, alone and among others, which may be at other dates"


def check_policy(
    make: Callable[[], Policy],
    market: Market | None = None,
    signals: Signals | None = None,
    settings: PortfolioSettings | None = None,
) -> None:
    """Check a policy against the contract.

    It must return finite weights `[P, N+1]` that sum to one, none of them negative in a long-only book; decide alike
    for a portfolio alone and among others that are at other dates; decide alike twice, after `reset` as when it was
    made, of the portfolios that are reset and of no others, and whatever another of its class decides in between; never
    write to an observation; and decide from what it is shown: what comes after a date changes no observation, and so
    nothing that it decided until then. A policy that holds data of its own is beyond this; `alfred audit` asks it.

    Args:
        make: Builds a fresh policy.
        market: What it trades, at least 120 sessions; random walks of five assets when left out.
        signals: What it is told; noise when there is no market either.
        settings: How it is traded; the lookback of the policy is added.

    Raises:
        ContractError: A promise is broken.
    """
    if market is None:
        world = make_noise_market(n_assets=5, n_days=160, n_signals=2, seed=1)
        market, signals = world.market, world.signals if signals is None else signals
    policy = make()
    require_promise(isinstance(policy, Policy), "a policy has name, rebalance_every, lookback, reset and predict")
    require_promise(bool(policy.name), "a policy has a name")
    base = settings or PortfolioSettings(execution="next_close")
    chosen = base.model_copy(update={"lookback": max(base.lookback, policy.lookback), "episode_length": None})

    def walk(one: Policy, on: Market, count: int = 1) -> Float:
        return _walk(one, prepare_tape(on, signals, chosen, holdable=on.universe), chosen, count)

    first = walk(policy, market)
    shape = (min(_STEPS, market.n_dates - 2), 1, market.n_symbols + 1)
    require_promise(first.shape[1:] == shape[1:], f"weights must have shape [P, N+1] = {shape[1:]}, cash last")
    require_promise(bool(np.isfinite(first).all()), "weights must be finite")
    require_promise(bool(np.abs(first.sum(axis=2) - 1.0).max() < 1e-5), "weights must sum to one, cash last")
    if chosen.action.long_only:
        require_promise(bool(first.min() > -_EXACT), "weights must be at least 0 in a long-only book, cash as well")
    policy.reset()
    require_promise(np.array_equal(first, walk(policy, market)), "after reset a policy must decide as when it was made")
    require_promise(np.array_equal(first, walk(make(), market)), "two policies made alike must decide alike")
    beside = _walk(make(), prepare_tape(market, signals, chosen, holdable=market.universe), chosen, 1, disturb=make())
    require_promise(
        np.array_equal(first, beside),
        "a policy must not decide otherwise because another of its class decides as well: what it remembers belongs "
        "into itself, not into its class or module",
    )
    many = walk(make(), market, 3)
    require_promise(bool(np.abs(many - first).max() < _EXACT), _ALONE)
    tape = prepare_tape(market, signals, chosen, holdable=market.universe)
    _check_windows(make, tape, chosen)
    # Half of the decisions that are compared lie before the cut, so that something known too early moves one of them.
    kept = len(first) // 2
    decided = market.dates.get_indexer(tape.dates[kept - 1 : kept])[0] - tape.lag
    other = walk(make(), scramble_after(replace(market, extras={}), market.dates[decided], seed=5))
    require_promise(np.array_equal(first[:kept], other[:kept]), "what comes after a date must not change a decision")


def _check_windows(make: Callable[[], Policy], tape: Tape, settings: PortfolioSettings) -> None:
    """Walk three portfolios through windows of their own, and begin two of them anew midway.

    Each must be decided for as if it were walked alone, and the two from there on as if they had never been before.
    """
    count = min(_STEPS, tape.n_bars) // 2
    gap = max((tape.n_bars - 2 * count) // 4, count // 8)
    starts = np.array([0, gap, 2 * gap])
    anew = tape.n_bars - count - np.array([0, gap])  # later windows, where what was remembered misleads

    def alone(start: int, n_steps: int) -> Float:
        simulator = PortfolioSimulator(tape, settings, 1)
        simulator.reset(np.array([start]), np.array([tape.n_bars]))
        return _decide(make(), simulator, n_steps)[:, 0]

    policy, simulator = make(), PortfolioSimulator(tape, settings, len(starts))
    simulator.reset(starts, np.full(len(starts), tape.n_bars))
    half = count // 2
    before = _decide(policy, simulator, half)
    simulator.reset(anew, np.full(len(anew), tape.n_bars), _RESET)
    policy.reset(_RESET)
    after = _decide(policy, simulator, half)
    for place, start in enumerate(starts):
        expected = alone(int(start), 2 * half)
        require_promise(_is_close(before[:, place], expected[:half]), _ALONE)
        if place not in _RESET:
            kept = _is_close(after[:, place], expected[half:])
            require_promise(kept, "reset must forget the portfolios named, only: another decided otherwise after it")
    for place, start in zip(_RESET, anew, strict=True):
        require_promise(
            _is_close(after[:, place], alone(int(start), half)),
            "reset must forget the portfolios named, also when they are not all: episodes end at different steps",
        )


def _is_close(found: Float, expected: Float) -> bool:
    return bool(np.abs(found - expected).max(initial=0.0) < _EXACT)


def _decide(policy: Policy, simulator: PortfolioSimulator, n_steps: int) -> Float:
    """Go on for some decisions and return their weights, `[steps, P, N+1]`."""
    decided = []
    for _ in range(n_steps):
        weights = np.asarray(policy.predict(observe(simulator)), dtype=np.float64)
        require_promise(weights.shape == simulator.weights.shape, "weights must have shape [P, N+1], cash last")
        decided.append(weights)
        simulator.step(np.nan_to_num(weights))
    return np.stack(decided)


def _walk(policy: Policy, tape: Tape, settings: PortfolioSettings, count: int, disturb: Policy | None = None) -> Float:
    """Return the weights of the first decisions, `[steps, P, N+1]`, all portfolios in the same window.

    Another policy decides in between where one is given, of two portfolios, and is reset now and then.
    """
    simulator = PortfolioSimulator(tape, settings, count)
    simulator.reset(np.zeros(count, dtype=int), np.full(count, tape.n_bars))
    decided = []
    for step in range(min(_STEPS, tape.n_bars)):
        observation = observe(simulator)
        before = {name: values.copy() for name, values in observation.items()}
        weights = np.asarray(policy.predict(observation), dtype=np.float64)
        same = all(np.array_equal(before[name], observation[name], equal_nan=True) for name in before)
        require_promise(same, "predict must not write to its observation")
        require_promise(weights.shape == (count, len(tape.symbols) + 1), "weights must have shape [P, N+1], cash last")
        decided.append(weights)
        simulator.step(np.nan_to_num(weights))
        if disturb is not None:
            if step % 7 == 0:
                disturb.reset()
            disturb.predict({name: np.concatenate([values, values[::-1]]) for name, values in before.items()})
    return np.stack(decided)
