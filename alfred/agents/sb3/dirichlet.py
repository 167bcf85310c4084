"""The Dirichlet head: exploration that draws weights instead of scores."""

from __future__ import annotations

import math

import torch
from stable_baselines3.common.distributions import Distribution
from torch import nn
from torch.distributions import Dirichlet

# A draw at the very edge of the simplex has an infinite density.
_LEAST_WEIGHT = 1e-6
_LEAST_CONCENTRATION = 1e-2


class DirichletWeights(Distribution):
    """Weights drawn around the softmax of scores, as actions of the `simplex` mode, `2 w - 1`.

    The mean is the very softmax that the Gaussian head leads to, so that a policy is judged alike under both. The
    noise parameter s gives each of N+1 weights m_i the concentration `m_i / s^2`: for small s the standard deviation
    of a weight is near `s sqrt(m_i)`.

    Args:
        width: Weights, cash among them, N+1.
        logit_scale: Logits per unit of score.
    """

    def __init__(self, width: int, logit_scale: float) -> None:
        """Keep the sizes."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.width, self.logit_scale = width, logit_scale
        self._current: Dirichlet | None = None

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """Return nothing to learn: scores are the parameters."""
        return nn.Identity()

    def proba_distribution(self, scores: torch.Tensor, log_std: torch.Tensor) -> DirichletWeights:
        """Set the parameters: scores `[P, N+1]` and the logarithm of the noise, `[1]`."""
        means = torch.softmax(scores * self.logit_scale, dim=-1)
        concentration = (means * torch.exp(-2.0 * log_std)).clamp(min=_LEAST_CONCENTRATION)
        self._current = Dirichlet(concentration, validate_args=False)
        return self

    def log_prob(self, actions: torch.Tensor) -> torch.Tensor:
        """Return the log density of actions, `[P]`, by the volume of actions instead of weights."""
        weights = ((actions + 1.0) * 0.5).clamp(min=_LEAST_WEIGHT)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        # The density lives on N free coordinates, each stretched by two.
        density: torch.Tensor = self._get().log_prob(weights)  # type: ignore[no-untyped-call]
        return density - (self.width - 1) * math.log(2.0)

    def entropy(self) -> torch.Tensor:
        """Return the entropy, `[P]`."""
        entropy: torch.Tensor = self._get().entropy()  # type: ignore[no-untyped-call]
        return entropy + (self.width - 1) * math.log(2.0)

    def sample(self) -> torch.Tensor:
        """Return a draw, `[P, N+1]`."""
        return 2.0 * self._get().rsample() - 1.0

    def mode(self) -> torch.Tensor:
        """Return the mean: the mode of a flat Dirichlet lies on the edge, or nowhere."""
        return 2.0 * self._get().mean - 1.0

    def actions_from_params(
        self, scores: torch.Tensor, log_std: torch.Tensor, deterministic: bool = False
    ) -> torch.Tensor:
        """Return actions for parameters."""
        return self.proba_distribution(scores, log_std).get_actions(deterministic=deterministic)

    def log_prob_from_params(self, scores: torch.Tensor, log_std: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a draw for parameters, and its log density."""
        actions = self.actions_from_params(scores, log_std)
        return actions, self.log_prob(actions)

    def _get(self) -> Dirichlet:
        if self._current is None:
            raise RuntimeError("the distribution has no parameters yet; call proba_distribution first")
        return self._current
