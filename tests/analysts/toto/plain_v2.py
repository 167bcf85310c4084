"""Toto 2.0 written out step by step, in float64, from the released weights with every constant where the paper has it.

Slow and plain: no folding, no shared code with the package, loops over series, layers and heads. It answers for the
variants that no released size uses: grouped queries, norms on queries and keys, norm weights, no xPos.
"""

import math

import torch

SILU = math.exp(0.8 * math.log(math.sqrt(2 / (1 - 1 / math.pi))) + 0.2 * math.log(2))


def make_released_weights(config, seed=0):
    """Draw weights under the released names; the taus differ from layer to layer."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    d, p, q, v = config.d_model, config.patch_size, config.key_size, config.value_size
    weights = {}
    for prefix, n_in, n_out in (("patch_proj", 2 * p, d), ("output_head.param_projection.proj", d, 9 * p)):
        for name, shape in (("linear1", (4 * d, n_in)), ("linear2", (n_out, 4 * d)), ("skip_proj", (n_out, n_in))):
            weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"] = draw(*shape), draw(shape[0])
    for index in range(config.num_layers):
        layer = f"transformer.layers.{index}"
        rows = (config.num_heads + config.groups) * q + config.groups * v
        weights |= {
            f"{layer}.attn_tau": draw().abs() + 0.2,
            f"{layer}.mlp_tau": draw().abs() + 0.2,
            f"{layer}.attn.in_proj.weight": draw(rows, d),
            f"{layer}.attn.out_proj.weight": draw(d, config.num_heads * v),
            f"{layer}.ffn.fc1.weight": draw(2 * config.hidden, d),
            f"{layer}.ffn.fc2.weight": draw(d, config.hidden),
        }
        if config.attn_bias:
            weights |= {f"{layer}.attn.in_proj.bias": draw(rows), f"{layer}.attn.out_proj.bias": draw(d)}
        if config.mlp_bias:
            weights |= {f"{layer}.ffn.fc1.bias": draw(2 * config.hidden), f"{layer}.ffn.fc2.bias": draw(d)}
        if config.per_dim_scale:
            weights[f"{layer}.attn._pds.per_dim_scale"] = draw(q)
        if config.qk_norm and config.qk_norm_weighted:
            weights |= {f"{layer}.attn.{part}_norm.weight": draw(q) for part in "qk"}
        if config.norm_include_weight:
            weights |= {f"{layer}.norm{part}.weight": draw(d) for part in "12"}
    if config.norm_include_weight:
        weights["transformer.out_norm.weight"] = draw(d)
    return weights


class PlainToto2:
    def __init__(self, config, weights):
        self.config, self.weights = config, weights

    def linear(self, x, name, power=0.5):
        bias = self.weights.get(f"{name}.bias", 0.0)
        weight = self.weights[f"{name}.weight"]
        return (x @ weight.T + bias) / weight.shape[1] ** power

    def residual_mlp(self, x, name, power=0.5):
        hidden = self.linear(x, f"{name}.linear1")
        branch = self.linear(SILU * hidden * hidden.sigmoid(), f"{name}.linear2", power)
        return (branch + self.linear(x, f"{name}.skip_proj", power)) / math.sqrt(2)

    def norm(self, x, name):
        return x / (x.square().mean(-1, keepdim=True) + self.config.norm_eps).sqrt() * self.weights.get(name, 1.0)

    def turn(self, x, position, sign):
        """Turn one head of one token: pairs of neighbours in its first half."""
        out, size = x.clone(), len(x) // 2
        for i in range(0, size, 2):
            angle = position * 10000 ** (-i / size)
            factor = ((i + 0.4 * size) / (1.4 * size)) ** (sign * position / 256) if self.config.use_xpos else 1.0
            out[i] = factor * (x[i] * math.cos(angle) - x[i + 1] * math.sin(angle))
            out[i + 1] = factor * (x[i + 1] * math.cos(angle) + x[i] * math.sin(angle))
        return out

    def attention(self, x, index, *, space):
        """Attend in one sequence of tokens, `[n, E]`: causal with positions, or neither."""
        config, layer = self.config, f"transformer.layers.{index}.attn"
        q, v, n = config.key_size, config.value_size, len(x)
        joint = self.linear(x, f"{layer}.in_proj")
        query, key, value = joint.split([config.num_heads * q, config.groups * q, config.groups * v], dim=-1)
        heads = []
        for head in range(config.num_heads):
            group = head // (config.num_heads // config.groups)
            a, b = query[:, head * q : (head + 1) * q], key[:, group * q : (group + 1) * q]
            if config.qk_norm:
                a, b = self.norm(a, f"{layer}.q_norm.weight"), self.norm(b, f"{layer}.k_norm.weight")
            if config.per_dim_scale:
                a = a * torch.nn.functional.softplus(self.weights[f"{layer}._pds.per_dim_scale"]) / math.log(2)
            if not space:
                a = torch.stack([self.turn(a[i], i, 1) for i in range(n)])
                b = torch.stack([self.turn(b[i], i, -1) for i in range(n)])
            logits = a @ b.T / q
            if not space:
                logits = logits.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -math.inf)
            heads.append(logits.softmax(-1) @ value[:, group * v : (group + 1) * v])
        return self.linear(torch.cat(heads, dim=-1), f"{layer}.out_proj")

    def forward(self, scaled, observed):
        """Return `[B, V, N, P, 9]` for complete or partly observed patches of one group."""
        config = self.config
        values = torch.where(observed, scaled.arcsinh(), 0.0)
        x = self.residual_mlp(torch.cat((values, (~observed).double()), dim=-1), "patch_proj")
        n_space, size = config.num_variate_layers_per_group, config.layer_group_size
        for index in range(config.num_layers):
            layer, place = f"transformer.layers.{index}", index % size
            space = place < n_space if config.variate_layer_first else place >= size - n_space
            normed, branch = self.norm(x, f"{layer}.norm1.weight"), torch.empty_like(x)
            for b in range(x.shape[0]):
                for i in range(x.shape[2] if space else x.shape[1]):
                    where = (b, slice(None), i) if space else (b, i)
                    branch[where] = self.attention(normed[where], index, space=space)
            x = self.add(branch, x, self.weights[f"{layer}.attn_tau"])
            value, gate = self.linear(self.norm(x, f"{layer}.norm2.weight"), f"{layer}.ffn.fc1").chunk(2, dim=-1)
            branch = self.linear(value * gate * gate.sigmoid(), f"{layer}.ffn.fc2")
            x = self.add(branch, x, self.weights[f"{layer}.mlp_tau"])
        out = self.residual_mlp(
            self.norm(x, "transformer.out_norm.weight"), "output_head.param_projection.proj", power=1
        )
        return out.unflatten(-1, (config.patch_size, 9))

    @staticmethod
    def add(branch, stream, tau):
        return (branch * tau + stream) / (1 + tau**2).sqrt()
