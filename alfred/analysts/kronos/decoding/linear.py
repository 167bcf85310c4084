"""Linear maps with their weights fused, in the precision that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.kronos.config import Precision
from alfred.errors import ConfigError

_INT8_LIMIT = 127.0
_TINY = 1e-12


class FusedLinear:
    """Several linear layers that read the same input, as one matrix, for forecasting only.

    `int8` keeps weights at eight bits with one scale an output, and rounds each input row to eight bits with a scale
    of its own when it is used (dynamic quantisation); results come back in float32.
    """

    def __init__(self, layers: Sequence[nn.Linear], precision: Precision = "float32") -> None:
        """Copy the weights.

        Args:
            layers: Layers with the same number of inputs, all with or all without biases.
            precision: What to compute in.

        Raises:
            ConfigError: `int8` was asked for away from a CPU, or torch has no integer product.
        """
        weight = torch.cat([layer.weight.detach() for layer in layers])
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        bias = torch.cat(biases) if biases else None
        self.scale: torch.Tensor | None = None
        if precision == "int8":
            if weight.device.type != "cpu" or not hasattr(torch, "_int_mm"):
                raise ConfigError(f"precision int8 needs a CPU, not {weight.device}; choose float32 or bfloat16")
            self.scale = weight.abs().amax(1).clamp_min(_TINY) / _INT8_LIMIT
            self.weight = (weight / self.scale[:, None]).round().to(torch.int8).T
            self.bias = bias
        else:
            dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
            self.weight = weight.to(dtype)
            self.bias = None if bias is None else bias.to(dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[..., in]` to `[..., out]`."""
        if self.scale is None:
            return functional.linear(x, self.weight, self.bias)
        rows = x.reshape(-1, x.shape[-1])
        row_scale = rows.abs().amax(1, keepdim=True).clamp_min(_TINY) / _INT8_LIMIT
        product = torch._int_mm((rows / row_scale).round().to(torch.int8), self.weight)
        result = product.float() * row_scale * self.scale
        if self.bias is not None:
            result = result + self.bias
        return result.reshape(*x.shape[:-1], -1)


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return the type of activations."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
