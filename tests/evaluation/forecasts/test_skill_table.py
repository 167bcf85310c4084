from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, r2_score, root_mean_squared_error

from alfred.data.market import Market
from alfred.errors import ConfigError, DataError, SignalError
from alfred.evaluation.forecast_metrics import compute_rank_correlations, compute_realised_returns, estimate_mean
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.evaluation.forecasts.skill_table import compare_forecasts
from tests.conftest import make_random_market

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def make_record(
    market: Market,
    mean: np.ndarray,
    horizons: tuple[int, ...] = (1,),
    *,
    symbols: tuple[str, ...] | None = None,
    rows: slice = slice(None),
    skew: float = 0.0,
) -> ForecastRecord:
    """Normal quantiles about a median that is `skew` above the mean, `[T, N, H]`."""
    spread = 0.012 * np.sqrt(np.asarray(horizons))[:, None] * stats.norm.ppf(LEVELS)
    return ForecastRecord(
        dates=market.dates[rows],
        symbols=market.symbols if symbols is None else symbols,
        horizons=horizons,
        levels=LEVELS,
        mean=mean[rows].astype(np.float32),
        quantiles=(mean[rows][..., None] + skew + spread).astype(np.float32),
        trained_until=np.full(len(market.dates[rows]), market.dates[0].to_numpy()),
    )


def outcomes(market: Market, horizon: int) -> np.ndarray:
    return compute_realised_returns(market, market.dates, market.symbols, horizon)


def make_skilled(market: Market, horizons: tuple[int, ...], seed: int = 1, strength: float = 0.3) -> np.ndarray:
    """Forecasts that know a part of what comes, `[T, N, H]`."""
    rng = np.random.default_rng(seed)
    parts = [strength * np.nan_to_num(outcomes(market, h)) + rng.normal(0, 0.003, market.close.shape) for h in horizons]
    return np.stack(parts, axis=2)


def read_row(table: pd.DataFrame, analyst: str, symbol: str, horizon: int = 1) -> pd.Series:
    found = table[(table["analyst"] == analyst) & (table["symbol"] == symbol) & (table["horizon"] == horizon)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_row_equals_scikit_learn_on_its_windows() -> None:
    market = make_random_market(200, 5, seed=1, late_listing=True)
    record = make_record(market, make_skilled(market, (1, 5)), (1, 5), skew=0.001)
    table = compare_forecasts({"lstm": record}, market)
    for horizon, place in ((1, 0), (5, 1)):
        realised = outcomes(market, horizon)
        for symbol in (*market.symbols, "all"):
            columns = slice(None) if symbol == "all" else slice(market.index_of(symbol), market.index_of(symbol) + 1)
            known = np.isfinite(realised[:, columns])
            y = realised[:, columns][known]
            mean = record.mean[:, columns, place][known].astype(float)
            quantiles = record.quantiles[:, columns, place][known].astype(float)
            close = market.close[:, columns][known]
            median = quantiles[:, 2]
            row = read_row(table, "lstm", symbol, horizon)
            assert row["n"] == known.sum() and row["n_dropped"] == 0
            mae = mean_absolute_error(100 * np.exp(y), 100 * np.exp(median))
            naive = mean_absolute_error(100 * np.exp(y), np.full(len(y), 100.0))
            assert row["mae_pct"] == pytest.approx(mae)
            assert row["skill_pct"] == pytest.approx(100 * (1 - mae / naive))
            assert read_row(table, "naive", symbol, horizon)["mae_pct"] == pytest.approx(naive)
            assert row["price_mae"] == pytest.approx(mean_absolute_error(close * np.exp(y), close * np.exp(median)))
            assert row["sign_accuracy"] == pytest.approx(((median > 0) == (y > 0)).mean())
            assert row["rmse"] == pytest.approx(root_mean_squared_error(y, mean))
            assert row["r2_mean"] == pytest.approx(r2_score(y, mean))
            assert row["r2_zero"] == pytest.approx(1 - ((y - mean) ** 2).sum() / (y**2).sum())
            losses = [mean_pinball_loss(y, quantiles[:, q], alpha=level) for q, level in enumerate(LEVELS)]
            assert row["pinball"] == pytest.approx(np.mean(losses))
            assert row["crps"] == pytest.approx(np.dot([0.25, 0.45, 0.5, 0.45, 0.25], losses))
            assert row["coverage_90"] == pytest.approx(((quantiles[:, 0] <= y) & (y <= quantiles[:, 4])).mean())


def test_the_order_is_naive_first_easiest_first_and_all_last() -> None:
    market = make_random_market(150, 4, seed=2)
    close = market.close.copy()
    # The first symbol moves three times as much, the second a third as much.
    close[:, 0], close[:, 1] = close[:, 0] ** 3, close[:, 1] ** (1 / 3)
    market = Market.from_arrays(market.dates, market.symbols, close, benchmark="SPY")
    record = make_record(market, make_skilled(market, (1, 5)), (1, 5))
    table = compare_forecasts({"b": record, "a": record}, market)
    assert table["analyst"].tolist() == ["naive"] * 10 + ["b"] * 10 + ["a"] * 10
    for _, group in table.groupby(["analyst", "horizon"], sort=False):
        symbols = group["symbol"].tolist()
        assert symbols[0] == "S1" and symbols[-2:] == ["S0", "all"]
    naive = table[(table["analyst"] == "naive") & (table["horizon"] == 1)]["mae_pct"].to_numpy()
    assert (np.diff(naive[:-1]) > 0).all()


def test_the_interval_is_that_of_the_paired_loss_difference() -> None:
    market = make_random_market(300, 3, seed=3)
    record = make_record(market, make_skilled(market, (5,)), (5,))
    row = read_row(compare_forecasts({"x": record}, market, level=0.9), "x", "S0", 5)
    y, median = outcomes(market, 5)[:-5, 0], record.quantiles[:-5, 0, 0, 2].astype(float)
    naive = 100 * np.abs(np.expm1(y))
    gain = naive - 100 * np.abs(np.expm1(median) - np.expm1(y))
    expected = estimate_mean(gain - gain.mean(), gain.mean(), without_skill=0.0, horizon=5, level=0.9)
    assert row["skill_low"] == pytest.approx(100 * expected.low / naive.mean())
    assert row["skill_high"] == pytest.approx(100 * expected.high / naive.mean())
    assert row["skill_p"] == pytest.approx(expected.p) and row["n_effective"] == pytest.approx(expected.n_effective)
    assert row["skill_p"] < 0.01 and row["skill_low"] > 0


def test_analysts_are_judged_on_the_windows_that_all_have() -> None:
    market = make_random_market(100, 4, seed=4)
    mean = make_skilled(market, (1,))
    full = make_record(market, mean)
    holes = mean.copy()
    holes[10:20, 1] = np.nan
    late = make_record(market, holes[:, ::-1], symbols=market.symbols[::-1], rows=slice(30, None))
    holed = make_record(market, holes)
    few = make_record(market, mean[:, :3], symbols=market.symbols[:3])
    table = compare_forecasts({"full": full, "late": late, "holed": holed, "few": few}, market)
    assert sorted(table["symbol"].unique()) == ["S0", "S1", "S2", "all"]
    assert table.groupby(["symbol"])["n"].nunique().eq(1).all()
    # 99 windows with an outcome, of which the last 69 are common to all.
    for analyst, dropped in {"full": 30, "late": 0, "holed": 30, "few": 30, "naive": 30}.items():
        row = read_row(table, analyst, "S0")
        assert (row["n"], row["n_dropped"]) == (69, dropped)
    assert read_row(table, "holed", "S1")["n_dropped"] == 20
    assert read_row(table, "full", "all")[["n", "n_dropped"]].tolist() == [3 * 69, 99 * 4 - 3 * 69]
    # The order of a record's symbols is its own: `late` has them turned round, and says the same as `full`.
    assert read_row(table, "late", "S0")["mae_pct"] == read_row(table, "full", "S0")["mae_pct"]
    assert (
        read_row(table, "full", "S0")["mae_pct"]
        != read_row(compare_forecasts({"f": full}, market), "f", "S0")["mae_pct"]
    )


def test_prices_in_another_unit_change_the_price_error_alone() -> None:
    market = make_random_market(120, 4, seed=5)
    small = Market.from_arrays(market.dates, market.symbols, market.close * 1e-9, benchmark="SPY")
    record = make_record(market, make_skilled(market, (1,)))
    one, other = (compare_forecasts({"x": record}, where) for where in (market, small))
    np.testing.assert_allclose(other["price_mae"], one["price_mae"] * 1e-9)
    pd.testing.assert_frame_equal(one.drop(columns="price_mae"), other.drop(columns="price_mae"), rtol=1e-6)


def test_ic_stands_in_the_row_of_all_symbols() -> None:
    market = make_random_market(150, 6, seed=6)
    record = make_record(market, make_skilled(market, (1,)))
    table = compare_forecasts({"x": record}, market)
    realised = outcomes(market, 1)[:-1]
    ranks = [stats.spearmanr(record.mean[t, :, 0], realised[t]).statistic for t in range(149)]
    values = [stats.pearsonr(record.mean[t, :, 0].astype(float), realised[t]).statistic for t in range(149)]
    row = read_row(table, "x", "all")
    assert row["rank_ic"] == pytest.approx(np.mean(ranks)) and row["ic"] == pytest.approx(np.mean(values))
    assert row["rank_ic_t"] > 3 and row["ic_t"] > 3
    assert table[table["symbol"] != "all"][["ic", "rank_ic", "ic_t", "rank_ic_t"]].isna().all(axis=None)
    assert np.isnan(read_row(table, "naive", "all")["rank_ic"])


def test_forecasts_of_every_fifth_session_overlap_less() -> None:
    market = make_random_market(500, 6, seed=12)
    record = make_record(market, make_skilled(market, (10,)), (10,), rows=slice(None, None, 5))
    row = read_row(compare_forecasts({"x": record}, market), "x", "all", 10)
    scores = compute_rank_correlations(record.mean[:, :, 0].astype(float), outcomes(market, 10)[::5])
    scores = scores[np.isfinite(scores)]
    # Two neighbours of every ten sessions, and no more.
    two, ten = (estimate_mean(scores - scores.mean(), scores.mean(), without_skill=0.0, horizon=h).t for h in (2, 10))
    assert row["rank_ic_t"] == pytest.approx(two) != pytest.approx(ten)


def test_the_record_of_naive_gives_it_a_distribution() -> None:
    market = make_random_market(120, 3, seed=7)
    zero = make_record(market, np.zeros((120, 3, 1)))
    other = make_record(market, make_skilled(market, (1,)))
    table = compare_forecasts({"x": other, "naive": zero}, market)
    assert table["analyst"].unique().tolist() == ["naive", "x"]
    row = read_row(table, "naive", "S0")
    assert row["crps"] > 0 and row["coverage_90"] > 0.5 and row["skill_pct"] == 0
    assert np.isnan(read_row(compare_forecasts({"x": other}, market), "naive", "S0")["crps"])
    with pytest.raises(ConfigError, match="does not forecast zero at 1 sessions"):
        compare_forecasts({"naive": other}, market)


def test_what_has_no_value_is_nan() -> None:
    market = make_random_market(60, 4, seed=8)
    mean = make_skilled(market, (1,))
    mean[:, 1] = np.nan
    mean[:, 2] = 0.001
    table = compare_forecasts({"x": make_record(market, mean)}, market)
    assert table["symbol"].tolist()[3] == "S1"
    row = read_row(table, "x", "S1")
    assert row["n"] == 0 and row.drop(["analyst", "horizon", "symbol", "n", "n_dropped", "n_effective"]).isna().all()
    assert np.isfinite(read_row(table, "x", "S2")["r2_zero"]) and read_row(table, "x", "all")["n"] == 3 * 59


def test_a_record_without_quantiles_is_judged_by_its_mean() -> None:
    market = make_random_market(80, 3, seed=9)
    mean = make_skilled(market, (1,))
    record = make_record(market, mean)
    bare = ForecastRecord(
        record.dates, record.symbols, (1,), (), record.mean, np.zeros((80, 3, 1, 0)), record.trained_until
    )
    with pytest.raises(ConfigError, match=r"'x' has no quantile level 0\.5"):
        compare_forecasts({"x": bare}, market)
    table = compare_forecasts({"x": bare, "y": record}, market, point="mean")
    assert read_row(table, "x", "all")["mae_pct"] == read_row(table, "y", "all")["mae_pct"]
    assert np.isnan(read_row(table, "x", "all")["crps"]) and read_row(table, "y", "all")["crps"] > 0


def test_a_record_read_from_a_file_is_judged_alike(tmp_path: Path) -> None:
    market = make_random_market(80, 3, seed=10)
    record = make_record(market, make_skilled(market, (1,)))
    record.save(tmp_path / "x.safetensors")
    again = ForecastRecord.load(tmp_path / "x.safetensors")
    pd.testing.assert_frame_equal(
        compare_forecasts({"x": record, "y": again}, market), compare_forecasts({"x": again, "y": record}, market)
    )


def test_what_cannot_be_compared_is_refused() -> None:
    market = make_random_market(80, 3, seed=11)
    mean = make_skilled(market, (1,))
    first = make_record(market, mean, rows=slice(0, 30))
    with pytest.raises(SignalError, match="have no date in common"):
        compare_forecasts({"x": first, "y": make_record(market, mean, rows=slice(30, None))}, market)
    with pytest.raises(SignalError, match="have no horizon in common"):
        compare_forecasts({"x": first, "y": make_record(market, mean, (2,))}, market)
    with pytest.raises(SignalError, match="have no symbol in common"):
        compare_forecasts({"x": first, "y": make_record(market, mean, symbols=("A", "B", "C"))}, market)
    with pytest.raises(DataError, match="'A'"):
        compare_forecasts({"x": make_record(market, mean, symbols=("A", "B", "C"))}, market)
    with pytest.raises(SignalError, match="called 'all'"):
        compare_forecasts({"x": make_record(market, mean, symbols=("S0", "all", "SPY"))}, market)
    with pytest.raises(SignalError, match="not a session"):
        compare_forecasts({"x": first}, make_random_market(20, 3))
    with pytest.raises(SignalError, match="no forecasts"):
        compare_forecasts({}, market)
    with pytest.raises(ConfigError, match="point is 'mode'"):
        compare_forecasts({"x": first}, market, point="mode")  # type: ignore[arg-type]


def test_half_a_forecast_is_none() -> None:
    market = make_random_market(80, 3, seed=13)
    record = make_record(market, make_skilled(market, (1,)))
    record.quantiles[4, 0, 0, 0] = np.nan
    row = read_row(compare_forecasts({"x": record}, market), "x", "S0")
    assert (row["n"], row["n_dropped"]) == (78, 0)
