"""Checkpoints are whole or absent, rotated, and refused when they belong to something else."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.errors import CheckpointError
from alfred.learning.checkpoints import CheckpointFolder, Snapshot


def make_snapshot(value: float) -> Snapshot:
    return Snapshot({"x": torch.full((3,), value)}, {"note": value})


def test_the_newest_two_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", "one")
    assert folder.load() is None
    for step in (10, 200, 3000):
        folder.save(step, make_snapshot(step))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    loaded = folder.load()
    assert loaded is not None
    assert loaded.facts["step"] == 3000
    assert torch.equal(loaded.tensors["x"], torch.full((3,), 3000.0))


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = CheckpointFolder(tmp_path, "one")
    for step in (1, 2):
        folder.save(step, make_snapshot(step))
    newest = sorted(tmp_path.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    with caplog.at_level(logging.WARNING):
        loaded = folder.load()
    assert loaded is not None
    assert loaded.facts["step"] == 1
    assert "is damaged" in caplog.text
    for path in tmp_path.iterdir():
        path.write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"every checkpoint in .* is damaged; start over with --fresh"):
        folder.load()


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "ppo seed 0").save(1, make_snapshot(1))
    with pytest.raises(CheckpointError, match=r"belongs to another training \(ppo seed 0\), not to this one \(ppo se"):
        CheckpointFolder(tmp_path, "ppo seed 1").load()


def test_a_kill_while_writing_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path, "one")
    folder.save(1, make_snapshot(1))

    def die(*_arguments: object, **_names: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", die)
    with pytest.raises(KeyboardInterrupt):
        folder.save(2, make_snapshot(2))
    monkeypatch.undo()
    loaded = folder.load()
    assert loaded is not None
    assert loaded.facts["step"] == 1


def test_clearing_leaves_nothing(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", "one")
    folder.save(1, make_snapshot(1))
    (tmp_path / "checkpoints" / ".000000000002.safetensors.77.part").write_bytes(b"half")
    folder.clear()
    assert not (tmp_path / "checkpoints").exists()


def test_optimisers_and_generators_come_back(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(1))]  # noqa: NPY002

    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    snapshot = Snapshot()
    snapshot.add_optimizer("optimizer", optimizer)
    snapshot.add_random_states()
    expected = draw()
    folder = CheckpointFolder(tmp_path, "one")
    folder.save(1, snapshot)
    loaded = folder.load()
    assert loaded is not None
    other = torch.optim.AdamW(torch.nn.Linear(2, 1).parameters(), lr=0.5)
    loaded.restore_optimizer("optimizer", other)
    assert other.param_groups[0]["lr"] == 0.1
    for found, original in zip(
        other.state_dict()["state"].values(), optimizer.state_dict()["state"].values(), strict=True
    ):
        for key in original:
            assert torch.equal(torch.as_tensor(found[key]), torch.as_tensor(original[key]))
    loaded.restore_random_states()
    assert draw() == expected
