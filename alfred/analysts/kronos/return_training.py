"""Training of a return head, alone or together with the transformer that it reads.

Axes legend: B batch, T bars of history, H horizons, K last moves, P numbers that describe one horizon.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import nn

from alfred.analysts.extractors.heads import Head
from alfred.analysts.kronos.checkpoint import KronosPair
from alfred.analysts.kronos.config import COLUMNS, find_max_context
from alfred.analysts.kronos.model import KronosModel
from alfred.analysts.kronos.return_head import make_head, measure_spread, scale_last_moves
from alfred.analysts.kronos.settings import KronosBaseSettings, ReturnHeadSettings
from alfred.analysts.kronos.tokenizer import KronosTokenizer
from alfred.analysts.kronos.training import adapt, find_checkpoint, logger
from alfred.analysts.kronos.windows import WindowExamples, split_windows
from alfred.analysts.windows import CLIP, scale_by_horizon
from alfred.data.market import Market
from alfred.learning.fitting import fit_module

_CLOSE = COLUMNS.index("close")
_MEASURED = 256  # validation windows in one pass when the spread of a Huber head is measured

Method = Literal["frozen", "full", "lora"]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class ReturnExamples:
    """Windows with what followed them, cut when they are asked for.

    Attributes:
        windows: Histories and as many bars after them as the longest horizon.
        horizons: Bars ahead, `[H]`.
        n_moves: Last moves that are read, K.
    """

    windows: WindowExamples
    horizons: tuple[int, ...]
    n_moves: int

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.windows)

    def __getitem__(self, rows: torch.Tensor) -> Batch:
        """Return scaled candles `[B, T, 6]`, time stamps `[B, T, 5]`, last moves `[B, K]` and returns `[B, H]`.

        Moves and returns are in spreads of the window. These scales come from the history alone, so that the bars
        after it leave no trace in the first three.
        """
        x, stamps = self.windows[rows]
        history = self.windows.history
        starts = self.windows.starts[rows.numpy()][:, None]
        closes = np.log(self.windows.values[starts + np.arange(self.windows.length), _CLOSE])
        moves = np.diff(closes[:, :history], axis=1)
        spread = scale_by_horizon(measure_spread(moves), self.horizons)
        ends = [history - 1 + horizon for horizon in self.horizons]
        target = np.clip((closes[:, ends] - closes[:, history - 1 : history]) / spread, -CLIP, CLIP)
        recent = torch.from_numpy(scale_last_moves(moves, self.n_moves))
        return x[:, :history], stamps[:, :history], recent, torch.from_numpy(target.astype(np.float32))


class ReturnNetwork(nn.Module):
    """A transformer with a return head on the last bar.

    Only the last bar is trained on: the scale of a window comes from all of its history, so that an earlier bar reads
    what it must forecast.
    """

    def __init__(self, model: KronosModel, head: Head, *, is_frozen: bool) -> None:
        """Put both together.

        Args:
            model: The transformer.
            head: The head.
            is_frozen: Whether the transformer is not trained; its dropout is off then.
        """
        super().__init__()
        self.model, self.head, self.is_frozen = model, head, is_frozen

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off, but never on in a transformer that is not trained."""
        super().train(mode)
        self.model.train(mode and not self.is_frozen)
        return self

    def forward(self, s1: torch.Tensor, s2: torch.Tensor, stamps: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        """Return the numbers of the head, `[B, H, P]`.

        Args:
            s1: Coarse ids, `[B, T]`.
            s2: Fine ids, `[B, T]`.
            stamps: Time stamps, `[B, T, 5]`.
            moves: Last moves, `[B, K]`.
        """
        result: torch.Tensor = self.head(torch.cat([self.model.read(s1, s2, stamps)[:, -1], moves], dim=1))
        return result


def train_head(pair: KronosPair, market: Market, settings: KronosBaseSettings, returns: ReturnHeadSettings) -> Head:
    """Train a fresh head on forward returns, and the transformer with it unless `fine_tune` freezes it.

    Training and validation windows share no bar, labels included, which is stricter than purging.

    Args:
        pair: The pair; its transformer is trained in place, its tokenizer stays as it is.
        market: Everything that may be known.
        settings: Those of the analyst.
        returns: Those of the head.

    Raises:
        DataError: The history is too short to train on, or the loss is not finite.
        MissingExtraError: `fine_tune: lora` without peft.
    """
    s = settings
    method: Method = "full" if s.checkpoint is None else "frozen" if s.fine_tune == "none" else s.fine_tune
    parts = split_windows(
        market,
        history=s.context_length,
        horizon=max(s.horizons),
        validation_fraction=s.validation_fraction,
        max_validation=returns.max_validation,
    )
    train, validation = (ReturnExamples(part, s.horizons, returns.moves) for part in parts)
    head = make_head(returns, pair.model.settings.d_model, len(s.horizons)).to(s.device)
    network = ReturnNetwork(pair.model, head, is_frozen=method == "frozen")
    max_context = find_max_context(pair.model.settings, s.max_context)
    pair.tokenizer.eval()

    def read(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        x, stamps, moves, target = (part.to(s.device) for part in batch)
        # As in a forecast: tokens of the whole history, of which the model reads the last `max_context`.
        s1, s2 = _tokenise(pair.tokenizer, x)
        return network(s1[:, -max_context:], s2[:, -max_context:], stamps[:, -max_context:], moves), target

    with _trained(pair.model, method, s):
        report = fit_module(
            network,
            lambda batch: head.compute_loss(*read(batch)).mean(),
            train=train,
            validation=validation,
            settings=returns.fitting,
            seed=s.seed,
            checkpoint=find_checkpoint(s, "return", parts[0]),
        )
    network.eval()
    if returns.loss == "huber":
        rows = torch.arange(len(validation))
        with torch.no_grad():
            found = [read(validation[rows[i : i + _MEASURED]]) for i in range(0, len(rows), _MEASURED)]
            head.measure(torch.cat([numbers for numbers, _ in found]), torch.cat([target for _, target in found]))
    logger.info("return head: loss %.4f at step %d of %d", report.best_loss, report.best_step, report.steps)
    return head


@torch.no_grad()
def _tokenise(tokenizer: KronosTokenizer, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return tokenizer.encode(x)


@contextmanager
def _trained(model: KronosModel, method: Method, settings: KronosBaseSettings) -> Iterator[None]:
    """Let training inside the `with` change what the method says of a transformer, and never its token heads."""
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    with adapt(model, "lora" if method == "lora" else "full", settings.lora, settings.seed):
        if method == "frozen":
            model.requires_grad_(False)
        model.dep_layer.requires_grad_(False)
        model.head.requires_grad_(False)
        yield
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(before[name])
