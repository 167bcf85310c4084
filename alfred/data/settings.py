"""What the data room can be told: which market, which features, which folds."""

from __future__ import annotations

import zoneinfo
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from alfred.data.features.names import FAMILIES
from alfred.data.features.registry import FEATURES
from alfred.data.prices.registry import BUILT_IN_SOURCES, SOURCES
from alfred.errors import ConfigError, suggest
from alfred.settings import Settings, parse_entry


def check_zone(zone: str | None) -> str | None:
    """Return the name of a time zone, or None; ValueError when there is no such zone."""
    if zone is not None and zone not in (known := zoneinfo.available_timezones()):
        raise ValueError(f"unknown time zone '{zone}'; New York is America/New_York.{suggest(zone, known)}")
    return zone


class NewsSettings(Settings):
    """Which headlines.

    Attributes:
        path: A CSV with `date`, `time` (hh:mm on the exchange's clock, empty where unknown), `symbol`, `headline`.
        calendar: Exchange whose closing times count, early ones included (a name of exchange_calendars).
        time_zone: Zone of the stamps, such as UTC; the exchange's own clock when left out.
    """

    path: Path
    calendar: str = "XNYS"
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, zone: str | None) -> str | None:
        return check_zone(zone)


class MacroSettings(Settings):
    """Which series.

    Attributes:
        path: A CSV with a column `date` and one column a series.
        lag_days: Sessions from the date of a value to the first close at which it is known. Yields and oil come out
            after the New York close or the next day, hence 1.
    """

    path: Path
    lag_days: int = Field(default=1, ge=0)


class FundamentalsSettings(Settings):
    """Which reports.

    Attributes:
        path: A CSV of reports, or a folder of them. A table with `eps_estimated` holds earnings surprises, one with
            `form` holds filings, one without `report_date` holds fiscal years.
        annual_lag_days: Calendar days after the end of a fiscal year at which a report without a date is known.
    """

    path: Path
    annual_lag_days: int = Field(default=120, ge=1)


class DataSettings(Settings):
    """Which market.

    Attributes:
        source: `embedded` (20 US stocks and the S&P 500 index, 1990 to 2022, from skfolio), `files`, or one of your own
            (`alfred.data.prices.source.Source`).
        options: What a source of your own is told, by its `settings_class`; None for the built-in ones.
        path: A price table or a folder of them; naming one makes the source `files`.
        symbols: Symbols to keep; all when left out.
        benchmark: The symbol to be judged against; SPY (SP500TR in the embedded data) when left out.
        start: First date.
        end: Last date.
        investable: The symbols that agents and baselines may hold, or `all`. Left out, the column `investable` of
            `symbols.csv` says it; where that is silent, everything but the benchmark, for an index cannot be bought.
        dtype: Storage of the prices; `float32` halves the memory of a large universe.
        time_zone: Zone on whose clock time stamps with a zone, epochs and UTC stamps are dated, such as
            America/New_York; when left out, a stamp's own date counts, and UTC stamps that may be another day are
            refused.
        sunday_sessions: Whether the exchange trades from Sunday to Thursday (Tel Aviv, Riyadh); otherwise such days are
            refused, as they are what midnights written in the wrong zone look like.
        members: A CSV with `symbol`, `from` and `to`: what belonged to the universe when. Left out, it is `members.csv`
            beside the prices, where there is one.
        fundamentals: Reports to join as extra fields, or None.
        macro: Macroeconomic series to join as extra fields, or None.
        news: Headlines whose daily count to join as an extra field, or None.
    """

    source: str = "embedded"
    options: SerializeAsAny[Settings] | None = None
    path: Path | None = None
    symbols: tuple[str, ...] | None = None
    benchmark: str | None = None
    start: date | None = None
    end: date | None = None
    investable: Literal["all"] | tuple[str, ...] | None = None
    dtype: Literal["float64", "float32"] = "float64"
    time_zone: str | None = None
    sunday_sessions: bool = False
    members: Path | None = None
    fundamentals: FundamentalsSettings | None = None
    macro: MacroSettings | None = None
    news: NewsSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_means_files(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("path") is not None and "source" not in values:
            return {**values, "source": "files"}
        return values

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: str) -> str:
        try:
            if source in BUILT_IN_SOURCES:
                SOURCES.check_name(source)
            else:
                SOURCES.find(source, BUILT_IN_SOURCES)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return source

    @field_validator("options", mode="before")
    @classmethod
    def _parse_options(cls, options: Any, info: ValidationInfo) -> Any:
        source = info.data.get("source")
        if source is None:  # refused already
            return None
        if source in BUILT_IN_SOURCES:
            if options is not None:
                raise ValueError(f"source '{source}' has no options; leave them out")
            return None
        try:
            model = SOURCES.load_settings(source)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return parse_entry(model, {} if options is None else options)

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, zone: str | None) -> str | None:
        return check_zone(zone)

    @model_validator(mode="after")
    def _check_together(self) -> DataSettings:
        if (self.source == "files") != (self.path is not None):
            raise ValueError(
                "source 'files' needs a path to a price table or a folder of them"
                if self.path is None
                else f"source '{self.source}' reads no path, but path is {self.path}; drop one of the two"
            )
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError(f"start {self.start} is after end {self.end}; swap them")
        if self.symbols is not None and not self.symbols:
            raise ValueError("symbols is empty; name at least one, or leave it out for all")
        if self.investable is not None and not self.investable:
            raise ValueError("investable is empty; name at least one symbol, or 'all'")
        return self


class SplitSettings(Settings):
    """How the sessions are cut.

    Attributes:
        test_start: First date that is judged; the earliest that leaves `min_train_days` when left out.
        test_end: Last date that is judged; the end of the data when left out.
        n_folds: Test ranges, contiguous and of equal length up to one session.
        validation_days: Sessions before each test range on which checkpoints and parameters are chosen.
        min_train_days: Sessions that the first fold must have to train on.
        train_days: Sessions to train on at most (rolling); all earlier ones when left out (expanding).
        embargo_days: Sessions left out besides the purge, against serial correlation.
    """

    test_start: date | None = None
    test_end: date | None = None
    n_folds: int = Field(default=3, ge=1)
    validation_days: int = Field(default=252, ge=1)
    min_train_days: int = Field(default=756, ge=1)
    train_days: int | None = Field(default=None, ge=1)
    embargo_days: int = Field(default=5, ge=0)

    @model_validator(mode="after")
    def _check_together(self) -> SplitSettings:
        if self.train_days is not None and self.train_days < self.min_train_days:
            raise ValueError(f"train_days {self.train_days} is below min_train_days {self.min_train_days}; raise it")
        if self.test_start is not None and self.test_end is not None and self.test_start > self.test_end:
            raise ValueError(f"test_start {self.test_start} is after test_end {self.test_end}; swap them")
        return self


PREFIX = "feature"


class FeatureSettings(Settings):
    """Which features, on which scale.

    Attributes:
        names: Features, or families (`technical`, `momentum`, `risk`, `costs`, `quarterly`), in the order of the
            signals. A family stands for all of its features that the market has the fields for; a feature that is
            named itself must be there.
        normalise: `rank` across the symbols of the day (-1 to 1), `zscore` over the symbol's own trailing year, or
            `none`. What is the same for all symbols (a yield) has no rank: it comes out as 0.
        zscore_days: Sessions of the trailing statistics.
        zscore_min_days: Known values that they need.
    """

    names: tuple[str, ...] = Field(default=("classic",), min_length=1)
    normalise: Literal["none", "rank", "zscore"] = "rank"
    zscore_days: int = Field(default=252, ge=2)
    zscore_min_days: int = Field(default=60, ge=2)

    @field_validator("names")
    @classmethod
    def _check_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = (*FAMILIES, *(name for family in FAMILIES.values() for name in family))
        for name in names:
            try:
                if name in known:
                    FEATURES.check_name(name)
                else:
                    FEATURES.find(name, known)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return names

    @property
    def features(self) -> tuple[str, ...]:
        """The names with each family spelt out, each feature once."""
        return tuple(dict.fromkeys(item for name in self.names for item in FAMILIES.get(name, (name,))))
