"""A strategy is judged as it was made: what may be held, and the signals, actions and assets of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

import alfred
from alfred.agents.base import EnsemblePolicy, NetworkPolicy, TrainingTask
from alfred.agents.direct import DirectAgent
from alfred.agents.settings import DirectSettings
from alfred.data.signals import Signals
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.settings import PortfolioSettings
from alfred.errors import ConfigError, DataError
from tests.conftest import make_random_market

MARKET = make_random_market(160, 4)
CLOSES = pd.DataFrame(MARKET.close, index=MARKET.dates, columns=list(MARKET.symbols))
SETTINGS = PortfolioSettings()
SMALL = DirectSettings(total_steps=64, n_portfolios=8, episode_length=16, hidden=(4,), validate_every=64)


def make_signals(*names: str) -> Signals:
    moves = CLOSES.pct_change()
    return alfred.make_signals({name: moves.shift(lag) for lag, name in enumerate(names)}, MARKET)


AB, BA = make_signals("a", "b"), make_signals("b", "a")


def put_into(symbol: str) -> pd.DataFrame:
    return pd.DataFrame({symbol: 0.5}, index=MARKET.dates[:1])


def test_what_is_not_investable_is_refused_where_somebody_holds_it() -> None:
    place = MARKET.symbols.index("SPY")
    for strategy in (put_into("SPY"), lambda seen: np.eye(5)[place]):
        with pytest.raises(DataError, match=r"holds (0.5|1) of SPY on 2010-01-0\d, which is not investable"):
            alfred.backtest(strategy, MARKET)
    assert alfred.backtest(put_into("S0"), MARKET).weights["SPY"].max() == 0.0
    for investable in ("all", ["SPY", "S0"]):
        market = alfred.load_market(CLOSES, investable=investable)
        assert alfred.backtest(put_into("SPY"), market).weights["SPY"].iloc[0] == pytest.approx(0.5)
    with pytest.raises(DataError, match=r"S1 on .* which is not investable"):
        alfred.backtest(put_into("S1"), alfred.load_market(CLOSES, investable=["SPY", "S0"]))


def train(folder: Path, **changes: Any) -> NetworkPolicy:
    """Return what a short training of the direct agent ends with, saved and loaded."""
    tape = prepare_tape(MARKET, AB, SETTINGS, holdable=MARKET.universe)
    task = TrainingTask(tape, SETTINGS, 0, folder, lambda _policy, steps: float(steps), lambda _done: None)
    DirectAgent(SMALL.model_copy(update=changes)).train(task).save(folder / "saved")
    return NetworkPolicy.load(folder / "saved")


def test_a_policy_of_alfred_knows_its_signals_and_actions(tmp_path: Path) -> None:
    policy = train(tmp_path)
    expected = alfred.backtest(policy, MARKET, AB).weights
    pd.testing.assert_frame_equal(alfred.backtest(EnsemblePolicy([policy], "two"), MARKET, AB).weights, expected)
    three = make_signals("a", "b", "c")
    for signals, told in (
        (BA, r"2 \(own.b_1, own.a_1\) here"),
        (three, r"3 \(own.a_1.* here"),
        (None, r"0 \(none\) here"),
    ):
        with pytest.raises(ConfigError, match=rf"other signals: 2 \(own.a_1, own.b_1\) there, {told}"):
            alfred.backtest(policy, MARKET, signals)
        with pytest.raises(ConfigError, match="other signals"):
            alfred.backtest(EnsemblePolicy([policy], "two"), MARKET, signals)
    for action in ({"mode": "long_short"}, {"logit_scale": 3.0}):
        with pytest.raises(ConfigError, match=r"trained with the actions \w+=.*, and here they are \w+="):
            alfred.backtest(policy, MARKET, AB, settings={"action": action})
    # Costs and constraints are no part of what its numbers mean.
    assert len(alfred.backtest(policy, MARKET, AB, settings={"cost_bps": 50.0}).returns)


def test_assets_in_another_order_matter_to_a_flat_network_only(tmp_path: Path) -> None:
    order = [*MARKET.symbols[1:], MARKET.symbols[0]]
    turned = MARKET.select(order)
    signals = alfred.make_signals({name: CLOSES.pct_change().shift(lag) for lag, name in enumerate("ab")}, turned)
    alfred.backtest(train(tmp_path / "shared"), turned, signals)
    flat = train(tmp_path / "flat", network="flat")
    alfred.backtest(flat, MARKET, AB)
    with pytest.raises(
        ConfigError, match="has a flat network, which is bound to its assets in their order, S0, S1, S2"
    ):
        alfred.backtest(flat, turned, signals)


def test_a_policy_saved_by_an_earlier_version_is_compared_by_numbers(tmp_path: Path) -> None:
    train(tmp_path)
    path = tmp_path / "saved" / "policy.json"
    text = path.read_text(encoding="utf-8")
    start = text.index(',\n  "trained_on"')
    path.write_text(text[:start] + "\n}", encoding="utf-8")
    policy = NetworkPolicy.load(tmp_path / "saved")
    assert policy.trained_on is None
    alfred.backtest(policy, MARKET, BA)  # nothing says that these are others
    with pytest.raises(ConfigError, match=r"other signals: 2 there, 0 \(none\) here"):
        alfred.backtest(policy, MARKET)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_model_of_stable_baselines3_is_asked_as_far_as_it_knows(wrapped: bool, tmp_path: Path) -> None:
    env: Any = alfred.make_env(MARKET, AB, settings=SETTINGS)
    model = PPO("MultiInputPolicy", DummyVecEnv([lambda: env]) if wrapped else env, n_steps=8, batch_size=8, seed=0)
    alfred.backtest(model, MARKET, AB)
    with pytest.raises(ConfigError, match="trained with the signals"):
        alfred.backtest(model, MARKET, BA)
    with pytest.raises(ConfigError, match="trained with the actions"):
        alfred.backtest(model, MARKET, AB, settings={"action": {"logit_scale": 1.0}})
    turned = MARKET.select([*MARKET.symbols[1:], MARKET.symbols[0]])
    signals = alfred.make_signals({name: CLOSES.pct_change().shift(lag) for lag, name in enumerate("ab")}, turned)
    with pytest.raises(ConfigError, match="trained with the symbols"):
        alfred.backtest(model, turned, signals)
    # Loaded without its environment it has shapes alone.
    model.save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip")
    alfred.backtest(loaded, MARKET, BA)
    fewer = MARKET.select(MARKET.symbols[:2])
    moves = {name: CLOSES[list(fewer.symbols)].pct_change() for name in "ab"}
    with pytest.raises(ConfigError, match="trained on observations"):
        alfred.backtest(loaded, fewer, alfred.make_signals(moves, fewer))


def test_actions_of_another_shape_are_refused() -> None:
    env = alfred.make_env(MARKET, AB, settings=SETTINGS)
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, seed=0)
    model.action_space = type(env.action_space)(-1.0, 1.0, (3,), np.float32)
    with pytest.raises(ConfigError, match=r"actions of shape \(3,\), and here they are \(5,\)"):
        alfred.backtest(model, MARKET, AB)
