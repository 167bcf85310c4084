"""The embedding as signals: principal components of what was trained on, and nothing of what came later."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from alfred.analysts.checks import check_analyst
from alfred.analysts.extractors.analyst import ExtractorAnalyst
from alfred.analysts.extractors.settings import ExtractorSettings
from alfred.config import ForecastSettings
from alfred.data.contexts import iterate_contexts
from alfred.data.perturbation import scramble_after
from alfred.errors import ConfigError
from alfred.learning.settings import FittingSettings
from alfred.training.forecasting import forecast_walk_forward
from tests.conftest import make_random_market

MARKET = make_random_market(320, 4)
BRIEF = FittingSettings(steps=20, batch_size=64, validate_every=10)
SETTINGS = ExtractorSettings(
    parts=("mlp",), context_length=9, horizons=(1, 5), signals="both", components=3, fitting=BRIEF
)
SCHEDULE = ForecastSettings(min_train_days=200, refit_every_days=60, cache=None)


def test_they_are_those_of_scikit_learn() -> None:
    analyst = ExtractorAnalyst(SETTINGS).fit(MARKET)
    rows = np.arange(8, MARKET.n_dates - 5)
    inside = [part for _, _, part in iterate_contexts(MARKET, rows, length=9)]
    embedded = np.concatenate([analyst.embed(part) for part in inside])
    # The purged examples between training and validation were not seen; that is why this is near and not equal.
    expected = PCA(3, whiten=True).fit(embedded).transform(embedded)
    found = np.concatenate([analyst.reduce(part) for part in inside])
    for column in range(3):
        assert abs(np.corrcoef(found[:, column], expected[:, column])[0, 1]) > 0.99
        assert found[:, column].std() == pytest.approx(1, rel=0.05)
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.1


def test_axes_by_hand_and_their_sign() -> None:
    network = ExtractorAnalyst(SETTINGS)._build()
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(4000, network.n_features, generator=generator, dtype=torch.float64)
    spreads = torch.full((network.n_features,), 0.1, dtype=torch.float64)
    spreads[:3] = torch.tensor([3.0, 2.0, 1.0])
    network.set_axes(latent * spreads + 5)
    for column, spread in enumerate((3.0, 2.0, 1.0)):
        axis = network.axes[:, column]
        assert float(axis[column]) == pytest.approx(1 / spread, rel=0.05)  # positive, and to unit variance
        assert float(axis.abs().sum() - axis[column].abs()) < 0.3
    assert network.centre.mean() == pytest.approx(5, abs=0.05)


def test_the_contract_holds_and_they_survive_saving(tmp_path) -> None:
    check_analyst(lambda: ExtractorAnalyst(SETTINGS), MARKET)
    analyst = ExtractorAnalyst(SETTINGS).fit(MARKET)
    analyst.save_pretrained(tmp_path)
    _, _, windows = next(iterate_contexts(MARKET, np.array([250, 300]), length=9))
    whole = analyst.reduce(windows)
    np.testing.assert_array_equal(ExtractorAnalyst.from_pretrained(tmp_path).reduce(windows), whole)
    _, _, alone = next(iterate_contexts(MARKET, np.array([300]), length=9))
    np.testing.assert_allclose(analyst.reduce(alone), whole[-len(alone) :], rtol=1e-4, atol=1e-5)


def test_signals_hold_them_and_know_no_future() -> None:
    signals = forecast_walk_forward(MARKET, SETTINGS, SCHEDULE)
    names = [f"extractor.component{number}_1" for number in (1, 2, 3)]
    assert signals.names[-3:] == tuple(names) and len(signals.names) == 11
    only = forecast_walk_forward(MARKET, SETTINGS.model_copy(update={"signals": "embedding"}), SCHEDULE)
    assert only.names == tuple(names)
    np.testing.assert_array_equal(only.values, signals.values[:, :, -3:])
    assert np.isfinite(only.values).all()
    date = MARKET.dates[230]
    other = forecast_walk_forward(scramble_after(MARKET, date, 1), SETTINGS, SCHEDULE)
    known = signals.dates <= date
    np.testing.assert_array_equal(other.values[known], signals.values[known])
    assert (other.values[~known] != signals.values[~known]).any()


def test_the_cache_keeps_them(tmp_path) -> None:
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path})
    first = forecast_walk_forward(MARKET, SETTINGS, schedule)
    pieces = sorted(tmp_path.glob("*/*-components.npy"))
    assert pieces
    np.testing.assert_array_equal(forecast_walk_forward(MARKET, SETTINGS, schedule).values, first.values)
    pieces[0].unlink()  # made again
    np.testing.assert_array_equal(forecast_walk_forward(MARKET, SETTINGS, schedule).values, first.values)
    assert pieces[0].exists()


def test_more_than_there_are_is_refused_and_rounding_is_no_component() -> None:
    for asked in (16, 99):
        with pytest.raises(ConfigError, match=f"components is {asked}, but these parts make 16 features"):
            ExtractorAnalyst(SETTINGS.model_copy(update={"components": asked})).fit(MARKET)
    network = ExtractorAnalyst(SETTINGS)._build()
    flat = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) @ torch.eye(2, network.n_features)
    assert network.set_axes(flat) == 2
    assert float(network.axes[:, 2].abs().max()) == 0
