"""The whole state of a stable-baselines3 learner, in and out of a checkpoint.

stable-baselines3 saves by pickle, without the environment and without the moment inside a training; here everything
that a later number depends on is put into tensors and JSON.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.learning.checkpoints import Snapshot

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining")
_REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def save_learner(learner: BaseAlgorithm, env: Sb3PortfolioVecEnv) -> Snapshot:
    """Return the state of a learner between two rollouts."""
    snapshot = Snapshot()
    snapshot.facts["counters"] = {name: getattr(learner, name) for name in _COUNTERS if hasattr(learner, name)}
    snapshot.add("policy", learner.policy.state_dict())
    for name, optimizer in _list_optimizers(learner).items():
        snapshot.add_optimizer(name, optimizer)
    if getattr(learner, "log_ent_coef", None) is not None:
        snapshot.add("entropy", {"log": learner.log_ent_coef})  # type: ignore[attr-defined]
    snapshot.add_arrays("last", {name: value for name, value in _last_arrays(learner).items() if value is not None})
    for index, state in enumerate(_list_memories(learner)):
        snapshot.add("memory", {str(index): state})
    if isinstance(learner, OffPolicyAlgorithm):
        buffer = _get_buffer(learner)
        filled = buffer.buffer_size if buffer.full else buffer.pos
        snapshot.add_arrays("replay", {name: getattr(buffer, name)[:filled] for name in _REPLAY})
        snapshot.facts["replay"] = [buffer.pos, buffer.full]
    arrays, snapshot.facts["environment"] = env.get_state()
    snapshot.add_arrays("environment", arrays)
    _save_logs(snapshot, learner)
    snapshot.add_random_states()
    snapshot.facts["action_random"] = _require_generator(learner.action_space).bit_generator.state
    return snapshot


def restore_learner(snapshot: Snapshot, learner: BaseAlgorithm, env: Sb3PortfolioVecEnv) -> None:
    """Put a freshly built learner and its environment into the state of a snapshot."""
    for name, value in snapshot.facts["counters"].items():
        setattr(learner, name, value)
    learner.policy.load_state_dict(snapshot.below("policy"))
    for name, optimizer in _list_optimizers(learner).items():
        snapshot.restore_optimizer(name, optimizer)
    if getattr(learner, "log_ent_coef", None) is not None:
        learner.log_ent_coef.data.copy_(snapshot.tensors["entropy/log"])  # type: ignore[attr-defined]
    for name, tensor in snapshot.below("last").items():
        setattr(learner, f"_last_{name}", tensor.numpy())
    memories = snapshot.below("memory")
    for index, state in enumerate(_list_memories(learner)):
        state.copy_(memories[str(index)])
    if isinstance(learner, OffPolicyAlgorithm):
        buffer = _get_buffer(learner)
        buffer.pos, buffer.full = snapshot.facts["replay"]
        for name, tensor in snapshot.below("replay").items():
            getattr(buffer, name)[: len(tensor)] = tensor.numpy()
    arrays = {name: tensor.numpy() for name, tensor in snapshot.below("environment").items()}
    env.set_state(arrays, snapshot.facts["environment"])
    _restore_logs(snapshot, learner)
    snapshot.restore_random_states()
    _require_generator(learner.action_space).bit_generator.state = snapshot.facts["action_random"]


def _list_optimizers(learner: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    policy: Any = learner.policy
    owners = {"actor": getattr(policy, "actor", None), "critic": getattr(policy, "critic", None), "policy": policy}
    found = {f"{name}_optimizer": getattr(owner, "optimizer", None) for name, owner in owners.items()}
    found["entropy_optimizer"] = getattr(learner, "ent_coef_optimizer", None)
    return {name: optimizer for name, optimizer in found.items() if optimizer is not None}


def _last_arrays(learner: Any) -> dict[str, np.ndarray | None]:
    """Return what the next rollout starts from, by the name of its attribute after `_last_`."""
    names = ("obs", "episode_starts", "original_obs")
    return {name: getattr(learner, f"_last_{name}", None) for name in names}


def _list_memories(learner: Any) -> list[torch.Tensor]:
    states = getattr(learner, "_last_lstm_states", None)
    return [] if states is None else [tensor for pair in states for tensor in pair]


def _get_buffer(learner: OffPolicyAlgorithm) -> ReplayBuffer:
    if learner.replay_buffer is None:
        raise RuntimeError("an off-policy learner has its buffer from the moment that it is built")
    return learner.replay_buffer


def _save_logs(snapshot: Snapshot, learner: BaseAlgorithm) -> None:
    logger = learner.logger
    values = {
        name: float(value) for name, value in logger.name_to_value.items() if isinstance(value, (int, float, np.number))
    }
    counts = {name: logger.name_to_count[name] for name in values}
    excluded = {name: logger.name_to_excluded[name] for name in values if name in logger.name_to_excluded}
    snapshot.facts["logs"] = [values, counts, excluded]
    snapshot.facts["episodes"] = list(learner.ep_info_buffer or ())


def _restore_logs(snapshot: Snapshot, learner: BaseAlgorithm) -> None:
    logger: Logger = learner.logger
    values, counts, excluded = snapshot.facts["logs"]
    logger.name_to_value.update(values)
    logger.name_to_count.update(counts)
    logger.name_to_excluded.update({name: tuple(kinds) for name, kinds in excluded.items()})
    learner.ep_info_buffer = deque(snapshot.facts["episodes"], maxlen=learner._stats_window_size)
    learner.ep_success_buffer = deque(maxlen=learner._stats_window_size)


def _require_generator(space: Any) -> np.random.Generator:
    generator: np.random.Generator = space.np_random
    return generator
