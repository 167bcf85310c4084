"""Sources of markets beside the built-in ones, by name; plugins and packages bring them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.registry import Registry

if TYPE_CHECKING:  # a configuration is checked without loading tables of prices
    from alfred.data.prices.source import Source

BUILT_IN_SOURCES = ("embedded", "files")
"""What `alfred.data.sources.load_market` reads itself."""

SOURCES: Registry[Source] = Registry("source", "alfred.sources", {}, {}, reserved=BUILT_IN_SOURCES, configured=True)
"""Further sources: an `alfred.data.prices.source.Source` each, registered with `SOURCES.register(MySource, "mine")`."""
