"""Networks from nothing, from released weights, and from what alfred saved."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import ValidationError

from alfred.analysts.toto.config import Toto1Config, Toto2Config
from alfred.analysts.toto.settings import TotoSettings
from alfred.analysts.toto.v1.network import Toto1
from alfred.analysts.toto.v1.weights import import_weights_v1
from alfred.analysts.toto.v2.network import Toto2
from alfred.analysts.toto.v2.weights import import_network_v2, make_fresh_network_v2
from alfred.data.files import write_atomically
from alfred.errors import CheckpointError
from alfred.keys.mistakes import explain_briefly
from alfred.learning.hub import CONFIG_FILE, WEIGHTS_FILE, Checkpoint
from alfred.learning.tensors import load_state, read_tensors, write_tensors


def make_fresh_network(settings: TotoSettings) -> Toto1 | Toto2:
    """Make a network of the configured size with fresh weights, which follow from the seed alone."""
    patch, across = settings.fresh_patch_size, bool(settings.covariates)
    if settings.version == "2.0":
        config = settings.size.make_config_v2(patch, across_variates=across)
        return make_fresh_network_v2(config, torch.Generator().manual_seed(settings.seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return Toto1(settings.size.make_config_v1(patch, across_variates=across))


def load_checkpoint(checkpoint: Checkpoint, version: str) -> Toto1 | Toto2:
    """Make a network from a checkpoint, as its authors released it or as `save_network` wrote it.

    Args:
        checkpoint: As `alfred.learning.hub.resolve_checkpoint` found it.
        version: `1.0` or `2.0`.

    Raises:
        CheckpointError: Config or weights are not those of this version.
    """
    found = "1.0" if "embed_dim" in checkpoint.config else "2.0" if "d_model" in checkpoint.config else None
    if found != version:
        raise CheckpointError(
            f"'{checkpoint.source}' is {'a Toto ' + found if found else 'no Toto'}, but the settings say version "
            f"'{version}'; set the version that belongs to it"
        )
    tensors, note = read_tensors(checkpoint.weights)
    if "config" in note:
        return load_network(checkpoint.weights.parent, version)
    try:
        if version == "2.0":
            return import_network_v2(tensors, Toto2Config.model_validate(checkpoint.config), checkpoint.source)
        config = Toto1Config.model_validate(checkpoint.config)
    except ValidationError as error:
        raise CheckpointError(
            f"config.json of '{checkpoint.source}' does not describe a Toto: {explain_briefly(error)}"
        ) from error
    network = Toto1(config)
    load_state(network, import_weights_v1(tensors, config, checkpoint.source), source=checkpoint.source)
    return network


def save_network(network: Toto1 | Toto2, folder: Path) -> None:
    """Write a network, with its sizes in the header of the same file, and beside it so that it is a checkpoint."""
    note: dict[str, object] = {"config": network.config.model_dump()}
    if isinstance(network, Toto2):
        note["taus"] = network.taus
    text = network.config.model_dump_json(indent=2)
    write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    write_tensors(folder / WEIGHTS_FILE, network.state_dict(), note)


def load_network(folder: Path, version: str) -> Toto1 | Toto2:
    """Read what `save_network` wrote.

    Raises:
        CheckpointError: The file is missing, damaged, or of the other version.
    """
    path = folder / WEIGHTS_FILE
    tensors, note = read_tensors(path)
    try:
        network: Toto1 | Toto2
        if version == "2.0":
            taus = note["taus"]
            if not isinstance(taus, list):
                raise CheckpointError(f"{path} has taus of type {type(taus).__name__}, not a list; save it again")
            network = Toto2(Toto2Config.model_validate(note["config"]), taus)
        else:
            network = Toto1(Toto1Config.model_validate(note["config"]))
    except (KeyError, ValidationError) as error:
        raise CheckpointError(
            f"{path} does not describe a Toto {version} ({explain_briefly(error)}); save it again"
        ) from error
    load_state(network, tensors, source=path)
    return network
