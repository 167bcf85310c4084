"""What the commands share: options, errors on one line, JSON."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from alfred.cli.completion import complete_agent, complete_config, complete_override, complete_run
from alfred.errors import AlfredError, ConfigError, OwnCodeError
from alfred.plugins import load_plugins

if TYPE_CHECKING:
    from alfred.config import Experiment

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

Config = Annotated[
    Path | None,
    typer.Argument(
        help="YAML file with what differs from the defaults, such as configs/reference.yaml.",
        autocompletion=complete_config,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one key: --set env.cost_bps=10. Repeatable. `alfred config explain` tells the keys.",
        autocompletion=complete_override,
    ),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file or module of yours. Repeatable."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of going on with what stands on disk.")]
Yes = Annotated[bool, typer.Option("--yes", help="Go on although it is days of work.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts instead of a table.")]
ExecutorName = Annotated[
    str | None, typer.Option("--executor", help="What runs the work: local (processes, the default) or ray.")
]
Address = Annotated[str | None, typer.Option("--address", help="Of the Ray cluster, such as 10.0.0.1:6379.")]
Root = Annotated[Path, typer.Option("--runs", help="Folder of all runs.")]
Run = Annotated[Path, typer.Argument(help="Directory of a run, such as runs/demo.", autocompletion=complete_run)]
Agent = Annotated[
    str | None,
    typer.Option("--agent", help="Name of the agent; the first one when left out.", autocompletion=complete_agent),
]

_HELP = {
    errno.ENOSPC: "; free some space, the same command goes on from here",
    errno.EDQUOT: "; free some space, the same command goes on from here",
    errno.EACCES: "; choose another folder, or give yourself the rights",
    errno.EPERM: "; choose another folder, or give yourself the rights",
    errno.EROFS: "; choose another folder, such as with --runs",
    errno.ENOTDIR: "; a file stands where a folder should be",
    errno.EEXIST: "; a file stands where a folder should be",
    errno.ENAMETOOLONG: "; choose a shorter name",
}


def one_line_errors(command: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """End a command with one clear line and exit code 2 when the user can fix what went wrong.

    That holds for what the operating system refuses as well: a full disk, a file where a folder should be, no rights.
    """

    @functools.wraps(command)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except OwnCodeError as error:
            typer.secho(f"error: {_keep_trace(error)}", fg="red", err=True)
            raise typer.Exit(2) from error
        except AlfredError as error:
            typer.secho(f"error: {_write_line(error)}", fg="red", err=True)
            raise typer.Exit(2) from error
        except MemoryError as error:
            reason = " ".join(str(error).split()) or "all of it is used"
            typer.secho(f"error: there is not enough memory ({reason}); lower what was set highest", fg="red", err=True)
            raise typer.Exit(2) from error
        except BrokenPipeError:
            raise  # the reader went away: nobody is left to tell
        except OSError as error:
            typer.secho(f"error: {_format_refusal(error)}", fg="red", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            typer.secho("stopped; the same command goes on from here", err=True)
            raise typer.Exit(130) from None

    # A line of a docstring is as long as the source allows; help breaks it to fit the screen.
    wrapped.__doc__ = re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.cleandoc(command.__doc__ or ""))
    return wrapped


def _keep_trace(error: OwnCodeError) -> OwnCodeError:
    """Return the error with its traceback in a file, where no run directory took it."""
    if error.log:
        return error
    handle, name = tempfile.mkstemp(prefix="alfred-error-", suffix=".log")
    os.close(handle)
    return error.write_trace(Path(name))


def _write_line(error: AlfredError) -> str:
    """Return an error on one line; what somebody put into a name cannot steer the terminal."""
    text = " ".join(str(error).split("\n"))
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _format_refusal(error: OSError) -> str:
    """Return what the operating system refused, on which file, and what helps."""
    reason = " ".join(str(error.strerror or error).split())
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{reason}{': ' if names else ''}{', '.join(names)}{_HELP.get(error.errno or 0, '')}"


def parse_date(text: str) -> date:
    """Read a date from the command line.

    Raises:
        ConfigError: It is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"'{text}' is not a date; write YYYY-MM-DD") from error


def print_json(value: object) -> None:
    """Print one JSON value on standard output."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def read_experiment(
    config: Path | None,
    overrides: Sequence[str] | None,
    plugins: Sequence[str] | None = None,
    executor: str | None = None,
    address: str | None = None,
) -> Experiment:
    """Load plugins, read and check the configuration, and only then what is slow to load: a mistake is told at once.

    Raises:
        ConfigError: A plugin cannot be imported, or the configuration is none.
    """
    experiment = read_settings(config, overrides, plugins, executor, address)
    prepare_process()
    return experiment


def read_settings(
    config: Path | None,
    overrides: Sequence[str] | None,
    plugins: Sequence[str] | None = None,
    executor: str | None = None,
    address: str | None = None,
) -> Experiment:
    """Load plugins and read the configuration, for what needs no torch.

    Raises:
        ConfigError: A plugin cannot be imported, or the configuration is none.
    """
    from alfred.config import load_experiment

    load_plugins(plugins or ())
    return load_experiment(config, [*(overrides or ()), *spell_executor(executor, address)])


def spell_executor(executor: str | None, address: str | None) -> list[str]:
    """Return `--executor` and `--address` as overrides."""
    told = {} if executor is None else {"executor": executor, "address": "null"}
    return [
        f"training.{key}={value}" for key, value in (told | ({} if address is None else {"address": address})).items()
    ]


def prepare_process() -> None:
    """One torch thread, warnings of libraries off the screen, our own log lines on it."""
    import torch

    from alfred.learning.events import hush_writers

    torch.set_num_threads(1)
    hush_writers()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    warnings.filterwarnings("ignore", module=r"(?!alfred)")
