"""A change in a plugin, wherever it sets what, is a change of the code of what it brings."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from alfred.analysts.registry import ANALYSTS
from alfred.plugins import VARIABLE, load_plugins
from alfred.training.provenance.fingerprint import fingerprint_code

LIBRARY = """
from typing import Literal
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings

class OwnSettings(NaiveSettings):
    kind: Literal["own_of_library"] = "own_of_library"

class Own(NaiveAnalyst):
    settings_class = OwnSettings
    K = 1.0
"""
PLUGIN = "from alfred.analysts.registry import ANALYSTS\nimport library_of_test\nlibrary_of_test.Own.K = {}\n"


def test_a_plugin_that_changes_a_class_of_another_module_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library_of_test.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(VARIABLE, "")
    place = tmp_path / "plugin_of_test.py"
    digests = []
    for text in (PLUGIN.format(0.1), PLUGIN.format(0.2), "# a word\n" + PLUGIN.format(0.2)):
        place.write_text(text + "ANALYSTS.register(library_of_test.Own)\n")
        load_plugins([str(place)])
        digests.append(fingerprint_code(ANALYSTS.load("own_of_library")))
        sys.modules.pop("plugin_of_test")
    for name in ("library_of_test",):
        sys.modules.pop(name, None)
    ANALYSTS.pop("own_of_library")
    assert digests[0] != digests[1] == digests[2]


def test_functions_have_digests_of_their_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for text in ("def mine(market):\n    return 1\n", "def mine(market):\n    return 2\n"):
        (tmp_path / "feature_of_test.py").write_text(text)
        importlib.invalidate_caches()
        sys.modules.pop("feature_of_test", None)
        found.append(fingerprint_code(importlib.import_module("feature_of_test").mine))
    sys.modules.pop("feature_of_test", None)
    assert found[0] != found[1]
