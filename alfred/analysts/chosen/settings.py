"""What the analyst can be told that forecasts each symbol with its own best one."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from alfred.analysts.chosen.entries import build_settings, read_entries
from alfred.analysts.settings import AnalystSettings, NaiveSettings
from alfred.errors import AlfredError
from alfred.settings import Settings


class Chosen(Settings):
    """One analyst, and whom it forecasts.

    Attributes:
        analyst: Its settings.
        symbols: Whom.
    """

    analyst: SerializeAsAny[AnalystSettings]
    symbols: tuple[str, ...] = Field(min_length=1)

    @field_validator("analyst", mode="before")
    @classmethod
    def _build(cls, raw: object) -> object:
        try:
            return build_settings(raw) if isinstance(raw, dict) else raw
        except AlfredError as error:
            raise ValueError(str(error)) from error


class RegistrySettings(AnalystSettings):
    """Settings of `RegistryAnalyst`.

    What the folder holds is read once and stands in the stored configuration, so that a run does not change with it.
    Horizons and context length follow from the entries.

    Attributes:
        path: Folder with the best analyst of each symbol, as `alfred tune analysts` and `alfred promote` write it.
        chosen: The analysts, each with its symbols; read from the folder when left out. All others are forecast by
            naive persistence.
        looks: Trials that were made to find them; the verdict on a strategy that uses them pays for these.
        chosen_until: Last session on which one of them was chosen: until then their forecasts are no news.
    """

    kind: Literal["registry"] = "registry"
    path: str = Field(min_length=1)
    chosen: tuple[Chosen, ...] = Field(min_length=1)
    looks: int = Field(ge=0)
    chosen_until: date

    @property
    def inner(self) -> tuple[AnalystSettings, ...]:
        """The analysts behind it; see the base class."""
        return (NaiveSettings(horizons=self.horizons), *(item.analyst for item in self.chosen))

    @property
    def n_looks(self) -> int:
        """Trials that were made to find the analysts."""
        return self.looks

    @model_validator(mode="before")
    @classmethod
    def _read_folder(cls, raw: object) -> object:
        if not isinstance(raw, dict) or not isinstance(raw.get("path"), str | Path) or not raw["path"]:
            return raw
        raw = {**raw, "path": str(raw["path"])}
        try:
            if "chosen" not in raw:
                raw |= _read(Path(raw["path"]).expanduser())
            return {**raw, **_derive(raw)}
        except (TypeError, RuntimeError, AttributeError) as error:
            raise ValueError(f"path, chosen or horizons are not what they must be ({error})") from error


def _read(folder: Path) -> dict[str, Any]:
    try:
        entries = read_entries(folder)
    except AlfredError as error:
        raise ValueError(str(error)) from error
    if not entries:
        raise ValueError(f"{folder} holds no best analyst of any symbol; make some with alfred tune analysts")
    groups: dict[str, Chosen] = {}
    for symbol, entry in entries.items():
        settings = entry.settings
        key = settings.model_dump_json(exclude={"name"})
        known = groups[key].symbols if key in groups else ()
        groups[key] = Chosen(analyst=settings, symbols=(*known, symbol))
    scores = [part for entry in entries.values() for part in (entry.validation, entry.holdout) if part is not None]
    looks = sum(entry.n_trials for entry in entries.values())
    return {"chosen": tuple(groups.values()), "looks": looks, "chosen_until": max(part.last for part in scores)}


def _derive(raw: dict[str, Any]) -> dict[str, Any]:
    """Return horizons and context length, and refuse others than those of the entries."""
    analysts = [
        (item if isinstance(item, Chosen) else Chosen.model_validate(item)).analyst for item in raw["chosen"] or ()
    ]
    shared = [h for h in (analysts[0].horizons if analysts else ()) if all(h in item.horizons for item in analysts)]
    if not shared:
        raise ValueError("the best analysts share no horizon; tune all symbols for the same one")
    given = raw.get("horizons", shared)
    if not set(given) <= set(shared):
        raise ValueError(f"horizons are {list(given)}, but the best analysts all forecast {shared} only")
    return {"horizons": tuple(given), "context_length": max(item.context_length for item in analysts)}
