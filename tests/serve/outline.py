"""A page as its elements and its text."""

from __future__ import annotations

from html.parser import HTMLParser


class Outline(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def list_links(self) -> list[str]:
        return [str(attrs[name]) for _, attrs in self.tags for name in ("href", "src", "action") if name in attrs]
