"""A figure: caption, legend and panels above each other."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from alfred.evaluation.report.drawing.panel import Panel


@dataclass(frozen=True)
class Key:
    """An entry of a legend.

    Attributes:
        name: What it is.
        kind: Class that says its colour.
        number: By which the entry hides what it names; None for one that hides nothing.
        shown: Whether it is shown at first.
    """

    name: str
    kind: str
    number: int | None = None
    shown: bool = True


@dataclass
class Figure:
    """A figure of one panel or several.

    Attributes:
        caption: What it shows.
        panels: From the top.
        keys: Its legend.
    """

    caption: str
    panels: Sequence[Panel] = ()
    keys: Sequence[Key] = ()

    def render(self, summary: str = "") -> Markup:
        """Return the figure as HTML; every name in it is escaped.

        Args:
            summary: A sentence more below the caption.
        """
        drawn = "".join(
            panel.render(f"{self.caption} {panel.label}".strip(), named=number == 0)
            for number, panel in enumerate(self.panels)
        )
        note = f" {html.escape(summary)}" if summary else ""
        return Markup(  # noqa: S704  every text in it is escaped where it is written
            f"<figure><figcaption><strong>{html.escape(self.caption)}</strong>{note}</figcaption>"
            f"{self._write_legend()}{drawn}</figure>"
        )

    def _write_legend(self) -> str:
        if not self.keys:
            return ""
        entries = "".join(
            f'<span class="key {key.kind}"><i></i>{html.escape(key.name)}</span>'
            if key.number is None
            else f'<label class="key {key.kind}"><input type="checkbox" data-k="{key.number}"'
            f"{' checked' if key.shown else ''}><i></i>{html.escape(key.name)}</label>"
            for key in self.keys
        )
        numbers = sorted({key.number for key in self.keys if key.number is not None})
        # A name that is not ticked is not drawn.
        hidden = ",".join(f'figure:has([data-k="{number}"]:not(:checked)) .k{number}' for number in numbers)
        style = f"<style>{hidden} {{ display: none; }}</style>" if hidden else ""
        return f'<details class="legend" open><summary>Legend</summary><div>{entries}</div></details>{style}'
