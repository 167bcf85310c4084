"""What goes along with trainings deep inside a fit: curves for TensorBoard, and checkpoints to go on from.

An analyst's `fit(market)` knows neither the run that it belongs to nor its folders. Whoever calls it says so around it:

>>> with watch_training(curves=None, checkpoints=None) as watch:
...     pass  # analyst.fit(market)
>>> watch.n_begun
0

Each training inside the `with` is counted, and has its own curves and checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from alfred.learning.events import EventFile

_POINTS = 200  # of a curve: more are drawn over each other


@dataclass
class Watch:
    """Where the trainings of one fit leave their traces.

    Attributes:
        curves: Folder of TensorBoard event files, or None for none.
        checkpoints: Folder of checkpoints, or None for none.
        n_begun: Trainings that began so far.
    """

    curves: Path | None
    checkpoints: Path | None
    n_begun: int = 0

    def begin(self) -> tuple[Path | None, Path | None]:
        """Return the folder of curves and the checkpoint file of the next training."""
        number, self.n_begun = self.n_begun, self.n_begun + 1
        curves = None if self.curves is None else self.curves / str(number)
        checkpoint = None if self.checkpoints is None else self.checkpoints / f"{number}.safetensors"
        return curves, checkpoint

    def forget(self) -> None:
        """Delete the checkpoints: what was trained is kept elsewhere now."""
        if self.checkpoints is not None:
            shutil.rmtree(self.checkpoints, ignore_errors=True)


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watch_training(*, curves: Path | None, checkpoints: Path | None) -> Iterator[Watch]:
    """Give the trainings inside a folder for curves, and one for checkpoints from which a killed one goes on."""
    watch = Watch(curves, checkpoints)
    token = _WATCH.set(watch)
    try:
        yield watch
    finally:
        _WATCH.reset(token)


def begin_training() -> tuple[Path | None, Path | None]:
    """Return the folder of curves and the checkpoint file of a training that begins; None where nobody asked."""
    watch = _WATCH.get()
    return (None, None) if watch is None else watch.begin()


class TrainingCurves:
    """Writes how a training goes, some 200 points of it.

    | tag | holds |
    | --- | --- |
    | `6_analyst_loss/train`, `6_analyst_loss/validation` | of the step, and of all validation examples |
    | `7_analyst_fit/learning_rate`, `7_analyst_fit/gradient_norm` | 2-norm before it is scaled down |
    | `8_analyst_gradients/...` | 2-norm for each part of the module |
    | `9_analyst_activations/...` | root mean square of what each part gives |

    Args:
        folder: Of the event file; None writes nothing.
        module: What is trained.
        steps: Steps that are asked for.
        done: Steps that were taken before, by a training that goes on.
    """

    def __init__(self, folder: Path | None, module: nn.Module, steps: int, done: int = 0) -> None:
        """Listen to the parts of the module."""
        self._events = EventFile(folder)
        if done:
            self._events.resume(done)
        self._module, self._every = module, max(steps // _POINTS, 1)
        self._sizes: dict[str, float] = {}
        self._armed = False
        self._hooks = [] if folder is None else [self._listen(*item) for item in module.named_children()]

    def arm(self, step: int) -> bool:
        """Return whether a step, counted from 0, is drawn; activations are measured in it."""
        self._armed = self._events.is_on and step % self._every == 0
        return self._armed

    def write_step(self, step: int, loss: float, rate: float, norm: float, scale: float) -> None:
        """Write a step that is drawn, after its gradients were scaled down by `scale`."""
        if not self._armed:
            return
        scalars = {"6_analyst_loss/train": loss, "7_analyst_fit/learning_rate": rate}
        scalars["7_analyst_fit/gradient_norm"] = norm
        for name, part in self._module.named_children():
            gradients = [p.grad for p in part.parameters() if p.grad is not None]
            if gradients:
                scalars[f"8_analyst_gradients/{name}"] = float(nn.utils.get_total_norm(gradients)) / scale
        scalars |= {f"9_analyst_activations/{name}": size for name, size in self._sizes.items()}
        self._events.add_scalars(scalars, step + 1)
        self._armed = False

    def write_validation(self, step: int, loss: float) -> None:
        """Write the loss of a validation after `step` steps."""
        self._events.add_scalars({"6_analyst_loss/validation": loss}, step)

    def flush(self) -> None:
        """Put everything on disk, before a checkpoint."""
        self._events.flush()

    def close(self) -> None:
        """Close the event file and stop listening."""
        for hook in self._hooks:
            hook.remove()
        self._events.close()

    def _listen(self, name: str, part: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def measure(_part: nn.Module, _inputs: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if self._armed and isinstance(first, torch.Tensor) and first.is_floating_point():
                self._sizes[name] = float(first.detach().float().square().mean().sqrt())

        return part.register_forward_hook(measure)
