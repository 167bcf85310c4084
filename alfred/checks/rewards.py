"""The contract of a reward."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from alfred.envs.rewards import Reward
from alfred.errors import require_promise
from alfred.typing import Float

_STEPS, _PORTFOLIOS = 30, 4
_HALF = _STEPS // 2
_EVERYONE = np.arange(_PORTFOLIOS)
_RESET = np.array([0, 2])  # some portfolios, neither all of them nor only the first
_LARGE = np.array([0.7, 0.87, 1.13, 1.3])  # growth that ordinary sessions do not have
_WORN_STEPS = 10_000
_NUDGE = 1e-4  # of growth, for differences of `pay`
_GRADIENT = 1e-2  # share of the largest slope by which gradients may differ: kinks and single precision


def check_reward(make: Callable[[int], Reward]) -> None:
    """Check a reward of your own against the contract.

    It must pay one finite number a portfolio, also to a portfolio that was ruined or moved by 30 %; pay each portfolio
    alike, alone and among others, after however many steps, and whatever another reward of its class pays in between;
    forget the past of the portfolios that are reset, and of no others; pay again what it paid once its `state` is put
    back; never write to what it is handed; and, where it has `pay_torch`, pay the same in torch at every step, after
    ruin and moves of 30 % as well, with the slope of `pay` as its gradient.

    Args:
        make: Builds a fresh reward for so many portfolios.

    Raises:
        ContractError: A promise is broken.
    """
    reward = _start(make)
    whole = _pay(reward, _EVERYONE, range(_STEPS))
    require_promise(bool(np.isfinite(whole).all()), "rewards must be finite")
    for portfolio in _EVERYONE:
        single = _pay(_start(make, 1), _EVERYONE[portfolio : portfolio + 1], range(_STEPS))
        alike = np.allclose(single[:, 0], whole[:, portfolio])
        require_promise(
            bool(alike), f"a portfolio must be paid alike, alone and among others; number {portfolio} is not"
        )
    reward.reset(_EVERYONE)
    again = _pay(reward, _EVERYONE, range(_STEPS))
    require_promise(bool(np.array_equal(again, whole)), "after reset a reward must pay as when made")
    other = _start(make)
    beside = _pay(_start(make), _EVERYONE, range(_STEPS), lambda row: _disturb(other, row))
    require_promise(
        bool(np.array_equal(beside, whole)),
        "a reward must not pay otherwise because another of its class pays as well: what it remembers belongs into "
        "itself, not into its class or module",
    )
    _check_state(make)
    for _ in range(_WORN_STEPS):
        reward.pay(_GROWTH[0].copy(), _REFERENCE[0].copy())
    reward.reset(_EVERYONE)
    require_promise(
        bool(np.array_equal(_pay(reward, _EVERYONE, range(_STEPS)), whole)),
        f"a reward must pay alike after {_WORN_STEPS} steps and a reset: what it counts belongs into its `state`, not "
        "into its class or module",
    )
    ruined = np.asarray(_start(make, 1).pay(np.zeros(1), np.ones(1)))
    require_promise(bool(np.isfinite(ruined).all()), "a portfolio that was ruined must be paid a finite number")
    large = np.asarray(_start(make).pay(_LARGE.copy(), np.ones(_PORTFOLIOS)))
    require_promise(bool(np.isfinite(large).all()), "a portfolio that moved by 30 % must be paid a finite number")
    if hasattr(reward, "pay_torch"):
        _check_torch(make)


def _make_growth() -> tuple[Float, Float]:
    """Return growth and reference growth of all portfolios, `[steps, P]` each."""
    rng = np.random.default_rng(0)
    return (
        1.0 + rng.normal(0, 0.02, (_STEPS, _PORTFOLIOS)),
        1.0 + rng.normal(0, 0.01, (_STEPS, _PORTFOLIOS)),
    )


_GROWTH, _REFERENCE = _make_growth()


def _start(make: Callable[[int], Reward], count: int = _PORTFOLIOS) -> Reward:
    reward = make(count)
    reward.reset(np.arange(count))
    return reward


def _pay(
    reward: Reward,
    portfolios: npt.NDArray[np.integer],
    rows: Iterable[int],
    between: Callable[[int], None] = lambda _row: None,
) -> Float:
    """Return what is paid for some steps, `[steps, P]`; `between` is called after each."""
    paid = []
    for row in rows:
        given = _GROWTH[row, portfolios], _REFERENCE[row, portfolios]
        paid.append(np.array(reward.pay(*given), dtype=np.float64))
        same = np.array_equal(given[0], _GROWTH[row, portfolios])
        same = same and np.array_equal(given[1], _REFERENCE[row, portfolios])
        require_promise(same, "pay must not write to what it is handed")
        require_promise(paid[-1].shape == (len(portfolios),), "pay must return one number a portfolio, [P]")
        between(row)
    return np.stack(paid)


def _disturb(other: Reward, row: int) -> None:
    """Pay another reward for other steps, and reset it now and then."""
    other.pay(_GROWTH[-1 - row][::-1].copy(), _REFERENCE[-1 - row][::-1].copy())
    if row % 7 == 0:
        other.reset(_EVERYONE)


def _check_state(make: Callable[[int], Reward]) -> None:
    later = range(_HALF, _STEPS)
    reward = _start(make)
    _pay(reward, _EVERYONE, range(_HALF))
    kept = {name: np.array(getattr(reward, name), copy=True) for name in reward.state}
    after = _pay(reward, _EVERYONE, later)
    resumed = _start(make)
    _restore(resumed, kept)
    again = _pay(resumed, _EVERYONE, later)
    require_promise(bool(np.array_equal(after, again)), "`state` must name every array that later rewards depend on")
    partial = _start(make)
    _pay(partial, _EVERYONE, range(_HALF))
    partial.reset(_RESET)
    partly = _pay(partial, _EVERYONE, later)
    others = np.setdiff1d(_EVERYONE, _RESET)
    require_promise(
        bool(np.array_equal(partly[:, others], after[:, others])), "reset must forget the portfolios named, only"
    )
    anew = _pay(_start(make), _EVERYONE, later)
    require_promise(
        bool(np.array_equal(partly[:, _RESET], anew[:, _RESET])),
        "reset must forget the portfolios named, also when they are not all: episodes end at different steps",
    )


def _restore(reward: Reward, kept: dict[str, Float]) -> None:
    for name, values in kept.items():
        setattr(reward, name, values.copy())


def _check_torch(make: Callable[[int], Reward]) -> None:
    reward = _start(make)
    for row in range(_STEPS):
        paid, slope = _pay_torch(reward, _GROWTH[row], _REFERENCE[row])
        ours = _pay(reward, _EVERYONE, [row])[0]
        require_promise(
            bool(np.allclose(paid, ours, rtol=1e-6)),
            f"pay_torch must pay what pay does; at step {row + 1} it does not"
            + (" (it knows no past, so a reward that remembers cannot have it)" if row and reward.state else ""),
        )
        _check_slope(make, _GROWTH[row], _REFERENCE[row], slope)
    still = np.ones(_PORTFOLIOS)
    for what, growth in (("moves of 30 %", _LARGE), ("ruin", np.zeros(_PORTFOLIOS))):
        paid, slope = _pay_torch(_start(make), growth, still)
        ours = np.asarray(_start(make).pay(growth.copy(), still.copy()), dtype=np.float64)
        require_promise(
            bool(np.allclose(paid, ours, rtol=1e-6)), f"pay_torch must pay what pay does; after {what} it does not"
        )
        require_promise(bool(np.isfinite(slope).all()), f"pay_torch must have a finite gradient, after {what} as well")
        if growth.all():
            _check_slope(make, growth, still, slope)


def _pay_torch(reward: Reward, growth: Float, reference: Float) -> tuple[Float, Float]:
    """Return what is paid in torch and its gradient by growth, `[P]` each."""
    import torch

    asked = torch.tensor(growth, requires_grad=True)
    paid = reward.pay_torch(asked, torch.tensor(reference), reward.settings)  # type: ignore[attr-defined]
    tracked = isinstance(paid, torch.Tensor) and paid.shape == asked.shape and paid.requires_grad
    require_promise(tracked, "pay_torch must return a tensor [P] with a gradient")
    paid.sum().backward()
    require_promise(asked.grad is not None, "pay_torch must have a gradient")
    slope = np.zeros(0) if asked.grad is None else asked.grad.numpy()
    return paid.detach().numpy(), slope


def _check_slope(make: Callable[[int], Reward], growth: Float, reference: Float, slope: Float) -> None:
    """Compare a gradient with the differences of `pay` to both sides, which differ where it has a kink."""
    low, here, high = (
        np.asarray(_start(make).pay(growth + nudge, reference.copy()), dtype=np.float64)
        for nudge in (-_NUDGE, 0.0, _NUDGE)
    )
    sides = np.stack([here - low, high - here]) / _NUDGE
    room = _GRADIENT * np.abs(sides).max()
    inside = (slope >= sides.min(axis=0) - room) & (slope <= sides.max(axis=0) + room)
    worst = int(np.argmin(inside))
    require_promise(
        bool(inside.all()),
        f"the gradient of pay_torch must be the slope of pay; at growth {growth[worst]:.4g} it is {slope[worst]:.4g} "
        f"and the slope is {sides[:, worst].mean():.4g}",
    )
