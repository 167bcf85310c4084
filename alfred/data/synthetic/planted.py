"""A signal of known strength, planted in each asset among distractors."""

from __future__ import annotations

import numpy as np

from alfred.data.synthetic.attainable import find_attainable
from alfred.data.synthetic.model import PlantedModel
from alfred.data.synthetic.quadratic_program import solve_long_only
from alfred.data.synthetic.world import Optimum, SyntheticMarket, annualise, assemble, draw_autoregressive


def make_planted_market(
    ic: float = 0.05,
    *,
    n_days: int = 2600,
    seed: int = 0,
    execution_lag: int = 1,
    cost_bps: float = 5.0,
    risk_aversion: float = 10.0,
    model: PlantedModel | None = None,
) -> SyntheticMarket:
    """Draw a market with a planted signal.

    One long path serves where many paths are wanted: the model is stationary, so that windows of a path that start
    far enough from each other are as good as independent.

    Args:
        ic: Information coefficient; read only when no model is given.
        n_days: Sessions T.
        seed: Seed of the draw.
        execution_lag: The signal at the close of t foretells the return from the close of t + lag to the next one: 1
            for an environment that trades at the next close, 0 for one that trades at the same close.
        cost_bps: Cost in the optimum, per unit of wealth traded, in basis points.
        risk_aversion: Price of variance in the optimum.
        model: All the rest.

    Returns:
        The market (closes only), the signals `planted.signal` and `planted.distractor_1`, ..., and the optimum: see
        `find_attainable`.
    """
    model = model or PlantedModel(ic=ic)
    rng = np.random.default_rng(seed)
    signal, foretold = model.draw(rng, (n_days + execution_lag + 1,))
    # Row t of the signals foretells row t + 1 + lag of the returns.
    seen = signal[execution_lag + 1 :]
    distractors = draw_autoregressive(rng, (n_days, model.n_assets, model.n_distractors), model.autocorrelation)
    names = ("planted.signal", *(f"planted.distractor_{k + 1}" for k in range(model.n_distractors)))
    values = np.concatenate([seen[:, :, None], distractors], axis=2)
    targets = solve_long_only(model.expect(seen), model.covariance, risk_aversion)
    attainable = find_attainable(model, cost_bps, risk_aversion)
    fixed = solve_long_only(model.means[None], model.unconditional_covariance, risk_aversion)[0]
    optimum = Optimum(
        weights=targets,
        sharpe=attainable.sharpe,
        sharpe_error=attainable.sharpe_error,
        no_skill_sharpe=annualise(fixed @ model.means, fixed @ model.unconditional_covariance @ fixed),
        utility=attainable.utility,
        risk_aversion=risk_aversion,
        cost_bps=cost_bps,
        adjustment=attainable.adjustment,
    )
    note = f"Synthetic: a planted signal with an information coefficient of {model.ic}."
    return assemble(foretold[:n_days], values, names, optimum, horizon=1 + execution_lag, note=note)
