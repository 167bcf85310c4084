"""The command line driven as a user does, in this process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from alfred.cli import app


def call(*words: object) -> Result:
    """Return what a command did."""
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def refuse(*words: object) -> str:
    """Return the one line with which a command is refused."""
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
