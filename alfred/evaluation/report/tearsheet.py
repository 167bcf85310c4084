"""The page of quantstats beside our own: a second opinion on the same record, for those who know its layout.

Its numbers are its own. It knows one rate of cash for the whole record, and neither uncertainty nor trials;
where it differs from our page, ours is what the tests hold.
"""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.files import write_atomically
from alfred.errors import AlfredError, import_extra
from alfred.evaluation.backtest import Backtest

EXTRA = "tearsheet"
TEARSHEET_FILE = "tearsheet.html"

# Its page asks for one picture from its makers' site. A reader of a report is nobody's visitor.
_ICON = re.compile(r'<link rel="shortcut icon"[^>]*>')
_POLICY = (
    '<link rel="icon" href="data:,"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
)


def write_tearsheet(folder: Path | str, record: Backtest, benchmark: Backtest, title: str) -> Path:
    """Write the page of quantstats about a record.

    Args:
        folder: Where `tearsheet.html` is written.
        record: The strategy.
        benchmark: On the same dates.
        title: Heading of the page.

    Returns:
        The file.

    Raises:
        ConfigError: quantstats is not installed.
        AlfredError: quantstats cannot make a page of this record.
    """
    reports = import_extra("quantstats.reports", EXTRA)
    place = Path(folder) / TEARSHEET_FILE
    own, other = (pd.Series(item.net, index=item.dates, name=item.name) for item in (record, benchmark))
    rate = float(np.expm1(np.log1p(record.cash_return).mean() * record.periods_per_year))

    def write(temporary: Path) -> None:
        reports.html(
            own,
            benchmark=other,
            rf=rate,
            title=title,
            output=str(temporary),
            periods_per_year=record.periods_per_year,
            benchmark_title=benchmark.name,
            strategy_title=record.name,
            match_dates=False,
        )
        page, count = _ICON.subn(_POLICY, temporary.read_text(encoding="utf-8"))
        if not count:
            page = page.replace("<head>", f"<head>{_POLICY}", 1)
        temporary.write_text(page, encoding="utf-8")

    # Fonts that are missing are said once a letter.
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level
    fonts.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_atomically(place, write)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AlfredError(
            f"quantstats cannot make a page of {record.name} ({reason}): it needs some months of returns; the report "
            "itself is written"
        ) from error
    finally:
        fonts.setLevel(level)
    return place
