"""`alfred new`: files to begin with."""

from __future__ import annotations

import functools
import importlib.util
import keyword
import sys
from collections.abc import Container
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import typer

from alfred.cli.options import one_line_errors
from alfred.data.files import write_atomically
from alfred.errors import ConfigError

_USES = {
    "analyst": "alfred audit --plugin {file} --set 'analysts=[{{kind: {name}}}]'",
    "agent": "alfred run --plugin {file} --set 'agents=[{{kind: {name}}}]' --set name={name}",
    "reward": "alfred run --plugin {file} --set env.reward.kind={name} --set name={name}",
    "source": "alfred data describe --plugin {file} --set data.source={name} --set data.options.table=closes.csv",
    "feature": "alfred audit --plugin {file} --set 'features={{names: [momentum, {name}]}}'",
}


@one_line_errors
def new(
    kind: Annotated[Literal["analyst", "agent", "reward", "feature", "source"], typer.Argument(help="What to write.")],
    name: Annotated[str, typer.Argument(help="Its kind in configurations, a name as Python has them: my_reversal.")],
    folder: Annotated[Path, typer.Option(help="Where to write the two files.")] = Path(),
) -> None:
    """Write an analyst, agent, reward, feature or source of prices of your own, with its contract test, to begin with.

    The file runs as it stands: change what it computes, run the test, and give it to any command with --plugin.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower() or not name.isascii():
        raise ConfigError(f"'{name}' cannot be the name of a module: small letters, digits and _, such as my_{kind}")
    files = {f"{name}.py": f"{kind}.py.txt", f"test_{name}.py": f"test_{kind}.py.txt"}
    for file in files:
        if (folder / file).exists():
            raise ConfigError(f"{folder / file} exists already; choose another name, or --folder")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise ConfigError(
            f"a module called '{name}' exists already, and yours would stand before it in this folder; choose another "
            f"name, such as my_{name}"
        )
    if name in _list_known(kind):
        raise ConfigError(f"alfred itself has {kind} '{name}'; choose another name, such as my_{name}")
    values = {"name": name, "file": f"{name}.py", "title": "".join(part.title() for part in name.split("_"))}
    templates = resources.files("alfred.cli") / "templates"
    for file, template in files.items():
        text = (templates / template).read_text(encoding="utf-8").format(**values)
        write_atomically(folder / file, functools.partial(Path.write_text, data=text, encoding="utf-8"))
        typer.echo(f"wrote {folder / file}")
    typer.echo(f"test it:  pytest {folder / f'test_{name}.py'}")
    typer.echo(f"use it:   {_USES[kind].format(**{**values, 'file': folder / values['file']})}")


def _list_known(kind: str) -> Container[str]:
    """Return the names that alfred itself gives to things of this kind."""
    from alfred.agents.registry import AGENTS
    from alfred.analysts.registry import ANALYSTS
    from alfred.data.features.names import FAMILIES
    from alfred.data.prices.registry import BUILT_IN_SOURCES
    from alfred.envs.registry import BUILT_IN_REWARDS

    features = [*FAMILIES, *(name for names in FAMILIES.values() for name in names)]
    known: dict[str, Container[str]] = {
        "analyst": list(ANALYSTS),
        "agent": list(AGENTS),
        "reward": BUILT_IN_REWARDS,
        "feature": features,
        "source": BUILT_IN_SOURCES,
    }
    return known[kind]
