import numpy as np
import pytest
from scipy import stats

from alfred.analysts.aggregation import aggregate_samples
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast, list_signals
from alfred.analysts.settings import AGGREGATIONS, NaiveSettings
from alfred.errors import ConfigError, DataError


def test_a_normal_forecast_is_answered_in_closed_form() -> None:
    mean, scale = np.array([[0.01, -0.02], [0.0, 0.05]]), np.array([[0.02, 0.03], [0.01, 0.01]])
    forecast = Forecast.from_gaussian(mean, scale, (1, 5))
    np.testing.assert_allclose(forecast.dispersion(), scale, rtol=1e-12)
    np.testing.assert_allclose(forecast.probability_up(), stats.norm.cdf(mean / scale), rtol=1e-9, atol=1e-12)
    tail = mean - scale * stats.norm.pdf(stats.norm.ppf(0.05)) / 0.05
    np.testing.assert_allclose(forecast.cvar_5(), tail, rtol=1e-12)


def test_samples_give_their_own_quantiles() -> None:
    samples = np.random.default_rng(0).normal(0.01, 0.02, (3, 4000, 2))
    forecast = Forecast.from_samples(samples, (1, 5))
    np.testing.assert_allclose(forecast.mean, samples.mean(axis=1))
    np.testing.assert_allclose(forecast.quantiles[1, 1], np.quantile(samples[1, :, 1], DEFAULT_LEVELS))
    np.testing.assert_allclose(forecast.probability_up(), (samples > 0).mean(axis=1), atol=0.02)


def test_a_certain_forecast_has_certain_probabilities() -> None:
    forecast = Forecast.from_gaussian(np.array([[0.01], [-0.01], [0.0]]), np.zeros((3, 1)), (1,))
    np.testing.assert_array_equal(forecast.probability_up()[:, 0], [1.0, 0.0, 0.5])


def test_signals_and_their_names_agree() -> None:
    forecast = Forecast.from_gaussian(np.array([[0.01, 0.03]]), np.array([[0.02, 0.04]]), (1, 20))
    names, horizons = list_signals(NaiveSettings(name="x", horizons=(1, 20)))
    signals = dict(zip(names, forecast.to_signals()[0], strict=True))
    assert horizons == (1, 1, 1, 1, 20, 20, 20, 20)
    assert signals["x.expected_return_20"] == pytest.approx(0.03)
    assert signals["x.dispersion_1"] == pytest.approx(0.02)
    assert signals["x.probability_up_1"] == pytest.approx(stats.norm.cdf(0.5) - 0.5, rel=1e-5)


def test_nonsense_is_refused() -> None:
    mean = np.zeros((1, 1))
    with pytest.raises(DataError, match="quantiles decrease"):
        Forecast((1,), (0.1, 0.9), mean, np.array([[[1.0, 0.0]]]))
    with pytest.raises(DataError, match="must ascend"):
        Forecast((1,), (0.9, 0.1), mean, np.array([[[0.0, 1.0]]]))
    with pytest.raises(DataError, match="forecast disagrees"):
        Forecast((1, 2), (0.1, 0.9), mean, np.array([[[0.0, 1.0]]]))


@pytest.mark.parametrize("method", AGGREGATIONS)
def test_aggregations_equal_a_plain_sort(method) -> None:
    samples = np.random.default_rng(1).standard_t(2, (5, 40, 3))
    ordered = np.sort(samples, axis=1)
    cut = 0 if method in ("mean", "median") else int(40 * int(method.split("_")[1]) / 100)
    kept = ordered[:, cut : 40 - cut]
    expected = ordered[:, 19:21].mean(axis=1) if method == "median" else kept.mean(axis=1)
    np.testing.assert_allclose(aggregate_samples(samples, method), expected)


def test_unknown_aggregation() -> None:
    with pytest.raises(ConfigError, match="unknown aggregation 'mode'"):
        aggregate_samples(np.zeros((1, 2, 1)), "mode")
