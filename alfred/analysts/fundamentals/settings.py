"""What the fundamentals analyst can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from alfred.analysts.extractors.settings import ExtractorNetworkSettings, HeadName
from alfred.analysts.settings import MOST_SESSIONS
from alfred.learning.settings import Device, FittingSettings

QUARTER_DAYS = 63
LOOKBACK_DAYS = 180
"""Sessions that the longest average of price and volume reads before a report."""

# Reports come 62 to 66 sessions apart, and one now and then a few weeks late.
_LONGEST_QUARTER, _LATE = 66, 20


def count_span(quarters: int) -> int:
    """Return the sessions from the oldest report that is read to the latest."""
    return _LONGEST_QUARTER * (quarters - 1) + _LATE


class FundamentalsAnalystSettings(ExtractorNetworkSettings):
    """Settings of `FundamentalsAnalyst`: those of its network, and of the reports that it reads.

    Attributes:
        horizons: Sessions ahead, counted from the session that learnt of the latest report; a quarter by default.
        quarters: Reports in a sequence, Q, such as 12 or 24; earlier ones that are missing are masked.
        columns: What is read at each report: fields of the market, and the features of `quarters.COMPUTED`. All that
            the market has and that compare across companies when left out.
        stale_after_days: Sessions after a report at which its forecast lapses, because the next one did not come.
        context_length: Bars that a forecast reads, C; as many as `quarters` and `stale_after_days` need when left out.
        head: `direction` (the probability of a rise) or another of the extractor's heads, such as `magnitude`.
        validation_fraction: Last part of the reports that chooses the best step.
        device: Where torch computes.
        fitting: How to train.
    """

    kind: Literal["fundamentals"] = "fundamentals"
    horizons: tuple[Annotated[int, Field(ge=1, le=MOST_SESSIONS)], ...] = Field(default=(QUARTER_DAYS,), min_length=1)
    quarters: int = Field(default=12, ge=2, le=60)
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    stale_after_days: int = Field(default=126, ge=1, le=1000)
    head: HeadName = "direction"
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    device: Device = "auto"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    fitting: FittingSettings = FittingSettings(
        steps=200, batch_size=128, learning_rate=1e-3, weight_decay=0.1, validate_every=10, patience=8
    )

    @property
    def needed_days(self) -> int:
        """Bars that a window must have for a forecast to stand unchanged until it lapses."""
        return self.stale_after_days + count_span(self.quarters) + LOOKBACK_DAYS

    @model_validator(mode="before")
    @classmethod
    def _choose_context_length(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or raw.get("context_length") is not None:
            return raw
        fields = cls.model_fields
        quarters, stale = (raw.get(name, fields[name].default) for name in ("quarters", "stale_after_days"))
        if not isinstance(quarters, int) or not isinstance(stale, int):
            return raw  # refused by the fields themselves
        return {**raw, "context_length": max(stale + count_span(quarters) + LOOKBACK_DAYS, 2)}

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.context_length < self.needed_days:
            raise ValueError(
                f"context_length {self.context_length} is too short for {self.quarters} quarters: reports, averages "
                f"before them and {self.stale_after_days} sessions after need {self.needed_days}; leave it out"
            )
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns names one twice: {', '.join(self.columns)}; name each once")
        return self
