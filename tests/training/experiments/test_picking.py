"""Picks by hand: so many, the best ones, in equal parts, and no more of a sector than the cap says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from alfred.envs.settings import ConstraintSettings, PortfolioSettings, RiskSettings
from alfred.errors import ConfigError
from alfred.evaluation.backtest import Backtest
from alfred.training.experiments.picking import make_terms, pick
from alfred.training.experiments.score import find_week_ends
from alfred.training.experiments.settings import StrategySettings
from alfred.training.experiments.walk import walk_strategy
from tests.training.experiments.small import STRATEGY, forecast_once, make_plan

NONE = ("",) * 5
FREE = PortfolioSettings(cost_bps=0, slippage_bps=0)


def weights(score: list[float], top_n: int, sectors: tuple[str, ...] = NONE, cap: int | None = None) -> list[float]:
    found = np.array(score)
    return pick(np.nan_to_num(found), np.isfinite(found), sectors, top_n, cap).tolist()


def test_the_best_are_held_in_equal_parts() -> None:
    assert weights([0.1, 0.9, -0.5, 0.3, 0.2], 2) == [0, 0.5, 0, 0.5, 0]


def test_what_may_not_be_picked_is_not_and_empty_places_are_cash() -> None:
    assert weights([np.nan, 0.9, np.nan, np.nan, np.nan], 2) == [0, 0.5, 0, 0, 0]
    assert weights([np.nan] * 5, 2) == [0] * 5


def test_equal_scores_share_the_places_that_are_left() -> None:
    assert weights([1.0, 0.5, 0.5, 0.5, 0.5], 3) == [1 / 3, *[0.5 / 3] * 4]
    assert weights([0.0] * 5, 2) == pytest.approx([0.2] * 5)


def test_a_sector_takes_no_more_than_its_cap_and_the_next_best_moves_up() -> None:
    sectors = ("a", "a", "a", "b", "")
    assert weights([5, 4, 3, 2, 1], 3, sectors, 1) == pytest.approx([1 / 3, 0, 0, 1 / 3, 1 / 3])
    assert weights([5, 4, 3, 2, 1], 3, sectors, 2) == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3, 0])
    # With nothing else left the place stays empty.
    assert weights([5, 4, 3, np.nan, np.nan], 3, sectors, 1) == pytest.approx([1 / 3, 0, 0, 0, 0])


def test_a_cap_does_not_bind_symbols_without_a_sector() -> None:
    assert weights([5, 4, 3, 2, 1], 3, NONE, 1) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0])


@given(
    score=some.lists(some.integers(-3, 3), min_size=1, max_size=12),
    top_n=some.integers(1, 6),
    cap=some.none() | some.integers(1, 3),
    data=some.data(),
)
def test_picks_keep_their_limits_whatever_the_scores(score, top_n, cap, data) -> None:
    sectors = data.draw(some.lists(some.sampled_from(["a", "b", ""]), min_size=len(score), max_size=len(score)))
    eligible = np.array(data.draw(some.lists(some.booleans(), min_size=len(score), max_size=len(score))))
    values = np.array(score, dtype=float)
    found = pick(values, eligible, sectors, top_n, cap)
    assert (found[~eligible] == 0).all()
    assert (found >= 0).all()
    assert (found <= 1 / top_n + 1e-12).all()
    assert found.sum() <= 1 + 1e-12
    if cap is None:
        assert found.sum() == pytest.approx(min(1.0, eligible.sum() / top_n))
    for sector in ("a", "b"):
        inside = np.array([name == sector for name in sectors])
        assert found[inside].sum() <= (top_n if cap is None else cap) / top_n + 1e-12
    # No place goes to a lower score while a higher one of the same sector has none.
    for sector in ("a", "b", ""):
        inside = np.array([name == sector for name in sectors]) & eligible
        for one in np.flatnonzero(inside):
            for other in np.flatnonzero(inside):
                assert not (values[one] > values[other] and found[one] < found[other] - 1e-12)


def walk(**changes: object) -> Backtest:
    strategy = STRATEGY.model_copy(update=changes)
    plan = make_plan()
    return walk_strategy("picks", strategy, plan, FREE, None if strategy.score == "momentum" else forecast_once())


def test_a_book_holds_the_top_n_and_trades_on_the_first_session_of_a_week_alone() -> None:
    record, market = walk(), make_plan().market
    held = (record.weights[:, :-1] > 0).sum(axis=1)
    assert set(held) == {3}
    traded = record.turnover > 1e-9
    # These closes are traded a session after the decision, at the close of the first session of the week.
    firsts = find_week_ends(market.dates)[market.dates.get_indexer(record.dates) - 1]
    assert traded.any()
    assert not (traded & ~firsts).any()


def test_momentum_is_a_plain_ranking_of_past_returns() -> None:
    plan = make_plan()
    record = walk(score="momentum", momentum="126")
    market = plan.market
    universe = [market.index_of(symbol) for symbol in market.universe]
    week_ends = np.flatnonzero(find_week_ends(market.dates))
    checked = 0
    for row in week_ends[week_ends >= plan.first_row][:-1]:
        past = market.close[row, universe] / market.close[row - 126, universe] - 1
        best = {universe[place] for place in np.argsort(-past)[:3]}
        place = record.dates.get_loc(market.dates[row + 1])
        assert set(np.flatnonzero(record.weights[place, :-1] > 0)) == best
        checked += 1
    assert checked > 40


def test_the_filter_leaves_out_what_fell() -> None:
    plan = make_plan()
    record = walk(momentum_filter="126", top_n=6)
    market = plan.market
    fell_somewhere = False
    for row in np.flatnonzero(find_week_ends(market.dates)):
        if row < plan.first_row or market.dates[row + 1] not in record.dates:
            continue
        past = market.close[row] / market.close[row - 126] - 1
        place = record.dates.get_loc(market.dates[row + 1])
        held = record.weights[place, :-1] > 0
        assert (past[held] > 0).all()
        fell_somewhere |= bool((past < 0).any())
    assert fell_somewhere


def test_the_cap_holds_in_the_book() -> None:
    plan = make_plan()
    universe = plan.market.universe
    sectors = {symbol: "even" if number % 2 else "odd" for number, symbol in enumerate(universe)}
    market = replace(plan.market, sectors=sectors)
    strategy = STRATEGY.model_copy(update={"top_n": 4, "sector_cap": 2})
    capped = walk_strategy("picks", strategy, replace(plan, market=market), FREE, forecast_once())
    free = walk_strategy(
        "picks", strategy.model_copy(update={"sector_cap": None}), replace(plan, market=market), FREE, forecast_once()
    )
    even = [market.index_of(symbol) for symbol in universe if sectors[symbol] == "even"]
    assert ((capped.weights[:, even] > 0).sum(axis=1) == 2).all()
    assert ((free.weights[:, even] > 0).sum(axis=1) != 2).any()


def test_the_stop_and_the_breaker_of_an_experiment_reach_the_ledger() -> None:
    plain, stopped = walk(), walk(stop_loss_pct=2.0)
    assert stopped.weights[:, -1].mean() > plain.weights[:, -1].mean() + 0.01
    broken = walk(breaker_drawdown_pct=3.0)
    assert (broken.weights[:, -1] == 1.0).sum() >= 20


def test_risk_rules_of_the_configuration_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"env\.risk is set"):
        make_terms(StrategySettings(), PortfolioSettings(risk=RiskSettings(breaker_drawdown_pct=10)))
    kept = make_terms(StrategySettings(), PortfolioSettings(constraints=ConstraintSettings(max_weight=0.2)))
    assert kept.constraints.max_weight == 0.2
