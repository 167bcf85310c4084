"""Imports go down only: the rule of docs/design.md, read off the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "alfred"
# Each room with the rooms it may import; all may import the ground.
GROUND = {"errors", "settings", "typing", "jit", "lazy", "registry", "version", "fresh", "keys", "__init__"}
ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(GROUND, GROUND),
    "plugins": GROUND | {"data"},
    "data": GROUND,
    "learning": GROUND | {"data"},
    "analysts": GROUND | {"data", "learning"},
    "envs": GROUND | {"data"},
    "agents": GROUND | {"data", "learning", "envs"},
    "evaluation": GROUND | {"data", "envs"},
    "config": GROUND | {"data", "analysts", "envs", "agents", "evaluation"},
    "config_reference": GROUND | {"data", "envs", "config"},
    "training": GROUND | {"data", "learning", "analysts", "envs", "agents", "evaluation", "config", "plugins"},
}
ALLOWED["notebook"] = ALLOWED["training"] | {"training"}
ALLOWED["serve"] = ALLOWED["training"] | {"training"}
ALLOWED["checks"] = GROUND | {"data", "analysts", "envs", "agents"}
ALLOWED["__main__"] = GROUND | {"cli"}
ALLOWED["console"] = ALLOWED["cli"] = set(ALLOWED) | {"console"}
MOST_FILES = 15


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


def read_modules() -> dict[str, str]:
    """Return the source of every module by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("alfred", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def resolve_imports(source: str, modules: Collection[str]) -> set[str]:
    """Return the modules that a source imports; `from package import module` is the module and not the package."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in whole}
    return found & set(modules)


def find_circle(imports: dict[str, set[str]]) -> list[str]:
    """Return modules that import one another in a circle, or nothing."""
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imports.get(name, ())):
            if circle := visit(other, (*above, name)):
                return circle
        done.add(name)
        return []

    return next((circle for name in imports if (circle := visit(name, ()))), [])


def test_imports_go_down() -> None:
    wrong = {}
    for module, source in read_modules().items():
        room = room_of(module)
        if room == "__init__":
            continue  # it offers names of every room, and imports them when they are used
        if found := find_violations(room, source):
            wrong[module] = found
    assert wrong == {}


def test_there_is_no_circle() -> None:
    modules = read_modules()
    # The package itself imports nothing before it is used.
    graph = {name: resolve_imports(source, modules) for name, source in modules.items() if name != "alfred"}
    assert find_circle(graph) == []
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


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


def test_rooms_stay_small() -> None:
    crowded = {}
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        count = len(list(folder.glob("*.py")))
        if count > MOST_FILES:
            crowded[str(folder.relative_to(PACKAGE))] = count
    assert crowded == {}


def test_importing_the_package_loads_nothing() -> None:
    heavy = "'numpy' in sys.modules or 'gymnasium' in sys.modules"
    code = f"import sys, alfred; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_used_registers_the_environment() -> None:
    code = "import alfred, gymnasium; alfred.Market; gymnasium.spec('alfred/Portfolio-v0')"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
