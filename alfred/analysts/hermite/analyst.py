"""The analyst with Hermite activations: expected return, probability of a rise, uncertainty."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtr, ndtri

from alfred.analysts.forecast import Forecast
from alfred.analysts.hermite.network import HermiteNetwork
from alfred.analysts.hermite.settings import HermiteSettings
from alfred.analysts.networks.base import NetworkAnalyst, to_array
from alfred.data.contexts import Contexts
from alfred.learning.losses import compute_gaussian_loss, compute_huber_loss
from alfred.learning.signed_losses import (
    LEAST_PROBABILITY,
    compute_direction_label,
    compute_focal_loss,
    compute_sign_hinge_loss,
    read_probability,
)
from alfred.typing import FloatArray


class HermiteAnalyst(NetworkAnalyst):
    """One network of Hermite layers for all symbols, with three heads that are trained together.

    The loss is `reg_weight` Huber loss of the mean + `cls_weight` loss of the direction + `unc_weight` Gaussian
    likelihood + `sign_hinge_weight` sign hinge. The forecast is a normal; how far the probability of a rise shifts its
    mean is said by `direction_weight`, by default not at all.
    """

    settings_class = HermiteSettings
    settings: HermiteSettings

    network_: HermiteNetwork

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window; see the base class."""
        mean, odds, spread = self._answer(contexts)
        weight, scale = self.settings.direction_weight, self._scale(contexts)
        probability = np.clip(self._choose(mean, odds, spread), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        blended = (1 - weight) * mean + weight * spread * ndtri(probability) if weight else mean
        return Forecast.from_gaussian(blended * scale, spread * scale, self.horizons)

    def compute_mean(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the mean in spreads of the window, `[B, H]`, before the classifier has its say; see the base class."""
        answer: torch.Tensor = self.network_(inputs)
        return answer[:, 0]

    def predict_direction(self, contexts: Contexts) -> FloatArray:
        """Return the probability of a rise by `prob_source`, `[B, H]`, each window on its own.

        That of the classifier is kept 1 % from 0 and 1.

        Args:
            contexts: Windows with this analyst's `fields` and `context_length`.

        Raises:
            NotFittedError: `fit` was not called before.
        """
        return self._choose(*self._answer(contexts))

    def _answer(self, contexts: Contexts) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean, log odds and spread in spreads of the window, each `[B, H]`."""
        answer = to_array(self._evaluate(self._prepare(contexts), self.network_))
        return answer[:, 0], answer[:, 1], np.exp(answer[:, 2])

    def _choose(self, mean: FloatArray, odds: FloatArray, spread: FloatArray) -> FloatArray:
        if self.settings.prob_source == "pdf":
            return np.asarray(ndtr(mean / spread))
        return to_array(read_probability(torch.from_numpy(odds), self.settings.own_gamma))

    def _build(self) -> HermiteNetwork:
        return HermiteNetwork(self.settings)

    def _compute_loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        inputs, targets = batch
        s = self.settings
        mean, odds, log_spread = self.network_(inputs).unbind(1)
        label = compute_direction_label(targets)
        loss = s.unc_weight * compute_gaussian_loss(mean, torch.exp(2 * log_spread), targets)
        loss = loss + s.reg_weight * compute_huber_loss(mean, targets, s.huber_delta)
        loss = loss + s.cls_weight * compute_focal_loss(odds, label, s.own_gamma)
        loss = loss + s.sign_hinge_weight * compute_sign_hinge_loss(mean, targets, s.sign_margin)
        return loss.mean()
