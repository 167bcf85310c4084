"""What is wrong with a configuration, told in the words of its keys and not in those of the library that checks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from alfred.errors import suggest
from alfred.keys.describe import describe_type, find_item, find_model, list_choices
from alfred.settings import REFUSED_ENTRY, Settings


def explain_briefly(error: Exception, model: type[BaseModel] | None = None) -> str:
    """Return what went wrong on one line; of many mistakes in settings, the first, in the words of its key.

    Args:
        error: Any exception.
        model: The model that refused; the settings model of that name when left out.
    """
    listed = getattr(error, "errors", None)
    if not callable(listed) or not (found := listed()):
        return " ".join(str(error).split())
    model = model or _find_titled(str(getattr(error, "title", "")), Settings)
    return explain_errors(found, model) if model is not None else _explain_plainly(found[0])


def _explain_plainly(error: Mapping[str, Any]) -> str:
    """Return a mistake in something that is no model, such as one of several kinds of mappings."""
    place = ".".join(map(str, error["loc"])) or "the whole"
    if error["type"] == "extra_forbidden":
        return f"unknown key '{place}'"
    if error["type"] == "missing":
        return f"{place}: it is missing"
    if error["type"] == "value_error":
        return f"{place}: {str(error['msg']).removeprefix('Value error, ')}"
    expected = error.get("ctx", {}).get("expected_tags") or error.get("ctx", {}).get("expected")
    return f"{place}: {shorten(repr(error['input']))} is not accepted{f'; known: {expected}' if expected else ''}"


def _find_titled(title: str, base: type[BaseModel]) -> type[BaseModel] | None:
    for item in base.__subclasses__():
        if item.__name__ == title:
            return item
        if found := _find_titled(title, item):
            return found
    return None


def find_first(
    errors: Sequence[Mapping[str, Any]], model: type[BaseModel]
) -> tuple[Mapping[str, Any], type[BaseModel], tuple[str | int, ...], int]:
    """Return the first mistake, the model that made it, where that model stands, and how many more there are."""
    place: tuple[str | int, ...] = ()
    first, more = errors[0], len(errors) - 1
    while first["type"] == REFUSED_ENTRY and "errors" in first["ctx"]:
        details = first["ctx"]
        place = (*place, *first["loc"], *details["place"])
        first, model, more = details["errors"][0], details["model"], more + len(details["errors"]) - 1
    return first, model, place, more


def explain_errors(errors: Sequence[Mapping[str, Any]], model: type[BaseModel]) -> str:
    """Return the first of pydantic's errors on one line, in the words of the key, and how many more there are.

    Args:
        errors: `ValidationError.errors()`.
        model: The model that refused.
    """
    first, refused, place, more = find_first(errors, model)
    return f"{explain_error(first, refused, place)}{f' (and {more} more)' if more else ''}"


def explain_error(error: Mapping[str, Any], model: type[BaseModel], place: Sequence[str | int]) -> str:
    """Return one mistake as pydantic reports it in the words of the key: what it must be, and what was given.

    Args:
        error: One of `ValidationError.errors()`.
        model: The model that refused.
        place: Keys and positions that lead to the key in the whole configuration, for the message.
    """
    if error["type"] == REFUSED_ENTRY:
        return f"{'.'.join(map(str, [*place, *error['loc'], *error['ctx']['place']]))}: {error['ctx']['text']}"
    holder, name, rest = _locate(model, error["loc"])
    whole = ".".join(map(str, [*place, *error["loc"][: len(error["loc"]) - len(rest)]])) or "the whole"
    given = shorten(repr(error["input"]))
    if error["type"] == "extra_forbidden":
        known = list(holder.model_fields)
        wrong = str(error["loc"][-1])
        where = ".".join(map(str, [*place, *error["loc"]]))
        return f"unknown key '{where}'; known here: {', '.join(known)}.{suggest(wrong, known)}"
    if error["type"] in ("value_error", "assertion_error"):
        message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return f"{whole}: {message[:1].lower()}{message[1:]}, got {given}"
    field = holder.model_fields.get(name)
    if error["type"] == "missing":
        words = "" if field is None else f"; it must be {describe_type(field)}"
        return f"{whole}: it is missing{words}"
    if field is None:
        return f"{whole}: it must be a mapping of keys to values, got {given}"
    # The position within a list; words of pydantic for the alternatives of a type are left out.
    position = next((part for part in rest if isinstance(part, int)), None)
    shown = whole if position is None else f"{whole}.{position}"
    hint = suggest(str(error["input"]), list_choices(field.annotation)) if isinstance(error["input"], str) else ""
    accepted = describe_type(field)
    subject = "it must be" if position is None else f"{name} must be"
    return f"{shown}: {subject} {accepted}, got {given}{'.' if hint else ''}{hint}"


def find_holder(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    """Return the model in which a key was looked for."""
    return _locate(model, location)[0]


def _locate(model: type[BaseModel], location: Sequence[str | int]) -> tuple[type[BaseModel], str, Sequence[str | int]]:
    """Return the model that holds a key, the key, and what of the location lies within its value."""
    holder, name = model, ""
    for depth, part in enumerate(location):
        field = holder.model_fields.get(str(part)) or _find_alias(holder, str(part))
        if field is None:
            return holder, name, location[depth:] if name else ()
        name = str(part) if str(part) in holder.model_fields else _name_of(holder, field)
        inner = find_model(field) or find_item(field)
        rest = location[depth + 1 :]
        if inner is None or not rest:
            return holder, name, rest
        if isinstance(rest[0], int):
            deeper = _locate(inner, rest[1:])
            return deeper if rest[1:] else (holder, name, rest)
        holder = inner
    return holder, name, ()


def _find_alias(model: type[BaseModel], name: str) -> FieldInfo | None:
    for field in model.model_fields.values():
        if name in getattr(field.validation_alias, "choices", ()):
            return field
    return None


def _name_of(model: type[BaseModel], field: FieldInfo) -> str:
    return next(name for name, item in model.model_fields.items() if item is field)


def shorten(text: str) -> str:
    """Return a text of at most 80 letters."""
    return text if len(text) < 80 else text[:77] + "..."
