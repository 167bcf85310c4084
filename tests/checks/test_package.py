"""Code that lives elsewhere: an installed package, a file named on the command line, files that `alfred new` writes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, make_random_market
from tests.training.small import DIRECT, make_small, write_prices

ALFRED = [sys.executable, "-c", "from alfred.cli import main; main()"]
KINDS = ("analyst", "agent", "reward", "feature", "source")


def call(folder: Path, *words: object, path: Path | None = None, command: list[str] = ALFRED) -> tuple[int, str, str]:
    places = os.pathsep.join(str(place) for place in (path, ROOT) if place is not None)
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    environment.pop("ALFRED_PLUGINS", None)
    done = subprocess.run(
        [*command, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def write_config(folder: Path, **changes: object) -> Path:
    prices = write_prices(folder)
    longer = {"total_steps": 2_048, "validate_every": 512, "checkpoint_every": 256}
    agents = [{**DIRECT, **longer, "kind": "mine_agent", "validation_blocks": 2}]
    experiment = make_small(prices, training={"n_seeds": 2, "n_jobs": 2}, features=None)
    raw = json.loads(experiment.model_dump_json()) | {
        "agents": agents,
        "analysts": [{"kind": "mine_analyst"}],
        **changes,
    }
    closes = pd.read_csv(prices).pivot_table(index="date", columns="symbol", values="close")
    closes.to_csv(folder / "closes.csv")
    options = {"table": str(folder / "closes.csv"), "benchmark": make_random_market(9).benchmark}
    raw["data"] = {"source": "mine_source", "options": options}
    raw["env"]["reward"]["kind"] = "mine_reward"
    raw["features"] = {"names": ["momentum_1", "mine_feature"]}
    (folder / "config.yaml").write_text(json.dumps(raw), encoding="utf-8")
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    for kind in KINDS:
        code, said, problem = call(folder, "new", kind, f"mine_{kind}")
        assert code == 0, problem
        assert f"pytest test_mine_{kind}.py" in said
    return folder


@pytest.mark.slow
def test_what_is_new_passes_its_own_contract_test(written: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", os.devnull]
    code, said, problem = call(written, *(f"test_mine_{kind}.py" for kind in KINDS), command=command)
    assert code == 0, said + problem
    for kind in KINDS:
        assert re.search(rf"test_mine_{kind}\.py::\w+ PASSED", said), said


def test_nothing_is_overwritten_and_a_bad_name_is_one_line(written: Path) -> None:
    before = (written / "mine_agent.py").read_bytes()
    for name, text in (
        ("mine_agent", "exists already"),
        ("9", "cannot be the name of a module"),
        ("json", "a module called 'json' exists already"),
        ("torch", "a module called 'torch' exists already"),
        ("ppo", "alfred itself has agent 'ppo'"),
    ):
        code, _, problem = call(written, "new", "agent", name)
        assert code == 2 and text in problem and len(problem.strip().splitlines()) == 1
    assert (written / "mine_agent.py").read_bytes() == before


@pytest.mark.slow
def test_files_train_in_two_processes_and_are_recorded(written: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    plugins = [word for kind in KINDS for word in ("--plugin", written / f"mine_{kind}.py")]
    code, _, problem = call(tmp_path, "train", config, *plugins)
    assert code == 0, problem
    manifest = json.loads((tmp_path / "runs" / "small" / "manifest.json").read_text(encoding="utf-8"))
    assert [item["name"] for item in manifest["plugins"]] == [f"mine_{kind}.py" for kind in KINDS]
    assert all(len(item["sha256"]) == 64 for item in manifest["plugins"])
    # A configuration never names code to import: whoever goes on with the run names it again.
    code, _, problem = call(tmp_path, "evaluate", "runs/small")
    assert code == 2 and "the run was made with --plugin mine_analyst.py" in problem
    assert len(problem.strip().splitlines()) == 1
    code, said, problem = call(tmp_path, "evaluate", "runs/small", *plugins, "--json")
    assert code == 0, problem
    assert json.loads(said)["results"][0]["name"] == "mine_agent"
    # The reward of one's own counts as the code of a training.
    reward = written / "mine_reward.py"
    text = reward.read_text(encoding="utf-8")
    reward.write_text(text.replace("FACTOR = 3.0", "FACTOR = 4.0"), encoding="utf-8")
    code, _, problem = call(tmp_path, "train", config, *plugins)
    reward.write_text(text, encoding="utf-8")
    assert code == 0 and "again" in problem, problem


def install(folder: Path, written: Path) -> Path:
    """Lay a package with entry points where an installation would have put it."""
    site = folder / "site"
    package = site / "mine_pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    lines = []
    classes = {
        "analyst": "MineAnalystAnalyst",
        "agent": "MineAgentAgent",
        "reward": "MineRewardReward",
        "source": "MineSourceSource",
    }
    for kind in KINDS:
        source = (written / f"mine_{kind}.py").read_text(encoding="utf-8")
        # An entry point announces it, so that nothing registers itself.
        kept = [line for line in source.splitlines() if ".register(" not in line]
        (package / f"{kind}.py").write_text("\n".join(kept) + "\n", encoding="utf-8")
        name = classes.get(kind, f"compute_mine_{kind}")
        lines.append(f"[alfred.{kind}s]\nmine_{kind} = mine_pack.{kind}:{name}\n")
    info = site / "mine_pack-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-pack\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return site


def read_policies(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("policy*.safetensors"))}


@pytest.mark.slow
def test_an_installed_package_trains_and_goes_on_after_a_kill(written: Path, tmp_path: Path) -> None:
    site = install(tmp_path, written)
    config = write_config(tmp_path)
    code, _, problem = call(tmp_path, "train", config, "--runs", "clean", path=site)
    assert code == 0, problem
    expected = read_policies(tmp_path / "clean" / "small")
    assert expected
    manifest = json.loads((tmp_path / "clean" / "small" / "manifest.json").read_text(encoding="utf-8"))
    (recorded,) = manifest["extensions"]
    assert (recorded["distribution"], recorded["version"], len(recorded["sha256"])) == ("mine-pack", "1.0", 64)
    assert recorded["kinds"] == sorted(f"{kind} mine_{kind}" for kind in KINDS)
    # Without the package, whoever goes on with the run is told which one it was.
    code, _, problem = call(tmp_path, "evaluate", "clean/small")
    assert code == 2 and "made with the package mine-pack 1.0, which is not installed" in problem
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [*ALFRED, "train", str(config), "--runs", "killed"], cwd=tmp_path, env=environment, stdout=quiet, stderr=quiet,
        start_new_session=True,
    )  # fmt: skip
    run = tmp_path / "killed" / "small"
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None and not list(run.rglob("checkpoints/*")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and list(run.rglob("checkpoints/*"))
    code, _, problem = call(tmp_path, "train", config, "--runs", "killed", path=site)
    assert code == 0, problem
    assert read_policies(run) == expected
