"""Scripts that complete the command line in bash, zsh and fish, and where they are put."""

from __future__ import annotations

import functools
import os
from importlib import resources
from pathlib import Path

from alfred.data.files import read_text, write_atomically
from alfred.errors import ConfigError, suggest

_SCRIPTS = {"bash": "alfred.bash", "zsh": "_alfred", "fish": "alfred.fish"}
SHELLS = tuple(_SCRIPTS)


def read_script(shell: str) -> str:
    """Return the script of a shell.

    Raises:
        ConfigError: There is none for it.
    """
    if shell not in _SCRIPTS:
        named = f"'{shell}' has no completion" if shell else "the shell that this was called from is not known"
        raise ConfigError(f"{named}; name one of {', '.join(SHELLS)}.{suggest(shell, SHELLS)}")
    return (resources.files("alfred.cli.shells") / _SCRIPTS[shell]).read_text(encoding="utf-8")


def install(shell: str) -> Path:
    """Write the script of a shell where that shell finds it, and return the file.

    `~/.bashrc` and `~/.zshrc` get a line at their end, once; nothing else in them is touched.

    Raises:
        ConfigError: There is no script for the shell.
        StorageError: A file cannot be written.
    """
    script = read_script(shell)
    home = Path.home()
    if shell == "bash":
        target, settings = home / ".bash_completions" / "alfred.sh", home / ".bashrc"
        line = f"source '{target}'"
    elif shell == "zsh":
        target, settings = home / ".zfunc" / "_alfred", Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
        line = "fpath+=~/.zfunc; autoload -Uz compinit; compinit"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        target, settings, line = folder / "fish" / "completions" / "alfred.fish", None, ""
    write_atomically(target, functools.partial(Path.write_text, data=script, encoding="utf-8"))
    if settings is not None:
        text = read_text(settings) if settings.exists() else ""
        if line not in text:
            # Added to, not replaced: it may be a link into a folder that somebody keeps.
            begin = "\n" if text and not text.endswith("\n") else ""
            with settings.open("a", encoding="utf-8") as file:
                file.write(f"{begin}{line}\n")
    return target


def name_shells(args: list[str]) -> list[str]:
    """Return command line arguments in which the options of completion have the shell as their value.

    A shell may be named behind them; otherwise it is the one that the command was typed in.
    """
    named = list(args)
    for option in ("--install-completion", "--show-completion"):
        if option in named:
            place = named.index(option)
            follows = named[place + 1 : place + 2]
            shell = follows[0] if follows and not follows[0].startswith("-") else _find_shell()
            named[place : place + 1 + (follows == [shell])] = [f"{option}={shell}"]
    return named


def _find_shell() -> str:
    import shellingham

    try:
        return str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        return ""
