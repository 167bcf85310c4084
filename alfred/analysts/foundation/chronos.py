"""Chronos-2 and Chronos-Bolt as an analyst, with weights from the hub or from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from alfred.analysts.foundation.base import FoundationAnalyst
from alfred.analysts.foundation.identity import Identity, digest_file
from alfred.analysts.foundation.settings import CHRONOS_REVISIONS, ChronosSettings
from alfred.analysts.settings import AnalystSettings
from alfred.errors import CheckpointError, ConfigError, import_extra
from alfred.learning.devices import find_device
from alfred.learning.hub import Checkpoint, resolve_checkpoint
from alfred.learning.tensors import load_state, read_tensors
from alfred.typing import FloatArray

_CHRONOS_2, _BOLT = "Chronos2Model", "ChronosBoltModelForForecasting"
_PACKAGE = "chronos-forecasting"
# Beyond these lie one per cent of a long history each, and a dispersion read there would be one of rare days.
_LOWEST, _HIGHEST = 0.05, 0.95


class ChronosAnalyst(FoundationAnalyst):
    """Forecasts with Chronos-2 (Ansari et al., 2025, arXiv:2510.15821) or Chronos-Bolt, both by Amazon, Apache-2.0.

    Chronos-2 has quantiles from 0.01 to 0.99, of which those from 0.05 to 0.95 are used; Chronos-Bolt has nine
    deciles. Each window is a group of its own: the cross-learning of Chronos-2 would let a window read the others of
    its batch, which may be later.

    The network is built here and its weights are read from safetensors, so that nothing of a checkpoint is run.
    """

    settings_class: ClassVar[type[AnalystSettings]] = ChronosSettings
    settings: ChronosSettings

    def __init__(self, settings: ChronosSettings) -> None:
        """Store the settings; all work waits for `fit`."""
        super().__init__(settings, settings.released)
        self._network: Any = None
        self._columns: list[int] = []

    def _load(self) -> tuple[Identity, tuple[float, ...]]:
        s = self.settings
        if self.knowledge_cutoff is None:
            raise ConfigError(
                f"nobody says until when '{s.checkpoint}'{f' at {s.revision[:8]}' if s.revision else ''} was trained; "
                "set knowledge_cutoff to the last date that it may have seen, so that the report can keep the dates "
                "before it apart"
            )
        package = import_extra("chronos", "chronos")
        checkpoint = resolve_checkpoint(s.checkpoint, revision=s.revision, pinned=CHRONOS_REVISIONS)
        network = build_network(checkpoint)
        _check_lengths(network, checkpoint, s)
        self._network = network.to(find_device(s.device))
        every = [float(level) for level in network.chronos_config.quantiles]
        self._columns = [column for column, level in enumerate(every) if _LOWEST <= level <= _HIGHEST]
        identity = Identity(_PACKAGE, package.__version__, digest_file(checkpoint.weights))
        return identity, tuple(every[column] for column in self._columns)

    def _forecast(self, series: npt.NDArray[np.float32]) -> FloatArray:
        context = torch.from_numpy(series).to(self._network.device)
        options = {}
        if type(self._network).__name__ == _CHRONOS_2:
            patch = self._network.chronos_config.output_patch_size
            # One group a window is also the default; it is said here because a group is what may look across.
            groups = torch.arange(len(series), device=context.device)
            options = {"group_ids": groups, "num_output_patches": -(-max(self.horizons) // patch)}
        levels = self._network(context=context, **options).quantile_preds
        steps = np.asarray(self.horizons) - 1
        answer = levels.double().cpu().numpy()[:, self._columns][:, :, steps]
        return np.asarray(np.swapaxes(answer, 1, 2))


def build_network(checkpoint: Checkpoint) -> Any:
    """Build Chronos-2 or Chronos-Bolt and read its weights.

    Args:
        checkpoint: Where `config.json` and `model.safetensors` lie.

    Raises:
        CheckpointError: It is neither of the two, or config and weights do not belong together.
        MissingExtraError: `chronos-forecasting` is not installed.
    """
    source, config = checkpoint.source, dict(checkpoint.config)
    named = config.get("architectures")
    kind = named[0] if isinstance(named, list) and named else None
    if kind not in (_CHRONOS_2, _BOLT) or not isinstance(config.get("chronos_config"), dict):
        raise CheckpointError(
            f"'{source}' is no Chronos-2 and no Chronos-Bolt (its config.json names the architecture {kind!r}); known: "
            f"{', '.join(CHRONOS_REVISIONS)}"
        )
    tensors, _ = read_tensors(checkpoint.weights)
    try:
        if kind == _CHRONOS_2:
            config_class = import_extra("chronos.chronos2.config", "chronos").Chronos2CoreConfig
            network = import_extra("chronos.chronos2", "chronos").Chronos2Model(config_class(**config))
        else:
            config_class = import_extra("transformers", "chronos").T5Config
            network = import_extra("chronos.chronos_bolt", "chronos").ChronosBoltModelForForecasting(
                config_class(**config)
            )
    except (AssertionError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"the config.json of '{source}' does not describe a {kind} ({error}); download it again"
        ) from error
    load_state(network, _share_tied(network, tensors), source=source, ignore=[r"lm_head\.weight"])
    return network.float().eval()


def _share_tied(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors with those that share memory in the network under each of their names.

    A file holds what is shared once, under whichever name its writer came upon first.
    """
    found = dict(tensors)
    given = {tensor.data_ptr(): name for name, tensor in network.state_dict().items() if name in tensors}
    for name, tensor in network.state_dict().items():
        if name not in found and tensor.data_ptr() in given:
            found[name] = tensors[given[tensor.data_ptr()]]
    return found


def _check_lengths(network: Any, checkpoint: Checkpoint, settings: ChronosSettings) -> None:
    config = network.chronos_config
    longest = (
        config.max_output_patches * config.output_patch_size
        if type(network).__name__ == _CHRONOS_2
        else config.prediction_length
    )
    if max(settings.horizons) > longest:
        raise ConfigError(
            f"horizon {max(settings.horizons)} is beyond the {longest} sessions that '{checkpoint.source}' forecasts; "
            "shorten the horizons"
        )
    if settings.context_length > config.context_length:
        raise ConfigError(
            f"context_length {settings.context_length} is beyond the {config.context_length} sessions that "
            f"'{checkpoint.source}' reads; shorten it"
        )
