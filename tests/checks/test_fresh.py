"""A call in a fresh process finds what it is about wherever it was defined, and tells what went wrong on one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alfred.errors import ContractError
from alfred.fresh import call_afresh
from tests.checks.test_package import call

MEMORY: list[int] = []


class Inner:
    class Deep:
        """Found by its whole name."""


def write_memory(owner: type, path: str) -> None:
    """Write what the process remembers; called in the fresh one."""
    Path(path).write_text(f"{owner.__qualname__} {MEMORY}", encoding="utf-8")


def fail(owner: type, path: str) -> None:
    """Fail with more than one line; called in the fresh process."""
    raise ValueError("first\nsecond")


def test_nothing_of_this_process_is_there(tmp_path: Path) -> None:
    MEMORY.append(3)
    call_afresh(f"{__name__}:write_memory", Inner.Deep, tmp_path / "told")
    assert (tmp_path / "told").read_text(encoding="utf-8") == "Inner.Deep []"
    assert MEMORY == [3]


def test_a_mistake_there_is_one_line() -> None:
    with pytest.raises(ContractError, match=r"Inner must work in a fresh process; there: ValueError: first second$"):
        call_afresh(f"{__name__}:fail", Inner, "x")


def test_what_is_not_at_the_top_of_a_module_is_refused() -> None:
    class Local:
        pass

    with pytest.raises(ContractError, match=r"Local must be defined at the top of a module that is a file"):
        call_afresh(f"{__name__}:fail", Local)


SCRIPT = """
import alfred.training.jobs  # multiprocessing takes a name in sys.modules for the main module
from typing import Literal
from pydantic import BaseModel
from alfred.fresh import call_afresh

class Own(BaseModel):
    kind: Literal["own"] = "own"

if __name__ == "__main__":
    call_afresh("keeper:keep", Own, "told")
"""
KEEPER = "from pathlib import Path\ndef keep(owner, path): Path(path).write_text(owner().kind)\n"


@pytest.mark.parametrize("annotations", ["", "from __future__ import annotations\n"])
def test_a_class_of_a_script_is_found_without_running_it_again(tmp_path: Path, annotations: str) -> None:
    (tmp_path / "script.py").write_text(annotations + SCRIPT, encoding="utf-8")
    (tmp_path / "keeper.py").write_text(KEEPER, encoding="utf-8")
    code, _, problem = call(tmp_path, "script.py", path=tmp_path, command=[sys.executable])
    assert code == 0, problem
    assert (tmp_path / "told").read_text(encoding="utf-8") == "own"
