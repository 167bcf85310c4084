"""What may come through the doors for code of one's own, and what is refused with one line."""

from __future__ import annotations

import functools
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal

import pytest

from alfred.agents.registry import AGENTS
from alfred.agents.strategies.registry import BASELINES
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import NaiveSettings
from alfred.data.features.registry import FEATURES
from alfred.data.settings import FeatureSettings
from alfred.envs.registry import REWARDS
from alfred.envs.rewards import Reward
from alfred.envs.settings import RewardSettings
from alfred.errors import ConfigError
from alfred.registry import Registry
from tests.checks.test_package import call


class Bare:
    """No settings."""


class Heir(NaiveAnalyst):
    """Has the settings of another."""


class OwnSettings(NaiveSettings):
    kind: Literal["own"] = "own"  # type: ignore[assignment]


class Own(NaiveAnalyst):
    settings_class = OwnSettings


class Pays(Reward):
    def pay(self, growth: Any, reference_growth: Any) -> Any:
        return growth


@pytest.mark.parametrize("registry", [ANALYSTS, AGENTS, BASELINES])
@pytest.mark.parametrize("kind", [None, "bare"])
def test_a_class_without_settings_is_refused(registry: Registry[Any], kind: str | None) -> None:
    with pytest.raises(ConfigError, match=r"Bare cannot be used as \w+: it has no settings; set settings_class"):
        registry.register(Bare, kind)
    assert "bare" not in registry


@pytest.mark.parametrize(
    ("registry", "item", "kind"),
    [
        (ANALYSTS, Heir, None),
        (REWARDS, Pays, "growth"),
        (FEATURES, Pays, "rsi"),
        (FEATURES, Pays, "technical"),
        (AGENTS, type("Ppo", (), {"settings_class": OwnSettings, "__module__": __name__}), "ppo"),
    ],
)
def test_the_name_of_something_built_in_is_refused(registry: Registry[Any], item: Any, kind: str | None) -> None:
    with pytest.raises(ConfigError, match=r"alfred itself has one of this name|accepts kind 'own' only"):
        registry.register(item, kind)


def test_settings_of_another_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"accepts kind 'own' only; give it kind: Literal\['mine'\] = 'mine'"):
        ANALYSTS.register(Own, "mine")


@pytest.mark.parametrize("item", [functools.partial(int, "3"), lambda market: market, 3])
def test_what_no_other_process_finds_is_refused(item: Any) -> None:
    with pytest.raises(ConfigError, match="it must be a class or function defined at the top of its module"):
        FEATURES.register(item, "mine")


def test_another_of_the_same_kind_replaces_the_first() -> None:
    registry: Registry[Any] = Registry("reward", "alfred.none", {}, {})
    registry.register(Bare, "mine")
    registry.register(Pays, "mine")
    assert registry.load("mine") is Pays


@pytest.mark.parametrize(
    ("registry", "read", "name"),
    [
        (ANALYSTS, lambda: ANALYSTS.load("naive"), "naive"),
        (REWARDS, lambda: RewardSettings(kind="growth"), "growth"),
        (FEATURES, lambda: FeatureSettings(names=("rsi",)), "rsi"),
    ],
)
def test_a_package_cannot_take_the_name_of_something_built_in(
    monkeypatch: pytest.MonkeyPatch, registry: Registry[Any], read: Any, name: str
) -> None:
    point = EntryPoint(name, f"{__name__}:Pays", registry.group)
    monkeypatch.setattr(registry, "_packages", {name: [point]})
    with pytest.raises(ValueError if registry is not ANALYSTS else ConfigError, match="is alfred's own"):
        read()
    monkeypatch.setattr(registry, "_packages", {})
    read()


def test_two_packages_with_one_name_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[Any] = Registry("reward", "alfred.none", {}, {})
    points = [EntryPoint("mine", f"{__name__}:{name}", "alfred.none") for name in ("Pays", "Bare")]
    monkeypatch.setattr(registry, "_packages", {"mine": points})
    with pytest.raises(ConfigError, match="two installed packages announce reward 'mine'"):
        registry.find("mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nsys.exit(7)\n", "cannot be imported: it ends the process: SystemExit: 7"),
        ("raise SystemExit\n", "cannot be imported: it ends the process: SystemExit"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero"),
        ("def f(:\n", "cannot be imported: SyntaxError"),
        (
            "from alfred.analysts.registry import ANALYSTS\nclass A: pass\nANALYSTS.register(A)\n",
            "A cannot be used as analyst: it has no settings",
        ),
        (
            "from alfred.envs.registry import REWARDS\nclass A: pass\nREWARDS.register(A, 'excess')\n",
            "A cannot be registered as reward 'excess', for alfred itself has one of this name",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "broken_plugin.py").write_text(text, encoding="utf-8")
    code, _, problem = call(tmp_path, "run", "--plugin", "broken_plugin.py")
    assert (code, len(problem.strip().splitlines())) == (2, 1), problem
    assert f"--plugin {tmp_path / 'broken_plugin.py'}" in problem and said in problem


@pytest.mark.skipif(sys.platform == "win32", reason="no file name on Windows holds its separator, ;")
def test_a_path_that_cannot_be_handed_on_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    (folder / "fine.py").write_text("", encoding="utf-8")
    for where, named in ((tmp_path, "a:b/fine.py"), (folder, "fine.py")):
        code, _, problem = call(where, "run", "--plugin", named)
        assert (code, len(problem.strip().splitlines())) == (2, 1), problem
        assert "holds ':', which separates the entries of ALFRED_PLUGINS" in problem
    command = [sys.executable, "-c", f"import os; os.environ['ALFRED_PLUGINS'] = {str(folder / 'fine.py')!r}\n"
               "from alfred.cli import main; main()"]  # fmt: skip
    code, _, problem = call(tmp_path, "run", command=command)
    assert (code, len(problem.strip().splitlines())) == (2, 1), problem
    assert "entries of ALFRED_PLUGINS are separated by ':'" in problem


def test_what_installed_packages_brought_is_recorded(tmp_path: Path) -> None:
    package = tmp_path / "mine_pack"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    pays = (
        "from alfred.envs.rewards import Reward\nclass Pays(Reward):\n    def pay(self, growth, other): return growth\n"
    )
    (package / "parts.py").write_text(pays, encoding="utf-8")
    info = tmp_path / "mine_pack-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-pack\nVersion: 1.5\n", encoding="utf-8")
    announced = "[alfred.rewards]\nmine = mine_pack.parts:Pays\nidle = mine_pack.parts:Pays\n"
    (info / "entry_points.txt").write_text(announced, encoding="utf-8")
    asked = (
        "import json; from alfred.envs.settings import RewardSettings; from alfred.plugins import describe_packages\n"
        "before = describe_packages(); RewardSettings(kind='mine'); print(json.dumps([before, describe_packages()]))"
    )

    def describe() -> tuple[list[Any], list[Any]]:
        code, said, problem = call(tmp_path, path=tmp_path, command=[sys.executable, "-c", asked])
        assert code == 0, problem
        before, after = json.loads(said)
        return before, after

    before, (found,) = describe()
    assert before == []
    assert (found["distribution"], found["version"], found["kinds"]) == ("mine-pack", "1.5", ["reward mine"])
    (package / "parts.py").write_text(pays.replace("return growth", "return growth - 1"), encoding="utf-8")
    _, (changed,) = describe()
    assert len(found["sha256"]) == 64 and changed["sha256"] != found["sha256"]
