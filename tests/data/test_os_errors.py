"""What the operating system refuses ends in one line, not in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from alfred.cli import app
from alfred.data.files import write_atomically
from alfred.data.prices.long_table import find_table_files
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import AlfredError, DataError
from tests.data.tables import make_rows, write_rows


def test_a_full_disk(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is absent")
    target = tmp_path / "a.txt"
    with pytest.raises(AlfredError, match=r"a\.txt cannot be written \(No space left on device\)"):
        write_atomically(target, lambda path: full.write_text("x" * 100_000))
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file" / "a.txt", tmp_path / "file" / "deep" / "a.txt"):
        with pytest.raises(AlfredError, match="cannot be written"):
            write_atomically(target, lambda path: path.write_text("x"))


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "a.txt" / "b").mkdir(parents=True)
    with pytest.raises(AlfredError, match=r"a\.txt cannot be written \(Is a directory\)"):
        write_atomically(tmp_path / "a.txt", lambda path: path.write_text("x"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    for name in (".", "", "/"):
        with pytest.raises(AlfredError, match=r"cannot be written \(Is a directory\)"):
            write_atomically(name, lambda path: path.write_text("x"))


def test_a_folder_named_like_a_table(tmp_path: Path) -> None:
    write_rows(make_rows(), tmp_path / "prices.csv")
    for name in ("more.csv", "more.csv.gz", "more.parquet"):
        folder = tmp_path / name
        folder.mkdir()
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            load_market(DataSettings(path=tmp_path))
        with pytest.raises(DataError, match=f"{name} holds no price table"):
            load_market(DataSettings(path=folder))
        folder.rmdir()


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        find_table_files(tmp_path / ("x" * 300 + ".csv"))


def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "a.csv")
    with pytest.raises(DataError):
        load_market(DataSettings(path=tmp_path / "a.csv"))


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    result = CliRunner().invoke(app, ["data", "describe", "--set", f"data.path={tmp_path}"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
