"""Analysts: a market in, a forecast of log returns out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.lazy import import_on_use

if TYPE_CHECKING:
    from alfred.analysts.base import Analyst
    from alfred.analysts.forecast import Forecast
    from alfred.analysts.registry import ANALYSTS, make_analyst
    from alfred.analysts.settings import AnalystSettings

__all__ = [
    "ANALYSTS",
    "Analyst",
    "AnalystSettings",
    "Forecast",
    "make_analyst",
]

__getattr__ = import_on_use(
    __name__,
    {
        "ANALYSTS": "alfred.analysts.registry",
        "Analyst": "alfred.analysts.base",
        "AnalystSettings": "alfred.analysts.settings",
        "Forecast": "alfred.analysts.forecast",
        "make_analyst": "alfred.analysts.registry",
    },
)
