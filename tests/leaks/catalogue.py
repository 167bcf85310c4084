"""Ways in which the future gets into a backtest, each as small as it can be, and honest twins that must not be accused.

The file is a plugin of the audit: every function is a stage that is computed in a fresh process, from a world's tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pandas as pd

from alfred.data.features.catalogue import compute_features
from alfred.data.settings import FeatureSettings
from alfred.data.signals import Signals
from alfred.training.audit.worlds import World

Stage = Callable[[World], Signals]
REFIT_DAYS = 20
HORIZON_DAYS = 5


def make(world: World, values: np.ndarray | pd.DataFrame) -> Signals:
    market = world.market
    panel = np.asarray(values, dtype=np.float32)[:, :, None]
    return Signals(market.dates, market.symbols, ("own.signal",), panel, market.dates.to_numpy(), (1,))


def read_closes(world: World) -> pd.DataFrame:
    return pd.DataFrame(np.asarray(world.market.close), index=world.market.dates, columns=world.market.symbols)


def read_returns(world: World) -> pd.DataFrame:
    return read_closes(world).ffill().pct_change(fill_method=None)


def full_sample_scaling(world: World) -> Signals:
    returns = read_returns(world)
    return make(world, (returns - returns.mean()) / returns.std())


def centred_rolling(world: World) -> Signals:
    return make(world, read_returns(world).rolling(5, center=True).mean())


def back_fill(world: World) -> Signals:
    return make(world, read_closes(world).bfill())


def interpolated_gaps(world: World) -> Signals:
    return make(world, read_closes(world).interpolate())


def label_in_the_features(world: World) -> Signals:
    return make(world, read_returns(world).shift(-1))


def full_sample_pca(world: World) -> Signals:
    returns = read_returns(world).fillna(0.0).to_numpy()
    _, _, axes = np.linalg.svd(returns - returns.mean(axis=0), full_matrices=False)
    axis = axes[0] * np.sign(axes[0, -1])
    return make(world, np.outer(returns @ axis, axis))


def month_end_fill(world: World) -> Signals:
    closes = read_closes(world)
    months = closes.index.to_period("M")
    return make(world, closes.ffill().groupby(months).transform("last"))


def restated_fundamentals(world: World) -> Signals:
    """Every period has its latest figures from its end on, whenever they were reported."""
    reports = read_reports(world)
    latest = reports.sort_values("report_date").groupby(["symbol", "fiscal_period_end"])["eps_reported"].last()
    return make(
        world,
        spread(
            world, latest.reset_index().pivot_table(index="fiscal_period_end", columns="symbol", values="eps_reported")
        ),
    )


def headlines_after_the_close(world: World) -> Signals:
    """Headlines count on the day of their stamp, those of the evening too."""
    settings = world.experiment.data.news
    assert settings is not None
    table = pd.read_csv(settings.path, parse_dates=["date"])
    counts = pd.crosstab(table["date"], table["symbol"]).reindex(index=world.market.dates)
    return make(world, counts.reindex(columns=world.market.symbols).fillna(0.0))


def signals_trained_in_sample(world: World) -> Signals:
    returns = read_returns(world)
    past, coming = returns.rolling(5).mean(), returns.shift(-1)
    known = past.notna() & coming.notna()
    x, y = past.to_numpy()[known], coming.to_numpy()[known]
    return make(world, past * float(x @ y / (x @ x)))


def survivorship_filter(world: World) -> Signals:
    """Only what still trades at the end is looked at."""
    closes = read_closes(world)
    alive = closes.columns[closes.iloc[-20:].notna().any()]
    return make(world, read_returns(world)[alive].reindex(columns=closes.columns))


def missing_purge(world: World) -> Signals:
    """Refitted on a schedule, on labels that are not known yet at the refit."""
    return make(world, fit_on_schedule(world, gap=0))


def normaliser_fitted_on_test(world: World) -> Signals:
    returns = read_returns(world)
    test = returns.iloc[len(returns) // 2 :]
    return make(world, (returns - test.mean()) / test.std())


def reads_the_file_itself(world: World) -> Signals:
    """The market that it was handed ends where it should; the file does not."""
    path = world.experiment.data.path
    assert path is not None
    table = pd.read_csv(path, parse_dates=["date"]).pivot_table(index="date", columns="symbol", values="close")
    rows = [table[table.index > date].iloc[:1].mean() for date in world.market.dates]
    panel = pd.DataFrame(rows, index=world.market.dates).reindex(columns=world.market.symbols)
    return make(world, panel)


class Remembering:
    """What one instance has seen, all others know."""

    seen: ClassVar[list[pd.DataFrame]] = []

    def fit(self, closes: pd.DataFrame) -> None:
        self.seen.append(closes)

    def predict(self, date: pd.Timestamp) -> pd.Series:
        longest = max(self.seen, key=len)
        return longest.loc[longest.index > date].head(1).mean()


def class_level_state(world: World) -> Signals:
    """A dry run on everything, as a contract test may be, stays in the class."""
    closes = read_closes(world)
    Remembering().fit(closes)
    rows = []
    for row, date in enumerate(closes.index):
        analyst = Remembering()
        if row % REFIT_DAYS == 0:
            analyst.fit(closes.iloc[: row + 1])
        rows.append(analyst.predict(date).reindex(closes.columns))
    return make(world, pd.DataFrame(rows))


def follows_a_view(world: World) -> Signals:
    """A cut is a view, and a view knows the array that it was cut from."""
    market = world.market
    panel = np.full(market.close.shape, np.nan)
    for row in range(market.n_dates - 1):
        base = market.until(market.dates[row]).close.base
        whole = np.asarray(base).reshape(-1, market.n_symbols) if base is not None else market.close
        panel[row] = whole[min(row + 1, len(whole) - 1)]
    return make(world, panel)


def standardised_over_its_batch(world: World) -> Signals:
    """Sixty dates are forecast at once, and each is scaled by the mean of all."""
    momentum = read_returns(world).rolling(20).mean()
    panel = momentum.copy()
    for start in range(0, len(momentum), 60):
        batch = momentum.iloc[start : start + 60]
        panel.iloc[start : start + 60] = (batch - np.nanmean(batch)) / np.nanstd(batch)
    return make(world, panel)


def ranked_over_all_dates(world: World) -> Signals:
    return make(world, read_returns(world).rank(pct=True))


def averaged_backwards(world: World) -> Signals:
    return make(world, (read_returns(world) ** 2)[::-1].ewm(span=10).mean()[::-1])


def knows_the_delistings(world: World) -> Signals:
    market = world.market
    days = np.full(market.close.shape, 9_999.0)
    for symbol, end in market.delistings.items():
        days[:, market.index_of(symbol)] = (end.date - market.dates).days
    return make(world, days)


def universe_by_later_volume(world: World) -> Signals:
    volume = pd.DataFrame(np.asarray(world.market.field("volume")), columns=list(world.market.symbols))
    big = volume.mean() >= volume.mean().median()
    return make(world, np.where(big.to_numpy(), read_returns(world), 0.0))


def honest_features(world: World) -> Signals:
    return compute_features(world.market, FeatureSettings(names=("momentum_1", "volatility_20"), normalise="zscore"))


def honest_scaling(world: World) -> Signals:
    returns = read_returns(world)
    return make(world, (returns - returns.expanding(20).mean()) / returns.expanding(20).std())


def honest_reports(world: World) -> Signals:
    return make(world, world.market.field("eps_reported"))


def honest_headlines(world: World) -> Signals:
    [name] = [name for name in world.market.extras if name.startswith(("news", "headline"))]
    return make(world, world.market.field(name))


def honest_refits(world: World) -> Signals:
    return make(world, fit_on_schedule(world, gap=HORIZON_DAYS))


def fit_on_schedule(world: World, gap: int) -> np.ndarray:
    """A slope that is fitted every `REFIT_DAYS` on labels of five days, `gap` of the latest of them left out."""
    closes = read_closes(world).ffill()
    past = closes.pct_change(5, fill_method=None).to_numpy()
    label = closes.pct_change(HORIZON_DAYS, fill_method=None).shift(-HORIZON_DAYS).to_numpy()
    panel = np.full(past.shape, np.nan)
    for refit in range(60, len(past), REFIT_DAYS):
        x, y = past[: refit + 1 - gap], label[: refit + 1 - gap]
        known = np.isfinite(x) & np.isfinite(y)
        slope = float(x[known] @ y[known] / (x[known] @ x[known]))
        panel[refit : refit + REFIT_DAYS] = slope * past[refit : refit + REFIT_DAYS]
    return panel


def read_reports(world: World) -> pd.DataFrame:
    settings = world.experiment.data.fundamentals
    assert settings is not None
    return pd.read_csv(settings.path, parse_dates=["report_date", "fiscal_period_end"])


def spread(world: World, table: pd.DataFrame) -> pd.DataFrame:
    whole = table.reindex(table.index.union(world.market.dates)).ffill()
    return whole.reindex(index=world.market.dates, columns=world.market.symbols)


LEAKS: dict[str, Stage] = {
    stage.__name__: stage
    for stage in (
        full_sample_scaling,
        centred_rolling,
        back_fill,
        interpolated_gaps,
        label_in_the_features,
        full_sample_pca,
        month_end_fill,
        restated_fundamentals,
        headlines_after_the_close,
        signals_trained_in_sample,
        survivorship_filter,
        missing_purge,
        normaliser_fitted_on_test,
        reads_the_file_itself,
        class_level_state,
        follows_a_view,
        standardised_over_its_batch,
        ranked_over_all_dates,
        averaged_backwards,
        knows_the_delistings,
        universe_by_later_volume,
    )
}
HONEST: dict[str, Stage] = {
    stage.__name__: stage
    for stage in (honest_features, honest_scaling, honest_reports, honest_headlines, honest_refits)
}
AUDIT_STAGES = {**LEAKS, **HONEST}
