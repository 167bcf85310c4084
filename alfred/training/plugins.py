"""Code of the user's own that the command line names: a file, or a module that can be imported.

A configuration never names code to import; whoever types the command does.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from alfred.data.signals import Signals
from alfred.errors import ConfigError

AuditStage = Callable[[Any], Signals]
"""A function from a world (`alfred.training.audit.worlds.World`) to signals that the audit compares."""

STAGES = "AUDIT_STAGES"
"""Name under which a plugin may bring stages for the audit: a mapping of names to functions."""


def load_plugins(names: Sequence[str]) -> dict[str, AuditStage]:
    """Import plugins, which register what they bring, and return the stages that they want audited.

    Args:
        names: Paths of Python files, or names of modules.

    Raises:
        ConfigError: One cannot be imported; the text says why.
    """
    stages: dict[str, AuditStage] = {}
    for name in names:
        stages |= getattr(load_plugin(name), STAGES, {})
    return stages


def load_plugin(name: str) -> ModuleType:
    """Import one plugin; one that was imported is not imported again.

    Raises:
        ConfigError: It cannot be imported.
    """
    path = Path(name)
    try:
        if path.suffix != ".py":
            return importlib.import_module(name)
        module_name = path.stem
        loaded = sys.modules.get(module_name)
        if loaded is not None and getattr(loaded, "__file__", None) == str(path.resolve()):
            return loaded
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
        reason = " ".join(str(error).split())
        raise ConfigError(f"--plugin {name} cannot be imported: {type(error).__name__}: {reason}") from error
