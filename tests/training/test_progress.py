"""How far work is stands in its folder while it goes on, and nothing depends on it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alfred.training import progress
from alfred.training.locks import hold_run, is_held
from alfred.training.progress import Piece, Silence, parse_progress, record_progress
from tests.training.small import Lines


def read(folder: Path) -> progress.Progress:
    found = parse_progress((folder / "progress.json").read_text())
    assert found is not None
    return found


def wait_for(folder: Path, pieces: tuple[Piece, ...]) -> bool:
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        if read(folder).pieces == pieces:
            return True
        time.sleep(0.01)
    return False


def test_work_is_recorded_while_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PAUSE_SECONDS", 0.02)
    lines = Lines()
    with record_progress(tmp_path, lines) as told:
        assert read(tmp_path).pieces == ()
        update = told.begin("first", 10)
        told.say("a line\nof two")
        update(4)
        assert wait_for(tmp_path, (Piece("first", 4, 10),))
        update(12)  # as some jobs do
        told.begin("second", 3)
        assert wait_for(tmp_path, (Piece("first", 10, 10), Piece("second", 0, 3)))
    assert lines.begun == ["first", "second"] and lines.said == ["a line\nof two"]
    written = (tmp_path / "log.txt").read_text().splitlines()
    assert [line[22:] for line in written] == ["began", "a line", "of two", "done: first", "ended"]
    assert all(line[10] == " " and line[19:22] == "Z  " for line in written)


def test_the_last_state_is_written_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PAUSE_SECONDS", 60.0)
    with record_progress(tmp_path, Silence()) as told:
        told.begin("work", 5)(3)
        assert read(tmp_path).pieces == ()
    assert read(tmp_path).pieces == (Piece("work", 3, 5),)


def test_a_thousand_updates_are_few_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(progress, "write_atomically", lambda path, write: written.append(path))
    with record_progress(tmp_path, Silence()) as told:
        update = told.begin("work", 100_000)
        begun = time.perf_counter()
        for done in range(100_000):
            update(done)
        seconds = time.perf_counter() - begun
    assert len(written) <= 3 + seconds


def test_why_it_ended_stands_in_the_log(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), record_progress(tmp_path, Silence()):
        raise ValueError("it is\nbroken")
    with pytest.raises(KeyboardInterrupt), record_progress(tmp_path, Silence()):
        raise KeyboardInterrupt
    said = [line[22:] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert said == ["began", "ended by ValueError: it is broken", "began", "ended by KeyboardInterrupt"]


def test_work_goes_on_where_nothing_can_be_written(tmp_path: Path) -> None:
    lines = Lines()
    (tmp_path / "file").write_text("a file where a folder should be")
    with record_progress(tmp_path / "file" / "run", lines) as told:
        told.begin("work", 1)(1)
        told.say("done")
    assert lines.said == ["done"]


def test_a_long_log_keeps_its_later_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_MOST_LOG_BYTES", 100)
    (tmp_path / "log.txt").write_text("".join(f"line {number:04d}\n" for number in range(20)))
    with record_progress(tmp_path, Silence()):
        pass
    kept = (tmp_path / "log.txt").read_text().splitlines()
    assert kept[:4] == ["line 0016", "line 0017", "line 0018", "line 0019"] and len(kept) == 6


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"pieces": [[1]]}',
        '{"began": "", "updated": "", "pieces": [["x", "y", 1]]}',
        "[" * 10000,
    ],
)
def test_what_is_no_progress_is_none(text: str) -> None:
    assert parse_progress(text) is None


def test_names_travel(tmp_path: Path) -> None:
    with record_progress(tmp_path, Silence()) as told:
        told.begin('"</script>\ud800', 2)
    assert read(tmp_path).pieces == (Piece('"</script>\ud800', 0, 2),)
    assert json.loads((tmp_path / "progress.json").read_text())["pieces"][0][1:] == [0, 2]


def test_threads_that_look_at_once_do_not_see_each_other(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with hold_run(run):
        pass
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda _: is_held(run), range(400)))
