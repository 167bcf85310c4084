"""Work on a Ray cluster: the same numbers, also when a node vanishes in the middle."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfred.config import TrainingSettings
from alfred.errors import AlfredError
from alfred.training import pipeline
from alfred.training.jobs import Job, count_workers, open_executor, run_jobs
from alfred.training.progress import Silence
from benchmarks.ray_cluster import Cluster, start_cluster
from tests.conftest import ROOT
from tests.training.executor_jobs import add_up, refuse, wait_for_file, write_then_die
from tests.training.small import DIRECT, make_small, run_small, write_prices

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is missing: pip install 'alfred[ray]'"),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc"),
]
VALUES = np.random.default_rng(0).normal(size=(400, 200))
LONGER = {**DIRECT, "total_steps": 8_192, "validate_every": 8_192}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with start_cluster() as found:
            for name, value in found.environment.items():
                patch.setenv(name, value)
            yield found


class Listener(Silence):
    """Calls a function once, as soon as every piece whose name begins so has moved."""

    def __init__(self, prefix: str, count: int, then: Any) -> None:
        self.prefix, self.count, self.then = prefix, count, then
        self.moved: set[str] = set()
        self.lines: list[str] = []

    def begin(self, name: str, total: int) -> Any:
        def update(done: int) -> None:
            if name.startswith(self.prefix) and 0 < done < total and self.then is not None:
                self.moved.add(name)
                if len(self.moved) == self.count:
                    self.then()
                    self.then = None

        return update

    def say(self, text: str) -> None:
        self.lines.append(text)


def read_results(root: Path) -> dict[str, bytes]:
    names = ("signals.parquet", "policy.safetensors", "results.json")
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.name in names}


def test_what_goes_wrong_is_one_line_and_lost_workers_are_replaced(cluster: Cluster, tmp_path: Path) -> None:
    settings = TrainingSettings(executor="ray", address=cluster.address)
    with open_executor(settings, tmp_path):
        assert count_workers(settings) == 2
        jobs = [Job(f"seed {seed}", partial(add_up, VALUES, seed)) for seed in range(3)]
        here, there = run_jobs(jobs, 1, Silence()), run_jobs(jobs, 2, Silence())
        assert [item["values"].tobytes() for item in here] == [item["values"].tobytes() for item in there]
        assert not {item["pid"] for item in here} & {item["pid"] for item in there}
        assert all(item["values"].flags.writeable for item in there)
        deadly = [Job(str(n), partial(write_then_die, tmp_path, str(n), n)) for n in (0, 3)]
        assert run_jobs(deadly, 2, Silence()) == [0, 3]
        with pytest.raises(AlfredError, match=r"^no such thing$"):
            run_jobs([Job("a", partial(refuse, "no such thing")), jobs[0]], 2, Silence())
        with pytest.raises(AlfredError, match=r"^too large: its worker process was killed 4 times"):
            run_jobs([Job("too large", partial(write_then_die, tmp_path, "9", 9)), jobs[0]], 2, Silence())
    with open_executor(settings, tmp_path):
        next(tmp_path.glob(".ray-*")).unlink()
        with pytest.raises(AlfredError, match=r"does not see .*; runs and their cache must lie on a disk that all"):
            run_jobs(jobs, 2, Silence())


def test_ctrl_c_leaves_what_is_finished_and_frees_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    jobs: list[Job[Any]] = [
        Job("done", partial(write_then_die, tmp_path, "finished", 0)),
        Job("waits", partial(wait_for_file, begun, tmp_path / "never"), total=10**9),
    ]

    def interrupt() -> None:
        raise KeyboardInterrupt

    settings = TrainingSettings(executor="ray", address=cluster.address)
    with open_executor(settings, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            run_jobs(jobs, 2, Listener("waits", 1, interrupt))
        assert (tmp_path / "finished").read_text()
        pid = int(begun.read_text())
        end = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()


def test_nobody_answers_at_an_address(cluster: Cluster) -> None:
    settings = TrainingSettings(executor="ray", address="127.0.0.1:1")
    said = r"no Ray cluster to be reached at 127\.0\.0\.1:1 .*ray start --head"
    with pytest.raises(AlfredError, match=said), open_executor(settings):
        pass


def test_nothing_imports_ray_unless_it_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, alfred.cli, alfred.training.pipeline, alfred.training.executors.cluster\n"
        "sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_run_with_a_node_that_vanishes_gives_the_numbers_of_this_machine(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prices = write_prices(tmp_path)
    told = {"n_seeds": 2, "executor": "ray", "address": cluster.address}
    listener = Listener("direct", 2, cluster.kill_second)
    experiment = make_small(prices, agents=[LONGER], training=told)
    pipeline.run_all(experiment, tmp_path / "far", reporter=listener)
    assert listener.then is None, "the node was to be killed while two trainings went on"
    assert capfd.readouterr().out == ""
    run_small(tmp_path / "near", make_small(prices, agents=[LONGER], training={"n_seeds": 2, "n_jobs": 1}))
    far, near = read_results(tmp_path / "far"), read_results(tmp_path / "near")
    assert len(near) >= 8
    assert far == near
    assert not list(tmp_path.rglob(".ray-*"))
