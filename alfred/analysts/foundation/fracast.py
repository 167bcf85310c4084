"""Fracast as an analyst: 85,001 parameters inside its package, forecasts without any download."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from alfred.analysts.foundation.base import FoundationAnalyst
from alfred.analysts.foundation.identity import Identity, digest_file
from alfred.analysts.foundation.settings import FRACAST_CUTOFF, FRACAST_DIGESTS, FRACAST_VERSION, FracastSettings
from alfred.analysts.settings import AnalystSettings
from alfred.errors import CheckpointError, import_extra
from alfred.learning.devices import find_device
from alfred.typing import FloatArray

_FILES = {"w8": "model.int8.safetensors", "fp32": "model.safetensors"}
# Least forecast price as a part of the last close, so that the logarithm exists.
_LEAST_RATIO = 0.01
_INSTALL = "pip install 'alfred[fracast]'"


class FracastAnalyst(FoundationAnalyst):
    """Forecasts with Fracast-0 (github.com/ztxtech/fracast-0, Apache-2.0): dilated convolutions, nine deciles.

    The network scales a window by its lowest and highest value and reads up to 2048 sessions; shorter ones are padded
    and masked. It was trained on public collections of series of every kind; none is known to hold prices of shares,
    and none is known not to.
    """

    settings_class: ClassVar[type[AnalystSettings]] = FracastSettings
    settings: FracastSettings

    def __init__(self, settings: FracastSettings) -> None:
        """Store the settings; all work waits for `fit`."""
        super().__init__(settings, FRACAST_CUTOFF)
        self._model: Any = None

    def _load(self) -> tuple[Identity, tuple[float, ...]]:
        package = import_extra("fracast", "fracast")
        if package.__version__ != FRACAST_VERSION:
            raise CheckpointError(
                f"fracast {package.__version__} is installed, with other weights than {FRACAST_VERSION}, which alfred "
                f"knows; run {_INSTALL}"
            )
        kind = self.settings.weights
        digest = digest_file(Path(str(package.__file__)).parent / "weights" / _FILES[kind])
        if digest != FRACAST_DIGESTS[kind]:
            raise CheckpointError(
                f"the weights '{kind}' of fracast {FRACAST_VERSION} have the digest {digest[:12]} instead of "
                f"{FRACAST_DIGESTS[kind][:12]}: they were changed or damaged; run {_INSTALL} --force-reinstall"
            )
        self._model = package.FracastModel.from_pretrained(weights=kind, device=find_device(self.settings.device))
        return Identity("fracast", FRACAST_VERSION, digest), tuple(self._model.quantiles)

    def _forecast(self, series: npt.NDArray[np.float32]) -> FloatArray:
        is_price = self.settings.input_scaling == "price"
        answer = self._model.forecast_batch(np.exp(series) if is_price else series)
        levels = np.asarray(answer[:, np.asarray(self.horizons) - 1], dtype=np.float64)
        return np.log(np.maximum(levels, _LEAST_RATIO)) if is_price else levels
