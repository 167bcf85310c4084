"""What can go wrong because of what a user gave us.

Every message names the thing, the value, what is accepted and the fix. The command line prints it on one line and
exits with code 2; anything that is not an `AlfredError` is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class AlfredError(Exception):
    """Base class of every error that a user can cause and fix."""


class DataError(AlfredError):
    """A price table, a market or a point-in-time table is not what it must be."""


class ConfigError(AlfredError):
    """A configuration has an unknown key, a wrong type or values that contradict each other."""


class SignalError(AlfredError):
    """Signals come from the future, or do not fit the market they are used on."""


class CheckpointError(AlfredError):
    """A saved model or run is missing, damaged, or belongs to something else."""


class StorageError(AlfredError, OSError):
    """A file cannot be written: no rights, no space, a file where a folder should be."""


class EndpointError(AlfredError):
    """A service on the network refuses, fails or lies, or its budget is used up."""


class NotFittedError(AlfredError):
    """`predict` was called before `fit` or `from_pretrained`."""


class MissingExtraError(AlfredError):
    """An optional dependency is not installed; the message holds the install line."""


class ContractError(AlfredError):
    """A class breaks a promise of its kind; the text says which. See `alfred.checks`."""


def explain_briefly(error: Exception) -> str:
    """Return what went wrong on one line; of many mistakes in a model of pydantic, the first."""
    listed = getattr(error, "errors", None)
    if callable(listed) and (found := listed()):
        place = ".".join(str(part) for part in found[0]["loc"])
        return f"{place}: {found[0]['msg']}" if place else str(found[0]["msg"])
    return " ".join(str(error).split())


def require_promise(kept: bool, promise: str) -> None:
    """Go on when a promise is kept.

    Raises:
        ContractError: It is not; the text is the promise.
    """
    if not kept:
        raise ContractError(promise)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` when a known name is close to `name`, else an empty string."""
    matches = difflib.get_close_matches(name, [str(item) for item in known], n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say how to install it.

    Args:
        module: The module to import.
        extra: The extra of alfred that brings it.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"'{module}' is not installed; it comes with an extra: pip install 'alfred[{extra}]'"
        ) from error
