"""The analyst whose network is put together from feature extractors."""

from __future__ import annotations

import torch

from alfred.analysts.extractors.network import ExtractorNetwork
from alfred.analysts.extractors.settings import ExtractorSettings
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.analysts.networks.base import NetworkAnalyst, to_array
from alfred.data.contexts import Contexts
from alfred.typing import FloatArray


class ExtractorAnalyst(NetworkAnalyst):
    """One network for all symbols, of the parts, the combination and the head that the settings name.

    Every head ends in mean and quantiles of the log return. Heads that do not learn a spread (magnitude, direction)
    take the window's volatility over the horizon times the spread of what was left over in the validation part, which
    is purged of the training part but is the one that chose the best step: their spread is a little too narrow.
    """

    settings_class = ExtractorSettings
    settings: ExtractorSettings

    network_: ExtractorNetwork

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window; see the base class."""
        inputs = self._prepare(contexts)
        mean, quantiles = self.network_.head.describe(self._evaluate(inputs, self.network_))
        scale = self._scale(contexts)
        return Forecast(
            horizons=self.horizons,
            levels=DEFAULT_LEVELS,
            mean=to_array(mean) * scale,
            quantiles=to_array(quantiles) * scale[:, :, None],
        )

    def compute_mean(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the mean in spreads of the window, `[B, H]`; see the base class."""
        mean: torch.Tensor = self.network_.head.describe(self.network_(inputs))[0]
        return mean

    def embed(self, contexts: Contexts) -> FloatArray:
        """Return the features that the head reads, `[B, E]` float64, each window on its own.

        Args:
            contexts: Windows with this analyst's `fields` and `context_length`.

        Raises:
            NotFittedError: `fit` was not called before.
        """
        return to_array(self._evaluate(self._prepare(contexts), self.network_.embed))

    def reduce(self, contexts: Contexts) -> FloatArray:
        """Return the components of the embedding, `[B, components]`; see the base class."""
        return to_array(self._evaluate(self._prepare(contexts), self.network_.reduce))

    def _summarise(self, inputs: torch.Tensor) -> None:
        asked = self.settings.own_components
        if not asked:
            return
        held = self.network_.set_axes(self._evaluate(inputs, self.network_.embed))
        if held < asked:
            self.notes = (f"of {asked} components of the embedding {asked - held} hold nothing and are zero",)

    def _build(self) -> ExtractorNetwork:
        return ExtractorNetwork(self.settings, self.context_length - 1, len(self.fields))

    def _compute_loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        inputs, targets = batch
        return self.network_.head.compute_loss(self.network_(inputs), targets).mean()

    def _measure(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        self.network_.head.measure(self._evaluate(inputs, self.network_), targets)
