"""What a policy decides at a close, checked before anything is traded."""

from __future__ import annotations

import numpy as np

from alfred.envs.observations import observe
from alfred.envs.policy import Policy, check_holdable, check_weights
from alfred.envs.simulator import PortfolioSimulator
from alfred.errors import name_own_code
from alfred.typing import Float


def decide_weights(policy: Policy, simulator: PortfolioSimulator, *, normalise: bool = False) -> Float | None:
    """Return the target weights of a policy at the next execution, `[P, N+1]`, or None to leave the book alone.

    Args:
        policy: The policy.
        simulator: The portfolios that it decides for, as they stand at the close.
        normalise: See `alfred.evaluation.backtest.backtest`.

    Raises:
        DataError: The weights cannot be traded; policy, date and sum are named.
    """
    date = simulator.tape.days[int(simulator.bar.max())]
    observation = observe(simulator)
    try:
        weights = policy.predict(observation)
    except Exception:  # here and not around the call: to write the date takes as long as to book a bar
        with name_own_code(policy, f"strategy '{policy.name}'", "predict", f" at the execution of {date.date()}"):
            raise
    if getattr(policy, "may_hold", False) and np.isnan(weights).all():
        return None
    shape = (simulator.n_portfolios, len(simulator.costs.rates))
    values = check_weights(weights, shape, simulator.settings.action, policy.name, date, normalise=normalise)
    check_holdable(values, simulator.tape, simulator.bar, policy.name, date)
    return values
