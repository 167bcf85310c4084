"""Checkpoints of a training: one safetensors file each, whole or not there, the last few kept."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from alfred.data.files import parse_json, require_file, write_atomically
from alfred.errors import CheckpointError

_log = logging.getLogger(__name__)

Facts = dict[str, Any]
_KEPT = 2


@dataclass
class Snapshot:
    """What a training needs to go on exactly where it was.

    Attributes:
        tensors: Arrays by name.
        facts: Everything else, as JSON knows it.
    """

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)

    def add(self, prefix: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put tensors below a prefix."""
        self.tensors |= {f"{prefix}/{name}": tensor.detach().clone() for name, tensor in tensors.items()}

    def write(self, path: Path | str) -> None:
        """Write one safetensors file with the facts in its header, whole or not at all.

        One file holds both, so that they cannot come from different moments.
        """
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        header = {"facts": json.dumps(self.facts)}
        write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata=header))

    @classmethod
    def read(cls, path: Path | str) -> Snapshot:
        """Read what `write` wrote.

        Raises:
            CheckpointError: The file is missing or damaged.
        """
        try:
            with safe_open(require_file(path), framework="pt") as file:
                facts = parse_json(file.metadata()["facts"])
                return cls({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118  no mapping
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(
                f"{path} is not a checkpoint, or is damaged ({error}); delete it to start anew"
            ) from error

    def below(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors below a prefix."""
        return {
            name.removeprefix(f"{prefix}/"): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{prefix}/")
        }

    def add_arrays(self, prefix: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Put numpy arrays below a prefix."""
        self.add(prefix, {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()})

    def add_optimizer(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        """Put the state of an optimiser in: its tensors by parameter, its groups as facts."""
        state = optimizer.state_dict()
        for index, entries in state["state"].items():
            self.add(f"{name}/{index}", {key: torch.as_tensor(value) for key, value in entries.items()})
        self.facts[name] = state["param_groups"]

    def restore_optimizer(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        """Give an optimiser the state that `add_optimizer` put in."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in self.below(name).items():
            index, entry = key.split("/")
            state.setdefault(int(index), {})[entry] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": self.facts[name]})

    def add_random_states(self) -> None:
        """Put the states of the generators of python, numpy and torch in."""
        version, internal, gauss = random.getstate()
        # stable-baselines3 draws from numpy's global generator.
        name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
        self.facts["python_random"] = [version, list(internal), gauss]
        self.facts["numpy_random"] = [str(name), position, has_gauss, cached]
        self.tensors["numpy_random"] = torch.from_numpy(np.asarray(keys, dtype=np.uint32).astype(np.int64))
        self.tensors["torch_random"] = torch.get_rng_state()

    def restore_random_states(self) -> None:
        """Set the generators of python, numpy and torch to the states that `add_random_states` put in."""
        version, internal, gauss = self.facts["python_random"]
        name, position, has_gauss, cached = self.facts["numpy_random"]
        random.setstate((version, tuple(internal), gauss))
        keys = self.tensors["numpy_random"].numpy().astype(np.uint32)
        np.random.set_state((name, keys, position, has_gauss, cached))  # noqa: NPY002
        torch.set_rng_state(self.tensors["torch_random"])


class CheckpointFolder:
    """The checkpoints of one training.

    Args:
        folder: Where they stand; made when the first is written.
        identity: What the training is: a checkpoint of another one is refused.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """Keep the place; nothing is read or written yet."""
        self.folder = folder
        self.identity = identity

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Write a checkpoint atomically, then delete all but the newest two."""
        named = Snapshot(snapshot.tensors, {"identity": self.identity, "step": step, **snapshot.facts})
        named.write(self.folder / f"{step:012d}.safetensors")
        for old in self._list()[:-_KEPT]:
            old.unlink(missing_ok=True)

    def load(self) -> Snapshot | None:
        """Return the newest whole checkpoint, or None when there is none.

        Raises:
            CheckpointError: All of them are damaged, or they belong to another training.
        """
        files = self._list()
        for path in reversed(files):
            try:
                snapshot = Snapshot.read(path)
                identity = snapshot.facts["identity"]
            except (CheckpointError, KeyError) as error:
                _log.warning("%s is damaged (%s); going on from the checkpoint before it", path, error)
                continue
            if identity != self.identity:
                raise CheckpointError(
                    f"{path} belongs to another training ({identity}), not to this one ({self.identity}); start over "
                    "with --fresh"
                )
            return snapshot
        if files:
            raise CheckpointError(f"every checkpoint in {self.folder} is damaged; start over with --fresh")
        return None

    def clear(self) -> None:
        """Delete all checkpoints and what a kill left half written: the training is finished."""
        for path in (*self._list(), *self.folder.glob(".*.part")):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _list(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.safetensors"))
