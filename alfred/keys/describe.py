"""What a key of a configuration is, read off its model: meaning, type, accepted values, unit and default.

`alfred config`, the page of all keys and the messages about mistakes read the same words: those of the `Attributes` in
the docstring of the model, and the limits of the field.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_PLAIN: Mapping[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    Path: ("a path", "paths"),
    date: ("a date, YYYY-MM-DD", "dates, YYYY-MM-DD"),
    type(None): ("null", "nulls"),
}
_UNITS = {"bps": "basis points", "pct": "per cent", "seconds": "seconds", "hours": "hours", "years": "years"}
# A text that begins with one of these says what is counted.
_COUNTED = (
    "calendar days",
    "sessions",
    "bars",
    "environment steps",
    "decisions",
    "updates",
    "episodes",
    "steps",
    "seconds",
)
_PATTERNS = {"^[A-Za-z0-9_-]+$": "of letters, digits, _ and -"}
_LIMITS = ("ge", "gt", "le", "lt", "min_length", "pattern")


@dataclass(frozen=True)
class Key:
    """One key of a configuration.

    Attributes:
        path: Where it stands, such as `env.cost_bps`; in the lists, the kind stands for the position:
            `agents.ppo.gamma`.
        text: What it means.
        type: What it accepts, with its limits: `a number of 0 or more and below 1000`.
        choices: The accepted values where they are a list, else none.
        unit: What it is counted in, or an empty text.
        default: The default as one line of YAML; empty where it must be given, and for a section that is there.
        is_section: Whether further keys lie below it.
        kinds: For a key of a kind, every kind of the list that has it; empty otherwise.
    """

    path: str
    text: str
    type: str
    choices: tuple[str, ...] = ()
    unit: str = ""
    default: str = ""
    is_section: bool = False
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def section(self) -> str:
        """The path of the section that it stands in; empty at the top."""
        return self.path.rpartition(".")[0]

    def to_json(self) -> dict[str, object]:
        """Return the key for JSON."""
        return {**dataclasses.asdict(self), "choices": list(self.choices), "kinds": list(self.kinds)}


@cache
def read_texts(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what each key of a model means: the description of its field, or its `Attributes` in a docstring.

    The docstring of a class goes before those of its bases.
    """
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel):
            texts.update(_parse_attributes(cls.__dict__.get("__doc__") or ""))
    texts.update({name: field.description for name, field in model.model_fields.items() if field.description})
    return {name: text for name, text in texts.items() if name in model.model_fields}


def _parse_attributes(doc: str) -> dict[str, str]:
    found: dict[str, str] = {}
    _, _, section = inspect.cleandoc(doc).partition("\nAttributes:\n")
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        if entry := re.match(r" {4}(\w+): (.*)", line):
            name, text = entry.groups()
            found[name] = text
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def summarise(model: type[BaseModel]) -> str:
    """Return the first line of the docstring of a model."""
    return inspect.cleandoc(model.__doc__ or "").partition("\n")[0]


def find_model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a key that is a section, else None; one that may also be null is a section."""
    candidates = [_strip(field.annotation)[0], *(_strip(item)[0] for item in get_args(field.annotation))]
    models = [item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)]
    # A model without keys stands for one that is found at run time.
    return models[0] if models and models[0].model_fields and get_origin(field.annotation) is not tuple else None


def find_item(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of the items of a key that is a list of sections, else None."""
    arguments = [_strip(item)[0] for item in get_args(field.annotation)] if field.annotation else []
    found = [item for item in arguments if isinstance(item, type) and issubclass(item, BaseModel)]
    return found[0] if found and get_origin(field.annotation) is tuple else None


@cache
def list_model_keys(model: type[BaseModel], prefix: str = "") -> tuple[Key, ...]:
    """Return every key of a model, each section before the keys in it.

    Args:
        model: The model.
        prefix: Path of the model itself, empty at the top.
    """
    keys: list[Key] = []
    for name, field in model.model_fields.items():
        key = describe_key(model, name, prefix)
        keys.append(key)
        if key.is_section and (inner := find_model(field) or find_item(field)):
            # A section that is null unless it is given has the defaults of its model.
            keys.extend(_with_defaults(list_model_keys(inner, key.path), field.default))
    return tuple(keys)


def _with_defaults(keys: Sequence[Key], default: object) -> Iterator[Key]:
    """Yield the keys of a section with the defaults that the section itself is given."""
    depth = min((key.path.count(".") for key in keys), default=0)
    for key in keys:
        value: Any = default
        for part in key.path.split(".")[depth:]:
            value = getattr(value, part, None) if isinstance(value, BaseModel) else None
        given = isinstance(default, BaseModel) and not key.is_section
        yield dataclasses.replace(key, default=_show(value)) if given else key


def describe_key(model: type[BaseModel], name: str, prefix: str = "") -> Key:
    """Return what one key of a model is."""
    field = model.model_fields[name]
    inner = find_model(field) or find_item(field)
    text = read_texts(model).get(name, "")
    default = field.get_default(call_default_factory=True)
    shown = not field.is_required() and (find_model(field) is None or default is None)
    return Key(
        path=f"{prefix}.{name}" if prefix else name,
        text=text,
        type=describe_type(field),
        choices=list_choices(field.annotation),
        unit=_find_unit(name, text),
        default=_show(default) if shown else "",
        is_section=inner is not None,
    )


def list_choices(annotation: Any) -> tuple[str, ...]:
    """Return the accepted values of a type that is a list of them, or a list of such; none otherwise."""
    kind, _ = _strip(annotation)
    if get_origin(kind) is Literal:
        return tuple(map(str, get_args(kind)))
    if get_origin(kind) in (tuple, Union, types.UnionType):
        return tuple(value for item in get_args(kind) if item is not ... for value in list_choices(item))
    return ()


def describe_type(field: FieldInfo) -> str:
    """Return what a field accepts, with its limits, in words that follow `it must be`."""
    return _describe(field.annotation, list(field.metadata))


def _describe(annotation: Any, limits: Sequence[Any], *, many: bool = False) -> str:
    kind, inner = _strip(annotation)
    limits = [*limits, *inner]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        # Null stands last: it is what is meant by leaving a key out.
        ordered = sorted(arguments, key=lambda item: item is type(None))
        return " or ".join(_describe(item, () if item is type(None) else limits) for item in ordered)
    if origin is Literal:
        return ("any of " if many else "one of " if len(arguments) > 1 else "") + ", ".join(map(str, arguments))
    if origin is tuple and arguments[-1:] == (...,):
        return f"a list of {_describe(arguments[0], (), many=True)}{_count(limits)}"
    if origin is tuple:
        return f"a list of {len(arguments)}: {', '.join(_describe(item, ()) for item in arguments)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping of {_describe(arguments[0], (), many=True)} to {_describe(arguments[1], (), many=True)}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "mappings of keys" if many else "a mapping of keys"
    words = _PLAIN.get(kind, ("a value", "values"))[many]
    return f"{words}{_limit(limits)}"


def _strip(annotation: Any) -> tuple[Any, list[Any]]:
    """Return a type without what is annotated on it, and the annotations."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    kind, *notes = get_args(annotation)
    inner, more = _strip(kind)
    limits = [item for note in notes for item in (note.metadata if isinstance(note, FieldInfo) else [note])]
    return inner, [*more, *limits]


def _limit(limits: Sequence[Any]) -> str:
    """Return the limits of a number or text, such as ` of 0 or more and below 1`."""
    found = {name: getattr(item, name) for item in limits for name in _LIMITS if getattr(item, name, None) is not None}
    words = []
    if "ge" in found and "le" in found:
        words.append(f"from {_number(found['ge'])} to {_number(found['le'])}")
    else:
        words += [f"of {_number(found['ge'])} or more"] if "ge" in found else []
        words += [f"above {_number(found['gt'])}"] if "gt" in found else []
        words += [f"of at most {_number(found['le'])}"] if "le" in found else []
    words += [f"below {_number(found['lt'])}"] if "lt" in found else []
    words += ["that is not empty"] if found.get("min_length") else []
    words += [_PATTERNS.get(found["pattern"], f"of the form {found['pattern']}")] if "pattern" in found else []
    return f" {' and '.join(words)}" if words else ""


def _count(limits: Sequence[Any]) -> str:
    least = [item.min_length for item in limits if getattr(item, "min_length", None)]
    return f", at least {least[0]} of them" if least else ""


def _number(value: float) -> str:
    return "2^32" if value == 2**32 else str(value) if isinstance(value, int) else f"{value:g}"


def _find_unit(name: str, text: str) -> str:
    ending = name.rpartition("_")[2]
    counted = next((unit for unit in _COUNTED if text.lower().startswith(unit)), "")
    return _UNITS.get(ending) or counted or ("sessions" if ending == "days" else "")


def _show(value: object) -> str:
    """Return a value as one line of YAML."""
    plain = _make_plain(value)
    shown: str = yaml.safe_dump(plain, default_flow_style=True, width=10**6, sort_keys=False)
    return shown.removesuffix("\n").removesuffix("\n...")


def _make_plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return _make_plain({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        return {str(key): _make_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_make_plain(item) for item in value]
    return value.as_posix() if isinstance(value, Path) else value
