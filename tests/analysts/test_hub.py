from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from alfred.errors import CheckpointError, ConfigError
from alfred.learning.hub import resolve_checkpoint
from alfred.learning.tensors import load_state, read_tensors, write_tensors

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"width": 3}), encoding="utf-8")
    write_tensors(folder / "model.safetensors", nn.Linear(3, 2).state_dict())
    return folder


def test_a_folder_is_read(tmp_path: Path) -> None:
    checkpoint = resolve_checkpoint(write_checkpoint(tmp_path / "mine"))
    assert checkpoint.config == {"width": 3}
    assert checkpoint.revision is None
    assert set(read_tensors(checkpoint.weights)[0]) == {"weight", "bias"}


def test_tensors_and_note_come_back_and_views_are_fine(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    write_tensors(tmp_path / "a.safetensors", {"turned": base.T, "row": base[1]}, {"steps": [1, 2]})
    tensors, note = read_tensors(tmp_path / "a.safetensors")
    assert torch.equal(tensors["turned"], base.T)
    assert torch.equal(tensors["row"], base[1])
    assert note == {"steps": [1, 2]}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name} does not exist; a checkpoint is a folder with"):
        resolve_checkpoint(folder)


def test_a_damaged_config_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="not readable JSON"):
        resolve_checkpoint(folder)
    (folder / "config.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(CheckpointError, match="holds a list, not an object"):
        resolve_checkpoint(folder)


def test_an_unknown_name_suggests_a_known_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown checkpoint 'owner/smal'.*Did you mean 'owner/small'\?"):
        resolve_checkpoint("owner/smal", pinned={"owner/small": COMMIT})
    with pytest.raises(CheckpointError, match=r"there is no folder './nowhere'"):
        resolve_checkpoint("./nowhere")


def test_a_branch_is_not_a_revision() -> None:
    with pytest.raises(ConfigError, match=r"revision 'main' of 'owner/small' is not a commit"):
        resolve_checkpoint("owner/small", revision="main")


def test_the_cache_is_used_without_network_and_its_absence_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"config.json of 'owner/small' at 01234567 is not in the cache"):
        resolve_checkpoint("owner/small", revision=COMMIT)
    write_checkpoint(tmp_path / "models--owner--small" / "snapshots" / COMMIT)
    checkpoint = resolve_checkpoint("owner/small", pinned={"owner/small": COMMIT})
    assert checkpoint.revision == COMMIT
    assert checkpoint.config == {"width": 3}


def test_weights_of_another_architecture_are_refused() -> None:
    module = nn.Linear(3, 2)
    before = module.weight.detach().clone()
    with pytest.raises(CheckpointError, match="x lacks 'bias'"):
        load_state(module, {"weight": torch.zeros(2, 3)}, source="x")
    with pytest.raises(CheckpointError, match="x holds 'extra' and 0 more"):
        load_state(module, {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "extra": torch.zeros(1)}, source="x")
    with pytest.raises(CheckpointError, match=r"x: 'weight' has shape \(3, 2\), but the config asks for \(2, 3\)"):
        load_state(module, {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, source="x")
    assert torch.equal(module.weight, before)
    state = {"weight": torch.ones(2, 3), "bias": torch.ones(2), "rotary.inv_freq": torch.ones(1)}
    load_state(module, state, source="x", ignore=[r".*inv_freq"])
    assert torch.equal(module.weight, torch.ones(2, 3))
