import numpy as np
import pandas as pd
import pytest

from alfred.data import Market
from alfred.data.delisting import Delisting
from alfred.errors import DataError
from tests.conftest import make_random_market

DATES = pd.bdate_range("2020-01-01", periods=3)


def make(**changes):
    arguments = {
        "dates": DATES,
        "symbols": ["AAA", "SPY"],
        "close": np.array([[1.0, 10.0], [2.0, 11.0], [3.0, 12.0]]),
        "benchmark": "SPY",
    }
    return Market.from_arrays(**(arguments | changes))


def test_until_hides_the_future_without_copying() -> None:
    market = make()
    cut = market.until("2020-01-02")
    assert list(cut.dates) == list(DATES[:2])
    assert np.shares_memory(cut.close, market.close)
    assert cut.close.tolist() == [[1.0, 10.0], [2.0, 11.0]]
    # A day without a session shows what was known at the session before it.
    assert make(dates=pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-06"])).until("2020-01-05").n_dates == 2


def test_every_panel_is_cut_with_the_closes() -> None:
    market = make_random_market(40)
    cut = market.until(market.dates[9]).since(market.dates[3]).select(["S1"])
    assert cut.symbols == ("S1", "SPY")
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(cut.field(name), market.field(name)[3:10][:, [1, 3]])


def test_extras_are_fields_like_any_other() -> None:
    extra = np.arange(6.0).reshape(3, 2)
    market = make(extras={"vix": extra})
    np.testing.assert_array_equal(market.until(DATES[1]).select(["AAA"]).field("vix"), extra[:2])
    with pytest.raises(DataError, match=r"extra field 'vix' has shape \(2, 2\)"):
        make(extras={"vix": extra[:2]})


def test_universe_leaves_the_benchmark_out() -> None:
    assert make().universe == ("AAA",)
    assert make().select(["SPY"]).universe == ("SPY",)


def test_log_returns() -> None:
    returns = make().log_returns()
    assert np.isnan(returns[0]).all()
    np.testing.assert_allclose(returns[1:, 0], np.log([2.0, 1.5]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"close": np.array([[1.0, 10.0], [-2.0, 11.0], [3.0, 12.0]])}, "close of 'AAA' is -2.0 on 2020-01-02"),
        ({"dates": DATES[[0, 0, 1]]}, "date 2020-01-01 stands more than once"),
        ({"dates": DATES[::-1]}, "not in ascending order"),
        ({"symbols": ["AAA", "AAA"]}, "symbol 'AAA' stands more than once"),
        ({"benchmark": "SPX"}, "unknown benchmark 'SPX'.*Did you mean 'SPY'"),
        ({"close": np.ones((2, 2))}, r"close has shape \(2, 2\)"),
        (
            {"high": np.full((3, 2), 1.0), "low": np.full((3, 2), 2.0)},
            "high of 'AAA' is 1, below its low 2, on 2020-01-01",
        ),
        ({"open": np.ones((3, 1))}, r"open has shape \(3, 1\)"),
        ({"tradable": np.ones((3, 2), bool), "close": np.full((3, 2), np.nan)}, "close of 'AAA' is nan on 2020-01-01"),
    ],
)
def test_broken_promises_are_named(changes, message) -> None:
    with pytest.raises(DataError, match=message):
        make(**changes)


def test_unknown_names_are_answered_with_a_suggestion() -> None:
    with pytest.raises(DataError, match=r"unknown field 'clos'.*Did you mean 'close'"):
        make().field("clos")
    with pytest.raises(DataError, match="no 'open'"):
        make().field("open")
    with pytest.raises(DataError, match=r"unknown symbol 'AAB'.*Did you mean 'AAA'"):
        make().select(["AAB"])
    with pytest.raises(DataError, match="nothing is known until 1999-01-01"):
        make().until("1999-01-01")
    with pytest.raises(DataError, match="no session from 2030-01-01"):
        make().since("2030-01-01")


def test_delistings_are_checked_and_those_to_come_are_left_out() -> None:
    dates = pd.bdate_range("2020-01-06", periods=5)
    close = np.ones((5, 2))

    def build(item: Delisting, symbol: str = "AAA") -> Market:
        return Market.from_arrays(dates, ["AAA", "SPY"], close, benchmark="SPY", delistings={symbol: item})

    assert set(build(Delisting(dates[-1], 0.5)).delistings) == {"AAA"}
    assert build(Delisting(dates[-1] + pd.Timedelta(days=1), 0.5)).delistings == {}
    with pytest.raises(DataError, match=r"payout of 'AAA' on its delisting of 2020-01-10 is -0\.1"):
        build(Delisting(dates[-1], -0.1))
    with pytest.raises(DataError, match="unknown delisted symbol 'BBB'"):
        build(Delisting(dates[-1], 0.5), "BBB")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"close": [["1", "2"]] * 3}, "close must hold numbers, got an array of <U1"),
        ({"close": np.array([[1.0, None]] * 3)}, "close must hold numbers, got an array of object"),
        ({"close": None}, "close must hold numbers"),
        ({"close": [[1.0, 2.0], [1.0]]}, "close is no array of numbers .* rows of one length"),
        ({"close": np.ones((3, 2), dtype=complex)}, "close must hold numbers, got an array of complex128"),
        ({"close": [[1.0, 1.0], [np.inf, 1.0], [1.0, 1.0]]}, "close of 'AAA' is inf on 2020-01-02"),
        ({"open": [["1", "2"]] * 3}, "open must hold numbers"),
        ({"tradable": "yes"}, "tradable must hold numbers"),
        ({"symbols": None}, "symbols must be a list of texts, got None"),
        ({"symbols": "AB"}, "symbols must be a list of texts, got str 'AB'"),
        ({"benchmark": None}, "the benchmark must be one of the symbols, got None"),
        ({"delistings": ["AAA"]}, "delistings must be a mapping"),
        ({"delistings": {"AAA": "2020-01-02"}}, "the delisting of 'AAA' must be a Delisting .* got '2020-01-02'"),
        ({"delistings": {"AAA": Delisting("2020-01-02")}}, "the delisting of 'AAA' must be"),
        ({"delistings": {"AAA": Delisting(DATES[1], "half")}}, "the delisting of 'AAA' must be"),
        ({"extras": {"vix": "high"}}, "extra field 'vix' must hold numbers"),
        ({"sectors": ["tech"]}, "sectors must be a mapping"),
        ({"notes": "one"}, "notes must be a list"),
    ],
)
def test_wrong_types_are_one_error(changes, message) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_a_frame_of_numbers_is_an_array() -> None:
    market = make(close=pd.DataFrame({"AAA": [1.0, np.nan, 3.0], "SPY": [10, 11, 12]}))
    assert market.tradable.tolist() == [[True, True], [False, True], [True, True]]
