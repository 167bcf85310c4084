"""The base of every configuration model, and the names that it may hold.

A model stands beside the thing that it configures and holds its defaults; `alfred.config` only composes them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from alfred.errors import ConfigError

REFUSED_ENTRY = "refused_entry"
"""Type of the error of `parse_entry`."""

MAX_NAME_LENGTH = 100
"""Letters of a name; file systems take 255 bytes, and endings and counters are added to it."""

# What Windows takes for a device, whatever the ending and the case.
_DEVICE = re.compile(r"(?:NUL|CON|PRN|AUX|COM[1-9]|LPT[1-9]) *(?:\..*)?", re.IGNORECASE)


class Settings(BaseModel):
    """A frozen configuration in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def check_name(name: str, what: str, *, also: str = "") -> str:
    """Return a name that may become a part of a path; refuse every other one.

    Names of runs, analysts, agents, signals and fetched symbols become files and folders. None of them may lead out
    of its folder, hide itself, or be a name that some file system does not take. This is the one place that says so.

    Args:
        name: The name.
        what: What it names, for the message: `agent`, `symbol`.
        also: Further characters that are accepted after or at the beginning; never a separator.

    Raises:
        ConfigError: It is empty, longer than `MAX_NAME_LENGTH`, begins with anything but a letter, a digit or one of
            `also`, ends with a dot or a blank, holds anything but letters, digits, inner blanks and `_ . -`, or is the
            name of a device on Windows (NUL, CON, PRN, AUX, COM1 to COM9, LPT1 to LPT9), with or without an ending.
    """
    extra = re.escape(also)
    pattern = rf"[A-Za-z0-9_{extra}](?:[A-Za-z0-9_. \-{extra}]*[A-Za-z0-9_\-{extra}])?"
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH or not re.fullmatch(pattern, name):
        shown = name if not isinstance(name, str) or len(name) <= MAX_NAME_LENGTH else f"{name[:MAX_NAME_LENGTH]}..."
        raise ConfigError(
            f"{shown!r} cannot be the name of this {what}, since it becomes part of a path: up to {MAX_NAME_LENGTH} "
            f"letters, digits, inner blanks and {' '.join('_.-' + also)} are accepted, with a letter or digit first"
        )
    if _DEVICE.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of this {what}, since it becomes part of a path and is a device on Windows; "
            "choose another"
        )
    return name


def _check_name_field(name: str) -> str:
    try:
        return check_name(name, "entry")
    except ConfigError as error:
        raise ValueError(str(error)) from error  # pydantic adds the key to a ValueError only


def parse_entry(model: type[BaseModel], entry: object, *place: str | int) -> Any:
    """Return what a model makes of an entry whose model is found at run time, within the validator of another model.

    Args:
        model: The model.
        entry: What the configuration says.
        place: Keys and positions from the validated field to the entry.

    Raises:
        PydanticCustomError: The model refuses it; the error carries that model's errors, so that the key can be named.
    """
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        details = {"text": str(error), "place": place, "errors": error.errors(), "model": model}
        raise PydanticCustomError(REFUSED_ENTRY, "{text}", details) from error


Name = Annotated[str, AfterValidator(_check_name_field)]
"""A text field of a configuration that becomes part of a path, checked by `check_name`."""
