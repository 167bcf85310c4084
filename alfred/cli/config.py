"""`alfred config`: what a configuration can hold, for readers and for editors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.cli.completion import complete_key
from alfred.cli.options import AsJson, Plugins, one_line_errors, print_json
from alfred.errors import ConfigError
from alfred.plugins import load_plugins

if TYPE_CHECKING:
    from alfred.keys.describe import Key

app = typer.Typer(help="What a configuration can hold: all defaults, a JSON schema, what a key means.")

_WIDTH = 100  # of a text that is not wrapped by a terminal


@app.callback(invoke_without_command=True)
@one_line_errors
def config(
    context: typer.Context,
    defaults: Annotated[bool, typer.Option("--defaults", help="Print the default configuration as YAML.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a configuration.")] = False,
    plugins: Plugins = None,
) -> None:
    """Print all defaults, or the JSON schema by which an editor completes and checks a configuration.

    Both go to standard output: `alfred config --defaults > mine.yaml`, then `alfred run mine.yaml`.
    """
    if context.invoked_subcommand is not None:
        return
    if defaults == schema:
        raise ConfigError(
            "alfred config needs one of --defaults (the default configuration), --schema (the JSON schema) and "
            "explain KEY (what a key means)"
        )
    load_plugins(plugins or ())
    if schema:
        from alfred.config_reference import make_schema

        print_json(make_schema())
        return
    from alfred.config import Experiment

    typer.echo("# Every key with its default; `alfred config explain KEY` says what one means.")
    typer.echo(Experiment().to_yaml(), nl=False)


@app.command()
@one_line_errors
def explain(
    key: Annotated[
        str | None,
        typer.Argument(
            help="A key such as env.cost_bps, agents.ppo.gamma or gamma, or a section; all sections when left out.",
            autocompletion=complete_key,
        ),
    ] = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Say what a key means: its type, accepted values, unit, default, and which kinds have it; or list a section."""
    load_plugins(plugins or ())
    from alfred.config_reference import find_key, list_keys

    keys = list_keys()
    found = [item for item in keys if not item.section] if key is None else find_key(key)
    single = found[0] if len(found) == 1 else None
    inside = [item for item in keys if single is not None and item.section == single.path]
    if as_json:
        print_json({"keys": [item.to_json() for item in found], "section": [item.to_json() for item in inside]})
        return
    if single is None:
        _list_keys(found)
        return
    for line in _describe(single, keys):
        _echo(line)
    if inside:
        typer.echo()
        _list_keys(inside)


def _describe(key: Key, keys: Sequence[Key]) -> list[str]:
    """Return the lines about one key."""
    lines = [key.path, f"  {key.text}"] if key.text else [key.path]
    if not key.is_section:
        lines.append(f"  type: {key.type}")
    if key.choices and not key.type.startswith(("one of", "any of", "a list of any of")):
        lines.append(f"  known: {', '.join(key.choices)}")
    if key.unit:
        lines.append(f"  unit: {key.unit}")
    if key.default:
        lines.append(f"  default: {key.default}")
    elif not key.is_section:
        lines.append("  default: none, it must be given")
    if key.kinds:
        head, kind = key.path.split(".")[:2]
        inner = key.path.removeprefix(f"{head}.{kind}.")
        others = {item.path: item.default for item in keys if item.path.startswith(f"{head}.")}
        shown = [f"{name} ({others[f'{head}.{name}.{inner}'] or 'none'})" for name in key.kinds]
        plain = key.is_section or inner == "kind"
        lines.append(f"  kinds that have it{'' if plain else ' (default)'}: {', '.join(key.kinds if plain else shown)}")
    return lines


def _list_keys(keys: Sequence[Key]) -> None:
    for key in keys:
        default = f" = {key.default}" if key.default else ""
        _echo(f"{key.path}{'.' if key.is_section else ''}{default}: {key.text}")


def _echo(line: str) -> None:
    """Print a line, wrapped where it is read on a screen, with the following lines further in."""
    from shutil import get_terminal_size
    from textwrap import wrap

    indent = len(line) - len(line.lstrip())
    width = min(get_terminal_size((_WIDTH, 24)).columns, _WIDTH)
    further = " " * (indent + 2)
    for part in wrap(line, max(width, 20), subsequent_indent=further, break_long_words=False, break_on_hyphens=False):
        typer.echo(part)
