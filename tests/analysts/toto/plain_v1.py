"""Toto 1.0 written out step by step, in float64, from the released weights: scaler, network, losses.

Slow and plain, and no shared code with the package: loops over series, patches, layers and heads. It answers for
configurations that no folder of reference arrays holds, and is itself held to those that are there.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

EPS = torch.finfo(torch.float32).eps
PREFIX = "model."  # of names in released files; folders without it are read as well


def make_config(**changes):
    """Return a `config.json` of a small model, as released."""
    return {
        "patch_size": 8,
        "stride": 8,
        "embed_dim": 16,
        "num_layers": 2,
        "num_heads": 2,
        "mlp_hidden_dim": 24,
        "dropout": 0.1,
        "spacewise_every_n_layers": 2,
        "spacewise_first": False,
        "scaler_cls": "<class 'model.scaler.CausalPatchStdMeanScaler'>",
        "output_distribution_classes": ["<class 'model.distribution.MixtureOfStudentTsOutput'>"],
        "output_distribution_kwargs": {"k_components": 2},
        "stabilize_with_global": True,
        "scale_factor_exponent": 10.0,
    } | changes


def make_weights(config, seed=0):
    """Draw weights under the released names."""
    generator = torch.Generator().manual_seed(seed)
    d, p, h, k = (
        config["embed_dim"],
        config["patch_size"],
        config["mlp_hidden_dim"],
        config["output_distribution_kwargs"]["k_components"],
    )

    def draw(rows, columns):
        weight = torch.randn(rows, columns, generator=generator) / math.sqrt(columns)
        return weight, torch.randn(rows, generator=generator) * 0.1

    maps = {"patch_embed.projection": (d, p), "unembed": (p * d, d)}
    maps |= {f"output_distribution.{name}": (k, d) for name in ("df", "loc_proj", "scale_proj", "mixture_weights")}
    weights = {}
    for index in range(config["num_layers"]):
        layer = f"transformer.layers.{index}"
        maps |= {f"{layer}.attention.wQKV": (3 * d, d), f"{layer}.attention.wO": (d, d)}
        maps |= {f"{layer}.mlp.0": (2 * h, d), f"{layer}.mlp.2": (d, h)}
        weights |= {f"{layer}.norm{n}.scale": 1 + 0.1 * torch.randn(d, generator=generator) for n in (1, 2)}
    for name, shape in maps.items():
        weights[f"{name}.weight"], weights[f"{name}.bias"] = draw(*shape)
    return weights


class PlainToto1:
    """The network and its losses; weights are float64 leaves, so that gradients can be asked for."""

    def __init__(self, config, weights):
        self.config = config
        named = {name.removeprefix(PREFIX): value for name, value in weights.items()}
        self.weights = {name: value.double().requires_grad_() for name, value in named.items() if "rotary" not in name}

    def is_spacewise(self, index):
        every = self.config["spacewise_every_n_layers"]
        return every > 0 and index % every == (0 if self.config["spacewise_first"] else every - 1)

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-8) * self.weights[f"{name}.scale"]

    def turn(self, x, sign):
        """Rotate and scale one head, `[n, D]`; xPos grows keys and shrinks queries or the other way round by `sign`."""
        n, size = x.shape
        out = torch.empty_like(x)
        for t in range(n):
            for c in range(0, size, 2):
                angle = t * 10000.0 ** (-c / size)
                for own, a, b in ((c, x[t, c], -x[t, c + 1]), (c + 1, x[t, c + 1], x[t, c])):
                    z = (2 * (own % (size // 2)) + 0.4 * size) / (1.4 * size)
                    grown = z ** (sign * (t - (n - 1) // 2) / 512)
                    out[t, own] = (a * math.cos(angle) + b * math.sin(angle)) * grown
        return out

    def attend(self, x, ids, index):
        """Attention of one layer on one series, `[V, n, E]`."""
        v, n, width = x.shape
        heads, size = self.config["num_heads"], width // self.config["num_heads"]
        space = self.is_spacewise(index)
        # The head is the fast axis of each of the three blocks of rows.
        parts = self.linear(x, f"transformer.layers.{index}.attention.wQKV").unflatten(-1, (3, size, heads))
        mixed = torch.zeros(v, n, heads, size, dtype=torch.float64)
        for head in range(heads):
            query, key, value = (parts[:, :, part, :, head] for part in range(3))
            if space:
                hidden = ids[:, None] != ids[None]
                rows = [(slice(None), t) for t in range(n)]
            else:
                hidden = torch.ones(n, n).triu(1).bool()
                rows = list(range(v))
            for row in rows:
                q, k = query[row], key[row]
                if not space:
                    q, k = self.turn(q, 1), self.turn(k, -1)
                score = (q @ k.T / math.sqrt(size)).masked_fill(hidden, -math.inf)
                mixed[(*row, head) if space else (row, slice(None), head)] = score.softmax(-1) @ value[row]
        return self.linear(mixed.flatten(-2), f"transformer.layers.{index}.attention.wO")

    def embed(self, scaled):
        return self.linear(scaled.unflatten(-1, (-1, self.config["patch_size"])), "patch_embed.projection")

    def read(self, scaled, ids):
        """Return hidden states, `[B, V, T] -> [B, V, N, E]`."""
        series = []
        for tokens, own in zip(self.embed(scaled.double()), ids, strict=True):
            x = tokens
            for index in range(self.config["num_layers"]):
                layer = f"transformer.layers.{index}"
                x = x + self.attend(self.norm(x, f"{layer}.norm1"), own, index)
                gate, value = self.linear(self.norm(x, f"{layer}.norm2"), f"{layer}.mlp.0").chunk(2, -1)
                x = x + self.linear(gate * gate.sigmoid() * value, f"{layer}.mlp.2")
            series.append(x)
        return torch.stack(series)

    def forecast(self, scaled, ids):
        """Return hidden states and the four parts of the mixture of every step, in scaled units."""
        hidden = self.read(scaled, ids)
        steps = self.linear(hidden, "unembed").unflatten(-1, (self.config["patch_size"], -1)).flatten(-3, -2)
        parts = {}
        for part, name in (("df", "df"), ("loc", "loc_proj"), ("scale", "scale_proj"), ("prob", "mixture_weights")):
            parts[part] = self.linear(steps, f"output_distribution.{name}")
        parts["df"] = 2 + (1 + parts["df"].exp()).log().clamp(min=EPS)
        parts["scale"] = (1 + parts["scale"].exp()).log().clamp(min=EPS)
        parts["prob"] = parts["prob"].softmax(-1)
        return hidden, parts

    def scale(self, series, mask):
        """Return location and scale of every step: those at the end of its patch, `[B, V, T]`."""
        p, power = self.config["patch_size"], 10.0 ** self.config["scale_factor_exponent"]
        loc, scale = torch.empty(series.shape).double(), torch.empty(series.shape).double()
        for index in np.ndindex(*series.shape[:2]):
            for stop in range(p, series.shape[-1] + 1, p):
                seen = series[index][:stop].double()[mask[index][:stop]]
                loc[index][stop - p : stop] = seen.mean() if len(seen) else 0.0
                spread = math.sqrt((float(seen.var()) if len(seen) > 1 else 0.0) + 0.1)
                if self.config["stabilize_with_global"]:
                    whole = series[index].double()[mask[index]]
                    overall = math.sqrt((float(whole.var(correction=0)) if len(whole) else 0.0) + 0.1)
                    spread = min(max(spread, overall / power, 0.1), overall * power)
                scale[index][stop - p : stop] = spread
        return loc, scale

    def compute_losses(self, series, mask, ids):
        """Return likelihood, robust and combined loss of all but the first patch, read off all but the last."""
        p = self.config["patch_size"]
        loc, scale = self.scale(series[..., :-p], mask[..., :-p])
        _, parts = self.forecast((series[..., :-p].double() - loc) / scale, ids)
        target = (series[..., p:].double() - loc) / (scale + EPS)
        density = torch.distributions.StudentT(parts["df"], parts["loc"], parts["scale"]).log_prob(target[..., None])
        nll = -(density + parts["prob"].log()).logsumexp(-1)
        miss = (parts["prob"] * parts["loc"]).sum(-1) - target
        robust = (1 + 0.5 * (miss / 0.1) ** 2).log()
        nll, robust = nll[mask[..., p:]].mean(), robust[mask[..., p:]].mean()
        return nll, robust, 0.575 * nll + 0.425 * robust


def write_arrays(folder: Path, config, cases, seed=0) -> None:
    """Write a folder of the layout of the reference arrays: `cases` are series, mask and groups by name."""
    folder.mkdir(parents=True)
    weights = make_weights(config, seed)
    save_file({PREFIX + name: value for name, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    arrays = {}
    for name, (series, mask, ids) in cases.items():
        plain = PlainToto1(config, weights)
        nll, robust, combined = plain.compute_losses(series, mask, ids)
        combined.backward()
        with torch.no_grad():
            loc, scale = plain.scale(series, mask)
            scaled = (series.double() - loc) / scale
            hidden, parts = plain.forecast(scaled, ids)
            mean = loc + scale * (parts["prob"] * parts["loc"]).sum(-1)
            own = {
                "series": series,
                "padding_mask": mask,
                "id_mask": ids[..., None].expand(series.shape),
                "padded": series,
                "padded_mask": mask,
                "scaled": scaled,
                "scaler_loc": loc,
                "scaler_scale": scale,
                "embedding": plain.embed(scaled),
                "hidden": hidden,
                "mean": mean,
                **{f"mix_{part}": value for part, value in parts.items()},
                "loss_nll": nll,
                "loss_robust": robust,
                "loss_combined": combined,
                "grad_patch_embed": plain.weights["patch_embed.projection.weight"].grad,
                "grad_wqkv_0": plain.weights["transformer.layers.0.attention.wQKV.weight"].grad,
            }
        for key, value in own.items():
            wide = value.detach()
            arrays[f"{name}/{key}"] = (wide.float() if wide.is_floating_point() else wide).numpy()
    np.savez(folder / "expected.npz", **arrays)
