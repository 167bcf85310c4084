"""The same forecast by the book: every sample on its own row, everything recomputed at every step.

It is what the fast path is measured against, in tests for its result and in `benchmarks/bench_kronos.py` for its time.
Only the modules of the network are used here, none of the fast path but the choice of a token.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from alfred.analysts.kronos.decoding.sampling import TokenChooser
from alfred.analysts.kronos.model import KronosModel
from alfred.analysts.kronos.tokenizer import KronosTokenizer


class PlainGenerator:
    """Forecasts of a batch whose rows are repeated for every sample.

    Axes: N rows (a series once for each of its samples), L bars of history, H horizon.
    """

    def __init__(self, tokenizer: KronosTokenizer, model: KronosModel, max_context: int) -> None:
        """Keep both networks, in eval mode."""
        self.tokenizer, self.model, self.max_context = tokenizer.eval(), model.eval(), max_context

    @torch.inference_mode()
    def encode(self, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both ids of every bar of every row, `[N, L, 6] -> [N, L]` each."""
        return self.tokenizer.encode(scaled)

    @torch.inference_mode()
    def take_steps(
        self,
        ids: tuple[torch.Tensor, torch.Tensor],
        stamps: torch.Tensor,
        chooser: TokenChooser,
        *,
        n_bars: int,
        steps: Iterable[int],
    ) -> None:
        """Choose the tokens of some steps, each from the whole window, and write them into the ids.

        Args:
            ids: Both ids, `[N, L + H]`; those before a step must be there.
            stamps: Time stamps, `[N, L + H, 5]`.
            chooser: How a token is chosen.
            n_bars: Bars of history, L.
            steps: Steps to take, from 0.
        """
        s1, s2 = ids
        for step in steps:
            stop = n_bars + step
            window = slice(max(stop - self.max_context, 0), stop)
            logits_s1, context = self.model.decode_s1(s1[:, window], s2[:, window], stamps[:, window])
            s1[:, stop] = chooser.choose(logits_s1[:, -1], step, 0)
            logits_s2 = self.model.decode_s2(context, s1[:, stop : stop + 1], causal=False)
            s2[:, stop] = chooser.choose(logits_s2[:, -1], step, 1)

    @torch.inference_mode()
    def decode(self, ids: tuple[torch.Tensor, torch.Tensor], horizon: int) -> torch.Tensor:
        """Return the normalised candles of the last bars, `[N, L + H] -> [N, H, 6]`."""
        s1, s2 = (part[:, -self.max_context :] for part in ids)
        return self.tokenizer.decode(s1, s2)[:, -horizon:]

    @torch.inference_mode()
    def forecast(
        self, scaled: torch.Tensor, stamps: torch.Tensor, chooser: TokenChooser, horizon: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Forecast from start to end.

        Args:
            scaled: Normalised candles, `[N, L, 6]`.
            stamps: Time stamps of history and future, `[N, L + H, 5]`.
            chooser: How a token is chosen.
            horizon: Bars to forecast, H.

        Returns:
            Both ids `[N, H]` and the normalised candles `[N, H, 6]`.
        """
        n_bars = scaled.shape[1]
        first, second = (torch.nn.functional.pad(part, (0, horizon)) for part in self.encode(scaled))
        self.take_steps((first, second), stamps, chooser, n_bars=n_bars, steps=range(horizon))
        return first[:, n_bars:], second[:, n_bars:], self.decode((first, second), horizon)
