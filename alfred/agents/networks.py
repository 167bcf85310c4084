"""Networks that treat every asset alike: permuting the assets permutes the scores; and one that does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from alfred.agents.settings import NetworkKind
from alfred.agents.tilting import tilt_rows
from alfred.typing import Float, Observation, Tensors

_N_HEADS = 4
_HEADS = ("head", "cash_head")  # the last layers, by the names that networks give them
_MOST_SQUASHED = 0.999  # a hyperbolic tangent never gets to one
_UNIT = 10.0  # logits that a parameter of a tilt stands for: optimisers step in hundredths
_CLOSED = -1e9  # a logit of no weight
_LEAST = 1e-9  # of an equal weight; keeps the gradient of a logarithm finite


@dataclass(frozen=True)
class ObservationShape:
    """What a network needs to know of the observations; the number of assets is not among it.

    Attributes:
        n_signals: Signals per asset, K.
        n_market: Features of the market, M.
        lookback: Sessions of returns per asset, L.
    """

    n_signals: int
    n_market: int
    lookback: int

    @property
    def per_asset(self) -> int:
        """Own numbers of an asset: signals, returns, weight, tradable."""
        return self.n_signals + self.lookback + 2

    @property
    def shared(self) -> int:
        """Numbers that all assets see: means over the assets, the market, cash."""
        return self.per_asset + self.n_market + 1


def unflatten(flat: torch.Tensor, shape: ObservationShape) -> Tensors:
    """Part flat observations `[..., D]` into named ones; see `alfred.envs.observations` for their order.

    The number of assets follows from D, so that one network reads universes of any size.
    """
    n = (flat.shape[-1] - 1 - shape.n_market) // shape.per_asset
    k, length = shape.n_signals, shape.lookback
    sizes = [n * k, n + 1, shape.n_market, n, n * length]
    signals, weights, market, tradable, returns = torch.split(flat, sizes, dim=-1)
    named = {"weights": weights, "market": market, "tradable": tradable}
    if k:
        named["signals"] = signals.reshape(*flat.shape[:-1], n, k)
    if length:
        named["returns"] = returns.reshape(*flat.shape[:-1], n, length)
    return named


def split_features(observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is an asset's own, `[P, N, A]`, and what all share, `[P, S]`.

    Weights are multiplied by the number of assets, so that equal weights read 1 in a universe of any size.
    """
    weights = observation["weights"]
    n = weights.shape[-1] - 1
    parts = [(weights[..., :-1] * n).unsqueeze(-1), observation["tradable"].unsqueeze(-1)]
    if "signals" in observation:
        parts.append(observation["signals"])
    if "returns" in observation:
        # Daily returns are near 0.01; in per cent they have the size of everything else.
        parts.append(observation["returns"] * 100.0)
    own = torch.cat(parts, dim=-1)
    shared = torch.cat([own.mean(dim=-2), observation["market"], weights[..., -1:]], dim=-1)
    return own, shared


@dataclass(frozen=True)
class NetworkSpec:
    """All that is needed to build a network.

    Attributes:
        shape: Sizes of the observations.
        kind: `shared` applies one small network to every asset; `attention` lets the assets look at each other as
            well; `flat` reads all numbers of all assets at once, is bound to its universe, and memorises history;
            `tilt` has one slope a signal and a pace.
        hidden: Widths of the hidden layers.
        score_scale: Factor on the scores; see `alfred.agents.base.AgentSettings.temperature`.
        n_assets: Assets N of the universe it is trained on; only `flat` is bound to it.
        state_size: Width of a memory of the market; see `alfred.agents.recurrent`.
        start_asset: Action of each asset of an untrained network, times the number of tradable assets.
        start_cash: Action of cash of an untrained network.
        squashed: Whether scores go through a hyperbolic tangent on their way to actions, as off-policy agents have it.
        logit_scale: Of the softmax that reads the actions, for `tilt`, which thinks in weights; zero where actions are
            read as weights.
        leverage: Sum of absolute weights that actions of size one stand for, where assets can be sold short; zero where
            they cannot.
    """

    shape: ObservationShape
    kind: NetworkKind = "shared"
    hidden: tuple[int, ...] = (32, 32)
    score_scale: float = 1.0
    n_assets: int = 0
    state_size: int = 0
    start_asset: float = 0.0
    start_cash: float = 0.0
    squashed: bool = False
    logit_scale: float = 0.0
    leverage: float = 0.0


class ScoreNetwork(nn.Module):
    """The base of the networks: what is learnt starts at zero, so that an untrained agent holds equal weights.

    Attributes:
        summary_width: Width of the summary of an observation, which a critic reads.
    """

    summary_width: int

    def __init__(self, spec: NetworkSpec) -> None:
        """Keep the specification."""
        super().__init__()
        self.spec = spec

    def forward(self, observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores, cash last, `[P, N+1]`, and a summary of the observation, `[P, summary_width]`."""
        raise NotImplementedError

    def find_scores(self, observation: Tensors) -> torch.Tensor:
        """Return the scores alone, for who needs no summary."""
        scores: torch.Tensor = self(observation)[0]
        return scores

    def find_start(self, tradable: torch.Tensor) -> torch.Tensor:
        """Return the scores that stand for equal weights, cash last, from what trades `[P, N]`, `[P, N+1]`."""
        spec = self.spec
        assets = spec.start_asset * tradable / tradable.sum(dim=-1, keepdim=True).clamp(min=1.0)
        start = torch.cat([assets, torch.full_like(assets[..., :1], spec.start_cash)], dim=-1)
        return torch.atanh(start.clamp(-_MOST_SQUASHED, _MOST_SQUASHED)) if spec.squashed else start

    @property
    def learnt_nothing(self) -> bool:
        """Whether its last layers are still zero, so that its scores are those that it started with, whatever it sees.

        They are read each time, for a network may be trained on.
        """
        layers = [layer for name in _HEADS if isinstance(layer := self._modules.get(name), nn.Linear)]
        return bool(layers) and not any(
            value.detach().numpy().any() for layer in layers for value in (layer.weight, layer.bias)
        )

    def _finish(self, learnt: torch.Tensor, observation: Tensors) -> torch.Tensor:
        """Return scores `[P, N+1]`: what was learnt beyond the scores that stand for equal weights."""
        return learnt * self.spec.score_scale + self.find_start(observation["tradable"])


class AssetNetwork(ScoreNetwork):
    """One small network applied to every asset, and one to cash.

    An asset's score is a function of its own numbers and of what all assets share (means over the cross-section, the
    market, cash). Sharing the weights over assets gives N times the data per parameter, which is the largest lever
    there is on learning from daily prices.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Build the layers."""
        super().__init__(spec)
        shape, hidden = spec.shape, spec.hidden
        self.body = _mlp(shape.per_asset + shape.shared, hidden)
        self.cash_body = _mlp(shape.shared, hidden)
        self.head, self.cash_head = _zero_head(hidden[-1]), _zero_head(hidden[-1])
        self.summary_width = 2 * hidden[-1]

    def forward(self, observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores and summary; see the base class."""
        own, shared = split_features(observation)
        hidden, cash = _run_assets(self.body, own, shared), _run_body(self.cash_body, shared)
        scores = torch.cat([_run(self.head, hidden).squeeze(-1), _run(self.cash_head, cash)], dim=-1)
        return self._finish(scores, observation), torch.cat([hidden.mean(dim=-2), cash], dim=-1)

    def score(self, observation: Tensors) -> torch.Tensor:
        """Return what was learnt beyond the start, cash last, `[P, N+1]`.

        The same to the last bit as in `forward`, for who asks for one observation at a time and needs no summary.
        """
        return self.score_features(*split_features(observation))

    def score_features(self, own: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
        """Return the same from what `split_features` returns."""
        hidden, cash = _run_assets(self.body, own, shared), _run_body(self.cash_body, shared)
        return torch.cat([_run(self.head, hidden).squeeze(-1), _run(self.cash_head, cash)], dim=-1)


class AttentionNetwork(ScoreNetwork):
    """The same with one layer of self-attention across the assets, cash among them.

    There is no encoding of positions, so that permuting the assets still permutes the scores (Vaswani et al., 2017,
    without section 3.5; Lee et al., 2019).
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Build the layers; the last hidden width is rounded up to a multiple of the heads."""
        super().__init__(spec)
        shape = spec.shape
        width = -(-spec.hidden[-1] // _N_HEADS) * _N_HEADS
        self.body = _mlp(shape.per_asset + shape.shared, (*spec.hidden[:-1], width))
        self.cash_body = _mlp(shape.shared, (*spec.hidden[:-1], width))
        self.attention = nn.MultiheadAttention(width, _N_HEADS, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head, self.cash_head = _zero_head(width), _zero_head(width)
        self.summary_width = 2 * width

    def forward(self, observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores and summary; see the base class."""
        own, shared = split_features(observation)
        tokens = torch.cat([_run_assets(self.body, own, shared), self.cash_body(shared).unsqueeze(-2)], dim=-2)
        normed = self.norm(tokens)
        attended, _ = self.attention(normed, normed, normed, need_weights=False)
        tokens = tokens + attended
        assets, cash = tokens[..., :-1, :], tokens[..., -1, :]
        scores = torch.cat([self.head(assets).squeeze(-1), self.cash_head(cash)], dim=-1)
        return self._finish(scores, observation), torch.cat([assets.mean(dim=-2), cash], dim=-1)


class FlatNetwork(ScoreNetwork):
    """All numbers of all assets into one network: the field's default, here to be compared with.

    On the embedded stocks such a network reaches a Sharpe ratio of 7 in training and loses to equal weights in test.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Build the layers."""
        super().__init__(spec)
        shape, n = spec.shape, spec.n_assets
        self.body = _mlp(n * shape.per_asset + shape.n_market + 1, spec.hidden)
        self.head = _zero_head(spec.hidden[-1], n + 1)
        self.summary_width = spec.hidden[-1]

    def forward(self, observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores and summary; see the base class."""
        own, shared = split_features(observation)
        rest = shared[..., own.shape[-1] :]
        hidden = self.body(torch.cat([own.flatten(start_dim=-2), rest], dim=-1))
        return self._finish(self.head(hidden), observation), hidden


class TiltNetwork(ScoreNetwork):
    """Equal weights, tilted by a weighted sum of the signals and approached at a pace.

    The target of asset i is `softmax(10 slopes . z_i)`, where z are the signals less their mean over what trades, and
    `(1 + 10 slopes . z_i) / N` where assets can be sold short (a parametric portfolio policy: Brandt, Santa-Clara and
    Valkanov, 2009). What is held moves towards it by the share `sigmoid(10 pace)` a decision, as trading costs advise
    (Garleanu and Pedersen, 2013); cash that waits to be invested goes into the target at once. It has no more numbers
    than a few thousand sessions can teach, where thousands of weights learn the past by heart.

    Attributes:
        slopes: Tens of logits of weight per unit of each signal, `[K]`; all zero in the untrained network.
        pace: Tens of the logit of the share of the way that one decision goes.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Begin at equal weights."""
        super().__init__(spec)
        self.slopes = nn.Parameter(torch.zeros(spec.shape.n_signals))
        self.pace = nn.Parameter(torch.tensor(0.0))
        self.summary_width = spec.shape.shared

    @property
    def learnt_nothing(self) -> bool:
        """Whether all slopes are zero; see the base class."""
        return not bool(self.slopes.detach().numpy().any())

    def forward(self, observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores and summary; see the base class."""
        return self.find_scores(observation), self._summarise(observation)

    def find_scores(self, observation: Tensors) -> torch.Tensor:
        """Return the scores alone; see the base class."""
        return self.encode(self.find_weights(observation))

    def _summarise(self, observation: Tensors) -> torch.Tensor:
        """Return what all assets share, as `split_features` has it."""
        weights, tradable = observation["weights"], observation["tradable"]
        parts = [weights[..., :-1].sum(dim=-1, keepdim=True), tradable.mean(dim=-1, keepdim=True)]
        if "signals" in observation:
            parts.append(observation["signals"].mean(dim=-2))
        if "returns" in observation:
            parts.append(observation["returns"].mean(dim=-2) * 100.0)
        return torch.cat([*parts, observation["market"], weights[..., -1:]], dim=-1)

    def answer(self, observation: Observation) -> Float:
        """Return the actions of arrays, `[P, N+1]`: those of the scores up to rounding, squashed where they are."""
        tradable, spec = observation["tradable"], self.spec
        signals = observation.get("signals")
        return tilt_rows(
            np.zeros((*tradable.shape, 0), dtype=np.float32) if signals is None else signals,
            observation["weights"],
            tradable,
            self.slopes.detach().numpy() * np.float64(_UNIT),
            float(self.pace.detach()) * _UNIT,
            spec.logit_scale,
            spec.leverage,
            _LEAST,
            _MOST_SQUASHED if spec.squashed else 1.0,
        )

    @property
    def tilts(self) -> torch.Tensor:
        """Logits of weight per unit of each signal, `[K]`."""
        return self.slopes * _UNIT

    def find_weights(self, observation: Tensors) -> torch.Tensor:
        """Return target weights, cash last, `[P, N+1]`."""
        weights, tradable = observation["weights"][..., :-1], observation["tradable"]
        tilt = torch.zeros_like(weights)
        if "signals" in observation:
            # The mean is taken of the sums, one number an asset, and not of the signals themselves.
            tilt = observation["signals"] @ self.tilts
            count = tradable.sum(dim=-1, keepdim=True).clamp(min=1.0)
            tilt = (tilt - (tilt * tradable).sum(dim=-1, keepdim=True) / count) * tradable
        if self.spec.leverage:
            aim = (1.0 + tilt) * tradable / tradable.sum(dim=-1, keepdim=True).clamp(min=1.0)
        else:
            # Where nothing trades, nothing is aimed at either, and the ledger leaves all as it is.
            aim = torch.softmax(tilt.masked_fill(tradable <= 0.0, _CLOSED), dim=-1)
        kept = (1.0 - torch.sigmoid(self.pace * _UNIT)) * weights
        assets = kept + (1.0 - kept.sum(dim=-1, keepdim=True)) * aim
        return torch.cat([assets, torch.zeros_like(assets[..., :1])], dim=-1)

    def encode(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the scores that stand for target weights `[P, N+1]`, as near as the actions reach."""
        if self.spec.logit_scale:
            scores = (weights * weights.shape[-1]).clamp(min=_LEAST).log() / self.spec.logit_scale
        else:
            scores = weights / self.spec.leverage if self.spec.leverage else 2.0 * weights - 1.0
        scores = scores.clamp(-1.0, 1.0)
        return torch.atanh(scores.clamp(-_MOST_SQUASHED, _MOST_SQUASHED)) if self.spec.squashed else scores


def make_network(spec: NetworkSpec) -> ScoreNetwork:
    """Build the network of a specification, with fresh weights from torch's generator."""
    kinds: dict[str, type[ScoreNetwork]] = {
        "shared": AssetNetwork,
        "attention": AttentionNetwork,
        "flat": FlatNetwork,
        "tilt": TiltNetwork,
    }
    return kinds[spec.kind](spec)


def _run(layer: nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    """Apply a layer without what a call of a module does around it, which takes longer than the layer."""
    parameters = layer._parameters
    return functional.linear(inputs, parameters["weight"], parameters["bias"])  # type: ignore[arg-type]


def _run_assets(body: nn.Sequential, own: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """Apply what `_mlp` returns to each asset's own numbers with the shared ones behind them, `[P, N, width]`.

    The first layer is a sum of two: what all assets share is multiplied once instead of once an asset.
    """
    first = body[0]._parameters
    weight, n_own = cast("torch.Tensor", first["weight"]), own.shape[-1]
    common = functional.linear(shared, weight[:, n_own:], first["bias"])
    return _run_body(islice(body, 1, None), functional.linear(own, weight[:, :n_own]) + common.unsqueeze(-2))


def _run_body(body: Iterable[nn.Module], inputs: torch.Tensor) -> torch.Tensor:
    """Apply linear layers and hyperbolic tangents in turn."""
    for layer in body:
        inputs = _run(layer, inputs) if isinstance(layer, nn.Linear) else torch.tanh(inputs)
    return inputs


def _zero_head(n_inputs: int, n_outputs: int = 1) -> nn.Linear:
    layer = nn.Linear(n_inputs, n_outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _mlp(n_inputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_inputs, width), nn.Tanh()]
        n_inputs = width
    return nn.Sequential(*layers)
