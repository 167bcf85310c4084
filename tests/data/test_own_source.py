"""A source of one's own: named by a configuration, told its options, narrowed like every other one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

import alfred
from alfred.config import load_experiment, parse_experiment
from alfred.data import SOURCES, DataSettings, Market, Source, load_market
from alfred.errors import ConfigError, DataError
from alfred.settings import Settings
from alfred.training.audit.worlds import write_world
from tests.conftest import make_random_market


class WalkSettings(Settings):
    n_dates: int = Field(default=60, ge=2)
    seed: int = 0


class Walks(Source):
    settings_class = WalkSettings
    settings: WalkSettings

    def load(self) -> Market:
        return make_random_market(self.settings.n_dates, 4, seed=self.settings.seed)


class Wrong(Source):
    def load(self) -> Market:
        return {"close": 3}  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    SOURCES.register(Walks, "walks")
    SOURCES.register(Wrong, "wrong")
    yield
    del SOURCES["walks"], SOURCES["wrong"]


def test_a_configuration_names_it_and_tells_it_its_options() -> None:
    experiment = load_experiment(None, ["data.source=walks", "data.options.n_dates=80"])
    market = load_market(experiment.data)
    assert market.n_dates == 80
    np.testing.assert_array_equal(market.close, make_random_market(80, 4).close)
    again = parse_experiment(experiment.model_dump(mode="json"))
    assert again == experiment and again.data.options == WalkSettings(n_dates=80)
    assert load_market(DataSettings(source="walks")).n_dates == 60
    assert alfred.load_market(again.data).n_dates == 80


def test_dates_symbols_and_storage_are_narrowed() -> None:
    whole = make_random_market(60, 4)
    first, last = whole.symbols[1], whole.symbols[-1]
    raw = {
        "source": "walks",
        "symbols": [first],
        "benchmark": last,
        "start": whole.dates[5].date(),
        "end": whole.dates[50].date(),
        "dtype": "float32",
        "investable": "all",
    }
    market = load_market(DataSettings.model_validate(raw))
    assert market.symbols == (first, last) and market.benchmark == last and market.universe == market.symbols
    assert (market.dates[0], market.dates[-1]) == (whole.dates[5], whole.dates[50])
    assert market.close.dtype == np.float32
    np.testing.assert_array_equal(market.close[:, 0], whole.close[5:51, 1].astype(np.float32))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.source=walk"], r"unknown source kind 'walk'; known: embedded, files, .*Did you mean 'walks'"),
        (["data.source=walks", "data.options.n_date=3"], r"key 'data.options.n_date'; .*Did you mean 'n_dates'"),
        (["data.source=walks", "data.options.n_dates=1"], r"data.options.n_dates: it must be a whole number of"),
        (["data.source=walks", "data.path=x"], r"source 'walks' reads no path"),
        (["data.source=wrong", "data.options.a=1"], r"unknown key 'data.options.a'"),
        (["data.options.n_dates=9"], r"source 'embedded' has no options"),
        (["data.source=3"], r"data.source: it must be a text, got 3"),
    ],
)
def test_a_mistake_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_experiment(None, overrides)
    assert "\n" not in str(caught.value)


def test_what_is_no_market_is_refused() -> None:
    with pytest.raises(DataError, match="source 'wrong' must load a Market, got dict"):
        load_market(DataSettings(source="wrong"))


@pytest.mark.parametrize("kind", ["files", "embedded"])
def test_a_built_in_name_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="alfred itself has one of this name"):
        SOURCES.register(Walks, kind)


def test_the_audit_reads_tables_in_its_place(tmp_path: Path) -> None:
    experiment = load_experiment(None, ["data.source=walks"])
    market = load_market(experiment.data)
    date = market.dates[30]
    config = write_world(tmp_path, market, experiment, pd.Timestamp(date), seed=1)
    world = load_market(load_experiment(config).data)
    np.testing.assert_allclose(world.until(date).close, market.until(date).close)
    assert not np.allclose(world.close[31:], market.close[31:], equal_nan=True)
