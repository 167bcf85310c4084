"""Rendering: a picture of an episode, drawn without a display."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfred.envs.attribution import Mark
from alfred.envs.tape import Tape
from alfred.errors import ConfigError

RENDER_MODES = ["rgb_array"]
_N_SHOWN = 20  # bars of weights that fit beside one another with readable names


def check_render_mode(render_mode: str | None) -> str | None:
    """Return the mode.

    Raises:
        ConfigError: It is unknown.
    """
    if render_mode not in (None, *RENDER_MODES):
        raise ConfigError(f"unknown render_mode {render_mode!r}; accepted are 'rgb_array' and None")
    return render_mode


def draw_frame(tape: Tape, marks: list[Mark], portfolio: int = 0) -> npt.NDArray[np.uint8]:
    """Draw the wealth of one portfolio against the benchmark, and its current weights.

    Args:
        tape: The market.
        marks: The marked closes so far; may be empty.
        portfolio: Which of the portfolios.

    Returns:
        Red, green and blue, `[400, 800, 3]`.
    """
    # Imported here because training steps millions of times and never draws.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own, not pyplot's: nothing global is touched, and it goes when the frame is drawn.
    figure = Figure(figsize=(8.0, 4.0), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    bars = np.array([int(mark.bar[portfolio]) for mark in marks], dtype=np.int64)
    left.plot(tape.dates[bars], [float(mark.wealth[portfolio]) for mark in marks], label="portfolio")
    left.plot(tape.dates[bars], np.cumprod(1.0 + tape.benchmark_returns[bars]), label=tape.symbols[tape.benchmark])
    left.set_title("wealth")
    left.tick_params(axis="x", rotation=30)
    left.legend(loc="upper left")
    weights = marks[-1].weights[portfolio] if marks else np.eye(len(tape.symbols) + 1)[-1]
    names = np.array([*tape.symbols, "cash"])
    shown = np.argsort(-np.abs(weights), kind="stable")[:_N_SHOWN]
    right.barh(names[shown], weights[shown])
    right.invert_yaxis()
    right.set_title(f"weights at the close of {tape.dates[bars[-1]].date()}" if marks else "weights")
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[no-untyped-call]
