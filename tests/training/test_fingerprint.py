"""The digest of code: it changes with what the code does, and with nothing else."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from alfred.agents.direct import DirectAgent
from alfred.agents.ppo import PpoAgent
from alfred.analysts.momentum import MomentumAnalyst
from alfred.analysts.naive import NaiveAnalyst
from alfred.training import fingerprint
from alfred.training.fingerprint import fingerprint_code

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
    assert {"alfred.agents.ppo", "alfred.envs.ledger", "alfred.envs.rewards", "alfred.data.contexts"} <= names
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


def test_it_takes_no_time() -> None:
    fingerprint._known.clear()
    began = time.process_time()
    fingerprint_code(PpoAgent, MomentumAnalyst)
    assert time.process_time() - began < 1.0  # 0.1 s on an idle machine
