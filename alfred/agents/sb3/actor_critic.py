"""Actor and critic for stable-baselines3's on-policy algorithms, built from the networks that treat assets alike."""

from __future__ import annotations

import math
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from alfred.agents.networks import NetworkSpec, ScoreNetwork, make_network, unflatten
from alfred.agents.sb3.dirichlet import DirichletWeights


class MlpExtractor(nn.Module):
    """Gives stable-baselines3 scores as the policy's latent and a summary of the observation as the value's.

    The critic reads the actor's summary and sends no gradient back: what a day pays is nearly all luck, so that a
    critic of its own explains next to nothing, costs half of the learning time, and its gradients drown the actor's.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Build the network."""
        super().__init__()
        self.shape = spec.shape
        self.network: ScoreNetwork = make_network(spec)
        self.latent_dim_pi = spec.n_assets + 1
        self.latent_dim_vf = self.network.summary_width

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores `[P, N+1]` and summaries `[P, summary_width]` of flat observations."""
        scores, summary = self.network(unflatten(features, self.shape))
        return scores, summary.detach()

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """Return the scores alone."""
        return self(features)[0]  # type: ignore[no-any-return]

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        """Return the summaries alone."""
        return self(features)[1]  # type: ignore[no-any-return]


class AssetActorCritic(ActorCriticPolicy):
    """Actor and critic of one shape, with one noise level for all assets.

    The mean action is the network's score itself; a single noise parameter keeps the policy equivariant and
    independent of the number of assets.

    Args:
        spec: The networks.
        head: `gaussian` adds noise to scores; `dirichlet` draws the weights themselves.
        logit_scale: Logits per unit of score, of the Dirichlet head.
    """

    def __init__(self, *args: Any, spec: NetworkSpec, head: str = "gaussian", logit_scale: float = 1.0, **kwargs: Any):
        """Keep the sizes for `_build_mlp_extractor`, which the base class calls."""
        self.spec, self.head, self.logit_scale = spec, head, logit_scale
        super().__init__(*args, **kwargs | {"ortho_init": False})

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = MlpExtractor(self.spec)  # type: ignore[assignment]

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()
        # What exploring changes is small: guesses of an untrained critic would be larger.
        nn.init.zeros_(self.value_net.weight)
        nn.init.zeros_(self.value_net.bias)
        # The noise follows a schedule: left to learn, it says more about costs than about how much there is to find.
        self.log_std = nn.Parameter(torch.full((1,), self.log_std_init), requires_grad=False)
        if self.head == "dirichlet":
            self.action_dist = DirichletWeights(self.spec.n_assets + 1, self.logit_scale)
        # The base class made its optimiser before the lines above.
        settings = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **settings)

    def scale_noise(self, factor: float) -> None:
        """Set the noise to a multiple of what it was at the start."""
        self.log_std.data.fill_(self.log_std_init + math.log(factor))

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Any:
        return self.action_dist.proba_distribution(self.action_net(latent_pi), self.log_std)
