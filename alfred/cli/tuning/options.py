"""What the commands of searches share: options, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from alfred.cli.options import (
    parse_date,
)
from alfred.errors import ConfigError, suggest

SEARCHES = Path("runs/tuning")
Name = Annotated[str, typer.Option(help="Name of the search, and of its folder.")]
Folder = Annotated[Path, typer.Option("--folder", help="Folder of all searches.")]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Where trials are kept: a journal file, sqlite:///FILE or postgresql://USER@HOST/NAME; a journal in the "
        "folder of the search when left out. Several commands may share one."
    ),
]
Trials = Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls included.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one a core when left out.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the sampler.")]
Mode = Annotated[
    str, typer.Option(help="tpe and random draw; grid tries every corner and middle, quick each family's defaults.")
]
SearchName = Annotated[str, typer.Argument(help="Name of a search.")]


def split_names(text: str | None, option: str) -> list[str]:
    """Return names that are separated by commas.

    Raises:
        ConfigError: One is empty.
    """
    names = [] if text is None else [item.strip() for item in text.split(",")]
    if not all(names):
        raise ConfigError(f"{option} {text}: a name is empty; separate names by single commas")
    return names


def check_mode(mode: str) -> Any:
    """Return how trials are chosen.

    Raises:
        ConfigError: There is no such mode.
    """
    from alfred.training.search.study import MODES

    if mode not in MODES:
        raise ConfigError(f"--mode {mode} is unknown; known: {', '.join(MODES)}.{suggest(mode, MODES)}")
    return mode


def read_stamp(text: str | None) -> Any:
    """Return a date of the command line as pandas knows it, or None.

    Raises:
        ConfigError: It is not a date.
    """
    import pandas as pd

    return None if text is None else pd.Timestamp(parse_date(text))


def find_folder(folder: Path, name: str) -> Path:
    """Return the folder of a search.

    Raises:
        ConfigError: The name cannot be that of a folder.
    """
    from alfred.settings import check_name

    return folder / check_name(name, "search")
