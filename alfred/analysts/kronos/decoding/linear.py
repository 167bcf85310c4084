"""Linear maps with their weights fused, in the precision that was asked for."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.kronos.config import Precision
from alfred.errors import ConfigError

_INT8_LIMIT = 127.0
# Weights from this number on are laid out for oneDNN; below, its call costs more than its product saves.
_PACK_FROM = 2**16
_TINY = 1e-12


class FusedLinear:
    """Several linear layers that read the same input, as one matrix, for forecasting only.

    On an x86 processor large float32 products go through oneDNN, with the weights laid out once, where torch has it.
    What torch takes otherwise (MKL) was measured at half that speed on AMD, and lays out the weights in every call.

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
        self.is_packed = False
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
            self._pack()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[..., in]` to `[..., out]`."""
        if self.is_packed:
            packed: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
            return packed
        if self.scale is None:
            return functional.linear(x, self.weight, self.bias)
        rows = x.reshape(-1, x.shape[-1])
        row_scale = rows.abs().amax(1, keepdim=True).clamp_min(_TINY) / _INT8_LIMIT
        product = torch._int_mm((rows / row_scale).round().to(torch.int8), self.weight)
        result = product.float() * row_scale * self.scale
        if self.bias is not None:
            result = result + self.bias
        return result.reshape(*x.shape[:-1], -1)

    def __getstate__(self) -> dict[str, object]:
        """Return weights in the layout of torch: the other one can be neither copied nor sent to a process."""
        weight = self.weight.to_dense() if self.is_packed else self.weight
        return {**self.__dict__, "weight": weight, "is_packed": False}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Lay the weights out again, as this processor can."""
        self.__dict__.update(state)
        self._pack()

    def _pack(self) -> None:
        if self.weight.dtype == torch.float32 and self.weight.numel() >= _PACK_FROM and _can_pack(self.weight):
            # A layout for any number of rows, in the place of the other one.
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)
            self.is_packed = True


def _can_pack(weight: torch.Tensor) -> bool:
    if weight.device.type != "cpu" or platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    return hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return the type of activations."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
