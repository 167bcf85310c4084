"""An index is what it was: who belonged when decides what is held, forecast and learnt from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.agents.strategies.registry import make_baselines
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.point_in_time.members import MEMBER, find_members, join_members
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.data.universe import pick_uncorrelated
from alfred.envs import ActionSettings, PortfolioSettings, PortfolioVectorEnv
from alfred.envs.differentiable.simulator import DifferentiableSimulator
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.policy import BaselinePolicy
from alfred.errors import DataError
from alfred.evaluation.backtest import backtest, make_walk
from alfred.typing import Float, Observation
from tests.conftest import make_random_market
from tests.training.small import write_market

BARE = make_random_market(120, 4)
JOINED, LEFT, BACK = 40, 80, 100


def write(folder: Path, text: str = "") -> Path:
    """S0 always belongs, S1 from row 40 on, S2 to row 79 and again from row 100 on."""
    day = [str(date.date()) for date in BARE.dates]
    path = folder / "members.csv"
    path.write_text(
        text or f"symbol,from,to\nS0,,\nS1,{day[JOINED]},\nS2,,{day[LEFT - 1]}\nS2,{day[BACK]},\nGONE,,\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return join_members(BARE, write(tmp_path))


def list_expected() -> np.ndarray:
    rows = np.arange(BARE.n_dates)
    ones = np.ones(len(rows), dtype=bool)
    return np.column_stack([ones, rows >= JOINED, (rows < LEFT) | (rows >= BACK), ones])


def test_membership_by_day(market: Market) -> None:
    np.testing.assert_array_equal(find_members(market), list_expected())
    assert find_members(BARE).all()
    # A cut knows what it knew: a membership that ends later is one today.
    np.testing.assert_array_equal(find_members(market.until(BARE.dates[60])), list_expected()[:61])
    np.testing.assert_array_equal(find_members(market.select(["S2"])), list_expected()[:, [2, 3]])
    scramble_after(market, BARE.dates[60], seed=0).validate()


def test_a_file_beside_the_prices_is_found_and_is_no_price_table(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    write_market(prices / "prices.csv", BARE)
    assert MEMBER not in load_market(DataSettings(path=prices)).extras
    write(prices)
    np.testing.assert_array_equal(find_members(load_market(DataSettings(path=prices))), list_expected())
    other = write(tmp_path, "symbol,from,to\nS1,,\n")
    assert find_members(load_market(DataSettings(path=prices, members=other)))[0].tolist() == [False, True, False, True]


def test_an_earlier_listing_goes_by_its_ticker(tmp_path: Path) -> None:
    renamed = replace(BARE, symbols=("S1.1", "S1", "S2", "SPY"))
    found = find_members(join_members(renamed, write(tmp_path)))
    np.testing.assert_array_equal(found, list_expected()[:, [1, 1, 2, 3]])


def test_only_members_are_forecast_and_learnt_from(market: Market) -> None:
    rows = np.arange(20, 120)
    asked = [(row, column) for row, column, _ in iterate_contexts(market, rows, length=10)]
    found = np.zeros(market.close.shape, dtype=bool)
    found[np.concatenate([row for row, _ in asked]), np.concatenate([column for _, column in asked])] = True
    np.testing.assert_array_equal(found[20:], list_expected()[20:])
    # The history of what joins is there on its first day.
    (_, _, first), *_ = iterate_contexts(market, np.array([JOINED]), length=10)
    assert np.isfinite(first.values).all()


def test_baselines_hold_what_belonged(market: Market) -> None:
    policies = make_baselines((), market, ())
    policy = policies[1]
    policy.rebalance_every = 1
    settings = PortfolioSettings(execution="next_close", cost_bps=0, slippage_bps=0)
    record = backtest(policy, make_walk(market, None, settings, policy, start=BARE.dates[10]))
    # What is decided at the close t is held from the execution at t + 1 on.
    expected = list_expected()[10:-2, :3]
    np.testing.assert_allclose(record.weights[:-1, :3] > 0, expected, atol=0)
    shares = expected / expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(record.weights[:-1, :3], shares, atol=1e-9)


class All(BaselinePolicy):
    name = "all"
    under_mandate = True

    def predict(self, observation: Observation) -> Float:
        weights = np.zeros(observation["weights"].shape)
        weights[:, 1] = 1.0
        return weights


def test_what_does_not_belong_is_refused_with_its_date(market: Market) -> None:
    policy = All()
    settings = PortfolioSettings()
    record = backtest(policy, make_walk(market, None, settings, policy, start=BARE.dates[JOINED]))
    assert record.weights[5, 1] == pytest.approx(1.0)
    with pytest.raises(DataError, match=f"'all' holds 1 of S1 on .*{BARE.dates[31].date()}"):
        backtest(policy, make_walk(market, None, settings, policy, start=BARE.dates[30]))


@pytest.mark.parametrize("mode", ["softmax", "simplex", "long_short"])
def test_no_action_buys_what_does_not_belong_and_what_leaves_is_sold(market: Market, mode: str) -> None:
    settings = PortfolioSettings.model_validate(
        {"execution": "next_close", "action": {"mode": mode}, "cost_bps": 0, "slippage_bps": 0}
    )
    tape = prepare_tape(market, None, settings, holdable=market.universe)
    env = PortfolioVectorEnv(4, settings=settings, tape=tape)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    expected = list_expected()
    for row in range(100):
        observation, *_ = env.step(rng.uniform(-1, 1, (4, 5)).astype(np.float32))
        # Held after the execution of the decision at `row`.
        assert not observation["weights"][:, :3][:, ~expected[row, :3]].any()
        np.testing.assert_array_equal(observation["tradable"][0, :3] > 0, expected[row + 1, :3])
        np.testing.assert_array_equal(observation["holdable"][0, :3] > 0, expected[row + 1, :3])


def test_the_ledger_in_torch_masks_alike(market: Market) -> None:
    settings = PortfolioSettings(execution="next_close", action=ActionSettings())
    tape = prepare_tape(market, None, settings, holdable=market.universe)
    twin = DifferentiableSimulator(tape, settings)
    bars = torch.tensor([0, JOINED, LEFT, BACK])
    found = twin.find_holdable(bars)
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), tape.find_holdable(bars.numpy()))
    assert found[:, :3].tolist() == [[1, 0, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1]]


def test_the_scanner_picks_members_only(market: Market) -> None:
    known = market.until(BARE.dates[LEFT])
    assert {pick.symbol for pick in pick_uncorrelated(known, "S0", 2, min_history_days=20)} == {"S0", "S1"}
    with pytest.raises(DataError, match="only 2 of 3"):
        pick_uncorrelated(known, "S0", 3, min_history_days=20)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("symbol,from,to\nS0,soon,\n", "'soon' in row 1 of column 'from'"),
        ("symbol,from,to\nS0,2011-01-01,2010-01-01\n", "'S0' is a member from 2011-01-01 to 2010-01-01"),
        ("symbol,from,to\nX,,\n", r"none of its symbols \(X, ...\) is in the market"),
        ("symbol,from\nS0,\n", "to"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        join_members(BARE, write(tmp_path, text))
