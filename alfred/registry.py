"""Registries: the tables by which a configuration names a class, with a door for code that lives elsewhere.

A table maps a `kind` to `module:class`; a class is imported only when it is asked for. Three ways lead into a table: a
line in it, `register` (which a plugin calls, see `alfred.plugins`), and an entry point of an installed package in the
group of the table, such as `[project.entry-points."alfred.analysts"]`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections import UserDict
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_origin

from alfred.errors import ConfigError, suggest
from alfred.settings import Settings

Kind = TypeVar("Kind")
# What this process took from installed packages: the kind of thing, its name, and who announced it.
_USED: dict[tuple[str, str], EntryPoint] = {}


class Registry(UserDict[str, str], Generic[Kind]):
    """Classes by the `kind` that a configuration gives.

    Args:
        what: What the table holds, for messages: `analyst`, `agent`.
        group: Entry points in which packages announce theirs.
        classes: `module:class` by kind.
        settings: `module:class` of the settings by kind, for classes that are slow to import: a configuration is
            checked without them. Of other classes `settings_class` is read.
        reserved: Further names that alfred itself gives, which nothing else may have.
        configured: Whether each entry needs settings: a `settings_class`, or to be one itself.
    """

    def __init__(
        self,
        what: str,
        group: str,
        classes: Mapping[str, str],
        settings: Mapping[str, str],
        *,
        reserved: Collection[str] = (),
        configured: bool = False,
    ) -> None:
        """Store the tables; packages are asked when the first kind is looked for."""
        super().__init__(classes)
        self.what, self.group = what, group
        self._built_in = dict(classes)
        self._reserved = frozenset((*classes, *reserved))
        self._settings = settings
        self._configured = configured
        self._packages: dict[str, list[EntryPoint]] | None = None

    def register(self, item: type[Kind], kind: str | None = None) -> type[Kind]:
        """Add a class, as a decorator or as a call; another of this kind that is not alfred's own is replaced.

        Args:
            item: Defined at the top of its module, where worker processes find it again.
            kind: What configurations call it; the default of `settings_class.kind` when left out.

        Raises:
            ConfigError: The class names no kind or that of something built in, has no settings where it needs some, or
                is not at the top of its module.
        """
        called = getattr(item, "__qualname__", "")
        if not callable(item) or not called or "<" in called:
            raise ConfigError(
                f"{called or repr(item)[:80]} cannot be registered as {self.what}: it must be a class or function "
                "defined at the top of its module, not inside a function"
            )
        if self._configured:
            self._check_settings(item, kind)
        name = kind or _read_kind(item)
        if not name:
            raise ConfigError(
                f"{item.__name__} names no kind: give its settings class a default, kind: Literal['mine'] = 'mine', or "
                f"call register({item.__name__}, 'mine')"
            )
        place = f"{item.__module__}:{called}"
        if name in self._reserved and place != self._built_in.get(name):
            own = " with a settings class of its own, kind: Literal['mine'] = 'mine'" if self._configured else ""
            raise ConfigError(
                f"{item.__name__} cannot be registered as {self.what} '{name}', for alfred itself has one of this "
                f"name; give it another{own}"
            )
        self[name] = place
        return item

    def load(self, kind: object) -> type[Kind]:
        """Return the class of a kind.

        Raises:
            ConfigError: There is none of this name, or it cannot be imported.
        """
        return cast("type[Kind]", self._import(kind, self[self.find(kind)]))

    def load_settings(self, kind: object) -> Any:
        """Return the settings class of a kind.

        Raises:
            ConfigError: There is none of this name, or it cannot be imported.
        """
        name = self.find(kind)
        if name in self._settings and self[name] == self._built_in.get(name):
            return self._import(kind, self._settings[name])
        item = self.load(kind)
        if self._configured:
            self._check_settings(item, name)
        return getattr(item, "settings_class", None) or item

    def find(self, kind: object, others: Sequence[str] = ()) -> str:
        """Return a kind that exists, here or in an installed package.

        Args:
            kind: What a configuration says.
            others: Further kinds that are known elsewhere, for the message.

        Raises:
            ConfigError: There is none of this name, or two have it.
        """
        found = self._ask_packages()
        if isinstance(kind, str) and kind in found:
            self.check_name(kind)
            point = found[kind][0]
            if self.setdefault(kind, point.value) == point.value:
                _USED[self.what, kind] = point
        if not isinstance(kind, str) or kind not in self:
            known = list(dict.fromkeys((*others, *self, *found)))
            raise ConfigError(
                f"unknown {self.what} kind {kind!r}; known: {', '.join(known)}.{suggest(str(kind), known)} One of your "
                "own is found when its file is named with --plugin, or its package is installed"
            )
        return kind

    def check_name(self, kind: str) -> None:
        """Refuse a kind that a package announces although alfred itself or another package has it.

        Raises:
            ConfigError: Nobody could tell which one is meant; the text names the packages.
        """
        points = self._ask_packages().get(kind, [])
        names = ", ".join(sorted({name_package(point) for point in points}))
        if points and kind in self._reserved:
            raise ConfigError(
                f"{self.what} '{kind}' is alfred's own, and the installed package {names} announces one of this name; "
                "rename that one, or uninstall it"
            )
        if len({point.value for point in points}) > 1:
            raise ConfigError(f"two installed packages announce {self.what} '{kind}': {names}; uninstall one of them")

    def _ask_packages(self) -> dict[str, list[EntryPoint]]:
        if self._packages is None:
            self._packages = {}
            for point in importlib.metadata.entry_points(group=self.group):
                self._packages.setdefault(point.name, []).append(point)
        return self._packages

    def _check_settings(self, item: type[Kind], kind: str | None) -> None:
        """Refuse a class whose settings cannot be read from a configuration.

        Raises:
            ConfigError: It has none, or they are of another kind.
        """
        settings = getattr(item, "settings_class", item)
        if not (isinstance(settings, type) and issubclass(settings, Settings)):
            raise ConfigError(
                f"{item.__name__} cannot be used as {self.what}: it has no settings; set settings_class to a class "
                f"that is derived from the settings of every {self.what}, with kind: Literal['mine'] = 'mine'"
            )
        field = settings.model_fields.get("kind")
        accepted = () if field is None or get_origin(field.annotation) is not Literal else get_args(field.annotation)
        if kind is not None and accepted and kind not in accepted:
            raise ConfigError(
                f"{item.__name__} cannot be used as {self.what} '{kind}': its settings class {settings.__name__} "
                f"accepts kind {', '.join(map(repr, accepted))} only; give it kind: Literal['{kind}'] = '{kind}'"
            )

    def _import(self, kind: object, place: str) -> object:
        module, _, name = place.partition(":")
        try:
            found: object = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception as error:  # whatever the module of another package does wrong
            if place in (self._built_in.get(str(kind)), self._settings.get(str(kind))):
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ConfigError(
                f"{self.what} kind '{kind}' stands for {place}, which cannot be imported ({reason}); install or mend "
                "its package"
            ) from error
        return found


def _read_kind(item: type) -> str | None:
    settings = getattr(item, "settings_class", item)
    field = getattr(settings, "model_fields", {}).get("kind")
    return field.default if field is not None and isinstance(field.default, str) else None


def list_used() -> dict[tuple[str, str], EntryPoint]:
    """Return what this process took from installed packages, by what it is (`analyst`) and its kind."""
    return dict(_USED)


def name_package(point: EntryPoint) -> str:
    """Return name and version of the package that announces something."""
    return "?" if point.dist is None else f"{point.dist.name} {point.dist.version}"
