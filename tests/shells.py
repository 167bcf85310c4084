"""Real shells on a terminal of their own: what a line becomes when its TABs are pressed."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

_PATIENCE = 60.0  # seconds; a loaded machine starts Python slowly


def make_home(folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has a home of their own and alfred on the path."""
    program = folder / "bin" / "alfred"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nfrom alfred.cli import main\nmain()\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    root = str(Path(__file__).parents[1])
    return {"HOME": str(folder), "PATH": path, "PYTHONPATH": root, "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def press(shell: str, line: str, environment: dict[str, str], folder: Path) -> list[str]:
    """Type a line with TABs into bash or zsh that has just started, and return the words that it makes of the line."""
    leader, follower = pty.openpty()
    options = {"zsh": ["--no-global-rcs", "-i"], "bash": ["-i"]}[shell]
    process = subprocess.Popen(
        [shell, *options],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    os.close(follower)
    try:
        _write(leader, "PS1='ready'; PS1=$PS1'> '\n")
        _wait_for(leader, "ready> ")
        # The line, and then what makes the shell itself say what the line has become.
        _write(leader, f'{line}\x01printf \'%s\\n\' bu""gun \x05 do""ne\n')
        shown = _wait_for(leader, "\ndone")
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return shown[shown.rindex("\nbugun") :].split("\n")[2:-2]


def ask_fish(line: str, environment: dict[str, str], folder: Path) -> list[str]:
    """Return what fish offers for a line; it says so without a terminal."""
    asked = ["fish", "-c", "complete -C $argv[1]", line]
    run = subprocess.run(
        asked, check=True, env=environment, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE
    )
    return [row.partition("\t")[0] for row in run.stdout.splitlines()]


def _write(leader: int, text: str) -> None:
    os.write(leader, text.encode())


def _wait_for(leader: int, sign: str) -> str:
    text = ""
    end = time.monotonic() + _PATIENCE
    while sign not in text:
        assert time.monotonic() < end, f"no {sign!r} in {text!r}"
        if select.select([leader], [], [], 0.2)[0]:
            text = (text + os.read(leader, 4096).decode(errors="replace")).replace("\r", "")
    return text
