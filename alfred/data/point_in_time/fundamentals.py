"""Fundamentals, joined by the day on which they were reported, never by the end of their period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.asof import find_first_session, spread_reports
from alfred.data.prices.parsing import parse_days, parse_numbers, read_csv_text
from alfred.data.settings import FundamentalsSettings
from alfred.errors import DataError
from alfred.typing import BoolArray, FloatArray

EPS_FIELDS = ("eps_reported", "eps_estimated", "eps_surprise", "eps_surprise_pct")
MARGIN_FIELDS = ("gross_margin", "operating_margin", "net_margin")
FIELDS = (*EPS_FIELDS, *MARGIN_FIELDS)
"""Figures joined to a market; each has a `_delta`, its change against the symbol's report before."""

JOINED_FIELDS = (*FIELDS, *(f"{name}_delta" for name in FIELDS))
"""Figures and deltas, as they are called in the market."""

# Below one cent a surprise in per cent of the estimate says nothing.
_SMALLEST_ESTIMATE = 0.01
REPORT_AGE = "report_age_days"
"""Sessions since the last earnings report became known; 0 on the session that learns of it, NaN before the first."""

# Earnings of a company come two months apart at least; what comes sooner, of an unstated period, is the same report.
_AGAIN_DAYS = 30
# Dates that are ends of periods fall on the last day of a month; one announcement in twenty does.
_MOST_MONTH_ENDS, _FEWEST_DATES = 0.5, 8
_LARGEST_MARGIN = 10.0

_MARGIN_PARTS = {"gross_margin": "gross_profit", "operating_margin": "operating_income", "net_margin": "net_income"}
_NOTE = (
    "Annual reports carry no report date: they count as known {days} days after the end of their year, with figures "
    "as restated since."
)


def read_reports(settings: FundamentalsSettings) -> pd.DataFrame:
    """Read reports into one long table, in the order in which they became known.

    Args:
        settings: Which reports.

    Returns:
        Columns `symbol`, `known` (day), `same_day` (whether it was out before the close of that day), `period_end`,
        `stated` (whether the source tells the period; otherwise its end is the day of the report),
        `basis` (figures of different bases must not be subtracted from each other), `dated` (whether the source tells
        the day), and `FIELDS`, NaN where a report does not have one.

    Raises:
        DataError: A file is damaged, of an unknown kind, holds a cell that is no date or number, or dates a report
            by the end of its period.
    """
    path = settings.path
    files = sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")]) if path.is_dir() else [path]
    if not files:
        raise DataError(f"folder {path} holds no report table; it needs files ending in .csv or .csv.gz")
    reports = pd.concat([_read_file(file, settings.annual_lag_days) for file in files], ignore_index=True)
    return _join_doubles(reports.sort_values(["known", "period_end"], kind="stable", ignore_index=True))


def join_fundamentals(market: Market, settings: FundamentalsSettings) -> Market:
    """Return the market with the last known figure of every symbol on every session as extra fields.

    A report released before the open of a day is known at its close; one released after the close, or at an unknown
    time, from the next session on. A report on a period older than one already known is passed over, and a figure
    that a report lacks stays the last one known. A correction replaces the figures of its period; it is no new report,
    and its delta is against the period before all the same.

    Args:
        market: The market.
        settings: Which reports.

    Raises:
        DataError: The reports cannot be read, or none is of a symbol of the market.
    """
    reports = read_reports(settings)
    columns = pd.Index(market.symbols).get_indexer(pd.Index(reports["symbol"]))
    if not (columns >= 0).any():
        shown = ", ".join(sorted(set(reports["symbol"]))[:8])
        raise DataError(f"none of the symbols with reports ({shown}, ...) is in the market; choose others")
    rows = find_first_session(
        market.dates, pd.DatetimeIndex(reports["known"]), same_day=reports["same_day"].to_numpy(dtype=bool)
    )
    extras = dict(market.extras)
    shape, dtype = market.close.shape, market.close.dtype
    for name in FIELDS:
        current = _keep_newest(reports[reports[name].notna()])
        delta = _compute_deltas(current, name)
        for field, values in ((name, current[name]), (f"{name}_delta", delta)):
            at = current.index.to_numpy()
            extras[field] = spread_reports(rows[at], columns[at], values.to_numpy(np.float64), shape, dtype)
    counted = np.arange(market.n_dates, dtype=dtype)
    # A report from before the first session is known on it, and its age is not.
    recent = (reports["known"] >= market.dates[0]).to_numpy() & (rows < market.n_dates)
    eps = _find_first_of_period(reports) & recent
    extras[REPORT_AGE] = counted[:, None] - spread_reports(rows[eps], columns[eps], counted[rows[eps]], shape, dtype)
    notes = market.notes
    if not reports["dated"].all():
        notes = (*notes, _NOTE.format(days=settings.annual_lag_days))
    joined = replace(market, extras=extras, notes=notes)
    joined.validate()
    return joined


def _keep_newest(reports: pd.DataFrame) -> pd.DataFrame:
    """Return the reports whose period is no older than any that the symbol reported before."""
    newest = reports.groupby("symbol")["period_end"].cummax()
    return reports[reports["period_end"] >= newest]


def _compute_deltas(current: pd.DataFrame, name: str) -> pd.Series:
    """Return the change of a figure against the period before, as last known, of the same symbol and basis."""
    keys = [current["symbol"], current["basis"]]
    groups = current.groupby(keys)
    begins = current["period_end"] != groups["period_end"].shift()
    before = groups[name].shift().where(begins).groupby(keys).ffill()
    return current[name] - before


def _find_first_of_period(reports: pd.DataFrame) -> BoolArray:
    """Return which rows are earnings of a period that is newer than all that the symbol reported before, `[R]`."""
    earnings = reports[reports["eps_reported"].notna()]
    newest = earnings.groupby("symbol")["period_end"].cummax().groupby(earnings["symbol"]).shift()
    first = newest.isna() | (earnings["period_end"] > newest)
    return np.asarray(first.reindex(reports.index, fill_value=False), dtype=bool)


def _join_doubles(reports: pd.DataFrame) -> pd.DataFrame:
    """Give earnings of an unstated period that come within a month of others the period of those."""
    earnings = reports[reports["eps_reported"].notna()]
    days = earnings.groupby("symbol")["known"].diff().dt.days
    again = (days <= _AGAIN_DAYS) & ~earnings["stated"]
    period = earnings["period_end"].mask(again).groupby(earnings["symbol"]).ffill()
    return reports.assign(period_end=period.reindex(reports.index).fillna(reports["period_end"]))


def _check_dates(table: pd.DataFrame, known: pd.DatetimeIndex, path: Path) -> None:
    """Refuse reports that would be known before anybody could know them.

    Raises:
        DataError: A report is dated on or before the last day of its period, or most dates are ends of months.
    """
    remedy = (
        "report_date must be the day on which the figures came out, not the end of their period; correct it, or leave "
        "the row out"
    )
    if "fiscal_period_end" in table:
        ends = pd.to_datetime(table["fiscal_period_end"], format="%Y-%m-%d", errors="coerce")
        early = (known <= pd.DatetimeIndex(ends)) & ends.notna().to_numpy()
        if early.any():
            row = int(np.argmax(early))
            raise DataError(
                f"row {row + 1} of {path}: {table['symbol'].iloc[row]} reports on {known[row].date()} on a period that "
                f"ends {ends.iloc[row].date()} ({int(early.sum())} such rows): {remedy}"
            )
    share = float(known.is_month_end.mean()) if len(known) else 0.0
    if len(known) >= _FEWEST_DATES and share > _MOST_MONTH_ENDS:
        raise DataError(f"{share:.0%} of the report_date of {path} are the last day of a month: {remedy}")


def _read_file(path: Path, annual_lag_days: int) -> pd.DataFrame:
    table = read_csv_text(path, ("symbol",))
    table["symbol"] = table["symbol"].str.strip()
    if "eps_estimated" in table:
        return _read_surprises(table, path)
    if "fiscal_period_end" not in table or "revenue" not in table:
        raise DataError(
            f"{path} is not a table of reports: it has {', '.join(table.columns)}, and needs eps_estimated and "
            "report_date (earnings), or revenue and fiscal_period_end (filings, fiscal years)"
        )
    period_end = parse_days(table["fiscal_period_end"], "fiscal_period_end", path)
    dated = "report_date" in table
    known = parse_days(table["report_date"], "report_date", path) if dated else None
    if known is not None:
        _check_dates(table, known, path)
    revenue = parse_numbers(table["revenue"], "revenue", path)
    margins = {
        name: parse_numbers(table[part], part, path) / np.where(revenue > 0, revenue, np.nan)
        for name, part in _MARGIN_PARTS.items()
        if part in table
    }
    for name, values in margins.items():
        size = np.abs(values[np.isfinite(values)])
        if len(size) and float(np.median(size)) > _LARGEST_MARGIN:
            raise DataError(
                f"{_MARGIN_PARTS[name]} in {path} is {np.median(size):.4g} times revenue in the median: they are in "
                "different units, such as thousands; bring them to one"
            )
    return _make_reports(
        table["symbol"],
        known=period_end + pd.Timedelta(days=annual_lag_days) if known is None else known,
        same_day=False,
        period_end=period_end,
        stated=True,
        # A whole year's margin and a quarter's are compared with their own kind only.
        basis=table.get("form", "annual"),
        dated=dated,
        figures=margins,
    )


def _read_surprises(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    for column in ("report_date", "eps_reported"):
        if column not in table:
            raise DataError(f"{path} holds earnings but no column '{column}'; it has {', '.join(table.columns)}")
    known = parse_days(table["report_date"], "report_date", path)
    _check_dates(table, known, path)
    reported, estimated = (parse_numbers(table[name], name, path) for name in ("eps_reported", "eps_estimated"))
    surprise = reported - estimated
    base = np.where(np.abs(estimated) >= _SMALLEST_ESTIMATE, np.abs(estimated), np.nan)
    period_end, stated = known, np.zeros(len(table), dtype=bool)
    if "fiscal_period_end" in table:
        stated = table["fiscal_period_end"].to_numpy() != ""
        ends = parse_days(table["fiscal_period_end"].where(stated, str(date.max)), "fiscal_period_end", path)
        # Where the period is not stated, the day of the report keeps the order.
        period_end = ends.where(stated, known)
    return _make_reports(
        table["symbol"],
        known=known,
        same_day=(table["release_time"].str.strip().str.lower() == "pre") if "release_time" in table else False,
        period_end=period_end,
        stated=stated,
        # Sources differ in the share basis of their figures.
        basis=table.get("source", "earnings"),
        dated=True,
        figures=dict(zip(EPS_FIELDS, (reported, estimated, surprise, surprise / base * 100), strict=True)),
    )


def _make_reports(
    symbols: pd.Series,
    *,
    known: pd.DatetimeIndex,
    same_day: pd.Series | bool,
    period_end: pd.DatetimeIndex,
    stated: BoolArray | bool,
    basis: pd.Series | str,
    dated: bool,
    figures: Mapping[str, FloatArray],
) -> pd.DataFrame:
    frame = pd.DataFrame({"symbol": symbols, "known": known, "period_end": period_end})
    frame["same_day"] = same_day
    frame["stated"] = stated
    frame["basis"] = basis
    frame["dated"] = dated
    for name in FIELDS:
        frame[name] = figures.get(name, np.nan)
    return frame
