"""Every key that a configuration can hold: one walk for `alfred config`, the page of all keys and completion.

The texts are those of the models (`alfred.keys.describe`); nothing is described here a second time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from alfred.config import DEFAULT_LISTS, REGISTRIES, Experiment
from alfred.data.features.names import FAMILIES
from alfred.data.features.registry import FEATURES
from alfred.data.prices.registry import BUILT_IN_SOURCES, SOURCES
from alfred.envs.registry import BUILT_IN_REWARDS, REWARDS
from alfred.errors import ConfigError, suggest
from alfred.keys.describe import Key, list_model_keys, read_texts, summarise

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def list_keys() -> tuple[Key, ...]:
    """Return every key of a configuration, each section before the keys in it, in the order of the models.

    Keys of a list carry the kind in place of the position: `agents.ppo.gamma`. Kinds that plugins registered are among
    them.
    """
    keys: list[Key] = []
    for key in list_model_keys(Experiment):
        if key.path.partition(".")[0] in REGISTRIES and key.section:
            continue  # what every entry of the list shares is repeated by each kind
        if key.path in REGISTRIES:
            keys += [dataclasses.replace(key, default="", choices=tuple(REGISTRIES[key.path])), *_list_kinds(key.path)]
        else:
            choices = _list_named(key.path)
            keys.append(dataclasses.replace(key, choices=choices) if choices else key)
    return tuple(keys)


def _list_kinds(listed: str) -> list[Key]:
    """Return each kind of a list as a section, and its keys after it."""
    by_kind = {}
    sections = {}
    for kind in REGISTRIES[listed]:
        model = REGISTRIES[listed].load_settings(kind)
        path = f"{listed}.{kind}"
        sections[kind] = Key(path, summarise(model), f"an entry with `kind: {kind}`", is_section=True)
        by_kind[kind] = list_model_keys(model, path)
    kinds_with: dict[str, list[str]] = {}
    for kind, keys in by_kind.items():
        for key in keys:
            kinds_with.setdefault(key.path.removeprefix(f"{listed}.{kind}."), []).append(kind)
    found = []
    for kind, keys in by_kind.items():
        found.append(sections[kind])
        for key in keys:
            inner = key.path.removeprefix(f"{listed}.{kind}.")
            default = kind if inner == "kind" else key.default
            found.append(dataclasses.replace(key, kinds=tuple(kinds_with[inner]), default=default))
    return found


def _list_named(path: str) -> tuple[str, ...]:
    """Return the names that a key accepts which are found through a registry."""
    if path == "data.source":
        return tuple(dict.fromkeys((*BUILT_IN_SOURCES, *SOURCES)))
    if path == "env.reward.kind":
        return tuple(dict.fromkeys((*BUILT_IN_REWARDS, *REWARDS)))
    if path == "features.names":
        return tuple(dict.fromkeys((*FAMILIES, *(name for part in FAMILIES.values() for name in part), *FEATURES)))
    return ()


def find_key(name: str) -> list[Key]:
    """Return the keys that a name means: a full key first, then its last parts alone, then the beginning of one.

    Args:
        name: `env.cost_bps`, `agents.ppo.gamma`, `agents.0.gamma` (an entry of the defaults), `agents.gamma` (of every
            kind that has it), `gamma` (wherever it stands), or a section.

    Returns:
        One key, or several of the same name.

    Raises:
        ConfigError: There is no such key.
    """
    keys = list_keys()
    wanted = _name_kind(name)
    exact = [key for key in keys if key.path == wanted]
    if exact:
        return exact
    head, _, rest = wanted.partition(".")
    if head in REGISTRIES and rest:
        of_kinds = [key for key in keys if key.path.startswith(f"{head}.") and key.path.split(".", 2)[2:] == [rest]]
        if of_kinds:
            return of_kinds
    if anywhere := [key for key in keys if key.path.endswith(f".{wanted}")]:
        return anywhere
    if "." in wanted and len(begun := [key for key in keys if key.path.startswith(wanted)]) == 1:
        return begun
    raise ConfigError(f"no key is called '{name}'.{_suggest_key(wanted, keys)} `alfred config explain` lists them all")


def _name_kind(name: str) -> str:
    """Return a key with the kind in place of a position in the default lists."""
    head, _, rest = name.partition(".")
    number, _, inner = rest.partition(".")
    if head not in REGISTRIES or not (number.isascii() and number.isdigit()):
        return name
    entries = DEFAULT_LISTS[head]
    if int(number) >= len(entries):
        raise ConfigError(
            f"'{name}': the default {head} are numbered from 0 to {len(entries) - 1}; name a kind instead, such as "
            f"{head}.{entries[0]['kind']}"
        )
    return ".".join(filter(None, (head, str(entries[int(number)]["kind"]), inner)))


def _suggest_key(name: str, keys: tuple[Key, ...]) -> str:
    section, _, last = name.rpartition(".")
    beside = {key.name: key.path for key in keys if key.section == section} if section else {}
    near = [path for inner, path in beside.items() if f"'{inner}'" in suggest(last, beside)]
    if near:
        return f" Did you mean '{near[0]}'?"
    return suggest(name, [key.path for key in keys]) or suggest(last, {key.name for key in keys})


class _Described(GenerateJsonSchema):
    """Writes what each key means beside it."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the schema of one model, described."""
        written = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        written["description"] = summarise(model)
        for name, text in read_texts(model).items():
            if name in written.get("properties", {}):
                written["properties"][name]["description"] = text
        return written


def make_schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration, with the entries of each list by their kinds."""
    kinds = {
        listed: {kind: registry.load_settings(kind) for kind in registry} for listed, registry in REGISTRIES.items()
    }
    models = list(dict.fromkeys([Experiment, *(model for items in kinds.values() for model in items.values())]))
    places, whole = models_json_schema([(model, "validation") for model in models], schema_generator=_Described)
    definitions: dict[str, Any] = whole["$defs"]
    named = {model: place["$ref"].rpartition("/")[2] for (model, _), place in places.items()}
    experiment = definitions.pop(named[Experiment])
    for listed, items in kinds.items():
        entries = []
        for kind, model in items.items():
            entry = f"{listed}.{kind}"
            definitions[entry] = _fix_kind(definitions[named[model]], kind)
            entries.append({"$ref": f"#/$defs/{entry}"})
        # By the kind alone, so that an editor tells what is wrong in an entry and not that it is none of forty.
        experiment["properties"][listed]["items"] = {
            "type": "object",
            "required": ["kind"],
            "properties": {"kind": {"enum": list(items)}},
            "allOf": [
                {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": entry}
                for kind, entry in zip(items, entries, strict=True)
            ],
        }
        experiment["properties"][listed].pop("default", None)
    used = _find_used(experiment, definitions)
    return {
        "$schema": SCHEMA_DIALECT,
        **experiment,
        "title": "A configuration of alfred",
        "$defs": {name: item for name, item in definitions.items() if name in used},
    }


def _fix_kind(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    properties = {**schema["properties"], "kind": {"const": kind, "description": schema["description"]}}
    return {**schema, "properties": properties}


def _find_used(item: object, definitions: Mapping[str, Any], used: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the definitions that something refers to, and those that they refer to."""
    if isinstance(item, Mapping):
        reference = item.get("$ref")
        name = reference.rpartition("/")[2] if isinstance(reference, str) else ""
        if name and name not in used:
            used = _find_used(definitions[name], definitions, used | {name})
        for value in item.values():
            used = _find_used(value, definitions, used)
    elif isinstance(item, list):
        for value in item:
            used = _find_used(value, definitions, used)
    return used
