"""The contract of a reward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alfred.envs.rewards import Reward
from alfred.errors import require_promise

_STEPS, _PORTFOLIOS = 30, 4


def check_reward(make: Callable[[int], Reward]) -> None:
    """Check a reward of your own against the contract.

    It must pay one finite number a portfolio, also to a portfolio that was ruined; pay a portfolio alike, alone and
    among others; forget the past of the portfolios that are reset, and of no others; pay again what it paid once its
    `state` is put back; never write to what it is handed; and, where it has `pay_torch`, pay the same in torch with a
    gradient.

    Args:
        make: Builds a fresh reward for so many portfolios.

    Raises:
        ContractError: A promise is broken.
    """
    rng = np.random.default_rng(0)
    growth = 1.0 + rng.normal(0, 0.02, (_STEPS, _PORTFOLIOS))
    reference = 1.0 + rng.normal(0, 0.01, (_STEPS, _PORTFOLIOS))
    everyone = np.arange(_PORTFOLIOS)

    def pay(reward: Reward, columns: np.ndarray, rows: range) -> np.ndarray:
        paid = []
        for row in rows:
            given = growth[row, columns].copy(), reference[row, columns].copy()
            paid.append(np.asarray(reward.pay(*given)))
            same = np.array_equal(given[0], growth[row, columns]) and np.array_equal(given[1], reference[row, columns])
            require_promise(same, "pay must not write to what it is handed")
            require_promise(paid[-1].shape == (len(columns),), "pay must return one number a portfolio, [P]")
        return np.stack(paid)

    reward = make(_PORTFOLIOS)
    reward.reset(everyone)
    whole = pay(reward, everyone, range(_STEPS))
    require_promise(bool(np.isfinite(whole).all()), "rewards must be finite")
    alone = make(1)
    alone.reset(np.array([0]))
    single = pay(alone, everyone[1:2], range(_STEPS))
    require_promise(bool(np.allclose(single, whole[:, 1:2])), "a portfolio must be paid alike, alone and among others")
    reward.reset(everyone)
    require_promise(
        bool(np.array_equal(pay(reward, everyone, range(_STEPS)), whole)), "after reset a reward must pay as when made"
    )
    _check_state(make, pay, everyone)
    ruined = np.asarray(make(1).pay(np.zeros(1), np.ones(1)))
    require_promise(bool(np.isfinite(ruined).all()), "a portfolio that was ruined must be paid a finite number")
    if hasattr(reward, "pay_torch"):
        _check_torch(make, growth, reference)


def _check_state(
    make: Callable[[int], Reward], pay: Callable[[Reward, np.ndarray, range], np.ndarray], everyone: np.ndarray
) -> None:
    half = _STEPS // 2
    reward = make(_PORTFOLIOS)
    reward.reset(everyone)
    pay(reward, everyone, range(half))
    kept = {name: np.array(getattr(reward, name), copy=True) for name in reward.state}
    after = pay(reward, everyone, range(half, _STEPS))
    resumed = make(_PORTFOLIOS)
    resumed.reset(everyone)
    for name, values in kept.items():
        setattr(resumed, name, values.copy())
    again = pay(resumed, everyone, range(half, _STEPS))
    require_promise(bool(np.array_equal(after, again)), "`state` must name every array that later rewards depend on")
    for name, values in kept.items():
        setattr(resumed, name, values.copy())
    resumed.reset(everyone[:1])
    partly = pay(resumed, everyone, range(half, _STEPS))
    require_promise(bool(np.array_equal(partly[:, 1:], after[:, 1:])), "reset must forget the portfolios named, only")


def _check_torch(make: Callable[[int], Reward], growth: np.ndarray, reference: np.ndarray) -> None:
    import torch

    reward = make(_PORTFOLIOS)
    tensor = torch.tensor(growth[0], requires_grad=True)
    paid = reward.pay_torch(tensor, torch.tensor(reference[0]), reward.settings)  # type: ignore[attr-defined]
    ours = np.asarray(reward.pay(growth[0], reference[0]))
    require_promise(bool(np.allclose(paid.detach().numpy(), ours, rtol=1e-6)), "pay_torch must pay what pay does")
    paid.sum().backward()
    require_promise(
        tensor.grad is not None and bool(torch.isfinite(tensor.grad).all()), "pay_torch must have a gradient"
    )
