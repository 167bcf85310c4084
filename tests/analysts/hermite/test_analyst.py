"""The Hermite analyst: contract with every switch, what it finds, and what its probability does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.special import ndtri

from alfred.analysts.checks import check_analyst, take_windows
from alfred.analysts.hermite.analyst import HermiteAnalyst
from alfred.analysts.hermite.settings import HermiteSettings
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.data.contexts import Contexts, make_contexts
from alfred.errors import DataError
from alfred.learning.settings import FittingSettings
from alfred.learning.watch import watch_training
from tests.analysts.planted import N_FIT, forecast_rest, make_autoregressive_market
from tests.conftest import make_random_market

MARKET = make_random_market(400)
BRIEF = FittingSettings(steps=10, batch_size=32, validate_every=5)


def make(**changes: object) -> HermiteAnalyst:
    raw = {"context_length": 17, "horizons": (1, 5), "fitting": BRIEF, **changes}
    return HermiteAnalyst(HermiteSettings.model_validate(raw))


def make_windows(analyst: HermiteAnalyst) -> Contexts:
    rows = np.arange(300, 400, 10)
    return make_contexts(MARKET, rows, np.arange(10) % 4, length=analyst.context_length, fields=analyst.fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"lstm_size": 32, "polynomials": "physicist", "degree": 8},
        {"direction_weight": 0.5, "cls_loss": "focal", "sign_hinge_weight": 0.2},
        {"fields": ("close", "high", "low", "volume")},
    ],
)
def test_contract(changes) -> None:
    check_analyst(lambda: make(**changes), MARKET)


@pytest.fixture(scope="module")
def fitted() -> HermiteAnalyst:
    return make().fit(MARKET)


def with_settings(analyst: HermiteAnalyst, **changes: object) -> HermiteAnalyst:
    other = HermiteAnalyst(analyst.settings.model_copy(update=changes))
    other.network_, other.is_fitted = analyst.network_, True
    return other


def test_the_probability_shifts_the_mean_as_far_as_it_is_told(fitted) -> None:
    windows = make_windows(fitted)
    plain, probability = fitted.predict(windows), fitted.predict_direction(windows)
    assert ((probability > 0) & (probability < 1)).all()
    assert np.ptp(probability) > 1e-4
    for weight in (0.3, 1.0):
        blended = with_settings(fitted, direction_weight=weight).predict(windows)
        expected = (1 - weight) * plain.mean + weight * plain.dispersion() * ndtri(probability)
        np.testing.assert_allclose(blended.mean, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(blended.dispersion(), plain.dispersion())
    assert fitted.predict_direction(take_windows(windows, slice(0))).shape == (0, 2)


def test_the_probability_of_the_density_is_that_of_the_forecast(fitted) -> None:
    windows = make_windows(fitted)
    by_density = with_settings(fitted, prob_source="pdf", direction_weight=0.7)
    np.testing.assert_allclose(by_density.predict_direction(windows), fitted.predict(windows).probability_up())
    np.testing.assert_allclose(by_density.predict(windows).mean, fitted.predict(windows).mean, rtol=1e-6)


def test_untrained_is_naive() -> None:
    analyst = make()
    analyst.network_, analyst.is_fitted = analyst._build(), True
    windows = make_windows(analyst)
    naive = NaiveAnalyst(NaiveSettings(horizons=(1, 5), context_length=17)).fit(MARKET).predict(windows)
    forecast = analyst.predict(windows)
    assert not forecast.mean.any()
    np.testing.assert_allclose(forecast.quantiles, naive.quantiles, rtol=1e-6)


def test_a_killed_fit_ends_with_the_same_weights(tmp_path, monkeypatch) -> None:
    fitting = BRIEF.model_copy(update={"checkpoint_every": 5})
    whole = make(fitting=fitting).fit(MARKET)
    killed, taken = make(fitting=fitting), []
    compute = killed._compute_loss

    def kill(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        taken.append(1)
        if len(taken) == 8:
            raise KeyboardInterrupt
        return compute(batch)

    monkeypatch.setattr(killed, "_compute_loss", kill)
    with pytest.raises(KeyboardInterrupt), watch_training(curves=None, checkpoints=tmp_path):
        killed.fit(MARKET)
    with watch_training(curves=None, checkpoints=tmp_path):
        resumed = make(fitting=fitting).fit(MARKET)
    for name, tensor in whole.network_.state_dict().items():
        assert torch.equal(tensor, resumed.network_.state_dict()[name]), name


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing learns the mean"):
        HermiteSettings(reg_weight=0, unc_weight=0)
    with pytest.raises(ValidationError, match="nothing learns the classifier"):
        HermiteSettings(direction_weight=0.5, cls_weight=0)
    with pytest.raises(ValidationError, match="degree"):
        HermiteSettings(degree=9)


def test_a_short_history_is_refused_in_one_line() -> None:
    with pytest.raises(DataError, match="'hermite' has too short a history") as caught:
        make().fit(MARKET.until(MARKET.dates[25]))
    assert "\n" not in str(caught.value)


def test_a_planted_signal_is_found() -> None:
    market, returns, means = make_autoregressive_market(0.25)
    fitting = FittingSettings(steps=60, batch_size=256, learning_rate=4e-3, weight_decay=0.1, validate_every=20)
    analyst = make(horizons=(1,), fitting=fitting).fit(market.until(market.dates[N_FIT - 1]))
    found = forecast_rest(analyst, market, N_FIT)
    assert np.corrcoef(found.ravel(), means[N_FIT:-1].ravel())[0, 1] > 0.8
    assert np.corrcoef(found.ravel(), returns[N_FIT + 1 :].ravel())[0, 1] > 0.15
