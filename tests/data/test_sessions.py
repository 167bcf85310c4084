"""How many sessions make a year, and when none do."""

from __future__ import annotations

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from alfred.data.sessions import infer_periods_per_year
from alfred.errors import DataError

BUSINESS = pd.bdate_range("2005-01-03", "2023-12-29")
EVERY_DAY = pd.date_range("2017-01-01", "2023-12-31")


def drop(dates: pd.DatetimeIndex, share: float) -> pd.DatetimeIndex:
    return dates[np.random.default_rng(0).random(len(dates)) > share]


def of(calendar: str) -> pd.DatetimeIndex:
    return exchange_calendars.get_calendar(calendar, start="2006-01-03", end="2023-12-29").sessions


def test_exchanges() -> None:
    for calendar in ("XNYS", "XSHG", "XTKS"):
        dates = of(calendar)
        assert infer_periods_per_year(dates) == 252, calendar
        # Golden weeks weigh on a short range, and must not make it irregular.
        for start in range(0, len(dates) - 40, 37):
            assert infer_periods_per_year(dates[start : start + 40]) == 252, (calendar, dates[start])


REGULAR = {
    "weekdays": (BUSINESS, 252),
    "a week of them": (BUSINESS[:5], 252),
    "Sunday to Thursday": (EVERY_DAY[~EVERY_DAY.day_of_week.isin([4, 5])], 252),
    "every day": (EVERY_DAY, 365),
    "ten days": (EVERY_DAY[:10], 365),
    "five days with a weekend": (EVERY_DAY[4:9], 365),
    "weekdays with two lost in a hundred": (drop(BUSINESS, 0.02), 252),
    "Fridays": (pd.date_range("2005-01-07", periods=900, freq="W-FRI"), 52),
    "Sundays": (pd.date_range("2005-01-07", periods=900, freq="W-SUN"), 52),
    "ends of months": (pd.date_range("2005-01-31", periods=200, freq="BME"), 12),
    "quarters": (pd.date_range("2005-03-31", periods=60, freq="BQE"), 4),
    "years": (pd.date_range("1990-12-31", periods=30, freq="YE"), 1),
    "five months": (pd.date_range("2005-01-31", periods=5, freq="ME"), 12),
}


@pytest.mark.parametrize("case", REGULAR)
def test_regular_spacings(case: str) -> None:
    dates, periods = REGULAR[case]
    assert infer_periods_per_year(dates) == periods


IRREGULAR = {
    "a fifth lost": (drop(BUSINESS, 0.2), "which would be about 478"),
    "a tenth lost": (drop(BUSINESS, 0.1), "which would be about 478"),
    "half lost": (drop(BUSINESS, 0.5), "2 days lie between them"),
    "a fifth of all days lost": (drop(EVERY_DAY, 0.2), "weekends included"),
    "half daily, half weekly": (
        BUSINESS[:1000].append(pd.date_range(BUSINESS[1000], periods=400, freq="W-FRI")),
        "days apart",
    ),
    "daily, then a few weeks": (
        BUSINESS[:4000].append(pd.date_range(BUSINESS[4000], periods=40, freq="W-FRI")),
        "days apart",
    ),
    "a hole of three months": (
        BUSINESS[:1000].append(BUSINESS[1063:]),
        "90 days lie between 2008-10-31 and 2009-01-29",
    ),
    "two a day": (pd.DatetimeIndex(sorted([*BUSINESS, *(BUSINESS + pd.Timedelta(hours=7))])), "intraday"),
    "hours": (pd.date_range("2020-01-01", periods=500, freq="h"), "intraday"),
    "fortnights": (pd.date_range("2005-01-07", periods=400, freq="2W-FRI"), "14 days"),
    "six days a week": (EVERY_DAY[EVERY_DAY.day_of_week != 5], "lie on weekends, but not all weekends"),
    "weeks with a fifth lost": (drop(pd.date_range("2005-01-07", periods=900, freq="W-FRI"), 0.2), "weekly"),
}


@pytest.mark.parametrize("case", IRREGULAR)
def test_irregular_spacings_are_refused_with_the_reason(case: str) -> None:
    dates, text = IRREGULAR[case]
    with pytest.raises(DataError, match=text):
        infer_periods_per_year(dates)
