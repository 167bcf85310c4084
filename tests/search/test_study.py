"""Studies: the same whatever interrupts them, each trial once, never mixed with another's."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from alfred.errors import AlfredError, CheckpointError, ConfigError
from alfred.training.search import claims
from alfred.training.search.claims import is_cut_off
from alfred.training.search.crew import run_studies
from alfred.training.search.storage import hide_password, open_storage
from alfred.training.search.study import begin_study, count_looks, count_trials, load_study, make_sampler, place_locks
from tests.search.objectives import Fatal, Pair, Still, Undefined, Whole, make_plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signal")


def run(folder: Path, n_trials: int = 12, n_workers: int = 1, **changes: object) -> optuna.Study:
    folder.mkdir(exist_ok=True)
    (study,) = run_studies(
        [make_plan(folder / "log", n_trials, **changes)], str(folder / "journal.log"), folder, n_workers=n_workers
    )
    return study


def read_log(folder: Path) -> list[str]:
    return (folder / "log").read_text().split("\n")[:-1]


def start(folder: Path, n_trials: int, n_workers: int, storage: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.search.run_study", str(folder), str(n_trials), str(n_workers)]
    return subprocess.Popen([*command, storage or str(folder / "journal.log")])


def wait_for_trials(folder: Path, n: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if (folder / "log").is_file() and len(read_log(folder)) >= n:
            return
        assert process.poll() is None
        time.sleep(0.05)
    raise AssertionError("no trial was finished")


def test_it_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    for name in ("whole", "halves"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "whole", 14)
    run(tmp_path / "halves", 6)
    halves = run(tmp_path / "halves", 14)
    assert [trial.params for trial in halves.trials] == [trial.params for trial in whole.trials]
    assert len(read_log(tmp_path / "halves")) == 14


def test_asking_for_what_is_done_does_nothing(tmp_path: Path) -> None:
    run(tmp_path, 5)
    before = read_log(tmp_path)
    assert len(run(tmp_path, 5).trials) == 5
    assert read_log(tmp_path) == before


def test_the_sampler_learns(tmp_path: Path) -> None:
    study = run(tmp_path, 40)
    late = [trial.value for trial in study.trials[20:]]
    early = [trial.value for trial in study.trials[:4]]
    assert sorted(late)[10] < sorted(early)[2] / 4  # type: ignore[operator]


def test_anchors_come_first_and_once(tmp_path: Path) -> None:
    anchors = ({"x": 0.25}, {"x": -0.75})
    run(tmp_path, 1, anchors=anchors)
    study = run(tmp_path, 5, anchors=anchors)
    assert [trial.params["x"] for trial in study.trials[:2]] == [0.25, -0.75]
    assert len(study.trials) == 5


def test_a_written_list_ends_where_it_ends(tmp_path: Path) -> None:
    study = run(tmp_path, 50, mode="grid", anchors=({"x": 0.5}, {"x": 0.1}, {"x": 0.0}))
    assert [trial.params["x"] for trial in study.trials] == [0.5, 0.1, 0.0]


def test_the_same_point_is_not_computed_twice(tmp_path: Path) -> None:
    study = run(tmp_path, 20, kind=Whole)
    assert len(study.trials) == 20
    assert sorted({line.split()[1] for line in read_log(tmp_path)}) == ["0.0", "1.0", "2.0"]
    assert len(read_log(tmp_path)) == 3


def test_a_failing_trial_is_recorded_and_a_fatal_one_as_well(tmp_path: Path) -> None:
    anchors = ({"x": 0.9}, {"x": -0.9}, {"x": 0.1}, {"x": -0.2})
    study = run(tmp_path, 4, n_workers=2, kind=Fatal, mode="quick", anchors=anchors)
    counted = [trial for trial in study.trials if not is_cut_off(trial)]
    assert sorted(trial.params["x"] for trial in counted) == [-0.9, -0.2, 0.1, 0.9]
    errors = {trial.params["x"]: trial.user_attrs.get("error", "") for trial in counted}
    assert "killed 2 times" in errors[0.9]
    assert "MemoryError: no room" in errors[-0.9]
    assert study.best_params == {"x": 0.1}


def test_a_study_in_which_nothing_succeeds_says_why(tmp_path: Path) -> None:
    with pytest.raises(AlfredError, match=r"no successful trial.*MemoryError: no room"):
        run(tmp_path, 1, kind=Fatal, mode="quick", anchors=({"x": -0.9},))


@pytest.mark.parametrize("part", ["data", "code"])
def test_another_study_of_the_name_is_refused_unless_begun_again(tmp_path: Path, part: str) -> None:
    run(tmp_path, 2)
    parts = {"data": "1", "code": "1", part: "2"}
    with pytest.raises(CheckpointError, match=f"'square' was begun with something else: (the|its) {part} changed"):
        run(tmp_path, 2, parts=parts)
    (study,) = run_studies(
        [make_plan(tmp_path / "log", 3, parts=parts)],
        str(tmp_path / "journal.log"),
        tmp_path,
        n_workers=1,
        fresh=True,
    )
    assert len(study.trials) == 3
    assert load_study(open_storage(str(tmp_path / "journal.log")), "square").study_name == study.study_name


def test_sigkill_at_a_random_moment_loses_no_finished_trial(tmp_path: Path) -> None:
    process = start(tmp_path, 40, 2)
    wait_for_trials(tmp_path, 3, process)
    time.sleep(random.Random(str(tmp_path)).uniform(0, 0.5))
    process.kill()
    process.wait()
    study = load_study(open_storage(str(tmp_path / "journal.log")), "square")
    finished = {t.number: t.params["x"] for t in study.get_trials(states=(TrialState.COMPLETE,))}
    assert finished
    assert start(tmp_path, 40, 2).wait() == 0
    study = load_study(open_storage(str(tmp_path / "journal.log")), "square")
    assert {number: study.trials[number].params["x"] for number in finished} == finished
    assert count_trials(study.trials) == 40
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    # What was under way is there, as a trial of its own.
    repeated = {trial.user_attrs.get("again") for trial in study.trials}
    for trial in study.trials:
        # One that had not chosen its parameters yet is drawn anew instead.
        assert not is_cut_off(trial) or "chosen" not in trial.user_attrs or trial.number in repeated


def test_two_commands_share_a_study(tmp_path: Path) -> None:
    processes = [start(tmp_path, 60, 1), start(tmp_path, 60, 1)]
    assert [process.wait() for process in processes] == [0, 0]
    study = load_study(open_storage(str(tmp_path / "journal.log")), "square")
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) == 60 == len(study.trials)
    numbers = [line.split()[0] for line in read_log(tmp_path)]
    assert len(numbers) == len(set(numbers))
    assert len({trial.user_attrs["worker"] for trial in study.trials}) > 1


def test_a_torn_line_of_the_journal_is_dropped(tmp_path: Path) -> None:
    run(tmp_path, 3)
    journal = tmp_path / "journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x", "tri')
    assert len(run(tmp_path, 5).trials) == 5


def test_a_damaged_journal_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "journal.log").write_text("not a journal\nat all\n")
    with pytest.raises(CheckpointError, match=r"journal\.log is not a journal of studies"):
        run(tmp_path, 1)


@pytest.mark.parametrize("content", [b"SQLite format 3\0 and more", b'{"a": 1}', b"text without an end"])
def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a journal"):
        open_storage(str(path))
    assert path.read_bytes() == content


def test_reading_writes_nothing(tmp_path: Path) -> None:
    run(tmp_path, 2)
    journal = tmp_path / "journal.log"
    torn = journal.read_bytes() + b'{"op_code":4,"wor'
    journal.write_bytes(torn)
    assert len(load_study(open_storage(str(journal), reading=True), "square").trials) == 2
    assert journal.read_bytes() == torn
    with pytest.raises(ConfigError, match="no such database"):
        open_storage(f"sqlite:///{tmp_path / 'none.db'}", reading=True)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("line", [b"\n", b"nonsense\n", b'{"op_code":4,\n'])
def test_a_last_line_that_says_nothing_is_dropped(tmp_path: Path, line: bytes) -> None:
    run(tmp_path, 2)
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(line)
    assert len(run(tmp_path, 3).trials) == 3


def test_a_value_that_is_not_a_number_is_a_failure(tmp_path: Path) -> None:
    study = run(tmp_path, 3, kind=Undefined, mode="quick", anchors=({"x": -0.5}, {"x": 0.5}, {"x": 0.25}))
    assert len(study.trials) == 3
    assert "not a number" in study.trials[0].user_attrs["error"]


def test_a_trial_that_was_cut_off_while_choosing_is_drawn_from_the_beginning(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 3, kind=Pair, mode="random")
    storage = open_storage(str(tmp_path / "journal.log"))
    plan = make_plan(tmp_path / "log", 3, kind=Pair, mode="random")
    study = begin_study(plan, storage)
    study.sampler = make_sampler(plan, 0)
    study.ask().suggest_float("x", -1, 1)  # and then the process is gone
    halves = run(tmp_path, 3, kind=Pair, mode="random")
    done = [t.params for t in halves.get_trials(states=(TrialState.COMPLETE,))]
    assert done == [t.params for t in whole.trials]


def test_a_trial_that_ends_while_it_is_looked_at_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(str(tmp_path / "journal.log"))
    study = begin_study(make_plan(tmp_path / "log", 3), storage)
    trial = study.ask()

    def finish_first(*_: object) -> bool:
        study.tell(trial, 0.5)
        return True

    monkeypatch.setattr(claims, "_is_lost", finish_first)
    assert claims.requeue_lost(study, storage, tmp_path) == 0
    assert study.trials[0].state == TrialState.COMPLETE


def test_a_worker_that_stood_still_goes_on(tmp_path: Path) -> None:
    study = run(tmp_path, 4, kind=Still)
    done = study.get_trials(states=(TrialState.COMPLETE,))
    assert len(done) == 4 and is_cut_off(study.trials[0])
    assert done[0].user_attrs["again"] == 0 and done[0].params == study.trials[0].params
    assert [trial.params for trial in done] == [trial.params for trial in run(tmp_path / "other", 4).trials]


def test_looks_of_a_study_that_was_begun_again_still_count(tmp_path: Path) -> None:
    run(tmp_path, 4)
    plan = make_plan(tmp_path / "log", 2, parts={"data": "2", "code": "1"})
    run_studies([plan], str(tmp_path / "journal.log"), tmp_path, n_workers=1, fresh=True)
    assert count_looks(open_storage(str(tmp_path / "journal.log")), "square") == 6


def test_a_link_is_the_journal_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link.log").symlink_to(tmp_path / "journal.log")
    assert place_locks(str(tmp_path / "link.log"), tmp_path) == place_locks(str(tmp_path / "journal.log"), tmp_path)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("mysql://me:secret@host/db", "mysql://me@host/db is not known"),
        ("postgresql://me:secret@127.0.0.1:1/db", "postgresql.*me@127.0.0.1:1/db cannot be opened"),
        ("sqlite:////no/such/folder/file.db", "cannot be opened"),
    ],
)
def test_a_storage_that_is_none_is_refused_without_its_password(place: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        open_storage(place)
    assert "secret" not in str(caught.value)


def test_passwords_are_hidden() -> None:
    assert hide_password("postgresql://me:se@cret@host:1/db") == "postgresql://me@host:1/db"
    assert hide_password("runs/journal.log") == "runs/journal.log"
