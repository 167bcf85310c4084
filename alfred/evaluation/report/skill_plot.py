"""The picture of how much skill would be enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from alfred.data.files import write_atomically


def save_skill_curve(
    path: Path,
    curves: Mapping[str, Sequence[tuple[float, float, float, float]]],
    measured: Mapping[str, float],
) -> None:
    """Write the gain in Sharpe ratio over equal weight against the planted skill, as PNG.

    Args:
        path: Where.
        curves: By agent: strength, gain, low and high end of its interval.
        measured: Skill of a run's signals by name; they stand as marks on the axis.
    """
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        ics, gains, lows, highs = zip(*sorted(points), strict=True)
        [line] = axes.plot(ics, gains, marker="o", label=name)
        axes.fill_between(ics, lows, highs, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(0.0, color="0.4", linewidth=1)
    if measured:
        best = max(measured, key=lambda name: measured[name])
        axes.plot(list(measured.values()), [0.0] * len(measured), "|", color="0.2", markersize=14, label="your signals")
        axes.annotate(f"{best} {measured[best]:.3f}", (measured[best], 0.0), xytext=(4, 10), textcoords="offset points")
    axes.set_xlabel("skill: correlation of the signal with what it foretells")
    axes.set_ylabel("Sharpe ratio less equal weight, out of sample")
    axes.set_title("How much skill would be enough")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))
