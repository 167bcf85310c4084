"""Held-out blocks: what the checkpoints of a training earned on sessions that they were not trained on.

Axes legend: J checkpoints, the untrained start first; D sessions.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from alfred.data.files import parse_json, require_file, write_atomically
from alfred.data.splits import Fold, Range
from alfred.envs.tape import Tape
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest
from alfred.typing import FloatArray

FILE = "held_out.safetensors"


@dataclass(frozen=True)
class Block:
    """One training that is judged on what it has not seen.

    Attributes:
        spans: Bars of the training tape that it may learn from: first, and after the last, of each range.
        held_out: First and last session that its checkpoints are judged on.
    """

    spans: tuple[tuple[int, int], ...]
    held_out: Range


def cut_blocks(tape: Tape, fold: Fold, dates: pd.DatetimeIndex, n_blocks: int) -> list[Block]:
    """Cut the sessions that a fold may learn from into blocks that are held out in turn.

    One block is the validation range of the fold. Several blocks are of equal length and cover all of its training and
    validation range. As many sessions as the fold leaves between training and validation are left out on either side of
    a block, so that nothing that is learnt from reaches into it (purged cross-validation: Lopez de Prado, 2018,
    chapter 7).

    Args:
        tape: Laid out from the first session to train on to the last one to validate on.
        fold: The ranges.
        dates: Sessions of the market.
        n_blocks: How many.
    """
    gap = int(dates.get_loc(fold.validation[0])) - int(dates.get_loc(fold.train[1])) - 1
    if n_blocks == 1:
        ranges = [(int(tape.dates.searchsorted(fold.validation[0])), tape.n_bars)]
    else:
        edges = [tape.n_bars * number // n_blocks for number in range(n_blocks + 1)]
        ranges = list(itertools.pairwise(edges))
    blocks = []
    for first, stop in ranges:
        around = ((0, first - gap), (stop + gap, tape.n_bars))
        spans = tuple((begin, end) for begin, end in around if end > begin)
        blocks.append(Block(spans, (tape.dates[first], tape.dates[stop - 1])))
    return blocks


@dataclass
class HeldOut:
    """What the checkpoints of one training earned on its block, in excess of cash.

    Attributes:
        steps: Environment steps of each checkpoint, J of them; 0 is the untrained start.
        net: After costs, J rows of `[D]`.
        gross: Before costs, J rows of `[D]`.
        utility: Utility of each checkpoint, in per cent a year.
        finished: Whether the training that it came from reached its end.
    """

    steps: list[int] = field(default_factory=list)
    net: list[FloatArray] = field(default_factory=list)
    gross: list[FloatArray] = field(default_factory=list)
    utility: list[float] = field(default_factory=list)
    finished: bool = False

    def add(self, steps: int, record: Backtest, utility: float) -> None:
        """Enter a checkpoint; a training that goes on after a kill enters some of them a second time, and the same."""
        if steps in self.steps:
            return
        self.steps.append(steps)
        self.net.append(record.excess)
        self.gross.append(record.gross - record.cash_return)
        self.utility.append(utility)

    def save(self, folder: Path) -> None:
        """Write one file, atomically."""
        arrays = {"net": np.stack(self.net), "gross": np.stack(self.gross)}
        facts = json.dumps({"steps": self.steps, "utility": self.utility, "finished": self.finished})
        write_atomically(folder / FILE, lambda path: save_file(arrays, path, metadata={"facts": facts}))

    @classmethod
    def load(cls, folder: Path) -> HeldOut | None:
        """Read what `save` wrote, or return None when there is nothing.

        Raises:
            CheckpointError: The file is damaged.
        """
        if not (folder / FILE).exists():
            return None
        try:
            with safe_open(require_file(folder / FILE), framework="np") as file:
                facts = parse_json(file.metadata()["facts"])
                net, gross = list(file.get_tensor("net")), list(file.get_tensor("gross"))
            return cls(facts["steps"], net, gross, facts["utility"], facts["finished"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"{folder / FILE} is damaged ({error}); its block is trained again") from error


def pool(blocks: Sequence[HeldOut]) -> HeldOut:
    """Join the blocks of several trainings with the same settings, session after session.

    Trainings that lost patience have fewer checkpoints; those that all of them have are kept.
    """
    count = min(len(block.steps) for block in blocks)
    sizes = np.array([len(block.net[0]) for block in blocks], dtype=np.float64)
    return HeldOut(
        blocks[0].steps[:count],
        [np.concatenate([block.net[row] for block in blocks]) for row in range(count)],
        [np.concatenate([block.gross[row] for block in blocks]) for row in range(count)],
        [float(np.average([block.utility[row] for block in blocks], weights=sizes)) for row in range(count)],
    )
