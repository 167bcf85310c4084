"""Checkpoints by name or by folder: a hub name at a pinned revision, or a local `config.json` + `model.safetensors`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from alfred.data.files import read_json
from alfred.errors import CheckpointError, ConfigError, import_extra, suggest

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that lies on this machine.

    Attributes:
        source: The hub name or the folder that was asked for.
        revision: Commit on the hub, or None for a local folder.
        config: What `config.json` holds.
        weights: Path of `model.safetensors`.
    """

    source: str
    revision: str | None
    config: dict[str, object]
    weights: Path


def resolve_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    pinned: Mapping[str, str] | None = None,
    beside: Sequence[str] = (),
) -> Checkpoint:
    """Find a checkpoint in a local folder, in the cache of the hub, or on the hub, in this order.

    A hub name needs a commit, since a branch can change under a result: either `revision`, or an entry of `pinned`.
    Files already in the cache are used without any network.

    Args:
        source: A folder that holds `config.json` and `model.safetensors`, or a hub name such as
            `NeoQuasar/Kronos-mini`.
        revision: Commit on the hub, 40 hexadecimal digits; it overrides `pinned`.
        pinned: Commits of the checkpoints that the caller knows, by hub name.
        beside: Further files that are wanted in the folder of the weights, where the checkpoint has them.

    Raises:
        CheckpointError: There is no such folder, file, checkpoint or revision, or no network to fetch it by.
        ConfigError: No commit is known for the name, or `revision` is not one.
        MissingExtraError: `huggingface_hub` is not installed and the source is not a folder.
    """
    name, folder = str(source), Path(source).expanduser()
    known = dict(pinned or {})
    if folder.is_dir():
        return _read_checkpoint(name, None, folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    if isinstance(source, Path) or not _HUB_NAME.fullmatch(name):
        raise CheckpointError(
            f"there is no folder '{name}'; name a folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}, or a checkpoint "
            f"of the hub{': ' + ', '.join(known) if known else ' as owner/name'}.{suggest(name, known)}"
        )
    commit = revision or known.get(name)
    if commit is None:
        raise ConfigError(
            f"unknown checkpoint '{name}': no commit is pinned for it; known: {', '.join(known) or 'none'}."
            f"{suggest(name, known)} For another one set `revision` to the 40 digits of a commit on its page on the hub"
        )
    if not _COMMIT.fullmatch(commit):
        raise ConfigError(
            f"revision '{commit}' of '{name}' is not a commit: give its 40 hexadecimal digits, since a branch or a tag "
            "can change under a result"
        )
    hub = import_extra("huggingface_hub", "pretrained")
    config, weights = (_fetch(hub, name, commit, file) for file in (CONFIG_FILE, WEIGHTS_FILE))
    for file in beside:
        with contextlib.suppress(CheckpointError):
            _fetch(hub, name, commit, file)
    return _read_checkpoint(name, commit, config, weights)


def _fetch(hub: ModuleType, name: str, commit: str, file: str) -> Path:
    """Return the local path of one file of the hub, downloaded when it is not in the cache."""
    errors = import_extra("huggingface_hub.errors", "pretrained")
    try:
        return Path(hub.hf_hub_download(name, file, revision=commit))
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"'{name}' asks for its terms to be accepted: accept them on its page on the hub and log in with `hf auth "
            "login`, or download it and name the folder"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no checkpoint '{name}'; check owner and name, or name a folder") from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(
            f"'{name}' has no revision {commit}; copy the commit from its page on the hub into `revision`"
        ) from error
    # "Not in the cache and not reachable" is a kind of EntryNotFoundError, hence the order.
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise CheckpointError(_no_network(name, commit, file)) from error
    except errors.EntryNotFoundError as error:
        raise CheckpointError(
            f"'{name}' at {commit[:8]} has no {file}; it is not a checkpoint that alfred can read"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{_no_network(name, commit, file)} ({error})") from error


def _no_network(name: str, commit: str, file: str) -> str:
    return (
        f"{file} of '{name}' at {commit[:8]} is not in the cache and the hub cannot be reached; connect once "
        f"(HF_HUB_OFFLINE unset), or copy {CONFIG_FILE} and {WEIGHTS_FILE} into a folder and name that folder"
    )


def _read_checkpoint(source: str, revision: str | None, config: Path, weights: Path) -> Checkpoint:
    for path in (config, weights):
        if not path.is_file():
            raise CheckpointError(
                f"{path} does not exist; a checkpoint is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
            )
    try:
        values = read_json(config)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{config} is not readable JSON ({error}); copy or download it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{config} holds a {type(values).__name__}, not an object of settings")
    return Checkpoint(source=source, revision=revision, config=values, weights=weights)
