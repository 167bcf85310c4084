"""Clocks that are wrong, or are set while work goes on: no order and no result depends on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from alfred.analysts.chosen.entries import BestEntry
from alfred.data.files import write_atomically
from alfred.training.search.analysts.history import roll_back, write_entries
from alfred.training.search.claims import WORKER, requeue_lost
from alfred.training.search.storage import open_storage
from tests.analysts.chosen.test_registry import MOMENTUM, RIDGE, make_entry
from tests.faults.world import NAME, count_trials, read_results, run_whole, start

AGES = {"year 1": -62_000_000_000, "1969": -1.0, "year 11476": 3e11, "year 9999": 253_402_300_799.9}


@pytest.mark.parametrize("age", [*AGES])
def test_files_of_any_age_are_listed(age: str, whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(whole, root)
    for path in [*root.rglob("*"), root]:
        try:
            os.utime(path, (AGES[age], AGES[age]))
        except OverflowError:
            pytest.skip("files cannot be so old here")
    (found,) = json.loads(run_whole("runs", "list", root, "--json").stdout)
    assert found["state"] == "finished" and found["when"]
    assert run_whole("runs", "clean", "--runs", root, "--cache").exit_code == 0
    assert run_whole("report", root / NAME).exit_code == 0


def test_the_last_writing_is_undone_although_the_clock_was_set_back(tmp_path: Path) -> None:
    first, second = make_entry("S1", RIDGE), make_entry("S1", MOMENTUM)
    for entry, year in ((first, "2099"), (second, "2001")):
        backup = write_entries(tmp_path, [entry])
        assert backup is not None
        number, _, stamp = backup.name.partition("-")
        backup.rename(backup.with_name(f"{number}-{year}{stamp[4:]}"))
    assert roll_back(tmp_path) == {"restored": ["S1"], "removed": []}
    assert BestEntry.read(tmp_path / "S1.yaml") == first
    assert roll_back(tmp_path) == {"restored": [], "removed": ["S1"]}


def test_backups_of_earlier_versions_come_before_numbered_ones(tmp_path: Path) -> None:
    backup = write_entries(tmp_path, [make_entry("S1", RIDGE)])
    assert backup is not None
    backup.rename(backup.with_name("20990101T000000000000"))
    write_entries(tmp_path, [make_entry("S2", RIDGE)])
    assert roll_back(tmp_path)["removed"] == ["S2"]
    assert roll_back(tmp_path)["removed"] == ["S1"]


@pytest.mark.parametrize("minutes", [-10_000, 10_000])
def test_a_trial_that_begins_while_clocks_differ_is_left_to_its_worker(minutes: int, tmp_path: Path) -> None:
    """On a database, where the clock of another machine says when it began."""
    storage = open_storage(f"sqlite:///{tmp_path / 'studies.db'}")
    study = optuna.create_study(study_name="square", storage=storage)
    known = optuna.trial.create_trial(state=TrialState.RUNNING, value=None)
    known.datetime_start, known.datetime_complete = datetime.now() + timedelta(minutes=minutes), None
    signed, never = (storage.create_new_trial(study._study_id, known) for _ in range(2))

    def sign() -> None:
        time.sleep(0.5)
        open_storage(f"sqlite:///{tmp_path / 'studies.db'}").set_trial_user_attr(signed, WORKER, "other")

    worker = threading.Thread(target=sign)
    worker.start()
    requeue_lost(study, storage, tmp_path / "locks")
    worker.join()
    assert storage.get_trial(signed).state == TrialState.RUNNING
    assert storage.get_trial(never).state == TrialState.FAIL


_SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long offset(void) { const char *text = getenv("CLOCK_OFFSET"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += offset();
    return result;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that moves the clock of a process by CLOCK_OFFSET seconds."""
    folder = tmp_path_factory.mktemp("shim")
    write_atomically(folder / "clock.c", lambda path: path.write_text(_SHIM))
    if shutil.which("cc") is None or os.uname().sysname != "Linux":
        pytest.skip("a C compiler on Linux moves the clock")
    built = subprocess.run(["cc", "-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"], cwd=folder, check=False)
    if built.returncode:
        pytest.skip("the C compiler does not build a library")
    return folder / "clock.so"


@pytest.mark.slow
def test_a_run_goes_on_under_any_clock(shim: Path, config: Path, whole: Path, tmp_path: Path) -> None:
    """Begun forty years ahead, gone on with thirty years back, finished now: the numbers are the same."""
    root, years = tmp_path / "runs", 365 * 86_400
    for command, offset in (("forecast", 40 * years), ("train", -30 * years), ("run", 0)):
        process = start(command, config, "--runs", root, preload=shim, clock=str(offset))
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert " again, " not in said
        began = json.loads((root / NAME / "status.json").read_text())["began"]
        assert abs(datetime.fromisoformat(began).timestamp() - time.time() - offset) < 86_400
    assert read_results(root) == read_results(whole)
    assert count_trials(root) == 1
    aged = start("allocate", root / NAME, "--json", preload=shim, clock=str(-40 * years))
    told, said = aged.communicate(timeout=300)
    assert aged.returncode == 0, said
    assert json.loads(told)["lines"] == json.loads(run_whole("allocate", root / NAME, "--json").stdout)["lines"]
