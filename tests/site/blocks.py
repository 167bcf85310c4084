"""The code blocks of a page, and the folder in which they are run as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

SLOW = "<!-- slow -->"
"""The line before a block that takes long: it is run by the slow tests alone."""

_FENCE = re.compile(r"^(?P<before>[^\n]*)\n+```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block of code: its language, its `title` (the file that it is) and its text."""

    language: str
    title: str
    text: str
    slow: bool


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    found = []
    for match in _FENCE.finditer("\n" + page.read_text(encoding="utf-8")):
        language, _, rest = match["info"].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        found.append(Block(language, title[1] if title else "", match["text"], match["before"].strip() == SLOW))
    return found


def list_commands(page: Path) -> list[str]:
    """Return every line of a shell in the blocks of a page, with lines that end in a backslash put together."""
    shell = [block.text for block in read_blocks(page) if block.language in ("", "bash", "sh")]
    lines = "\n".join(shell).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


class Shell:
    """A folder in which lines are run with `alfred`, `python` and `pytest` of this environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir(exist_ok=True)
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        for name, arguments in (("alfred", "-m alfred"), ("python", ""), ("pytest", "-m pytest -p no:cacheprovider")):
            path = programs / name
            path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', encoding="utf-8")
            path.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "160",
            "OMP_NUM_THREADS": "1",
        }

    def run(self, text: str) -> str:
        """Run lines of bash and return what they said, both ways; a line that fails is an error."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        return done.stdout


def check_said(expected: str, said: str) -> None:
    """Demand that every expected line stands in what was said, in this order; `...` stands for anything."""
    rest = _plain(said)
    for piece in filter(None, (_plain(part) for line in expected.splitlines() for part in line.split("..."))):
        _, found, rest = rest.partition(piece)
        assert found, f"'{piece}' was not said, or not after what stands above it:\n{said}"


def _plain(text: str) -> str:
    """Return a text without line breaks, lines of tables and repeated blanks, which follow the width of a terminal."""
    return " ".join(re.sub("─+", " ", text).split())
