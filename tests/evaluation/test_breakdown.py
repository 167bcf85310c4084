"""Where a gain came from, against plain recomputations: the parts add up, and other terms are what a new walk says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.evaluation.breakdown.book import Book, lay_out, open_book
from alfred.evaluation.breakdown.breakdown import Breakdown, break_down
from alfred.evaluation.breakdown.gain import split_gain
from alfred.evaluation.breakdown.policy_map import map_policy
from alfred.evaluation.breakdown.rebooking import COSTS_BPS, rebook
from alfred.typing import Float, FloatArray, Observation
from tests.conftest import make_random_market
from tests.evaluation.test_forecast_metrics import make_signals

MARKET = make_random_market(220, 4, late_listing=True)
CLOSES = make_random_market(220, 4, ohlc=False)
START = 100


class Table:
    """A policy that holds what a table says, or new random weights."""

    lookback = 0
    under_mandate = False

    def __init__(self, name: str, weights: FloatArray | None = None, every: int = 1) -> None:
        self.name, self.weights, self.rebalance_every = name, weights, every
        self.rng = np.random.default_rng(len(name))

    def predict(self, observation: Observation) -> Float:
        if self.weights is not None:
            return np.asarray(self.weights, dtype=np.float64)[None]
        return self.rng.dirichlet(np.ones(5))[None]


def walk(policy: Table, settings: PortfolioSettings, market=MARKET) -> Backtest:
    return backtest(policy, make_walk(market, None, settings, policy, start=market.dates[START]))


def open_all(settings: PortfolioSettings, market=MARKET, every: int = 1) -> tuple[list[Book], Tape]:
    rules = [Table("random", every=every), Table("equal", np.array([0.0, 1, 1, 1, 0]) / 3), Table("last", np.eye(5)[3])]
    records = [walk(rule, settings, market) for rule in rules]
    tape = lay_out(market, records[0], settings)
    return [open_book(record, tape, settings) for record in records], tape


TERMS = [
    (MARKET, PortfolioSettings(cash_rate_pct=3.0)),
    (MARKET, PortfolioSettings(execution="next_close")),
    (MARKET, PortfolioSettings(execution="close", cash_rate_pct=3.0)),
    (CLOSES, PortfolioSettings()),
]


@pytest.mark.parametrize(("market", "settings"), TERMS)
def test_a_gain_is_its_parts(market, settings: PortfolioSettings) -> None:
    books, _ = open_all(settings, market)
    assert max(book.gap for book in books) < 1e-14
    for reference in books[1:]:
        gain, own, other = split_gain(books[0], reference), books[0].record, reference.record
        unit = 100.0 * own.periods_per_year
        difference = own.net - other.net
        for parts in (gain.whole, *gain.years):
            inside = np.ones(len(own.net), bool) if parts.label == "all" else own.dates.year == int(parts.label)
            assert parts.total == pytest.approx(unit * difference[inside].mean(), abs=1e-11)
            together = parts.selection + parts.timing + parts.cash + parts.costs
            assert together == pytest.approx(parts.total, abs=1e-11)
            assert parts.costs == pytest.approx(unit * (other.costs - own.costs)[inside].mean(), abs=1e-12)
        whole = gain.whole
        assert sum(item.selection for item in gain.assets) == pytest.approx(whole.selection, abs=1e-11)
        assert sum(item.timing for item in gain.assets) == pytest.approx(whole.timing, abs=1e-11)
        for item in gain.assets:
            assert item.without + item.total == pytest.approx(whole.total, abs=1e-11)


def test_parts_are_those_of_a_plain_loop() -> None:
    """Session by session and asset by asset, with closes only: one part of a session, and weights as they are."""
    books, _ = open_all(PortfolioSettings(cash_rate_pct=2.0), CLOSES)
    own, other = books[0].record, books[1].record
    first = int(CLOSES.dates.get_loc(own.dates[0]))
    prices = CLOSES.close[first : first + len(own.dates)]
    returns = prices[1:] / prices[:-1] - 1.0
    n_assets = len(own.symbols)
    active = np.zeros((len(own.net), n_assets))
    relative, cash = np.zeros_like(active), np.zeros(len(own.net))
    for t in range(1, len(own.net)):
        mine, theirs = own.weights[t - 1], other.weights[t - 1]
        invested, base = mine[:-1].sum(), theirs[:-1].sum()
        level = sum(theirs[i] / base * returns[t - 1, i] for i in range(n_assets))
        for i in range(n_assets):
            active[t, i] = mine[i] - invested * theirs[i] / base
            relative[t, i] = returns[t - 1, i] - level
        cash[t] = (invested - base) * level + (mine[-1] - theirs[-1]) * own.cash_return[t]
    # Before the first trade everything is cash, and nothing is active.
    mean = active.mean(axis=0)
    unit = 100.0 * own.periods_per_year / len(own.net)
    gain = split_gain(*books[:2])
    assert gain.whole.selection == pytest.approx(unit * (relative @ mean).sum(), abs=1e-11)
    assert gain.whole.timing == pytest.approx(unit * ((active - mean) * relative).sum(), abs=1e-11)
    assert gain.whole.cash == pytest.approx(unit * cash.sum(), abs=1e-11)
    by_symbol = {item.symbol: item for item in gain.assets}
    for i, symbol in enumerate(own.symbols):
        assert by_symbol[symbol].active == pytest.approx(mean[i], abs=1e-14)


def test_a_standing_tilt_is_selection_and_cash_is_cash() -> None:
    settings = PortfolioSettings(cost_bps=0, slippage_bps=0, cash_rate_pct=0.0)
    equal, half = np.array([1.0, 1, 1, 1, 0]) / 4, np.array([1.0, 1, 1, 1, 4]) / 8
    tape = lay_out(CLOSES, walk(Table("a", equal), settings, CLOSES), settings)
    first, second = (open_book(walk(Table("x", row), settings, CLOSES), tape, settings) for row in (half, equal))
    whole = split_gain(first, second).whole
    assert whole.selection == pytest.approx(0.0, abs=1e-12) and whole.timing == pytest.approx(0.0, abs=1e-12)
    assert whole.cash == pytest.approx(-0.5 * 100 * 252 * second.record.net.mean(), rel=1e-9)


@pytest.mark.parametrize(("market", "settings"), TERMS)
@pytest.mark.parametrize("every", [1, 5])
def test_other_costs_are_those_of_a_new_walk(market, settings: PortfolioSettings, every: int) -> None:
    books, tape = open_all(settings, market, every)
    for cost in (COSTS_BPS[0], COSTS_BPS[-1]):
        booked = rebook(books, tape, settings, cost)
        for column, book in enumerate(books):
            rule = {"random": Table("random", every=every), "equal": Table("equal", np.array([0.0, 1, 1, 1, 0]) / 3)}
            policy = rule.get(book.record.name, Table("last", np.eye(5)[3]))
            again = walk(policy, settings.model_copy(update={"cost_bps": cost, "slippage_bps": 0.0}), market)
            assert booked[:, column] == pytest.approx(again.net, abs=1e-13)


def test_an_execution_one_session_later_is_that_of_decisions_made_earlier() -> None:
    settings = PortfolioSettings()
    [book, *_], tape = open_all(settings, CLOSES)

    class Late(Table):
        def predict(self, observation: Observation) -> Float:
            row, self.row = getattr(self, "row", -1), getattr(self, "row", -1) + 1
            return np.eye(5)[4][None] if row < 0 else book.after[row][None]

    late = walk(Late("late"), settings, CLOSES)
    assert rebook([book], tape, settings, 10.0, lag=1)[:, 0] == pytest.approx(late.net, abs=1e-14)


def test_what_was_traded_inside_a_session_is_not_split() -> None:
    settings = PortfolioSettings.model_validate({"risk": {"stop_loss_pct": 1.0}})

    class Bound(Table):
        under_mandate = True

    record = walk(Bound("stopped", np.array([0.0, 1, 1, 0, 0]) / 2), settings)
    told = break_down(record, [walk(Table("equal"), settings)], MARKET, settings)
    assert told.gains == () and told.terms == () and "traded inside a session" in told.missing[0]


def break_random(signals: Signals | None = None) -> Breakdown:
    settings = PortfolioSettings()
    records = [walk(rule, settings) for rule in (Table("random"), Table("equal", np.array([0.0, 1, 1, 1, 0]) / 3))]
    return break_down(records[0], records[1:], MARKET, settings, signals)


def test_terms_of_the_run_are_its_record_and_more_cost_is_less() -> None:
    told = break_random()
    costs = [item for item in told.terms if item.lag == 0]
    assert [item.cost_bps for item in costs] == list(COSTS_BPS) and [item.own for item in costs].count(True) == 1
    sharpes = [item.sharpe[0] for item in costs]
    assert sharpes == sorted(sharpes, reverse=True)
    last = told.trades[0]
    assert last.date == str(MARKET.dates[-1].date()) and len(told.trades) == 5
    sizes = [abs(change) for _, change in last.changes]
    assert sizes == sorted(sizes, reverse=True)


def test_the_map_finds_the_signal_that_was_followed() -> None:
    rng = np.random.default_rng(3)
    heard, noise = rng.standard_normal((2, *MARKET.close.shape))
    signals = make_signals(
        MARKET, np.stack([noise, heard], axis=-1), ("noise.expected_return_1", "heard.expected_return_1")
    )

    class Listener(Table):
        def predict(self, observation: Observation) -> Float:
            row = self.row = getattr(self, "row", START - 1) + 1
            best = np.exp(heard[row]) * np.isfinite(MARKET.close[row])
            return np.append(best / best.sum(), 0.0)[None]

    settings = PortfolioSettings()
    record = walk(Listener("listener"), settings)
    book = open_book(record, lay_out(MARKET, record, settings), settings)
    rows = MARKET.dates.get_indexer(record.dates)
    found = map_policy(book, signals, MARKET.dates[rows - 1])
    assert found is not None and found.followed[0][0] == found.rows == "heard.expected_return_1"
    assert found.followed[0][1] == pytest.approx(1.0) and abs(found.followed[1][1]) < 0.2
    grid = np.array(found.active)
    across = [row[np.isfinite(row)].mean() for row in grid if np.isfinite(row).any()]
    assert len(across) == 4 and (np.diff(across) > 0).all() and sum(map(sum, found.counts)) == len(record.dates) * 4
    # Signals of the day after say nothing of the decision.
    shifted = map_policy(book, signals, MARKET.dates[np.minimum(rows + 1, len(MARKET.dates) - 1)])
    assert shifted is not None and abs(dict(shifted.followed)["heard.expected_return_1"]) < 0.2


def test_equal_weights_follow_nothing() -> None:
    settings = PortfolioSettings()
    record = walk(Table("equal", np.array([1.0, 1, 1, 1, 0]) / 4), settings, CLOSES)
    book = open_book(record, lay_out(CLOSES, record, settings), settings)
    values = np.random.default_rng(0).standard_normal(CLOSES.close.shape)
    signals = make_signals(CLOSES, values[..., None], ("a.expected_return_1",))
    assert map_policy(book, signals, pd.DatetimeIndex(record.dates)) is None
