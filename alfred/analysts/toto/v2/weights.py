"""The released weights of Toto 2.0, with the constants of unit scaling folded in.

The reference computes `(x W + b) / sqrt(fan_in)` in a linear map (`/ fan_in` where the head reads out),
`branch tau / sqrt(1 + tau^2) + stream / sqrt(1 + tau^2)` at a residual, `1.77 silu` in the residual networks and a
learnt factor on every query channel. All of these are constants in front of a matrix. The stream itself is kept free of
its factor `1 / sqrt(1 + tau^2)`: the branches are divided by the product of the factors so far instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.toto.config import Toto2Config
from alfred.analysts.toto.v2.network import Toto2, compute_stream_factors
from alfred.errors import CheckpointError
from alfred.learning.tensors import load_state

# Keeps the variance of silu of a standard normal at one: exp(0.8 ln sqrt(2 / (1 - 1/pi)) + 0.2 ln 2).
_SILU_FACTOR = math.exp(0.8 * math.log(math.sqrt(2 / (1 - 1 / math.pi))) + 0.2 * math.log(2))


@dataclass(frozen=True)
class _Linear:
    """Where one of our linear maps comes from: rows of one of theirs, times a constant.

    The weight also takes `input_factor`, a constant on what the map reads.
    """

    ours: str
    theirs: str
    factor: float
    rows: tuple[slice, ...] = (slice(None),)
    input_factor: float = 1.0

    @property
    def factors(self) -> dict[str, float]:
        return {"weight": self.factor * self.input_factor, "bias": self.factor}


def import_network_v2(released: Mapping[str, torch.Tensor], config: Toto2Config, source: str) -> Toto2:
    """Make a network from released tensors, with the constants folded in.

    Args:
        released: Tensors by their name in `model.safetensors`.
        config: Its `config.json`.
        source: Where they come from, for the message.

    Raises:
        CheckpointError: A tensor is missing, left over or of another shape.
    """
    left = dict(released)

    def take(name: str) -> torch.Tensor:
        if name not in released:
            raise CheckpointError(
                f"{source} lacks '{name}': it is no Toto 2.0, or config.json belongs to other weights"
            )
        left.pop(name, None)
        return released[name].double()

    layers = [f"transformer.layers.{index}" for index in range(config.num_layers)]
    taus = [(float(take(f"{layer}.attn_tau")), float(take(f"{layer}.mlp_tau"))) for layer in layers]
    network = Toto2(config, taus)
    state: dict[str, torch.Tensor] = {}
    for linear in _list_linears(config, taus):
        for kind, factor in linear.factors.items():
            if f"{linear.ours}.{kind}" in network.state_dict():
                tensor = take(f"{linear.theirs}.{kind}")
                state[f"{linear.ours}.{kind}"] = torch.cat([tensor[rows] for rows in linear.rows]) * factor
    for layer in layers:
        attention = f"{layer}.attention"
        # The factor on every query channel: softplus(p) / ln 2, before the turn and after the norm, if there is one.
        channel = torch.ones(config.key_size, dtype=torch.float64)
        if config.per_dim_scale:
            channel = functional.softplus(take(f"{layer}.attn._pds.per_dim_scale")) / math.log(2)
        if config.qk_norm:
            weighted = config.qk_norm_weighted
            query, key = (take(f"{layer}.attn.{part}_norm.weight") if weighted else 1.0 for part in "qk")
            state[f"{attention}.query_norm.weight"] = channel * query
            state[f"{attention}.key_norm.weight"] = torch.ones_like(channel) * key
        else:
            every_head = channel.repeat(config.num_heads)
            state[f"{attention}.query.weight"] *= every_head[:, None]
            if config.attn_bias:
                state[f"{attention}.query.bias"] *= every_head
        if config.norm_include_weight:
            for norm in ("norm1", "norm2"):
                state[f"{layer}.{norm}.weight"] = take(f"{layer}.{norm}.weight")
    if config.norm_include_weight:
        state["norm.weight"] = take("transformer.out_norm.weight")
    if left:
        raise CheckpointError(
            f"{source} holds '{min(left)}' and {len(left) - 1} more that its config has no place for; check that "
            "config.json belongs to these weights"
        )
    load_state(network, state, source=source)
    return network


def make_fresh_network_v2(config: Toto2Config, generator: torch.Generator) -> Toto2:
    """Make a network with the initial weights of unit scaling: standard normal before folding, biases zero."""
    network = Toto2(config)
    for linear in _list_linears(config, network.taus):
        module = network.get_submodule(linear.ours)
        if isinstance(module, nn.Linear):
            with torch.no_grad():
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * linear.factors["weight"])
                if module.bias is not None:
                    module.bias.zero_()
    return network


def _list_linears(config: Toto2Config, taus: Sequence[Sequence[float]]) -> list[_Linear]:
    """Return every linear map with its constant."""
    d, patch = config.d_model, 2 * config.patch_size
    half = math.sqrt(0.5)
    embed, head = "patch_proj", "output_head.param_projection.proj"
    linears = [
        _Linear("embed.linear1", f"{embed}.linear1", patch**-0.5),
        _Linear("embed.linear2", f"{embed}.linear2", half * (4 * d) ** -0.5, input_factor=_SILU_FACTOR),
        _Linear("embed.skip", f"{embed}.skip_proj", half * patch**-0.5),
        _Linear("head.linear1", f"{head}.linear1", d**-0.5),
        _Linear("head.linear2", f"{head}.linear2", half / (4 * d), input_factor=_SILU_FACTOR),
        _Linear("head.skip", f"{head}.skip_proj", half / d),
    ]
    q = config.num_heads * config.key_size
    k = q + config.groups * config.key_size
    factors = compute_stream_factors(taus)
    for index, (attention_tau, mlp_tau) in enumerate(taus):
        layer = f"transformer.layers.{index}"
        project = f"{layer}.attn.in_proj"
        out = attention_tau / factors[2 * index] * (config.num_heads * config.value_size) ** -0.5
        down = mlp_tau / factors[2 * index + 1] * config.hidden**-0.5
        linears += [
            _Linear(f"{layer}.attention.query", project, d**-0.5, (slice(0, q),)),
            _Linear(f"{layer}.attention.key", project, d**-0.5, (slice(q, k),)),
            _Linear(f"{layer}.attention.value", project, d**-0.5, (slice(k, None),)),
            _Linear(f"{layer}.attention.out", f"{layer}.attn.out_proj", out),
            # Their second half is the one that is activated, our first.
            _Linear(f"{layer}.up", f"{layer}.ffn.fc1", d**-0.5, (slice(config.hidden, None), slice(0, config.hidden))),
            _Linear(f"{layer}.down", f"{layer}.ffn.fc2", down),
        ]
    return linears
