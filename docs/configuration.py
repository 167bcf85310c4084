"""The page of all keys of a configuration, made of the models: what `alfred config explain` says, in tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from alfred.config import REGISTRIES
from alfred.config_reference import list_keys
from alfred.keys.describe import Key

_INTRO = """# The configuration

Every key, with what it means, what it accepts and its default. The page is made of the models that read a
configuration; `alfred config explain KEY` says the same in a terminal.

A file holds what differs from the defaults, and `--set KEY=VALUE` goes before the file. Points lead into sections,
numbers into lists: `--set env.cost_bps=10`, `--set agents.0.gamma=0.5`. A key that is not known is an error, answered
with the nearest one that is. `config.yaml` of a run holds every key with the value that was used, and runs again.

`alfred config --defaults > mine.yaml` writes every key with its default. `alfred config --schema > alfred.schema.json`
is for editors: with `# yaml-language-server: $schema=alfred.schema.json` as its first line, a configuration is
completed and checked as you type. `alfred --install-completion` teaches your shell the commands, runs and keys;
a name behind it (bash, zsh, fish) chooses another shell.
"""
_HEADER = "| key | what it means | accepts | default |\n| --- | --- | --- | --- |"


def write_configuration() -> str:
    """Return the page as Markdown."""
    keys = list_keys()
    parts = [_INTRO, "## At the top\n", *_write_table([key for key in keys if not key.section], "")]
    for section in (key for key in keys if key.is_section and not key.section):
        parts += [f"\n## {section.path}\n", f"{section.text}\n"]
        inside = [key for key in keys if key.path.startswith(f"{section.path}.")]
        if section.path in REGISTRIES:
            parts += _write_kinds(section, inside)
        else:
            parts += _write_table(inside, section.path)
    return "\n".join(parts) + "\n"


def _write_kinds(listed: Key, keys: Sequence[Key]) -> Iterator[str]:
    """Yield what the entries of a list hold: what all kinds share in one table, the rest kind by kind."""
    kinds = [key for key in keys if key.section == listed.path]
    inner = {kind.path: [key for key in keys if key.path.startswith(f"{kind.path}.")] for kind in kinds}
    described = [{_describe(key, path) for key in found} for path, found in inner.items()]
    shared = set.intersection(*described)
    yield f"A list of entries, each with a `kind`: {', '.join(f'`{kind.name}`' for kind in kinds)}.\n"
    if shared:
        first = kinds[0].path
        yield f"### Every kind of {listed.path}\n"
        yield from _write_table([key for key in inner[first] if _describe(key, first) in shared], first)
    for kind in kinds:
        yield f"\n### {listed.path}: {kind.name}\n"
        yield f"{kind.text}\n"
        own = [key for key in inner[kind.path] if _describe(key, kind.path) not in shared and key.name != "kind"]
        if own:
            yield from _write_table(own, kind.path)
        else:
            yield "It has no keys of its own."


def _describe(key: Key, section: str) -> tuple[str, ...]:
    """Return the cells of a key, by which two kinds are told to share it."""
    accepted = key.type
    if key.choices and not accepted.startswith(("one of", "any of", "a list of any of")):
        accepted += f": {', '.join(key.choices)}"
    if key.unit and key.unit not in accepted:
        accepted += f" ({key.unit})"
    default = f"`{key.default}`" if key.default else "" if key.is_section else "must be given"
    name = key.path.removeprefix(f"{section}.") if section else key.path
    return f"`{name}`", key.text, accepted, default


def _write_table(keys: Sequence[Key], section: str) -> Iterator[str]:
    yield _HEADER
    for key in keys:
        cells = [" ".join(_escape(cell).split()) for cell in _describe(key, section)]
        yield f"| {' | '.join(cells)} |"


def _escape(cell: str) -> str:
    """Return a cell in which only code is Markdown, and nothing ends the cell."""
    parts = re.split(r"(`[^`]*`)", cell.replace("|", "\\|"))
    return "".join(part if part.startswith("`") else re.sub(r"([\[\]*_<>])", r"\\\1", part) for part in parts)
