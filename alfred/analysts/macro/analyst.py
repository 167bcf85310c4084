"""Macroeconomic series and the regime of the market as an analyst; its signals are the same for all symbols."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from alfred.analysts.macro.regimes import FEWEST_RETURNS, Regimes
from alfred.analysts.macro.settings import REGIME, MacroAnalystSettings
from alfred.analysts.settings import AnalystSettings
from alfred.analysts.tabular.base import Arrays
from alfred.analysts.tabular.examples import Examples, Names
from alfred.analysts.tabular.quiet import QuietAnalyst
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.typing import Float

_LEVEL = "market_level"


class MacroAnalyst(QuietAnalyst):
    """Reads the level, slope and change of yields, implied volatility, the change of oil, and the regime.

    | signal | what it is |
    | --- | --- |
    | `yield_level` | the long yield, in per cent |
    | `yield_change` | its change over `change_days` |
    | `yield_slope` | the long yield less the short one |
    | `vix_level` | log of the VIX over 20, a usual value |
    | `vix_change` | change of its log over `change_days` |
    | `oil_change` | change of the price over `change_days`, over its mean size in the window (it was negative once) |
    | `regime_volatile` | filtered probability of the volatile regime, less one half |

    The regime is that of the mean return of all symbols (`market_level`). Its five numbers are fitted at each refit on
    what was known then, with one mean for both regimes, so that they say how much the market moves and not where to;
    the probability of a date is filtered through the window that ends there.

    The forecast is that of `QuietAnalyst`, one set of coefficients for all symbols: it is the same for all of them in
    units of their volatility, so that it tells when to hold, not what.

    Attributes:
        regimes_: The regimes, or None where there are none to tell apart.
    """

    settings_class: ClassVar[type[AnalystSettings]] = MacroAnalystSettings
    settings: MacroAnalystSettings
    packages = ("statsmodels",)

    regimes_: Regimes | None = None

    def fit(self, market: Market) -> Self:
        """Fit the regimes, and then the forecast; see the base class."""
        self.regimes_ = None
        if self.settings.regimes:
            level = market.field(_LEVEL)[:, market.index_of(market.benchmark)].astype(np.float64)
            self.regimes_ = Regimes.fit(np.diff(np.log(level)))
        return super().fit(market)

    def _choose_fields(self, market: Market) -> tuple[str, ...]:
        for name in self.settings.series:
            if name not in market.extras:
                known = ", ".join(market.extras) or "none"
                raise DataError(
                    f"analyst '{self.settings.label}' reads '{name}', but the market has no such series (it has "
                    f"{known}); name a file with data.macro.path, another column, or set it to null"
                )
        return ("close", *self.settings.series, *((_LEVEL,) if self.settings.regimes else ()))

    def _read(self, contexts: Contexts) -> tuple[Float, Names]:
        s, days = self.settings, self.settings.change_days
        values: dict[str, Float] = {}

        def read(name: str) -> Float:
            return contexts.field(name).astype(np.float64)

        if s.long_yield is not None:
            long = read(s.long_yield)
            values["yield_level"] = long[:, -1]
            values["yield_change"] = long[:, -1] - long[:, -1 - days]
            if s.short_yield is not None:
                values["yield_slope"] = long[:, -1] - read(s.short_yield)[:, -1]
        if s.vix is not None:
            vix = read(s.vix)
            with np.errstate(invalid="ignore", divide="ignore"):
                logs = np.where(vix > 0, np.log(vix / 20.0), np.nan)
            values["vix_level"] = logs[:, -1]
            values["vix_change"] = logs[:, -1] - logs[:, -1 - days]
        if s.oil is not None:
            oil = read(s.oil)
            known = np.isfinite(oil)
            size = np.where(known, np.abs(oil), 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
            values["oil_change"] = (oil[:, -1] - oil[:, -1 - days]) / np.where(size > 0, size, np.nan)
        if s.regimes:
            level = np.log(read(_LEVEL))
            regimes = self.regimes_
            values[REGIME] = (
                np.full(len(contexts), np.nan) if regimes is None else regimes.filter(np.diff(level, axis=1)) - 0.5
            )
        names = s.value_names
        return np.column_stack([values[name] for name in names]), names

    def _learn(self, examples: Examples) -> tuple[str, ...]:
        notes = super()._learn(examples)
        if self.settings.regimes and self.regimes_ is None:
            notes = (
                f"{self.settings.label} could not tell two regimes of volatility apart in at least one history (it "
                f"needs {FEWEST_RETURNS} sessions), and left them out there.",
                *notes,
            )
        return notes

    def _to_tensors(self) -> Arrays:
        regimes = np.full(5, np.nan) if self.regimes_ is None else self.regimes_.to_array()
        return {**super()._to_tensors(), "regimes": regimes}

    def _from_tensors(self, arrays: Arrays) -> None:
        super()._from_tensors(arrays)
        numbers = arrays["regimes"]
        if numbers.shape != (5,):
            raise ValueError(f"'regimes' has shape {numbers.shape}, not (5,)")
        self.regimes_ = None if np.isnan(numbers).any() else Regimes(*(float(number) for number in numbers))
