"""Tensors on disk: safetensors with a JSON note, written whole or not at all, read without running any code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from alfred.data.files import parse_json, require_file, write_atomically
from alfred.errors import CheckpointError, suggest

_NOTE = "alfred"


def write_tensors(
    path: Path | str, tensors: Mapping[str, torch.Tensor], note: Mapping[str, object] | None = None
) -> None:
    """Write tensors and a note into one safetensors file, atomically.

    Args:
        path: The file, usually `model.safetensors`.
        tensors: Tensors by name; each is copied, so that tensors sharing memory are fine.
        note: Anything JSON can hold; it is kept in the header of the same file, so that both appear together.
    """
    # safetensors refuses views and shared memory, hence the copies.
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": "pt", _NOTE: json.dumps(dict(note or {}))}
    write_atomically(path, lambda temporary: save_file(copies, temporary, metadata=metadata))


def read_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """Read the tensors of a safetensors file, and the note that `write_tensors` put beside them (else empty).

    Raises:
        CheckpointError: The file is missing, damaged or not safetensors.
    """
    source = Path(path)
    try:
        with safe_open(require_file(source), framework="pt") as file:
            note = parse_json((file.metadata() or {}).get(_NOTE, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, note  # noqa: SIM118  not a mapping
    except FileNotFoundError as error:
        raise CheckpointError(f"{source} does not exist; name a folder that holds {source.name}") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{source} is not a readable safetensors file ({error}); copy or download it again"
        ) from error


def load_state(
    module: nn.Module, tensors: Mapping[str, torch.Tensor], *, source: Path | str, ignore: Sequence[str] = ()
) -> None:
    """Copy tensors into a module by name, with every name and shape checked before anything is copied.

    Args:
        module: The module; its parameters and buffers are overwritten in place.
        tensors: Tensors by name.
        source: Where the tensors come from, for the message.
        ignore: Regular expressions of names to skip in `tensors` (buffers that are computed here).

    Raises:
        CheckpointError: A name is missing, left over, or has another shape.
    """
    own = module.state_dict()
    given = {name: t for name, t in tensors.items() if not any(re.fullmatch(pattern, name) for pattern in ignore)}
    if missing := [name for name in own if name not in given]:
        raise CheckpointError(
            f"{source} lacks '{missing[0]}' and {len(missing) - 1} more: it belongs to another architecture or "
            f"config.{suggest(missing[0], given)}"
        )
    if extra := [name for name in given if name not in own]:
        raise CheckpointError(
            f"{source} holds '{extra[0]}' and {len(extra) - 1} more that this architecture does not have: check that "
            f"config.json belongs to these weights.{suggest(extra[0], own)}"
        )
    for name, tensor in own.items():
        if given[name].shape != tensor.shape:
            raise CheckpointError(
                f"{source}: '{name}' has shape {tuple(given[name].shape)}, but the config asks for "
                f"{tuple(tensor.shape)}; check that config.json belongs to these weights"
            )
    module.load_state_dict(given)
