"""What a piece of code computes, as a digest: stored results are used again only while their code is the same.

The digest of a class is that of its module and of every module of alfred that it imports, directly or through others.
A class of your own counts as well, with the modules of its own package, or those beside its file. Sources are read and
compiled, never run; comments, docstrings and line numbers do not count. Packages that others wrote do not
count: a stage names the versions of those that matter beside its code.
"""

from __future__ import annotations

import hashlib
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType

import alfred

_ALFRED = Path(alfred.__file__).resolve().parent.parent
_INSTALLED = tuple(
    Path(folder).resolve()
    for folder in (
        *site.getsitepackages(),
        site.getusersitepackages(),
        *(sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
    )
)


# Imports are read off the text; one in a docstring too many does no harm when it names no module.
_FROM = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n#]*)", re.MULTILINE)


@dataclass(frozen=True)
class _Source:
    """One module as it was read: a digest of what it does, and the modules that it may import."""

    digest: str
    imports: tuple[str, ...]


@dataclass(frozen=True)
class _Home:
    """Where the modules that belong together stand.

    Attributes:
        folder: The folder that module names are looked up in.
        package: The package that they must lie in, or None when all files of the folder belong together.
        is_installed: Whether the folder holds installed packages or the standard library.
    """

    folder: Path
    package: str | None
    is_installed: bool = False

    def find(self, name: str) -> Path | None:
        """Return the file of a module, or None when it is not one of these."""
        if self.package is not None and name.split(".", 1)[0] != self.package:
            return None
        path = self.folder.joinpath(*name.split("."))
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
        return None


# What was read of each module, and the state of it then: see `_read`.
_known: dict[str, tuple[ModuleSpec | tuple[int, int], _Source]] = {}


def fingerprint_code(*classes: type, modules: Iterable[str] = (), alone: Iterable[str] = ()) -> str:
    """Return a digest of code.

    Args:
        classes: Classes, each with its bases and all that their modules import.
        modules: Modules of alfred, with all that they import.
        alone: Modules of alfred of which nothing but their own text counts.
    """
    home = _Home(_ALFRED, "alfred")
    found: dict[str, str] = {name: _read(name, path).digest for name in alone if (path := home.find(name))}
    for name in modules:
        _collect(name, home, found)
    for item in classes:
        own = item.__module__.split(".", 1)[0]
        for base in item.__mro__:
            place = _find_home(base)
            # What others wrote and you inherit from (torch.nn.Module) is not read.
            if place is not None and (base.__module__.split(".", 1)[0] == own or not place[1].is_installed):
                _collect(*place, found)
            elif place is None and base is item:
                found[f"{base.__module__}.{base.__qualname__}"] = _digest_class(base)
    lines = [f"{name} {digest}" for name, digest in sorted(found.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:24]


def _collect(name: str, home: _Home, found: dict[str, str]) -> None:
    """Add a module and all that it imports to `found`."""
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        own = _Home(_ALFRED, "alfred") if name.split(".", 1)[0] == "alfred" else home
        path = own.find(name) if name != "__main__" else Path(str(sys.modules[name].__file__)).resolve()
        if path is not None:
            source = _read(name, path)
            found[name] = source.digest
            waiting += source.imports


def _list_imports(text: str, package: str) -> Iterator[str]:
    """Yield what a module may import; `package` is the one that it stands in."""
    for dots, name, names in _FROM.findall(text):
        parts = package.split(".")
        above = ".".join(parts[: len(parts) - len(dots) + 1]) if dots else ""
        base = ".".join(filter(None, (above, name)))
        yield base
        # What is imported from a package may be a module itself.
        yield from (f"{base}.{word.split()[0]}" for word in names.strip("() \t").split(",") if word.split())
    for names in _IMPORT.findall(text):
        yield from (word.split()[0] for word in names.split(",") if word.split())


def _find_home(item: type) -> tuple[str, _Home] | None:
    """Return the module of a class and where its relatives stand; None when it has no file or others wrote it."""
    # A worker process knows the script that was started by another name.
    name: str = "__main__" if item.__module__ == "__mp_main__" else item.__module__
    if name.split(".", 1)[0] == "alfred":
        return name, _Home(_ALFRED, "alfred")
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file).resolve()
    parts = name.split(".")
    in_package = path.name == "__init__.py" or len(parts) > 1
    folder = path.parents[len(parts) - (path.name != "__init__.py")]
    installed = any(folder.is_relative_to(place) for place in _INSTALLED)
    # A lone module beside installed packages is not related to its neighbours.
    return name, _Home(folder, parts[0] if in_package or installed else None, installed)


def _read(name: str, path: Path) -> _Source:
    """Return what a module does, read once for as long as the code in memory is the same.

    A module that is loaded keeps the digest that it had at first: an edit of its file does not change what runs here
    until it is loaded again. One that is not loaded yet will be loaded as it stands on disk.
    """
    module = sys.modules.get(name)
    spec = None if module is None else module.__spec__
    stat = path.stat()
    state = spec if spec is not None else (stat.st_mtime_ns, stat.st_size)
    known = _known.get(name)
    if known is not None and (known[0] is state or (spec is None and known[0] == state)):
        return known[1]
    # Level 2 leaves out docstrings.
    text = path.read_text(encoding="utf-8")
    digest = hashlib.sha256()
    _digest_code(compile(text, name, "exec", dont_inherit=True, optimize=2), digest.update)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    source = _Source(digest.hexdigest(), tuple(dict.fromkeys(_list_imports(text, package))))
    _known[name] = (state, source)
    return source


def _digest_class(item: type) -> str:
    """Return a digest of a class without a file, as a notebook has it: of its functions alone."""
    digest = hashlib.sha256()
    for base in item.__mro__:
        for name, member in sorted(vars(base).items()):
            code = getattr(getattr(member, "__func__", member), "__code__", None)
            if isinstance(code, CodeType):
                digest.update(name.encode())
                _digest_code(code, digest.update)
    return digest.hexdigest()


def _digest_code(code: CodeType, update: Callable[[bytes], object]) -> None:
    """Add all of a code object but its line numbers to a digest."""
    shape = (code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    update(repr((shape, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode())
    update(code.co_code)
    update(code.co_exceptiontable)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _digest_code(constant, update)
        elif isinstance(constant, frozenset):
            update(repr(sorted(map(repr, constant))).encode())  # the order of a set is another in each process
        else:
            update(repr(constant).encode())
