"""Pairs of a tokenizer and a model on disk and on the hub."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from alfred.analysts.kronos.config import (
    RELEASES,
    REVISIONS,
    ModelConfig,
    TokenizerConfig,
    check_pair,
)
from alfred.analysts.kronos.model import KronosModel
from alfred.analysts.kronos.tokenizer import KronosTokenizer
from alfred.data.files import compute_checksum, write_atomically
from alfred.errors import CheckpointError, ConfigError
from alfred.keys.mistakes import explain_briefly
from alfred.learning.hub import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, resolve_checkpoint
from alfred.learning.tensors import load_state, read_tensors, write_tensors
from alfred.settings import Settings

MODEL_FOLDER, TOKENIZER_FOLDER = "model", "tokenizer"
# Buffers that released files hold and that are computed here.
_IGNORED = (r".*rotary\.inv_freq", r"tokenizer\.bsq\..*")
_PAIRED_WITH = "tokenizer_sha256"

Network = TypeVar("Network", bound=nn.Module)
Sizes = TypeVar("Sizes", bound=Settings)


@dataclass(frozen=True)
class KronosPair:
    """A tokenizer and the model that reads its tokens.

    Attributes:
        tokenizer: The tokenizer, in eval mode.
        model: The model, in eval mode.
    """

    tokenizer: KronosTokenizer
    model: KronosModel


def load_pair(
    source: str | Path,
    tokenizer: str | Path | None = None,
    *,
    revision: str | None = None,
    tokenizer_revision: str | None = None,
) -> KronosPair:
    """Load a pair from a folder or from the hub.

    Args:
        source: Name of a model on the hub, a folder with its `config.json` and `model.safetensors`, or a folder that
            holds two such folders, `model` and `tokenizer`.
        tokenizer: Name or folder of the tokenizer; that of the release, or the folder beside the model, when left out.
        revision: Commit of the model on the hub; needed for models that alfred does not know.
        tokenizer_revision: Commit of the tokenizer on the hub.

    Raises:
        CheckpointError: Something is missing or damaged, cannot be fetched, or does not belong together.
        ConfigError: The tokenizer or a commit is not known.
    """
    folder = Path(source).expanduser()
    if (folder / MODEL_FOLDER).is_dir():
        source, tokenizer = folder / MODEL_FOLDER, tokenizer or folder / TOKENIZER_FOLDER
    release = RELEASES.get(str(source))
    if release is not None and str(tokenizer) in REVISIONS and str(tokenizer) != release.tokenizer:
        raise CheckpointError(f"'{tokenizer}' does not belong to '{source}'; load {release.tokenizer}")
    model_files = resolve_checkpoint(source, revision=revision, pinned=REVISIONS)
    if tokenizer is None and release is not None:
        tokenizer = release.tokenizer
    if tokenizer is None:
        raise ConfigError(
            f"no tokenizer is known for '{source}'; set `tokenizer` to its folder or hub name, such as one of "
            f"{', '.join(sorted({known.tokenizer for known in RELEASES.values()}))}"
        )
    tokenizer_files = resolve_checkpoint(tokenizer, revision=tokenizer_revision, pinned=REVISIONS)
    # Configs first: a wrong pair is refused before any weight is read.
    sizes, bits = _read_config(model_files, ModelConfig), _read_config(tokenizer_files, TokenizerConfig)
    check_pair(bits, sizes)
    _check_note(model_files, tokenizer_files)
    return KronosPair(
        tokenizer=_load(tokenizer_files, KronosTokenizer, bits),
        model=_load(model_files, KronosModel, sizes),
    )


def make_pair(tokenizer: TokenizerConfig, model: ModelConfig, seed: int = 0) -> KronosPair:
    """Make a pair with fresh weights, to be trained.

    Raises:
        CheckpointError: The sizes do not fit each other.
    """
    check_pair(tokenizer, model)
    generator = torch.Generator().manual_seed(seed)
    with _kept_random_state():
        return KronosPair(KronosTokenizer(tokenizer, generator), KronosModel(model, generator))


def save_pair(folder: Path | str, tokenizer: KronosTokenizer, model: KronosModel) -> None:
    """Write a pair into `folder/tokenizer` and `folder/model`; the model's file names the tokenizer's checksum."""
    target = Path(folder)
    _save(target / TOKENIZER_FOLDER, tokenizer, tokenizer.settings, {})
    checksum = compute_checksum(target / TOKENIZER_FOLDER / WEIGHTS_FILE)
    _save(target / MODEL_FOLDER, model, model.settings, {_PAIRED_WITH: checksum})


def _save(folder: Path, network: nn.Module, settings: Settings, note: dict[str, object]) -> None:
    text = settings.model_dump_json(indent=2)
    write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    write_tensors(folder / WEIGHTS_FILE, network.state_dict(), note)


def _read_config(files: Checkpoint, kind: type[Sizes]) -> Sizes:
    # A key that is left out would silently take the size of our own small networks.
    if missing := sorted(set(kind.model_fields) - set(files.config)):
        raise CheckpointError(
            f"{CONFIG_FILE} of '{files.source}' lacks '{missing[0]}' ({len(missing)} missing); it is not the config of "
            f"a Kronos {'tokenizer' if kind is TokenizerConfig else 'model'}"
        )
    try:
        return kind.model_validate(files.config)
    except ValidationError as error:
        raise CheckpointError(f"{CONFIG_FILE} of '{files.source}' is not usable: {explain_briefly(error)}") from error


def _load(files: Checkpoint, make: Callable[[Sizes], Network], settings: Sizes) -> Network:
    with _kept_random_state():
        network = make(settings)
    tensors, _ = read_tensors(files.weights)
    load_state(network, tensors, source=files.weights, ignore=_IGNORED)
    return network.eval()


def _kept_random_state() -> AbstractContextManager[None]:
    """Keep torch's global generator as it is: its layers draw weights when built, which are overwritten next."""
    return torch.random.fork_rng(devices=[])


def _check_note(model: Checkpoint, tokenizer: Checkpoint) -> None:
    """Refuse a tokenizer other than the one that `save_pair` wrote beside the model."""
    _, note = read_tensors(model.weights)
    expected = note.get(_PAIRED_WITH)
    if expected is not None and expected != compute_checksum(tokenizer.weights):
        raise CheckpointError(
            f"the tokenizer in '{tokenizer.source}' is not the one that the model in '{model.source}' was trained "
            "with; load the pair from the folder in which it was saved"
        )
