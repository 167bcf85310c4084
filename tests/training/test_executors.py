"""What every executor promises: the same results, and no work lost with a worker."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfred.config import TrainingSettings
from alfred.errors import AlfredError, ConfigError
from alfred.training.executors.cluster import Home
from alfred.training.executors.local import LocalExecutor
from alfred.training.executors.parcels import ArrayFolder, Packer, read_array, unpack
from alfred.training.jobs import Job, count_workers, open_executor, run_jobs
from alfred.training.progress import Silence
from tests.commands import call
from tests.training.executor_jobs import (
    Spread,
    add_up,
    leave,
    overwrite,
    refuse,
    refuse_oddly,
    wait_for_file,
    write_then_die,
)

needs_kill = pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of POSIX")
VALUES = np.random.default_rng(0).normal(size=(400, 200))  # 640 kB: travels beside the text


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that nobody else uses."""
    place = tmp_path / "shared"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("TMPDIR", str(place))
    return place


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard: a shell has those that it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Listener(Silence):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done: dict[str, list[int]] = {}

    def begin(self, name: str, total: int) -> Any:
        return self.done.setdefault(name, []).append

    def say(self, text: str) -> None:
        self.lines.append(text)


class _Deaf:
    """Hears nothing of how far jobs are."""

    def update(self, index: int, done: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


def make_jobs() -> list[Job[dict[str, Any]]]:
    return [Job(f"seed {seed}", partial(add_up, VALUES, seed)) for seed in range(3)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@needs_kill
def test_workers_give_what_this_process_gives_and_stay_for_a_block(shared: Path) -> None:
    here = run_jobs(make_jobs(), 1, Silence())
    with open_executor(TrainingSettings()):
        there = run_jobs(make_jobs(), 2, Silence())
        assert [item["values"].tobytes() for item in here] == [item["values"].tobytes() for item in there]
        assert [item["sum"] for item in here] == [item["sum"] for item in there]
        assert {item["threads"] for item in [*here, *there]} == {1}
        pids = {item["pid"] for item in there}
        assert os.getpid() not in pids
        # What a job writes into an array stays with it, and an inner block has the workers of the outer one.
        with open_executor(TrainingSettings()):
            jobs = [Job(str(number), partial(overwrite, VALUES)) for number in range(3)]
            assert run_jobs(jobs, 2, Silence()) == [VALUES[0, 0] + 1.0] * 3
            assert {item["pid"] for item in run_jobs(make_jobs(), 2, Silence())} <= pids
        # One that dies while it has nothing to do costs no job a try.
        dead = min(pids)
        os.kill(dead, signal.SIGKILL)
        while is_alive(dead):
            time.sleep(0.01)
        assert len(run_jobs(make_jobs(), 2, Silence())) == 3
        with pytest.raises(AlfredError, match=r"^no such thing$"):
            run_jobs([Job("a", partial(refuse, "no such thing")), *make_jobs()], 2, Silence())
        last = {item["pid"] for item in run_jobs(make_jobs(), 2, Silence())}
        assert not last & pids
    assert not any(is_alive(pid) for pid in [*pids, *last])
    assert not list(shared.iterdir())


@needs_kill
def test_the_job_of_a_killed_worker_is_begun_again_three_times(tmp_path: Path) -> None:
    deaths = {"never": 0, "three times": 3}
    jobs = [Job(name, partial(write_then_die, tmp_path, name, number)) for name, number in deaths.items()]
    listener = Listener()
    assert run_jobs(jobs, 2, listener) == [0, 3]
    # Nobody else's work was lost with it.
    assert [len((tmp_path / name).read_text().splitlines()) for name in deaths] == [1, 4]
    assert sum("three times: its worker process was killed; begun again" in line for line in listener.lines) == 3
    assert listener.done["three times"][-1] == 1


@needs_kill
def test_a_worker_that_ends_by_itself_is_not_tried_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from functools import partial\nfrom pathlib import Path\nfrom alfred.training.jobs import Job, run_jobs\n"
        "from alfred.training.progress import Silence\nfrom tests.training.executor_jobs import leave\n"
        "Path('read').open('a').write('.')\n"
        "run_jobs([Job(str(n), partial(leave, 7)) for n in range(2)], 2, Silence())\n"
    )
    with pytest.raises(AlfredError, match=r"^a: its worker process ended by itself with exit code 7"):
        run_jobs([Job(name, partial(leave, 7)) for name in ("a", "a")], 2, Silence())
    # Without a guard every worker begins the script anew, and Python ends it.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "exit code 1, and" in done.stderr.splitlines()[-1]
    assert 'below `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert (tmp_path / "read").read_text() == "..."


def test_a_plugin_that_a_worker_cannot_load_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_PLUGINS", str(tmp_path / "gone.py"))  # as after its file was moved
    with pytest.raises(ConfigError, match=r"gone\.py cannot be imported|there is no such file"):
        run_jobs(make_jobs(), 2, Silence())


@needs_kill
def test_a_job_that_kills_every_worker_is_named_and_ends_the_others(tmp_path: Path, shared: Path) -> None:
    begun = tmp_path / "begun"
    jobs: list[Job[Any]] = [
        Job("waits", partial(wait_for_file, begun, tmp_path / "never")),
        Job("too large", partial(write_then_die, tmp_path, "large", 9)),
    ]
    with pytest.raises(AlfredError, match=r"^too large: its worker process was killed 4 times, .*training\.n_jobs=1$"):
        run_jobs(jobs, 2, Silence())
    assert len((tmp_path / "large").read_text().splitlines()) == 4
    pids = [int(line) for line in begun.read_text().split()]
    end = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(is_alive(pid) for pid in pids)
    assert not list(shared.iterdir())


def test_arrays_of_the_same_content_are_kept_once() -> None:
    kept: list[str] = []

    def keep(digest: str, view: memoryview) -> Path:
        kept.append(digest)
        return folder.keep(digest, view)

    folder = ArrayFolder()
    packer = Packer(keep)
    small = np.arange(3)
    values = [(VALUES, small), (VALUES.copy(), VALUES[:200]), VALUES.T, VALUES[:, ::2]]
    parcels = [*packer.pack(values), *packer.pack(values)]
    # All of it, and its first half; transposed it is the same bytes. What is strewn over memory goes with the text.
    assert len(kept) == 2
    assert all(len(parcel.text) < 2_000 for parcel in parcels[:3])
    found = [unpack(parcel.text, map(read_array, parcel.places)) for parcel in parcels]
    np.testing.assert_array_equal(found[1][1], VALUES[:200])
    np.testing.assert_array_equal(found[2], VALUES.T)
    np.testing.assert_array_equal(found[7], VALUES[:, ::2])
    folder.close()


def test_arrays_that_are_made_to_be_packed_do_not_pass_for_one_another() -> None:
    # Each is gone when the next is made, most often in its place.
    folder = ArrayFolder()
    parcels = Packer(folder.keep).pack([Spread(value) for value in range(8)])
    assert [unpack(parcel.text, map(read_array, parcel.places)).value for parcel in parcels] == [*range(8)]
    folder.close()


@pytest.mark.parametrize("place", ["full", "away"])
def test_without_room_for_arrays_they_go_with_the_text(place: str, shared: Path) -> None:
    if place == "away":
        shared.rmdir()
    else:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        folder = ArrayFolder()
        [parcel] = Packer(folder.keep).pack([VALUES])
    finally:
        if place == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not parcel.places
    np.testing.assert_array_equal(unpack(parcel.text, ()), VALUES)
    folder.close()
    assert not shared.exists() or not list(shared.iterdir())


@needs_kill
def test_folders_of_other_users_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="seen-by-all-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        Path(name).chmod(0o755)
        closed = Path(name) / "alfred-arrays-theirs"
        closed.mkdir()
        (closed / "lock").touch()
        closed.chmod(0o000)
        # To the system's own user nothing is closed.
        me = os.geteuid()
        os.seteuid(me or 65534)
        try:
            ArrayFolder().close()
        finally:
            os.seteuid(me)
            closed.chmod(0o700)
        assert closed.exists()


@pytest.mark.parametrize(("ours", "kind"), [(True, AlfredError), (False, RuntimeError)])
def test_an_exception_that_cannot_travel_is_told_and_costs_no_other_try(
    ours: bool, kind: type[Exception], tmp_path: Path
) -> None:
    jobs: list[Job[Any]] = [Job("odd", partial(refuse_oddly, tmp_path / "begun", ours)), *make_jobs()]
    with pytest.raises(kind, match=r"^why: so$" if ours else r"^TalkativeError: why: so$"):
        run_jobs(jobs, 2, Silence())
    assert (tmp_path / "begun").read_text() == "begun\n"


@needs_kill
def test_arrays_of_a_killed_command_are_cleared_away_and_those_of_others_stay() -> None:
    held = ArrayFolder()
    place = held.keep("digest", memoryview(b"some bytes"))
    code = "import os, signal; from alfred.training.executors.parcels import ArrayFolder\n"
    code += "f = ArrayFolder(); print(f.keep('d', memoryview(b'x')), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    left = Path(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    )
    assert left.exists()
    ArrayFolder().close()
    assert not left.parent.exists()
    assert place.exists()
    held.close()
    assert not place.exists()


@needs_kill
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_what_is_finished(tmp_path: Path) -> None:
    jobs: list[Job[Any]] = [
        Job("done", partial(write_then_die, tmp_path, "finished", 0)),
        Job("waits", partial(wait_for_file, tmp_path / "begun", tmp_path / "never")),
    ]

    def interrupt() -> None:
        while not ((tmp_path / "finished").exists() and (tmp_path / "begun").exists()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, 2, Silence())
    assert (tmp_path / "finished").read_text()


@needs_kill
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_workers_end_leaves_nothing(tmp_path: Path, shared: Path) -> None:
    begun = tmp_path / "begun"
    jobs: list[Job[Any]] = [
        Job("done", partial(add_up, VALUES, 0)),
        Job("waits", partial(wait_for_file, begun, tmp_path / "never")),
    ]
    executor = LocalExecutor()
    results = executor.run(jobs, 2, _Deaf())
    next(results)
    while not begun.exists():
        time.sleep(0.02)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        executor.close()
    assert not list(shared.iterdir())
    end = time.monotonic() + 10
    while is_alive(int(begun.read_text())) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(int(begun.read_text()))
    results.close()


@pytest.mark.parametrize("typed", ["-c", "-"])
def test_what_is_typed_runs_in_its_own_process(typed: str, tmp_path: Path) -> None:
    text = (
        "from alfred.training.jobs import Job, run_jobs\nfrom alfred.training.progress import Silence\n"
        "print(run_jobs([Job(str(n), lambda *, progress, n=n: n) for n in range(2)], 2, Silence()))\n"
    )
    words = [typed, text] if typed == "-c" else [typed]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *words],
        input=text,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[0, 1]\n", "")


def test_the_executor_is_chosen_by_setting_and_option() -> None:
    assert count_workers(TrainingSettings(n_jobs=7)) == 7
    for words, said in (
        (["--executor", "rya"], "training.executor"),
        (["--address", "10.0.0.1:6379"], "executor is 'local'; add executor: ray, or address: null"),
    ):
        result = call("forecast", *words)
        assert result.exit_code == 2
        assert said in result.stderr
    with pytest.raises((ConfigError, ValueError), match="address"):
        TrainingSettings(address="10.0.0.1:6379")


def test_a_worker_elsewhere_must_see_the_folder_and_have_the_same_code(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    home = Home.describe(mark)
    with pytest.raises(
        AlfredError, match=f"does not see {re.escape(str(tmp_path))}; .* on a disk that all nodes share"
    ):
        home.enter()
    mark.touch()
    home.enter()
    with pytest.raises(AlfredError, match=r"has another alfred and another plugin mine\.py; install the same on all"):
        replace(home, code={**home.code, "alfred": "another", "plugin mine.py": "digest"}).enter()


def test_without_ray_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(AlfredError, match=r"pip install 'alfred\[ray\]'"),
        open_executor(TrainingSettings(executor="ray")),
    ):
        pass
