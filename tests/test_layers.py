"""Imports go down only: the rule of docs/design.md, read off the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "alfred"
# Each room with the rooms it may import. `errors` and `settings` are the ground that all stand on.
GROUND = {"errors", "settings", "__init__"}
ALLOWED = {
    "errors": set(),
    "settings": {"errors"},
    "data": GROUND,
    "analysts": GROUND | {"data"},
    "envs": GROUND | {"data"},
    "agents": GROUND | {"data", "analysts", "envs"},
    "evaluation": GROUND | {"data", "analysts", "envs"},
    "config": GROUND | {"data", "analysts", "envs", "agents", "evaluation"},
    "training": GROUND | {"data", "analysts", "envs", "agents", "evaluation", "config"},
}
ALLOWED["console"] = ALLOWED["cli"] = set(ALLOWED) | {"__init__", "console"}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def read_imports(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = {f"alfred.{alias.name}" for alias in node.names} if node.module == "alfred" else {node.module}
            found |= names
    return {name for name in found if name.split(".")[0] == "alfred"}


def find_violations(room: str, source: str) -> list[str]:
    allowed = ALLOWED[room] | {room}
    modules = {"__version__": "__init__"}
    imports = {modules.get(room_of(name), room_of(name)) for name in read_imports(source)}
    return sorted(imports - allowed)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    room = relative.parts[0].removesuffix(".py")
    if room == "__init__":
        assert read_imports(path.read_text(encoding="utf-8")) == set()
        return
    assert find_violations(room, path.read_text(encoding="utf-8")) == []


def test_a_violation_is_found() -> None:
    assert find_violations("data", "from alfred.envs.ledger import drift") == ["envs"]
    assert find_violations("analysts", "import alfred.envs") == ["envs"]
    assert find_violations("envs", "def f():\n    from alfred.analysts import base\n") == ["analysts"]
    assert find_violations("training", "from alfred import cli") == ["cli"]


@pytest.mark.parametrize("heavy", ["torch", "stable_baselines3", "gymnasium", "skfolio"])
def test_data_room_is_light(heavy: str) -> None:
    code = f"import sys, alfred.data; sys.exit('{heavy}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_stay_small() -> None:
    lengths = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py"))
    assert lengths[-1] <= 400
    assert lengths[len(lengths) // 2] < 200


def test_command_line_answers_without_the_heavy_rooms() -> None:
    code = "import sys, alfred.cli; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
