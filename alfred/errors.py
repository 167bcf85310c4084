"""What can go wrong because of what a user gave us.

Every message names the thing, the value, what is accepted and the fix. The command line prints it on one line and
exits with code 2; anything that is not an `AlfredError` is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
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


class OwnCodeError(AlfredError):
    """Code of a user's own, such as an analyst in a plugin or a strategy in a notebook, raised an exception.

    Attributes:
        trace: The traceback of that exception, for a log; the exception itself is the cause.
    """

    def __init__(self, text: str, trace: str = "", log: str = "") -> None:
        """Store the line, the traceback and the file in which it stands, where it was written to one."""
        super().__init__(text, trace, log)  # as they are, so that the error survives the way out of a worker process
        self.text, self.trace, self.log = text, trace, log

    def __str__(self) -> str:
        """Return the line."""
        return f"{self.text}; the traceback is in {self.log}" if self.log else self.text

    def write_trace(self, path: Path) -> OwnCodeError:
        """Write the traceback to a file, and return the error that names it."""
        path.write_text(self.trace, encoding="utf-8")
        return OwnCodeError(self.text, self.trace, str(path))


@contextmanager
def name_own_code(owner: object, what: str, method: str, place: str = "") -> Iterator[None]:
    """Turn an exception of a user's own code into one that says whose it is; alfred's own code is left alone.

    Args:
        owner: The object whose method is called. It is a user's own when its class is defined outside of alfred, or
            has `runs_own_code`.
        what: What it is, with its name: `analyst 'mine'`.
        method: What is called.
        place: When, or on what: ` at the refit of 2015-06-30`.

    Raises:
        OwnCodeError: From the exception.
    """
    try:
        yield
    except AlfredError:
        raise
    except Exception as error:
        cls = type(owner)
        if cls.__module__.partition(".")[0] == "alfred" and not getattr(owner, "runs_own_code", False):
            raise
        module = sys.modules.get(cls.__module__)
        file = Path(str(getattr(module, "__file__", None) or cls.__module__)).name
        whose = "" if getattr(owner, "runs_own_code", False) else f" ({cls.__qualname__} in {file})"
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
        text = f"{what}{whose} failed in {method}{place}: {reason}"
        raise OwnCodeError(text, "".join(traceback.format_exception(error))) from error


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


def suggest_path(path: Path | str, *, below: Path | str | None = None) -> str:
    """Return `` Did you mean 'x'?`` when something on disk has a name close to a path that leads nowhere.

    Args:
        path: What was given, and is not there.
        below: A folder in which it may have been meant to stand, such as that of all runs.
    """
    path = Path(path)
    if below is not None and (Path(below) / path.name).exists():
        return f" Did you mean '{Path(below) / path.name}'?"
    found = _find_near(path)
    if found is None and below is not None:
        found = _find_near(Path(below) / path.name)
    return "" if found is None else f" Did you mean '{found}'?"


def _find_near(path: Path) -> Path | None:
    """Return what is there and has a name close to that of a path, in its folder or in one of a close name."""
    folder = path.parent
    if not folder.is_dir():
        near = _find_near(folder) if folder.name else None
        if near is None or not near.is_dir():
            return None
        folder = near
        if (folder / path.name).exists():
            return folder / path.name
    try:
        names = [item.name for item in folder.iterdir()]
    except OSError:
        return None
    matches = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return folder / matches[0] if matches else None


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
