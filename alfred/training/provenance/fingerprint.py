"""What a piece of code computes, as a digest: stored results are used again only while their code is the same.

The digest of a class is that of its module and of every module of alfred that it imports, directly or through others.
A class of your own counts as well. While its code is not installed, so does every module that it imports from a folder
of `sys.path` that holds no installed packages; of an installed package, its own modules do. Sources are read and
compiled, never run; comments, docstrings and line numbers do not count. A class without a file, as a notebook has it,
counts by its functions and attributes and by the globals that they name, as they stand when the digest is taken.

Not seen are modules imported by a computed name (`importlib.import_module`) or through an import hook, compiled
extensions, and data files. Packages that others wrote do not count: a stage names the
versions of those that matter beside its code.
"""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import numpy as np

from alfred.plugins import find_plugin_files

_ALFRED = Path(__file__).resolve().parents[3]
_INSTALLED = tuple(
    Path(folder).resolve()
    for folder in (
        *site.getsitepackages(),
        site.getusersitepackages(),
        *(sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
    )
)

_IMPORT = dis.opmap["IMPORT_NAME"]
_IMMUTABLE = 1 << 8  # flag of the types that are built into Python
_LINES_ARE_KEPT = sys.version_info[:2] > (3, 12)
# What Python itself writes into a class.
_BOOKKEEPING = frozenset(
    {"__abstractmethods__", "__annotate_func__", "__annotations__", "__annotations_cache__", "__dict__", "__doc__"}
    | {"__firstlineno__", "__module__", "__qualname__", "__static_attributes__", "__weakref__", "_abc_impl"}
)


@dataclass(frozen=True)
class _Source:
    """One module as it was read: a digest of what it does, and the modules that it may import."""

    digest: str
    imports: tuple[str, ...]


@dataclass(frozen=True)
class _Home:
    """Where the modules that belong together stand.

    Attributes:
        folders: The folders that module names are looked up in, in this order.
        package: The package that they must lie in, or None when all that is found in the folders belongs together.
        is_installed: Whether they are installed packages or the standard library.
    """

    folders: tuple[Path, ...]
    package: str | None
    is_installed: bool = False

    def find(self, name: str) -> Path | None:
        """Return the file of a module, or None when it is not one of these."""
        if not name or (self.package is not None and name.split(".", 1)[0] != self.package):
            return None
        for folder in self.folders:
            path = folder.joinpath(*name.split("."))
            # As for Python, a package goes before a module of the same name.
            for candidate in (path / "__init__.py", path.with_suffix(".py")):
                if candidate.is_file():
                    return candidate
        return None


# What was read of each module, and the state of it then: see `_read`.
_known: dict[str, tuple[ModuleSpec | tuple[int, int], _Source]] = {}


def fingerprint_code(
    *classes: type | Callable[..., object], modules: Iterable[str] = (), alone: Iterable[str] = ()
) -> str:
    """Return a digest of code.

    Args:
        classes: Classes, each with its bases and all that their modules import; functions alike.
        modules: Modules of alfred, with all that they import.
        alone: Modules of alfred of which nothing but their own text counts.
    """
    home = _Home((_ALFRED,), "alfred")
    found: dict[str, str] = {}
    for name in (*alone, *modules):
        path = home.find(name)
        if path is None:  # a digest that passes over a module would not notice that it changed
            raise ValueError(f"there is no module {name}")
        if name in alone:
            found[name] = _read(name, path).digest
    for name in modules:
        _collect(name, home, found)
    for item in classes:
        own = item.__module__.split(".", 1)[0]
        for base in getattr(item, "__mro__", (item,)):
            place = _find_home(base.__module__)
            # What others wrote and you inherit from (torch.nn.Module) is not read.
            if place is not None and (base.__module__.split(".", 1)[0] == own or not place[1].is_installed):
                _collect(*place, found)
            elif place is None and base is item:
                name = f"{base.__module__}.{base.__qualname__}"
                # Modules that the class refers to are added to `found` on the way.
                live = _Live(found)
                live.add(base)
                found[name] = live.digest.hexdigest()
    if any(item.__module__.split(".", 1)[0] != "alfred" for item in classes):
        # A plugin may change a class of another module, or import one from where nothing of `sys.path` leads.
        for module, path in find_plugin_files().items():
            found.setdefault(module, _read(module, path).digest)
    lines = [f"{name} {digest}" for name, digest in sorted(found.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:24]


def _collect(name: str, home: _Home, found: dict[str, str]) -> None:
    """Add a module and all that it imports to `found`."""
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        own = _Home((_ALFRED,), "alfred") if name.split(".", 1)[0] == "alfred" else home
        path = own.find(name) if name != "__main__" else Path(str(sys.modules[name].__file__)).resolve()
        if path is not None:
            source = _read(name, path)
            found[name] = source.digest
            waiting += source.imports
            if own.package != "alfred":
                # Python runs the packages around a module first.
                waiting += [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]


def _list_imports(code: CodeType, package: str) -> Iterator[str]:
    """Yield what a module may import; `package` is the one that it stands in.

    Read off the compiled code, which takes a fifth of the time of a walk over the syntax tree: Python loads the level
    and the names of an import and then imports.
    """
    if _IMPORT in code.co_code[::2]:
        steps = [step for step in dis.get_instructions(code) if step.opcode != dis.EXTENDED_ARG]
        for level, names, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opcode == _IMPORT:
                parts = package.split(".")
                above = ".".join(parts[: len(parts) - level.argval + 1]) if level.argval else ""
                base = ".".join(filter(None, (above, step.argval)))
                yield base
                # What is imported from a package may be a module itself.
                yield from (f"{base}.{name}".lstrip(".") for name in names.argval or ())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_imports(constant, package)


def _find_home(module: str) -> tuple[str, _Home] | None:
    """Return the name of a module and where its relatives stand; None when it has no source file."""
    # A worker process knows the script that was started by another name.
    name = "__main__" if module == "__mp_main__" else module
    if name.split(".", 1)[0] == "alfred":
        return name, _Home((_ALFRED,), "alfred")
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file).resolve()
    parts = name.split(".")
    folder = path.parents[len(parts) - (path.name != "__init__.py")]
    if _is_installed(folder):
        # It is not related to its neighbours.
        return name, _Home((folder,), parts[0], is_installed=True)
    places = (Path(entry).resolve() for entry in sys.path)
    folders = [place for place in places if place.is_dir() and not _is_installed(place)]
    return name, _Home(tuple(dict.fromkeys([*folders, folder])), None)


def _is_installed(folder: Path) -> bool:
    return any(folder.is_relative_to(place) for place in _INSTALLED)


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
    text = path.read_bytes()
    digest = hashlib.sha256()
    imports: tuple[str, ...] = ()
    try:
        # Level 2 leaves out docstrings.
        code = compile(_drop_lines(text), name, "exec", dont_inherit=True, optimize=2)
        _digest_code(code, digest.update)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports = tuple(dict.fromkeys(_list_imports(code, package)))
    except (SyntaxError, ValueError):
        digest.update(text)  # this Python cannot run it, so that nothing follows from it
    source = _Source(digest.hexdigest(), imports)
    _known[name] = (state, source)
    return source


def _drop_lines(text: bytes) -> bytes | ast.Module:
    """Return a module whose classes do not know their line, which Python 3.13 and later keep among what they do."""
    if not _LINES_ARE_KEPT or b"class" not in text:
        return text
    tree, first = ast.parse(text), ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for part in (node, *node.decorator_list):
                ast.copy_location(part, first)
    return tree


class _Live:
    """Digest of what has no file: of objects in memory and all that they refer to.

    Attributes:
        digest: What was added so far.
    """

    def __init__(self, found: dict[str, str]) -> None:
        """Start with nothing; modules with a file that are referred to go to `found`."""
        self.digest = hashlib.sha256()
        self._found = found
        self._seen: set[int] = set()

    def add(self, value: object) -> None:
        """Add an object: functions by their code, plain values by what they print."""
        self._write(type(value).__qualname__)
        if isinstance(value, (type, FunctionType, ModuleType, list, tuple, dict)):
            if id(value) in self._seen:
                return
            self._seen.add(id(value))
        match value:
            case ModuleType():
                self._collect(value.__name__)
            case type():
                self._add_class(value)
            case FunctionType():
                self._add_function(value)
            case staticmethod() | classmethod():
                self.add(value.__func__)
            case property():
                self._add_all(value.fget, value.fset, value.fdel)
            case functools.cached_property():
                self.add(value.func)
            case functools.partial():
                self._add_all(value.func, value.args, value.keywords)
            case list() | tuple():
                self._add_all(*value)
            case dict():
                self._add_all(*value.keys(), *value.values())
            case set() | frozenset():
                self._write(*sorted(map(repr, value)))  # the order of a set is another in each process
            case np.ndarray() if not value.dtype.hasobject:
                self._write(str(value.dtype), str(value.shape))
                self.digest.update(value.tobytes())
            case _:
                text = repr(value)
                self._write("" if " at 0x" in text else text)

    def _add_all(self, *values: object) -> None:
        for value in values:
            self.add(value)

    def _add_class(self, item: type) -> None:
        self._write(item.__qualname__)
        for base in item.__mro__:
            if base.__module__ == "builtins" and base.__flags__ & _IMMUTABLE:
                self._write(base.__qualname__)
            elif not self._collect(base.__module__):
                for name, member in sorted(vars(base).items()):
                    if name not in _BOOKKEEPING:
                        self._write(name)
                        self.add(member)

    def _add_function(self, function: FunctionType) -> None:
        if self._collect(function.__module__ or ""):
            self._write(function.__qualname__)
            return
        _digest_code(function.__code__, self.digest.update)
        self._add_all(function.__defaults__, function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:
                self._write("empty")
        for name in sorted(set(_list_globals(function.__code__))):
            if name in function.__globals__:
                self._write(name)
                self.add(function.__globals__[name])

    def _collect(self, module: str) -> bool:
        """Return whether a module has a file; what it imports counts unless it is installed."""
        place = _find_home(module)
        self._write(module)
        if place is not None and not place[1].is_installed:
            _collect(*place, self._found)
        return place is not None

    def _write(self, *words: str) -> None:
        for word in words:
            self.digest.update(f"{word}\0".encode())


def _list_globals(code: CodeType) -> Iterator[str]:
    """Yield the globals that a function reads, and those of the functions inside it."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_globals(constant)


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
