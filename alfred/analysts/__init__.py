"""Analysts: a market in, a forecast of log returns out."""

from alfred.analysts.base import Analyst, AnalystSettings
from alfred.analysts.forecast import Forecast
from alfred.analysts.registry import ANALYSTS, make_analyst

__all__ = ["ANALYSTS", "Analyst", "AnalystSettings", "Forecast", "make_analyst"]
