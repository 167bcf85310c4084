"""The tutorials run as they stand: files are written, lines are run, and what they are said to print is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.site.blocks import SLOW, Shell, check_said, read_blocks

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def follow(page: Path, folder: Path, *, slow: bool) -> None:
    shell, said = Shell(folder), ""
    for block in read_blocks(page):
        if block.slow and not slow:
            said = ""
        elif block.title:
            (shell.folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            said = shell.run(block.text)
        elif block.language == "text" and said:
            check_said(block.text, said)
            said = ""


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
@pytest.mark.slow
def test_tutorial(page: Path, tmp_path: Path) -> None:
    follow(page, tmp_path, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in TUTORIALS if SLOW in page.read_text()], ids=lambda page: page.stem)
def test_tutorial_with_what_takes_long(page: Path, tmp_path: Path) -> None:
    follow(page, tmp_path, slow=True)


def test_every_block_of_a_tutorial_is_known() -> None:
    # sh: what is not run, such as an installation; text: what a command says. Python stands in a file with a name.
    for page in TUTORIALS:
        for block in read_blocks(page):
            assert block.language in ("bash", "sh", "text", "yaml", "python"), (page.name, block)
            assert block.title or block.language not in ("yaml", "python"), (
                f"{page.name}: a file without a name:\n{block.text}"
            )
