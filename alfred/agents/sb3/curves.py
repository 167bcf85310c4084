"""What stable-baselines3 logs, under the tags of all other agents."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger

from alfred.learning.events import EventFile

_TAGS = {
    "rollout/turnover": "2_train/turnover",
    "rollout/cost_bps": "2_train/cost_bps",
    "time/fps": "2_train/steps_a_second",
}
# The episode's sums are written as means of a decision; the others repeat the axis, or a setting.
_REWARD, _LENGTH = "rollout/ep_rew_mean", "rollout/ep_len_mean"
_LEFT_OUT = {"time/iterations", "time/time_elapsed", "time/total_timesteps", "time/episodes", "train/n_updates"}
_LEFT_OUT |= {"train/clip_range", "rollout/success_rate", _REWARD, _LENGTH}


class _EventWriter(KVWriter):
    def __init__(self, events: EventFile) -> None:
        self._events = events

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        numbers = {key: float(value) for key, value in key_values.items() if isinstance(value, int | float | np.number)}
        scalars = {
            _TAGS.get(key, f"2_train/{key.rpartition('/')[2]}"): value
            for key, value in numbers.items()
            if key not in _LEFT_OUT
        }
        if numbers.get(_LENGTH):
            scalars["2_train/reward"] = numbers[_REWARD] / numbers[_LENGTH]
        self._events.add_scalars(scalars, step)

    def close(self) -> None:
        """Leave the file open: a validation is still to come."""


def make_logger(events: EventFile) -> Logger:
    """Return a logger that writes into an event file, and nowhere else."""
    return Logger(None, [_EventWriter(events)] if events.is_on else [])
