"""Registries: the tables by which a configuration names a class, with a door for code that lives elsewhere.

A table maps a `kind` to `module:class`; a class is imported only when it is asked for. Three ways lead into a table: a
line in it, `register` (which a plugin calls, see `alfred.plugins`), and an entry point of an installed package in the
group of the table, such as `[project.entry-points."alfred.analysts"]`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from alfred.errors import ConfigError, suggest

Kind = TypeVar("Kind")


class Registry(UserDict[str, str], Generic[Kind]):
    """Classes by the `kind` that a configuration gives.

    Args:
        what: What the table holds, for messages: `analyst`, `agent`.
        group: Entry points in which packages announce theirs.
        classes: `module:class` by kind.
        settings: `module:class` of the settings by kind, for classes that are slow to import: a configuration is
            checked without them. Of other classes `settings_class` is read.
    """

    def __init__(self, what: str, group: str, classes: Mapping[str, str], settings: Mapping[str, str]) -> None:
        """Store the tables; packages are asked only when a kind is not in them."""
        super().__init__(classes)
        self.what, self.group = what, group
        self._built_in = dict(classes)
        self._settings = settings
        self._asked = False

    def register(self, item: type[Kind], kind: str | None = None) -> type[Kind]:
        """Add a class, as a decorator or as a call; another of this kind is replaced.

        Args:
            item: Defined at the top of its module, where worker processes find it again.
            kind: What configurations call it; the default of `settings_class.kind` when left out.

        Raises:
            ConfigError: The class names no kind, or is not at the top of its module.
        """
        name = kind or _read_kind(item)
        if not name:
            raise ConfigError(
                f"{item.__name__} names no kind: give its settings class a default, kind: Literal['mine'] = 'mine', or "
                f"call register({item.__name__}, 'mine')"
            )
        if "<locals>" in item.__qualname__:
            raise ConfigError(f"{item.__name__} is defined inside a function; define it at the top of its module")
        self[name] = f"{item.__module__}:{item.__qualname__}"
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
        return getattr(self.load(kind), "settings_class", None) or self.load(kind)

    def find(self, kind: object, others: Sequence[str] = ()) -> str:
        """Return a kind that exists, asking installed packages for it when it is not in the table.

        Args:
            kind: What a configuration says.
            others: Further kinds that are known elsewhere, for the message.

        Raises:
            ConfigError: There is none of this name.
        """
        if isinstance(kind, str) and kind not in self:
            self._ask_packages()
        if not isinstance(kind, str) or kind not in self:
            known = [*others, *self]
            raise ConfigError(
                f"unknown {self.what} kind {kind!r}; known: {', '.join(known)}.{suggest(str(kind), known)} One of your "
                "own is found when its file is named with --plugin, or its package is installed"
            )
        return kind

    def _ask_packages(self) -> None:
        if not self._asked:
            self._asked = True
            for point in importlib.metadata.entry_points(group=self.group):
                self.setdefault(point.name, point.value)

    def _import(self, kind: object, place: str) -> object:
        module, _, name = place.partition(":")
        try:
            found: object = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception as error:  # whatever the module of another package does wrong
            if kind in self._built_in:
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
