"""From tokens of the history to tokens and candles of the future."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from alfred.analysts.kronos.decoding.engine import KronosEngine, Session
from alfred.analysts.kronos.decoding.sampling import TokenChooser
from alfred.analysts.kronos.decoding.stack import BlockStack
from alfred.analysts.kronos.tokenizer import KronosTokenizer


@dataclass(frozen=True)
class History:
    """Tokens of the histories of a batch, aligned at their last bar.

    Attributes:
        s1: Coarse ids, `[B, P]`.
        s2: Fine ids, `[B, P]`.
        stamps: Time stamps, `[B, P, 5]`.
        padding: Bars that hold nothing, `[B, P]`, on the left, or None when all histories fill the window.
    """

    s1: torch.Tensor
    s2: torch.Tensor
    stamps: torch.Tensor
    padding: torch.Tensor | None

    def drop(self, n: int) -> History:
        """Return the history without its `n` oldest bars."""
        padding = None if self.padding is None else self.padding[:, n:]
        return History(self.s1[:, n:], self.s2[:, n:], self.stamps[:, n:], padding)


@dataclass(frozen=True)
class Tokens:
    """Tokens that were chosen.

    Attributes:
        s1: Coarse ids, `[N, H]`.
        s2: Fine ids, `[N, H]`.
        logits: Logits of both tokens at every step, `[N, H, V1]` and `[N, H, V2]`, when they were asked for.
    """

    s1: torch.Tensor
    s2: torch.Tensor
    logits: tuple[torch.Tensor, torch.Tensor] | None


def generate_tokens(
    engine: KronosEngine,
    history: History,
    future_stamps: torch.Tensor,
    chooser: TokenChooser,
    *,
    n_samples: int,
    max_context: int,
    with_logits: bool = False,
) -> Tokens:
    """Draw the tokens of the coming bars.

    The window is the last `max_context` bars of history and future. While it only grows, one bar is added at a time
    to a cache, which is exact. Once it slides, a bar that stays was computed while it still saw the bar that left, so
    that the window is computed anew: its history part once for each series, its future part for each row.

    Args:
        engine: The model.
        history: At most `max_context` bars, B series.
        future_stamps: Time stamps of the coming bars, `[B, H, 5]`; the last is never read.
        chooser: How a token is chosen.
        n_samples: Rows for each series, R; N = B * R.
        max_context: Longest window in bars.
        with_logits: Whether to return the logits of every step.
    """
    n_bars, horizon = history.s1.shape[1], future_stamps.shape[1]
    n_rows = len(history.s1) * n_samples
    stamps = future_stamps.repeat_interleave(n_samples, dim=0)
    s1 = torch.empty(n_rows, horizon, dtype=torch.int64, device=stamps.device)
    s2 = torch.empty_like(s1)
    seen: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    session: Session | None = None
    for step in range(horizon):
        excess = n_bars + step - max_context
        if session is None or excess > 0:
            window = history.drop(max(excess, 0))
            session = engine.start(
                window.s1, window.s2, window.stamps, n_rows=n_rows, capacity=horizon, padding=window.padding
            )
            added = slice(0, step)
        else:
            added = slice(step - 1, step)
        if step:
            session.advance(s1[:, added], s2[:, added], stamps[:, added])
        logits_s1 = session.compute_s1_logits()
        s1[:, step] = chooser.choose(logits_s1, step, 0)
        logits_s2 = session.compute_s2_logits(s1[:, step])
        s2[:, step] = chooser.choose(logits_s2, step, 1)
        if with_logits:
            seen[0].append(logits_s1)
            seen[1].append(logits_s2)
    return Tokens(s1, s2, (torch.stack(seen[0], 1), torch.stack(seen[1], 1)) if with_logits else None)


class TokenDecoder:
    """The decoder of a tokenizer, which reads the history once for all samples of a series."""

    def __init__(self, tokenizer: KronosTokenizer) -> None:
        """Copy the weights; always float32."""
        self.tokenizer = tokenizer
        self.stack = BlockStack(tokenizer.decoder)

    def decode(
        self, history: History, tokens: Tokens, max_context: int, *, with_anchor: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return normalised candles of the future, `[N, H, 6]`, and of the last bar of the history, `[B, 6]`.

        The decoder reads the last `max_context` bars of history and future together, as released. The candle of the
        last bar, which is known, shows how far the tokens are off there; it is None unless it is asked for.
        """
        n_rows, horizon = tokens.s1.shape
        window = history.drop(max(history.s1.shape[1] + horizon - max_context, 0))
        prefix = self.tokenizer.embed_codes(window.s1, window.s2)
        read, cache = self.stack.prefill(
            prefix, n_rows=n_rows, capacity=horizon, padding=window.padding, with_output=with_anchor
        )
        hidden = self.stack.advance(self.tokenizer.embed_codes(tokens.s1, tokens.s2), cache)
        return self.tokenizer.head(hidden), self.tokenizer.head(read[:, -1]) if with_anchor else None
