"""The digest of code: it changes with what the code does, and with nothing else."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import pytest

from alfred.agents.direct import DirectAgent
from alfred.agents.sb3.ppo import PpoAgent
from alfred.agents.settings import DirectSettings
from alfred.analysts.momentum import MomentumAnalyst
from alfred.analysts.naive import NaiveAnalyst
from alfred.training.provenance import fingerprint, stages
from alfred.training.provenance.fingerprint import fingerprint_code

FILES = {
    "first.py": "from pack_of_test.second import f\nclass A:\n    '''Doc.'''\n    def go(self): return f(1)\n",
    "second.py": "from . import third\ndef f(x): return x + third.C\n",
    "third.py": "import json\nC = 1\n",
    "unused.py": "D = 1\n",
    "__init__.py": "",
}


def digest(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: str) -> str:
    package = folder / "pack_of_test"
    package.mkdir(exist_ok=True)
    for name, text in {**FILES, **{f"{key}.py": text for key, text in changes.items()}}.items():
        (package / name).write_text(text)
    for name in [name for name in sys.modules if name.startswith("pack_of_test")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(folder))
    return fingerprint_code(__import__("pack_of_test.first", fromlist=["A"]).A)


def test_what_is_imported_counts_and_words_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = digest(tmp_path, monkeypatch)
    assert digest(tmp_path, monkeypatch) == plain
    same = {
        "first": "# A comment.\n\n" + FILES["first.py"].replace("Doc.", "Other words."),
        "unused": "D = 2\n",
    }
    assert digest(tmp_path, monkeypatch, **same) == plain
    for name, text in (("first", FILES["first.py"].replace("f(1)", "f(2)")), ("third", "import json\nC = 2\n")):
        assert digest(tmp_path, monkeypatch, **{name: text}) != plain


def test_an_edit_counts_when_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = digest(tmp_path, monkeypatch)
    (tmp_path / "pack_of_test" / "third.py").write_text("C = 5\n")
    # What runs here is still the old code.
    assert fingerprint_code(sys.modules["pack_of_test.first"].A) == plain
    assert digest(tmp_path, monkeypatch, third="C = 5\n") != plain


def test_classes_of_alfred_and_of_nobody_else() -> None:
    digests = [fingerprint_code(item) for item in (PpoAgent, DirectAgent, MomentumAnalyst, NaiveAnalyst)]
    assert len(set(digests)) == 4
    assert fingerprint_code(PpoAgent) == digests[0]
    names = set(fingerprint._known)
    assert {"alfred.agents.sb3.ppo", "alfred.envs.ledger", "alfred.envs.rewards", "alfred.data.contexts"} <= names
    assert not [name for name in names if name.split(".")[0] in ("torch", "numpy", "abc")]


def test_a_class_without_a_file_counts_by_its_functions() -> None:
    def make(body: str) -> type:
        space: dict[str, object] = {"__name__": "nowhere_of_test"}
        exec(f"class A:\n    def go(self): return {body}\n", space)
        found = space["A"]
        assert isinstance(found, type)
        return found

    assert fingerprint_code(make("1")) == fingerprint_code(make("1"))
    assert fingerprint_code(make("1")) != fingerprint_code(make("2"))


@pytest.mark.parametrize(
    "line",
    [
        "try: import helper_of_test\nexcept ImportError: pass",
        "import os; import helper_of_test",
        "import os, \\\n    helper_of_test as h",
        "from helper_of_test import (  # comment\n    f,\n    g\n)",
        "from helper_of_test import *",
        "def late():\n    import helper_of_test",
        "from .second import helper",
        "from . import second",
        "from .. import helper_of_test",
        "from side_of_test.deep import x",
        "import side_of_test.deep.low",
    ],
)
def test_all_imports_of_code_that_is_not_installed_count(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "pack_of_test.inner" if line.startswith("from .. ") else "pack_of_test"
    names = ("pack_of_test", "pack_of_test/inner", "side_of_test/deep", "far")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "far"), *sys.path])
    first = tmp_path.joinpath(*package.split(".")) / "first.py"
    second = "import helper_of_test as helper\n"
    (tmp_path / "pack_of_test" / "second.py").write_text(second)
    text = "f, g, x = 1, 2, 3\n"
    helpers = ["far/helper_of_test.py", "pack_of_test/helper_of_test.py", "side_of_test/deep/__init__.py"]

    def take(value: str) -> str:
        first.write_text(f"{line}\nclass A: pass\n")
        for helper in helpers:
            (tmp_path / helper).write_text(f"{text}V = {value}\n")
        (tmp_path / "side_of_test/deep/low.py").write_text("")
        for name in [name for name in sys.modules if "_of_test" in name]:
            monkeypatch.delitem(sys.modules, name)
        fingerprint._known.clear()
        return fingerprint_code(__import__(f"{package}.first", fromlist=["A"]).A)

    plain = take("1")
    assert take("1") == plain
    assert take("2") != plain


def test_a_class_without_a_file_counts_with_all_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = """
import functools
import numpy as np
import live_helper_of_test as h
from live_helper_of_test import f
C, T, W, UNUSED = 1, {"a": [2]}, np.arange(3), 4
def inner(x): return x + 5
def outer(x): return inner(x)
class Base: base = 6
class A(Base):
    level = 7
    @property
    def top(self): return 8
    @functools.cached_property
    def low(self): return 9
    @staticmethod
    def fixed(x=10): return [C for _ in T]
    def go(self): return outer(1) + W + h.V + f() + A.level
"""

    def take(old: str = "", new: str = "", value: str = "1") -> str:
        (tmp_path / "live_helper_of_test.py").write_text(f"V = {value}\ndef f(): pass\n")
        sys.modules.pop("live_helper_of_test", None)
        fingerprint._known.clear()
        space: dict[str, object] = {"__name__": "nowhere_of_test"}
        assert old in text
        exec(text.replace(old, new) if old else text, space)
        found = space["A"]
        assert isinstance(found, type)
        return fingerprint_code(found)

    plain = take()
    assert take() == plain
    assert take("4\n", "44\n") == plain
    changes = ["= 1,", "[2]", "arange(3)", "+ 5", "base = 6", "level = 7", "return 8", "return 9", "x=10"]
    for old in changes:
        digit = next(letter for letter in old if letter.isdigit())
        assert take(old, old.replace(digit, f"{digit}3", 1)) != plain, old
    assert take(value="2") != plain
    sys.modules.pop("live_helper_of_test", None)


def test_it_takes_no_time() -> None:
    fingerprint._known.clear()
    began = time.process_time()
    fingerprint_code(PpoAgent, MomentumAnalyst)
    assert time.process_time() - began < 1.0  # 0.1 s on an idle machine


def test_a_module_that_is_not_there_is_no_digest() -> None:
    with pytest.raises(ValueError, match=r"there is no module alfred\.training\.nowhere"):
        fingerprint_code(alone=("alfred.training.nowhere",))


def test_what_trains_and_chooses_counts_as_the_code_of_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(stages, "fingerprint_code", lambda *_, modules, alone: asked.extend((*modules, *alone)) or "x")
    stages.fingerprint_agent(DirectSettings())
    assert {"alfred.training.cross_fitting.choice", "alfred.training.cross_fitting.blocks"} <= set(asked)
    assert all(importlib.util.find_spec(name) for name in asked)
