"""The same study on SQLite, and on a real PostgreSQL that the fixture makes and removes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from alfred.training.search.claims import WORKER, requeue_lost
from alfred.training.search.crew import run_studies
from alfred.training.search.storage import open_storage
from alfred.training.search.study import count_trials, load_study
from tests.search.objectives import make_plan
from tests.search.test_study import read_log, start, wait_for_trials


def find_program(name: str) -> str | None:
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) if Path("/usr/lib/postgresql").is_dir() else []
    return shutil.which(name) or (str(places[-1]) if places else None)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """Address of an empty database in a cluster of its own, on a free loopback port."""
    programs = {name: find_program(name) for name in ("initdb", "postgres", "createdb")}
    if not all(programs.values()):
        pytest.skip("needs PostgreSQL (initdb, postgres, createdb), for instance: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="needs the extra: pip install 'alfred[postgresql]'")
    folder = Path(tempfile.mkdtemp(prefix="alfred-pg-"))
    # The server refuses to run as root.
    user = {}
    if os.geteuid() == 0:
        account = next((item for item in pwd.getpwall() if item.pw_name in ("postgres", "nobody")), None)
        if account is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'")
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **user}
    subprocess.run([programs["initdb"], "-D", folder / "data", "-A", "trust", "-U", "alfred"], check=True, **quiet)
    server = subprocess.Popen(
        [programs["postgres"], "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", folder], **quiet
    )
    try:
        command = [programs["createdb"], "-h", "127.0.0.1", "-p", str(port), "-U", "alfred", "studies"]
        for _ in range(100):
            if subprocess.run(command, check=False, **quiet).returncode == 0:
                break
            subprocess.run(["sleep", "0.2"], check=True)
        else:
            raise AssertionError("PostgreSQL did not come up")
        yield f"postgresql://alfred@127.0.0.1:{port}/studies"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_two_commands_share_a_study_on_postgresql(postgresql: str, tmp_path: Path) -> None:
    processes = [start(tmp_path, 24, 2, postgresql), start(tmp_path, 24, 1, postgresql)]
    assert [process.wait() for process in processes] == [0, 0]
    study = load_study(open_storage(postgresql), "square")
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) == 24 == len(study.trials)
    points = [line.split()[1] for line in read_log(tmp_path)]
    assert len(points) == len(set(points)) == 24


@pytest.mark.slow
def test_sigkill_on_postgresql_loses_no_finished_trial(postgresql: str, tmp_path: Path) -> None:
    # The same database holds the study of the test before, under the same name: it goes on to a larger number.
    process = start(tmp_path, 44, 2, postgresql)
    wait_for_trials(tmp_path, 2, process)
    process.kill()
    process.wait()
    assert start(tmp_path, 44, 2, postgresql).wait() == 0
    study = load_study(open_storage(postgresql), "square")
    assert count_trials(study.trials) == 44
    assert not study.get_trials(states=(TrialState.WAITING,))
    # The kill may fall between handing out a trial and signing it. Another machine might be about to sign it, so that
    # it is told as lost only some minutes later.
    assert not [trial for trial in study.get_trials(states=(TrialState.RUNNING,)) if WORKER in trial.user_attrs]


def test_a_trial_that_nobody_signed_is_lost_once_it_is_old(tmp_path: Path) -> None:
    """On a database; no lock of this disk and no heartbeat tells of it."""
    storage = open_storage(f"sqlite:///{tmp_path / 'studies.db'}")
    study = optuna.create_study(study_name="square", storage=storage)
    for minutes in (0, 10):
        began = datetime.now() - timedelta(minutes=minutes)
        template = optuna.trial.FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=began,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        storage.create_new_trial(study._study_id, template)
    requeue_lost(study, storage, tmp_path / "locks")
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.FAIL]


def test_sqlite(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    run_studies([make_plan(tmp_path / "log", 4)], storage, tmp_path, n_workers=1)
    (study,) = run_studies([make_plan(tmp_path / "log", 8)], storage, tmp_path, n_workers=1)
    assert len(study.trials) == 8 == len(read_log(tmp_path))
