"""The released weights of Toto 1.0, rearranged.

Three things differ from the released files: a head's channels are contiguous here (there the head is the fast axis of
`wQKV`), queries, keys and values are three matrices, and the four heads are one. All are exact rearrangements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from alfred.analysts.toto.config import Toto1Config
from alfred.errors import CheckpointError

_PREFIX = "model."
_HEADS = ("df", "loc_proj", "scale_proj", "mixture_weights")
_PARTS = ("query", "key", "value")
# Their name inside a layer -> ours; the released file calls the gated network w12 and w3.
_LAYER_NAMES = {
    "norm1.scale": "norm1.weight",
    "norm2.scale": "norm2.weight",
    "attention.wO.weight": "attention.out.weight",
    "attention.wO.bias": "attention.out.bias",
    "mlp.0.weight": "up.weight",
    "mlp.0.bias": "up.bias",
    "mlp.2.weight": "down.weight",
    "mlp.2.bias": "down.bias",
}
_PLAIN_NAMES = {
    "patch_embed.projection.weight": "embed.weight",
    "patch_embed.projection.bias": "embed.bias",
    "unembed.weight": "unembed.weight",
    "unembed.bias": "unembed.bias",
}
_RELEASED_MLP = {"mlp.0.w12.": "mlp.0.", "mlp.0.w3.": "mlp.2."}


def import_weights_v1(
    released: Mapping[str, torch.Tensor], config: Toto1Config, source: str
) -> dict[str, torch.Tensor]:
    """Turn released tensors into the state of `Toto1`; both names of the gated network are known.

    Args:
        released: Tensors by their name in `model.safetensors`.
        config: Its `config.json`.
        source: Where they come from, for the message.

    Raises:
        CheckpointError: A tensor is missing, or the checkpoint was fine-tuned with labels for exogenous variates.
    """
    given = {}
    for name, tensor in released.items():
        short = name.removeprefix(_PREFIX)
        for old, new in _RELEASED_MLP.items():
            short = short.replace(old, new)
        # Frequencies and scales of the rotary positions are computed here.
        if "rotary_emb" not in short:
            given[short] = tensor
    if labels := [name for name in given if name.endswith("_variate_label")]:
        raise CheckpointError(
            f"{source} holds '{labels[0]}': it was fine-tuned with labels for exogenous variates, which alfred does "
            "not read; use a checkpoint without them"
        )
    state: dict[str, torch.Tensor] = {}
    heads: dict[str, torch.Tensor] = {}
    for name, tensor in given.items():
        match = re.fullmatch(r"transformer\.layers\.(\d+)\.(.+)", name)
        if match and match.group(2) in _LAYER_NAMES:
            state[f"transformer.layers.{match.group(1)}.{_LAYER_NAMES[match.group(2)]}"] = tensor
        elif match and match.group(2).startswith("attention.wQKV."):
            kind = name.rsplit(".", 1)[1]
            for part, block in zip(_PARTS, tensor.chunk(3), strict=True):
                split = torch.unflatten(block, 0, (-1, config.num_heads)).transpose(0, 1)
                state[f"transformer.layers.{match.group(1)}.attention.{part}.{kind}"] = split.flatten(0, 1)
        elif name.startswith("output_distribution."):
            heads[name.removeprefix("output_distribution.")] = tensor
        else:
            # A name that nobody knows is passed on: loading it then says that it does not belong here.
            state[_PLAIN_NAMES.get(name, name)] = tensor
    for kind in ("weight", "bias"):
        missing = [head for head in _HEADS if f"{head}.{kind}" not in heads]
        if missing:
            raise CheckpointError(f"{source} lacks 'output_distribution.{missing[0]}.{kind}': it is not a Toto 1.0")
        state[f"head.{kind}"] = torch.cat([heads[f"{head}.{kind}"] for head in _HEADS])
    return state
