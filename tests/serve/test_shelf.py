"""What is served, and on which port, without a server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alfred.cli import app
from alfred.serve.pages import draw_line, format_size
from alfred.serve.shelf import NotServed, Shelf, is_servable


def test_a_shelf_finds_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in" / "run").mkdir(parents=True)
    (tmp_path / "in" / "run" / "file").write_text("x" * 10 + "é")
    (tmp_path / "in" / "inner").symlink_to("run")
    (tmp_path / "in" / "circle").symlink_to("circle")
    (tmp_path / "in" / "up").symlink_to("..")
    (tmp_path / "insider").mkdir()
    (tmp_path / "link").symlink_to("in")
    shelf = Shelf(tmp_path / "link")  # the folder itself may be a link
    assert shelf.list_folders() == ["inner", "run"]
    assert shelf.find("inner", "file") == (tmp_path / "in" / "run" / "file").resolve()
    for parts in (
        (),
        ("..",),
        ("up",),
        ("up", "insider"),
        ("circle",),
        ("run", "..", "run"),
        ("run", ""),
        ("x" * 300,),
    ):
        with pytest.raises(NotServed):
            shelf.find(*parts)
    first, last = shelf.read("run", "file", limit=4), shelf.read("run", "file", limit=1, end=True)
    assert (first.text, first.size, first.cut) == ("xxxx", 12, True) and last.text == "�"
    with pytest.raises(NotServed, match="not a plain file"):
        shelf.open("run")
    assert not any(map(is_servable, ("", ".", "..", ".a", "a/b", "a\\b", "a\0", "\udcff")))


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    own = taken.getsockname()[1]
    for port, reason in ((own, f"cannot serve on port {own}"), (70000, "there is no port 70000"), (-1, "no port -1")):
        result = CliRunner().invoke(app, ["serve", str(tmp_path), "--port", str(port), "--no-open"])
        assert result.exit_code == 2 and result.stdout == ""
        assert reason in result.stderr and len(result.stderr.splitlines()) == 1
    for words, reason in (
        ([str(tmp_path / "no")], "is not a folder"),
        ([str(tmp_path), "--storage", "no.log"], "no such"),
    ):
        result = CliRunner().invoke(app, ["serve", *words, "--no-open"])
        assert result.exit_code == 2 and reason in result.stderr


def test_lines_and_sizes() -> None:
    assert draw_line([1.0, 3.0, 2.0]) == "0.0,140.0 320.0,0.0 640.0,70.0"
    assert draw_line([2.0, 2.0]) == "0.0,70.0 640.0,70.0"
    assert draw_line([1.0, float("nan")]) == "" == draw_line([])
    assert len(draw_line(range(10_000)).split()) == 400
    assert [format_size(n) for n in (0, 1023, 1536, 10 << 20, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "10 MiB",
        "5120 GiB",
    ]
