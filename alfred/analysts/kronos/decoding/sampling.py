"""Choosing a token: filters, and two sources of chance."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from alfred.errors import ConfigError

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def filter_logits(logits: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """Set the logits of tokens that may not be drawn to minus infinity.

    Args:
        logits: `[N, V]`, already divided by the temperature.
        top_k: Keep the k largest, and ties of the k-th; 0 keeps all. With it `top_p` is ignored, as released.
        top_p: Keep the most probable tokens up to and including the first at which their summed probability exceeds
            this (Holtzman et al., 2020); ties of the last one are kept.
    """
    if top_k > 0:
        threshold = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[:, -1:]
    elif top_p < 1:
        ordered = _sort_descending(logits)
        before = torch.softmax(ordered, dim=-1).cumsum(-1)[:, :-1]
        last = (before <= top_p).sum(-1, keepdim=True)
        threshold = ordered.gather(-1, last)
    else:
        return logits
    return logits.masked_fill(logits < threshold, -torch.inf)


def _sort_descending(logits: torch.Tensor) -> torch.Tensor:
    if logits.device.type != "cpu":
        return logits.sort(dim=-1, descending=True).values
    # numpy sorts floats with vector instructions, eight times as fast as torch does on a CPU.
    return torch.from_numpy(np.sort(logits.numpy(), axis=-1)).flip(-1)


class RandomSource(Protocol):
    """A source of chance for one forecast."""

    def draw(self, probabilities: torch.Tensor, step: int, part: int) -> torch.Tensor:
        """Return one token a row, `[N, V] -> [N]`, for part 0 (coarse) or 1 (fine) of a step."""
        ...


class StreamSource:
    """One stream of random numbers for the whole batch, in the order in which the released code draws.

    The same seed, batch and order of series give the same tokens; another batch gives others.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        """Seed the stream."""
        self.generator = torch.Generator(device=device).manual_seed(seed)

    def draw(self, probabilities: torch.Tensor, step: int, part: int) -> torch.Tensor:
        """Return one token a row, `[N, V] -> [N]`."""
        return torch.multinomial(probabilities, 1, generator=self.generator)[:, 0]


class KeyedSource:
    """Random numbers that are a function of the row alone, so that a series is drawn alike in any batch.

    One uniform number for each row, step and part comes from a counter through the mixer of splitmix64 (Steele, Lea
    and Flood, 2014), and picks the token by the cumulative distribution.
    """

    def __init__(self, keys: npt.NDArray[np.uint64]) -> None:
        """Keep one key a row, `[N]`."""
        self.keys = keys

    def draw(self, probabilities: torch.Tensor, step: int, part: int) -> torch.Tensor:
        """Return one token a row, `[N, V] -> [N]`."""
        uniform = torch.from_numpy(compute_uniforms(self.keys, 2 * step + part)).to(probabilities.device)
        total = probabilities.double().cumsum(-1)
        drawn = (total <= uniform[:, None] * total[:, -1:]).sum(-1)
        return drawn.clamp_max(probabilities.shape[-1] - 1)


def compute_uniforms(keys: npt.NDArray[np.uint64], counter: int) -> npt.NDArray[np.float64]:
    """Return one number in [0, 1) for each key and a counter, `[N]`."""
    with np.errstate(over="ignore"):
        state = mix_bits(keys) + np.uint64(counter + 1) * _GOLDEN
    return (mix_bits(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mix_bits(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the finaliser of splitmix64 of each value: every bit of the result depends on every bit of the value."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class TokenChooser:
    """Temperature, filters and chance in one call.

    Attributes:
        temperatures: One a row, `[N, 1]`.
    """

    def __init__(self, temperatures: torch.Tensor, top_k: int, top_p: float, chance: RandomSource) -> None:
        """Check and keep the settings.

        Raises:
            ConfigError: A temperature, `top_k` or `top_p` is out of range.
        """
        if not bool((temperatures > 0).all()):
            raise ConfigError(f"temperature {float(temperatures.min())} must be positive; for greedy use top_k=1")
        if top_k < 0 or not 0 < top_p <= 1:
            raise ConfigError(f"top_k {top_k} must be 0 (off) or more and top_p {top_p} in (0, 1]")
        self.temperatures = temperatures[:, None]
        self.top_k, self.top_p, self.chance = top_k, top_p, chance

    def choose(self, logits: torch.Tensor, step: int, part: int) -> torch.Tensor:
        """Return one token a row, `[N, V] -> [N]`."""
        filtered = filter_logits(logits / self.temperatures, self.top_k, self.top_p)
        return self.chance.draw(torch.softmax(filtered, dim=-1), step, part)
