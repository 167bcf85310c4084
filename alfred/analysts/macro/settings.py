"""What the macro analyst can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from alfred.analysts.tabular.settings import QuietSettings

REGIME = "regime_volatile"
"""Probability that the market is in the more volatile of two regimes."""


class MacroAnalystSettings(QuietSettings):
    """Settings of `MacroAnalyst`. A series that is None is not read.

    Attributes:
        context_length: Sessions that a forecast reads, C; the regime is filtered through them.
        short_yield: Field of a short yield, in per cent.
        long_yield: Field of a long yield, in per cent.
        vix: Field of implied volatility, in per cent a year.
        oil: Field of the price of oil.
        change_days: Sessions over which changes are taken.
        regimes: Whether two regimes of volatility are fitted (`pip install 'alfred[macro]'`).
        masks: Off: a series stands until its next value, so that only the time before it begins is unknown.
    """

    kind: Literal["macro"] = "macro"
    context_length: int = Field(default=252, ge=22)
    short_yield: str | None = "yield_2y"
    long_yield: str | None = "yield_10y"
    vix: str | None = "vix"
    oil: str | None = "wti"
    change_days: int = Field(default=20, ge=1)
    regimes: bool = True
    masks: bool = False

    @property
    def series(self) -> tuple[str, ...]:
        """Fields of the market that are read, each once."""
        named = (self.short_yield, self.long_yield, self.vix, self.oil)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of what is read off a date."""
        names: list[str] = []
        if self.long_yield is not None:
            names += ["yield_level", "yield_change"]
            names += ["yield_slope"] if self.short_yield is not None else []
        if self.vix is not None:
            names += ["vix_level", "vix_change"]
        if self.oil is not None:
            names.append("oil_change")
        return (*names, *([REGIME] if self.regimes else []))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.value_names:
            raise ValueError("nothing is left to read: name a series or set regimes to true")
        if self.short_yield is not None and self.long_yield is None:
            raise ValueError(
                f"short_yield is '{self.short_yield}' without a long_yield: the slope needs both; name one, or set "
                "short_yield to null"
            )
        if self.change_days >= self.context_length:
            raise ValueError(
                f"change_days {self.change_days} reaches beyond the window of {self.context_length} sessions; shorten "
                "it or raise context_length"
            )
        return self
