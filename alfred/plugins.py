"""Code of the user's own that the command line names: a file, or a module that can be imported.

A configuration never names code to import; whoever types the command does, with `--plugin` or in the variable
`ALFRED_PLUGINS`, which worker processes read as well. A plugin registers what it brings, for instance with
`ANALYSTS.register(MyAnalyst)`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from alfred.errors import AlfredError, ConfigError, suggest_path
from alfred.registry import list_used, name_package

if TYPE_CHECKING:
    from alfred.data.signals import Signals

AuditStage = Callable[[Any], "Signals"]
"""A function from a world (`alfred.training.audit.worlds.World`) to signals that the audit compares."""

STAGES = "AUDIT_STAGES"
"""Name under which a plugin may bring stages for the audit: a mapping of names to functions."""

VARIABLE = "ALFRED_PLUGINS"
"""Files and modules, separated as in PATH: by `:`, on Windows by `;`. A path that holds this sign cannot be named."""


def load_plugins(names: Sequence[str] = ()) -> dict[str, AuditStage]:
    """Import plugins, which register what they bring, and have every process that this one starts import them as well.

    Args:
        names: Paths of Python files, or names of modules; those in `ALFRED_PLUGINS` come first.

    Returns:
        The stages that they want audited, by name.

    Raises:
        ConfigError: One cannot be imported, or its path cannot be handed on; the text says why.
    """
    for name in names:
        if os.pathsep in _make_absolute(name):
            raise ConfigError(
                f"--plugin {name}: its path, {_make_absolute(name)}, holds '{os.pathsep}', which separates the entries "
                f"of {VARIABLE}, by which other processes find it; move it to a folder without"
            )
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
    """Return name and digest of the plugins of this process, for the record of a run; names are without folders.

    The digest of a package is one over all Python files in it.
    """
    described = []
    for name in list_plugins():
        module = None if name.endswith(".py") else _load_plugin(name)
        path = Path(name) if module is None else Path(str(getattr(module, "__file__", "")))
        folders = [Path(place) for place in getattr(module, "__path__", ())]
        if folders:
            digest = _digest_sources({name: _list_sources(folders)})
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        described.append({"name": path.name if name.endswith(".py") else name, "sha256": digest})
    return described


def describe_packages() -> list[dict[str, object]]:
    """Return the installed packages whose entry points this process used, for the record of a run.

    Each has the name of its `distribution`, its `version`, a `sha256` over the Python files of the packages that hold
    what it announces, and `kinds`: what was used of it, such as `analyst mine`.
    """
    used: dict[str, list[tuple[str, EntryPoint]]] = {}
    for (what, kind), point in sorted(list_used().items()):
        used.setdefault(name_package(point), []).append((f"{what} {kind}", point))
    described: list[dict[str, object]] = []
    for items in used.values():
        dist = items[0][1].dist
        described.append(
            {
                "distribution": "?" if dist is None else dist.name,
                "version": "?" if dist is None else dist.version,
                "sha256": _digest_packages({point.module.partition(".")[0] for _, point in items}),
                "kinds": [kind for kind, _ in items],
            }
        )
    return described


def describe_announced() -> str:
    """Return a digest over the sources of all installed packages that announce something for alfred, used or not.

    What they bring is found by name, so that any of them may stand behind a configuration.
    """
    groups = importlib.metadata.entry_points()
    points = [point for group in groups.groups if group.startswith("alfred.") for point in groups.select(group=group)]
    return _digest_packages({point.module.partition(".")[0] for point in points})


def digest_package(name: str) -> str:
    """Return a digest over the sources of an installed package."""
    return _digest_packages([name])


def _digest_packages(names: Iterable[str]) -> str:
    """Return a digest over the sources of modules and packages at the top level, by their names."""
    sources = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        folders = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
        sources[name] = _list_sources(folders)
        if not folders and spec is not None and spec.origin is not None:
            sources[name] = {Path(spec.origin).name: Path(spec.origin)}
    return _digest_sources(sources)


def _list_sources(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the Python files below the folders of a package, by their places in it."""
    return {path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*.py")}


def _digest_sources(sources: dict[str, dict[str, Path]]) -> str:
    """Return a digest over the files of modules and packages, by their names and places."""
    digest = hashlib.sha256()
    for name, files in sorted(sources.items()):
        for place, path in sorted(files.items()):
            digest.update(f"{name}/{place} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


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
    module_name = path.stem if path.suffix == ".py" else name
    known = set(sys.modules)
    try:
        if path.suffix == ".py":
            return _load_file(path)
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(
                f"it is neither a file that ends in .py nor the name of a module; entries of {VARIABLE} are separated "
                f"by '{os.pathsep}'"
            )
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a user's file does wrong
        if module_name not in known:  # half of a module must not be found again
            sys.modules.pop(module_name, None)
        reason = " ".join(str(error).split())
        if isinstance(error, AlfredError):
            raise ConfigError(f"--plugin {name}: {reason}") from error
        ended = "it ends the process: " if isinstance(error, SystemExit) else ""
        raise ConfigError(f"--plugin {name} cannot be imported: {ended}{type(error).__name__}: {reason}") from error


def _load_file(path: Path) -> ModuleType:
    loaded = sys.modules.get(path.stem)
    if loaded is not None:
        if getattr(loaded, "__file__", None) == str(path.resolve()):
            return loaded
        raise ConfigError(f"a module called '{path.stem}' is loaded already; give the file another name")
    _require_free(path)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"there is no such file; name a Python file or a module.{suggest_path(path)}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _require_free(path: Path) -> None:
    """Refuse a file with the name of an installed library, which would be imported in its place.

    Raises:
        ConfigError: There is a module of this name that is another file.
    """
    try:
        found = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    except (ImportError, ValueError):
        found = None
    # A folder without Python files is a module as well, and hides nothing; it has no origin.
    if found is None or found.origin is None or Path(found.origin).resolve() == path.resolve():
        return
    raise ConfigError(f"a module called '{path.stem}' is installed; give the file another name, or it hides it")


def _make_absolute(name: str) -> str:
    return str(Path(name).resolve()) if name.endswith(".py") else name
