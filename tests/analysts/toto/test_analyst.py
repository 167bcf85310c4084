"""The analyst: contract, checkpoints, training, resuming, adapters, tables."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.analysts.aggregation import aggregate_samples
from alfred.analysts.baseline import compare_with_naive
from alfred.analysts.checks import check_analyst, take_windows
from alfred.analysts.toto import training
from alfred.analysts.toto.analyst import TotoAnalyst
from alfred.analysts.toto.settings import TotoSettings, TotoSize
from alfred.analysts.toto.windows import split_windows
from alfred.data.contexts import make_contexts
from alfred.data.market import Market
from alfred.errors import CheckpointError, ConfigError, NotFittedError
from alfred.learning.settings import FittingSettings
from alfred.learning.watch import watch_training
from tests.analysts.toto.parity import OWN
from tests.conftest import make_random_market

MARKET = make_random_market(500, 3)
QUICK = FittingSettings(steps=12, batch_size=16, validate_every=6, schedule="warmup_stable_decay")
BASE = {"fitting": QUICK, "context_length": 64, "size": TotoSize(patch_size=16, width=16, hidden=24)}
RELEASED = {"1.0": str(OWN / "toto1"), "2.0": str(OWN / "toto2")}  # tiny, with patches of 8


def make_swings() -> Market:
    """Prices that swing with a period of 16 sessions: eight ahead lies the other end of the swing."""
    swing = 0.1 * np.sin(2 * np.pi * np.arange(600)[:, None] / 16 + np.array([0.0, 1.0, 2.0]))
    noise = np.random.default_rng(0).normal(0, 0.003, swing.shape)
    dates = pd.bdate_range("2015-01-01", periods=600)
    return Market.from_arrays(dates, ["A", "B", "SPY"], 50 * np.exp(swing + noise), benchmark="SPY")


SWINGS = make_swings()


def make(**changes) -> TotoAnalyst:
    return TotoAnalyst(TotoSettings.model_validate({**BASE, "horizons": (1, 5), **changes}))


def windows(analyst, n=6):
    rows = np.arange(400, 400 + n)
    return make_contexts(MARKET, rows, np.arange(n) % 3, length=analyst.context_length)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1.0"},
        {"version": "1.0", "samples": 16, "horizons": (1, 20), "aggregation": "trimmed_20"},
        {"version": "1.0", "input_scaling": "standardised", "aggregation": "median"},
        {"version": "2.0", "horizons": (1, 20)},
        {"version": "1.0", "checkpoint": RELEASED["1.0"]},
        {"version": "2.0", "checkpoint": RELEASED["2.0"], "fine_tune": "full"},
    ],
    ids=str,
)
def test_contract(changes) -> None:
    check_analyst(lambda: make(**changes), MARKET)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_learns_a_market_that_swings(version) -> None:
    fitting = FittingSettings(steps=150, batch_size=64, learning_rate=5e-3, validate_every=50)
    analyst = make(version=version, horizons=(8,), fitting=fitting).fit(SWINGS.until(SWINGS.dates[480]))
    comparison = compare_with_naive(analyst, SWINGS, 8, since=SWINGS.dates[481])
    assert comparison.n_better == 3
    assert comparison.improvement_pct > 50


def test_every_fit_is_set_beside_persistence(caplog) -> None:
    with caplog.at_level(logging.INFO):
        analyst = make().fit(MARKET)
    assert analyst.comparison_.horizon == 5
    assert set(analyst.comparison_.table.index) == set(MARKET.symbols)
    assert "of naive persistence" in caplog.text


@pytest.mark.parametrize("fine_tune", ["full", "lora"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_fine_tuning_starts_from_the_checkpoint(version, fine_tune) -> None:
    options = {"version": version, "checkpoint": RELEASED[version]}
    released = make(**options).fit(MARKET)
    tuned = make(**options, fine_tune=fine_tune).fit(MARKET)
    first, second = released.network_.state_dict(), tuned.network_.state_dict()
    assert list(first) == list(second)  # adapters are merged away
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    in_layers = {name for name in first if "layers" in name and name.endswith("weight") and "norm" not in name}
    # The last layer attends across variates; of one variate it reads the values alone: queries and keys rest.
    in_layers -= {name for name in in_layers if "layers.3" in name and ("query" in name or "key" in name)}
    assert in_layers <= changed
    if fine_tune == "lora":
        assert changed == in_layers
    assert tuned.report_.steps == 12
    assert all(part.requires_grad for part in tuned.network_.parameters())


def test_adapters_learn() -> None:
    options = {"version": "1.0", "checkpoint": RELEASED["1.0"], "fine_tune": "lora", "lora_rank": 4, "lora_alpha": 8}
    fitting = FittingSettings(steps=60, batch_size=32, learning_rate=1e-2, validate_every=20)
    report = make(**options, fitting=fitting).fit(SWINGS).report_
    assert report.best_loss < report.validations[0][1] - 0.05 * abs(report.validations[0][1])


@pytest.mark.parametrize("loss", ["mixture", "huber", "mse", "heteroscedastic", "quantile"])
def test_every_loss_trains(loss) -> None:
    version = "2.0" if loss == "quantile" else "1.0"
    fitting = FittingSettings(steps=60, batch_size=32, learning_rate=5e-3, validate_every=20)
    report = make(version=version, loss=loss, fitting=fitting).fit(SWINGS).report_
    assert report.best_loss < report.validations[0][1] - 0.05 * abs(report.validations[0][1])


class KilledError(Exception):
    pass


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_resumed_training_equals_uninterrupted(version, tmp_path, monkeypatch) -> None:
    fitting = QUICK.model_copy(update={"checkpoint_every": 4})
    whole = make(version=version, fitting=fitting).fit(MARKET)
    calls = 0

    def die_in_the_middle(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KilledError
        return original(*arguments, **options)

    original = training.compute_loss
    with monkeypatch.context() as patch, pytest.raises(KilledError), watch_training(curves=None, checkpoints=tmp_path):
        patch.setattr(training, "compute_loss", die_in_the_middle)
        make(version=version, fitting=fitting).fit(MARKET)
    with watch_training(curves=None, checkpoints=tmp_path):
        resumed = make(version=version, fitting=fitting).fit(MARKET)
    assert resumed.report_ == whole.report_
    for first, second in zip(whole.network_.parameters(), resumed.network_.parameters(), strict=True):
        assert torch.equal(first, second)


def test_resumed_adapters_equal_uninterrupted(tmp_path) -> None:
    settings = TotoSettings.model_validate(
        {**BASE, "version": "1.0", "checkpoint": RELEASED["1.0"], "fine_tune": "lora"}
    )
    halves = split_windows(MARKET, context=64, patch_size=8, input_scaling="log_price", validation_fraction=0.2)
    networks = []
    for _ in range(2):
        # A second run finds the finished checkpoint, takes no step and must end with the same merged weights.
        networks.append(TotoAnalyst(settings)._load_checkpoint())
        with watch_training(curves=None, checkpoints=tmp_path):
            training.train_network(networks[-1], settings, *halves)
    first, second = networks
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_released_model_carries_its_cutoff_and_is_not_copied(tmp_path: Path) -> None:
    analyst = make(version="2.0", checkpoint=RELEASED["2.0"])
    assert analyst.knowledge_cutoff == pd.Timestamp("2026-05-31")
    assert make(version="1.0").knowledge_cutoff is None
    assert make(version="1.0", checkpoint=RELEASED["1.0"]).knowledge_cutoff == pd.Timestamp("2025-05-31")
    mine = make(version="2.0", checkpoint=RELEASED["2.0"], knowledge_cutoff="2019-06-28")
    mine.fit(MARKET).save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["settings.json"]
    restored = TotoAnalyst.from_pretrained(tmp_path)
    assert restored.knowledge_cutoff == pd.Timestamp("2019-06-28")
    assert np.array_equal(restored.predict(windows(mine)).quantiles, mine.predict(windows(mine)).quantiles)


def test_paths_of_a_window_do_not_depend_on_its_batch() -> None:
    analyst = make(version="1.0", samples=32, horizons=(1, 40)).fit(MARKET)
    batch = windows(analyst, 6)
    whole, alone = analyst.predict(batch), analyst.predict(take_windows(batch, slice(4, 5)))
    np.testing.assert_allclose(whole.quantiles[4:5], alone.quantiles, rtol=1e-5, atol=1e-7)
    other_seed = TotoAnalyst(analyst.settings.model_copy(update={"seed": 1}))
    other_seed._use(analyst.network_)
    assert not np.allclose(other_seed.predict(batch).quantiles, whole.quantiles)


def test_expected_return_is_what_the_aggregation_says() -> None:
    analyst = make(version="2.0").fit(MARKET)
    batch = windows(analyst)
    deciles = analyst.predict(batch).quantiles
    for method in ("mean", "median", "trimmed_20"):
        other = TotoAnalyst(analyst.settings.model_copy(update={"aggregation": method}))
        other._use(analyst.network_)
        np.testing.assert_allclose(other.predict(batch).mean, aggregate_samples(deciles, method, axis=2), rtol=1e-12)


def test_a_table_of_past_forecasts() -> None:
    analyst = make(version="1.0", horizons=(1, 16)).fit(MARKET.until(MARKET.dates[300]))
    rows, columns, forecast = analyst.predict_history(MARKET, longest=64)
    assert len(rows) == 3 * (500 - 63)
    assert np.isfinite(forecast.quantiles).all()
    # With longest = context_length = 64 row 63 has a context of exactly 64, and so is a forecast of `predict`.
    place = np.flatnonzero((rows == 63) & (columns == 1))
    single = analyst.predict(make_contexts(MARKET, np.array([63]), np.array([1]), length=64))
    np.testing.assert_allclose(forecast.quantiles[place], single.quantiles, rtol=1e-3, atol=1e-6)
    with pytest.raises(ConfigError, match="needs input_scaling 'log_price', not 'standardised'"):
        other = make(input_scaling="standardised")
        other._use(analyst.network_)
        other.predict_history(MARKET)


def test_errors_of_the_analyst() -> None:
    with pytest.raises(NotFittedError, match="'toto' is not fitted"):
        make().predict(windows(make()))
    with pytest.raises(ConfigError, match="horizon 20 lies beyond the patch of 16 sessions: set samples"):
        make(horizons=(1, 20)).fit(MARKET)
    with pytest.raises(ConfigError, match="context_length 8 must be at least one patch of 16"):
        make(context_length=8).fit(MARKET)
    with pytest.raises(ConfigError, match=r"context 490 \+ prediction 16 must be below the 500 sessions"):
        make(context_length=490).fit(MARKET)
    with pytest.raises(ConfigError, match=r"no commit is pinned for it; known: Datadog/Toto-Open-Base-1\.0"):
        make(checkpoint="Datadog/Toto-3.0").fit(MARKET)
    with pytest.raises(CheckpointError, match=r"is a Toto 2\.0, but the settings say version '1\.0'"):
        make(version="1.0", checkpoint=RELEASED["2.0"]).fit(MARKET)
