"""The attainable AUC of a known information coefficient, against simulation and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from sklearn.metrics import roc_auc_score

from alfred.data.synthetic import compute_attainable_auc, make_autoregressive_market, make_planted_market, show_signals
from alfred.errors import DataError
from alfred.evaluation.forecast_metrics import compute_realised_returns


@pytest.mark.parametrize("ic", [0.0, 0.05, 0.3, -0.2, 0.9])
@pytest.mark.parametrize("base_rate", [0.5, 0.55, 0.8])
def test_attainable_auc_is_that_of_a_simulation(ic: float, base_rate: float) -> None:
    rng = np.random.default_rng(7)
    forecast, noise = rng.standard_normal((2, 400_000))
    outcome = ic * forecast + np.sqrt(1 - ic**2) * noise
    simulated = roc_auc_score(outcome > -ndtri(base_rate), forecast)
    # Standard error of an AUC near one half on n pairs: sqrt(1 / (12 n p (1 - p))).
    error = np.sqrt(1 / (12 * len(forecast) * base_rate * (1 - base_rate)))
    assert compute_attainable_auc(ic, base_rate) == pytest.approx(simulated, abs=4 * error)


def test_closed_form_and_integral_agree() -> None:
    for ic in (-0.7, 0.02, 0.4, 0.95):
        assert compute_attainable_auc(ic) == pytest.approx(compute_attainable_auc(ic, 0.5 + 1e-12), abs=1e-6)
    assert compute_attainable_auc(1 - 1e-12) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("ic", "base_rate"), [(1.0, 0.5), (-1.0, 0.5), (0.1, 0.0), (0.1, 1.0)])
def test_what_is_out_of_range_is_refused(ic: float, base_rate: float) -> None:
    with pytest.raises(DataError, match="between"):
        compute_attainable_auc(ic, base_rate)


def test_planted_signal_attains_it() -> None:
    world = make_planted_market(0.15, n_days=30_000, seed=3, execution_lag=0)
    market = show_signals(world)
    signal = market.extras["planted_signal"][:-1, :-1]
    outcome = compute_realised_returns(market, market.dates[:-1], market.symbols[:-1], 1)
    rises = outcome > 0
    found = roc_auc_score(rises.ravel(), signal.ravel())
    assert compute_attainable_auc(0.15, float(rises.mean())) == pytest.approx(found, abs=0.004)


def test_last_return_of_an_autoregressive_market_attains_it() -> None:
    market = make_autoregressive_market(0.2, n_days=30_000, seed=1)
    logs = market.log_returns()[1:, :-1]
    now, following = logs[:-1].ravel(), logs[1:].ravel()
    assert np.corrcoef(now, following)[0, 1] == pytest.approx(0.2, abs=0.01)
    assert roc_auc_score(following > 0, now) == pytest.approx(compute_attainable_auc(0.2), abs=0.004)
    # Nothing older adds to it: what is left of a return after its predecessor does not depend on the one before that.
    rest = logs[2:] - 0.2 * logs[1:-1]
    assert abs(np.corrcoef(rest.ravel(), logs[:-2].ravel())[0, 1]) < 0.01
    with pytest.raises(DataError, match="between -1 and 1"):
        make_autoregressive_market(1.0)
