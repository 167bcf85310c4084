"""Files of a finished run that are cut, changed or replaced: made again by `alfred run`, or named on one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.world import NAME, count_trials, read_results, run_whole


def _flip(path: Path) -> None:
    """Change every byte in the first half: headers, names and numbers alike."""
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(bytes(byte ^ 0x55 for byte in content[:half]) + content[half:])


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "flipped": _flip,
    "emptied": lambda path: os.truncate(path, 0),
    "of other JSON": lambda path: path.write_text('[1, {"a": null}]'),
    "a pipe": _replace_by_pipe,
}
READERS = ("report", "evaluate", "allocate")


def check(whole: Path, config: Path, root: Path, name: str, way: str, readers: tuple[str, ...] = READERS) -> None:
    """Damage one file; all commands answer or say why on one line, and `alfred run` gives the same numbers."""
    for command in readers:
        _damage(whole, root, name, way)
        run_whole(command, root / NAME)
    _damage(whole, root, name, way)
    assert json.loads(run_whole("runs", "list", root, "--json").stdout)[0]["name"] == NAME
    result = run_whole("run", config, "--runs", root)
    if result.exit_code:  # what cannot be made again: the log of what was tried
        assert name == "trials.jsonl" and way == "a pipe"
        return
    assert read_results(root) == read_results(whole)
    assert count_trials(root) == 1 or name == "trials.jsonl"
    assert run_whole("report", root / NAME).exit_code == 0


def _damage(whole: Path, root: Path, name: str, way: str) -> None:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root)
    WAYS[way](root / name)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("small/signals.parquet", "cut"),
        ("small/agents/direct/fold0/seed0/block0/held_out.safetensors", "flipped"),
        ("small/results.json", "a pipe"),
        ("small/backtests/00-direct.parquet", "flipped"),
        ("trials.jsonl", "cut"),
    ],
)
def test_one_of_each_format(name: str, way: str, whole: Path, config: Path, tmp_path: Path) -> None:
    check(whole, config, tmp_path / "runs", name, way)


def test_a_damaged_block_of_a_training_under_way_is_trained_again(whole: Path, config: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    _damage(whole, root, "small/agents/direct/fold0/seed0/block0/held_out.safetensors", "flipped")
    (root / NAME / "agents/direct/fold0/seed0/scores.json").unlink()
    assert run_whole("run", config, "--runs", root).exit_code == 0
    assert read_results(root) == read_results(whole)


@pytest.mark.slow
def test_every_file(whole: Path, config: Path, tmp_path: Path) -> None:
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and path.suffix != ".lock")
    assert {path.suffix for path in files} >= {".parquet", ".safetensors", ".json", ".jsonl", ".npy", ".yaml"}
    ways = [*WAYS]
    for number, path in enumerate(files):
        twice = path.suffix in (".parquet", ".safetensors", ".jsonl")
        for way in (ways[number % len(ways)], ways[(number + 2) % len(ways)])[: 1 + twice]:
            check(whole, config, tmp_path / "runs", str(path), way, (READERS[number % 3],))
