"""Returns by month and year."""

from __future__ import annotations

import numpy as np

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_period_returns
from alfred.evaluation.report.grids.grid import Cell, Grid, make_cell

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def tabulate_months(backtest: Backtest) -> Grid:
    """Return the compounded net return of every month and year in per cent; incomplete ones as far as they go."""
    months = compute_period_returns(backtest.net, backtest.dates, "M")
    years = compute_period_returns(backtest.net, backtest.dates, "Y")
    limit = float(np.quantile(np.abs(months), 0.95)) or 0.01
    lines: dict[int, list[Cell]] = {period.year: [Cell("")] * 12 for period in years.index}
    for period, value in months.items():
        lines[period.year][period.month - 1] = _write(float(value), limit, f"{_MONTHS[period.month - 1]} {period.year}")
    rows = [
        (str(period.year), [*lines[period.year], _write(float(value), 3 * limit, str(period.year))])
        for period, value in years.items()
    ]
    return Grid("Year", (*_MONTHS, "Year"), rows)


def _write(value: float, limit: float, title: str) -> Cell:
    """Return per cent with one digit and a true minus sign, without a minus before zero."""
    return make_cell(value, f"{round(value * 100, 1) + 0.0:.1f}".replace("-", "−"), limit, title)
