"""Several networks, each deciding for books of its own, asked at once.

A judge walks every seed of an agent, and all of them averaged, through the same sessions. They see the same market and
differ in what they hold, so that most of what leads to an answer can be shared.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from alfred.agents.base import EnsemblePolicy, NetworkPolicy
from alfred.agents.networks import AssetNetwork, TiltNetwork, split_features
from alfred.envs.actions import compute_weights
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import ConfigError
from alfred.typing import Float, Observation

_ASKED_TOGETHER = (AssetNetwork, TiltNetwork)


def find_members(policy: Policy) -> list[NetworkPolicy] | None:
    """Return the networks whose mean a policy decides by, or None when it decides in another way.

    Only networks without a memory count, one for all assets: what they answer follows from what they are shown.
    """
    members = policy.members if type(policy) is EnsemblePolicy else (policy,)
    found = [item for item in members if type(item) is NetworkPolicy and type(item.network) in _ASKED_TOGETHER]
    return found if len(found) == len(members) else None


def find_crew(policies: Sequence[Policy]) -> Hashable | None:
    """Return what policies must have in common with others to be asked together, or None when they cannot be.

    That is what they are shown, how scores become weights, and how often they decide.
    """
    found = set()
    for policy in policies:
        members = find_members(policy)
        if members is None:
            return None
        found |= {(item.network.spec.shape, item.action.model_dump_json(), item.rebalance_every) for item in members}
    return found.pop() if len(found) == 1 else None


class CrewPolicy:
    """Decides for P books at once, each by a policy of its own; the same to the last bit as asking one after another.

    Args:
        policies: One a book, P of them: networks, or ensembles of them.
        name: Name in messages.

    Raises:
        ConfigError: They cannot be asked together; see `find_crew`.
    """

    def __init__(self, policies: Sequence[Policy], name: str) -> None:
        """Store the policies."""
        if find_crew(policies) is None:
            raise ConfigError(f"'{name}' needs networks with the same observations, actions and interval")
        self.policies, self.name = tuple(policies), name
        self._members = [find_members(policy) or [] for policy in policies]
        first = self._members[0][0]
        self.rebalance_every, self.lookback, self._action = first.rebalance_every, first.lookback, first.action
        self._rows = [row for row, members in enumerate(self._members) for _ in members]
        self._flat = [item for members in self._members for item in members]
        self._shown = b""
        self._starts: list[torch.Tensor] = []
        self._learnt: dict[int, NetworkPolicy] | None = None

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Look at the networks anew, which may have been trained on; they remember nothing."""
        self._learnt = None

    def check_fit(self, tape: Tape, settings: PortfolioSettings) -> None:
        """Ask every network; see `Policy`."""
        for item in self._flat:
            item.check_fit(tape, settings)

    def predict(self, observation: Observation) -> Float:
        """Return the weights of each book, `[P, N+1]`; all of them stand at the same close.

        Args:
            observation: Of the P books.
        """
        scores = self._find_starts(observation)
        if any(isinstance(item.network, AssetNetwork) for item in self._list_learnt().values()):
            with torch.no_grad():
                scores = self._score(observation, scores)
        squashed = [item.network.spec.squashed for item in self._flat]
        scores = [torch.tanh(score) if tanh else score for score, tanh in zip(scores, squashed, strict=True)]
        actions = torch.cat(scores).double().numpy()
        for number, item in self._list_learnt().items():
            if isinstance(item.network, TiltNetwork):
                row = self._rows[number]
                actions[number] = item.network.answer({key: value[row : row + 1] for key, value in observation.items()})
        holdable = observation.get("holdable")
        if holdable is not None:
            holdable = holdable[self._rows]
        weights = compute_weights(actions, self._action, holdable)
        if len(self._flat) == len(self._members):
            return weights
        answers, first = np.empty((len(self._members), weights.shape[1])), 0
        for row, members in enumerate(self._members):
            answers[row] = weights[first : first + len(members)].mean(axis=0)
            first += len(members)
        return answers

    def _list_learnt(self) -> dict[int, NetworkPolicy]:
        """Return the networks that learnt something, by their number."""
        if self._learnt is None:
            self._learnt = {at: item for at, item in enumerate(self._flat) if not item.network.learnt_nothing}
        return self._learnt

    def _find_starts(self, observation: Observation) -> list[torch.Tensor]:
        """Return the scores that each network starts from, `[1, N+1]`: they follow from what trades."""
        tradable = observation["tradable"]
        shown = tradable.tobytes()
        if shown != self._shown:
            self._shown = shown
            self._starts = [
                item.network.find_start(torch.as_tensor(tradable[row : row + 1]))
                for item, row in zip(self._flat, self._rows, strict=True)
            ]
        return self._starts

    def _score(self, observation: Observation, starts: list[torch.Tensor]) -> list[torch.Tensor]:
        tensors = {key: torch.as_tensor(value) for key, value in observation.items() if key != "holdable"}
        returns = tensors.pop("returns", None)
        if returns is not None and self.lookback:
            tensors["returns"] = returns[..., returns.shape[-1] - self.lookback :]
        own, shared = split_features(tensors)
        scores, alone, common, last = list(starts), own, shared, -1
        for number, item in self._list_learnt().items():
            network, row = item.network, self._rows[number]
            if not isinstance(network, AssetNetwork):
                continue
            if row != last:
                # One book at a time and in memory of its own: many at once may be added up in another order.
                alone, common, last = own[row : row + 1].clone(), shared[row : row + 1].clone(), row
            scores[number] = network.score_features(alone, common) * network.spec.score_scale + starts[number]
        return scores
