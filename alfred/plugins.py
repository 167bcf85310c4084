"""Code of the user's own that the command line names: a file, or a module that can be imported.

A configuration never names code to import; whoever types the command does, with `--plugin` or in the variable
`ALFRED_PLUGINS`, which worker processes read as well. A plugin registers what it brings, for instance with
`ANALYSTS.register(MyAnalyst)`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from alfred.errors import ConfigError

if TYPE_CHECKING:
    from alfred.data.signals import Signals

AuditStage = Callable[[Any], "Signals"]
"""A function from a world (`alfred.training.audit.worlds.World`) to signals that the audit compares."""

STAGES = "AUDIT_STAGES"
"""Name under which a plugin may bring stages for the audit: a mapping of names to functions."""

VARIABLE = "ALFRED_PLUGINS"
"""Files and modules, separated as in PATH."""


def load_plugins(names: Sequence[str] = ()) -> dict[str, AuditStage]:
    """Import plugins, which register what they bring, and have every process that this one starts import them as well.

    Args:
        names: Paths of Python files, or names of modules; those in `ALFRED_PLUGINS` come first.

    Returns:
        The stages that they want audited, by name.

    Raises:
        ConfigError: One cannot be imported; the text says why.
    """
    whole = list(dict.fromkeys([*list_plugins(), *map(_make_absolute, names)]))
    stages: dict[str, AuditStage] = {}
    for name in whole:
        stages |= getattr(_load_plugin(name), STAGES, {})
    if whole:
        os.environ[VARIABLE] = os.pathsep.join(whole)
    return stages


def list_plugins() -> list[str]:
    """Return the plugins of this process: absolute paths, and names of modules."""
    return [_make_absolute(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def describe_plugins() -> list[dict[str, str]]:
    """Return name and digest of the plugins of this process, for the record of a run; names are without folders."""
    described = []
    for name in list_plugins():
        path = Path(name) if name.endswith(".py") else Path(str(getattr(_load_plugin(name), "__file__", "")))
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        described.append({"name": path.name if name.endswith(".py") else name, "sha256": digest})
    return described


def find_plugin_files() -> dict[str, Path]:
    """Return the file of each plugin of this process by the name of its module; those without a source are left out."""
    found = {}
    for name in list_plugins():
        module = _load_plugin(name)
        path = Path(str(getattr(module, "__file__", "")))
        if path.suffix == ".py" and path.is_file():
            found[module.__name__] = path
    return found


def _load_plugin(name: str) -> ModuleType:
    """Import one plugin; one that was imported is not imported again.

    Raises:
        ConfigError: It cannot be imported.
    """
    path = Path(name)
    module_name = path.stem
    known = set(sys.modules)
    try:
        if path.suffix != ".py":
            return importlib.import_module(name)
        loaded = sys.modules.get(module_name)
        if loaded is not None and getattr(loaded, "__file__", None) == str(path.resolve()):
            return loaded
        if loaded is not None:
            raise ConfigError(
                f"--plugin {name}: a module called '{module_name}' is loaded already; give the file another name"
            )
        spec = importlib.util.spec_from_file_location(module_name, path.resolve())
        if spec is None or spec.loader is None or not path.is_file():
            raise ConfigError(f"--plugin {name}: there is no such file; name a Python file or a module")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
        return module
    except ConfigError:
        raise
    except Exception as error:  # whatever a user's file does wrong
        if module_name not in known:
            sys.modules.pop(module_name, None)
        reason = " ".join(str(error).split())
        raise ConfigError(f"--plugin {name} cannot be imported: {type(error).__name__}: {reason}") from error


def _make_absolute(name: str) -> str:
    return str(Path(name).resolve()) if name.endswith(".py") else name
