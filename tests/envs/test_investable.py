"""What may be held: an index cannot be bought, unless someone asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alfred.agents.strategies.prices import MixSettings
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import compute_market_checksum, load_market
from alfred.envs import ActionSettings, PortfolioEnv, PortfolioSettings, PortfolioVectorEnv
from alfred.envs.actions import compute_weights
from alfred.envs.gym.episodes import prepare_tape
from alfred.errors import ConfigError, DataError
from alfred.evaluation.backtest import backtest, make_walk
from tests.conftest import make_random_market
from tests.training.small import write_market

MARKET = make_random_market(80, 4)
BENCHMARK = MARKET.index_of(MARKET.benchmark)
MODES = [ActionSettings(), ActionSettings(mode="simplex"), ActionSettings(mode="long_short", max_leverage=1.5)]


def load(folder: Path, table: str | None = None, **settings: object) -> Market:
    write_market(folder / "prices.csv", MARKET)
    if table is not None:
        (folder / "symbols.csv").write_text(table, encoding="utf-8")
    return load_market(DataSettings.model_validate({"path": folder / "prices.csv", **settings}))


def test_all_but_the_benchmark_may_be_held_when_nothing_is_said(tmp_path: Path) -> None:
    assert load(tmp_path).universe == ("S0", "S1", "S2")
    assert load(tmp_path, benchmark="S1").universe == ("S0", "S2", "SPY")


def test_the_benchmark_may_be_asked_for(tmp_path: Path) -> None:
    assert load(tmp_path, investable="all").universe == MARKET.symbols
    assert load(tmp_path, investable=["SPY", "S1"]).universe == ("S1", "SPY")  # in the order of the columns
    assert load(tmp_path, "symbol,investable\nSPY,yes\nS1,no\nS2,\n").universe == ("S0", "S2", "SPY")
    # The configuration goes before the table.
    assert load(tmp_path, "symbol,investable\nSPY,yes\n", investable=["S0"]).universe == ("S0",)


def test_what_may_be_held_is_part_of_the_data(tmp_path: Path) -> None:
    checksums = {compute_market_checksum(load(tmp_path, investable=held)) for held in (None, "all", ["S0"])}
    assert len(checksums) == 3
    assert load(tmp_path, investable=["S0", "SPY"]).select(["S0", "S1"]).universe == ("S0", "SPY")


@pytest.mark.parametrize(
    ("table", "settings", "text"),
    [
        ("symbol,investable\nSPY,maybe\n", {}, "investable of 'SPY' is 'maybe': it must be one of yes"),
        ("symbol,investable\nS0,no\nS1,no\nS2,no\n", {}, "leaves nothing that is investable"),
        (None, {"investable": ["SPX"]}, "unknown investable symbol 'SPX'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, table: str | None, settings: dict[str, object], text: str) -> None:
    with pytest.raises(DataError, match=text):
        load(tmp_path, table, **settings)


@pytest.mark.parametrize("action", MODES, ids=lambda action: action.mode)
def test_no_action_gives_weight_to_what_may_not_be_held(action: ActionSettings) -> None:
    settings = PortfolioSettings(execution="next_close", action=action)
    tape = prepare_tape(MARKET, None, settings, holdable=MARKET.universe)
    env = PortfolioVectorEnv(16, settings=settings, tape=tape)
    observation, _ = env.reset(seed=0)
    assert not observation["tradable"][:, BENCHMARK].any() and observation["tradable"][:, :BENCHMARK].all()
    rng = np.random.default_rng(0)
    for _ in range(5):
        observation, *_ = env.step(rng.uniform(-1, 1, (16, 5)).astype(np.float32))
        assert not observation["weights"][:, BENCHMARK].any()
        assert env.observation_space["holdable"].contains(observation["holdable"])
    np.testing.assert_allclose(observation["weights"].sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("action", MODES, ids=lambda action: action.mode)
def test_leaving_out_is_the_map_of_fewer_assets(action: ActionSettings) -> None:
    actions = np.random.default_rng(1).uniform(-1, 1, (6, 5))
    found = compute_weights(actions, action, np.array([1.0, 0.0, 1.0, 1.0]))
    fewer = compute_weights(np.delete(actions, 1, axis=1), action)
    np.testing.assert_allclose(np.delete(found, 1, axis=1), fewer, rtol=1e-12, atol=1e-15)
    assert not found[:, 1].any()


def test_an_environment_of_ones_own_holds_any_symbol_unless_the_market_says_otherwise(tmp_path: Path) -> None:
    assert PortfolioEnv(MARKET).tape.holdable is None
    said = load(tmp_path, investable=["S0", "S1"])
    assert PortfolioEnv(said).tape.holdable.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_the_benchmark_is_held_by_those_who_stand_for_it() -> None:
    settings = PortfolioSettings(cost_bps=0.0, slippage_bps=0.0)
    policy = MixSettings(benchmark_weight=1.0, hold=True).build(MARKET, ())
    record = backtest(policy, make_walk(MARKET, None, settings, policy))
    assert record.weights[:, BENCHMARK].min() > 0.999
    with pytest.raises(ConfigError, match="holds SPY, which is not investable"):
        MixSettings(benchmark_weight=0.6, under_mandate=True).build(MARKET, ())
