"""A function called in an interpreter of its own: what this process did to a class or a module is not there."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from alfred.errors import ContractError, require_promise

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SCRIPT = "__script__"  # not __mp_main__: multiprocessing puts the main module there
_COMMAND = "import sys; from alfred.fresh import answer; answer(sys.argv[1:])"


def call_afresh(function: str, owner: Callable[..., Any], *arguments: Path | str) -> None:
    """Call `function(owner, *arguments)` in a fresh process, which finds the owner where it was defined.

    Args:
        function: `module:name`, called with the owner first; it hands its answer back in files.
        owner: A class or a function of the user's own, defined at the top of a module.
        arguments: Paths and texts.

    Raises:
        ContractError: The owner is not found there, or the call fails; the text says why.
    """
    file = _find_file(owner)
    require_promise(
        bool(file) and _follow(sys.modules[owner.__module__], owner.__qualname__) is owner,
        f"{owner.__qualname__} must be defined at the top of a module that is a file, where other processes find it",
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(item or str(Path.cwd()) for item in sys.path)}
    if (torch := sys.modules.get("torch")) is not None:  # sums of other threads round differently
        environment |= dict.fromkeys(_THREADS, str(torch.get_num_threads()))
    command = [sys.executable, "-c", _COMMAND, function, owner.__module__, owner.__qualname__, file]
    command += map(str, arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own interpreter
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ContractError(f"{owner.__qualname__} must work in a fresh process; there: {last}")


def answer(words: list[str]) -> None:
    """Do in the fresh process what `call_afresh` asked for: function, the owner's module, name and file, arguments."""
    function, module_name, name, file, *arguments = words
    module, _, called = function.partition(":")
    try:
        owner = _follow(_import_module(module_name, file), name)
        getattr(importlib.import_module(module), called)(owner, *arguments)
    except Exception as error:  # whatever a user's code does wrong, on one line
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _follow(module: ModuleType, path: str) -> object:
    found: object = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _import_module(name: str, file: str) -> ModuleType:
    """Import a module by its name, or from its file where no path leads to it, as to a plugin."""
    try:
        if name != "__main__":  # a script is not run again as one
            module = importlib.import_module(name)
            if getattr(module, "__file__", None) == file:
                return module
    except ModuleNotFoundError as error:
        if not (error.name and name.startswith(error.name)):
            raise
    name = _SCRIPT if name == "__main__" else name
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _find_file(owner: Callable[..., Any]) -> str:
    return str(getattr(sys.modules.get(owner.__module__), "__file__", None) or "")
