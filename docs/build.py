"""Builds the site of the documentation into build/site: `make docs`, or `python docs/build.py`.

The pages of docs/ are gathered in build/docs beside those that are made of something else (README, changelog, every key
of a configuration). Zensical renders them with `--strict`, and what it does not check is checked here: that every page
is in the navigation, every link, anchor and picture leads somewhere, and no page loads anything from another host.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from configuration import write_configuration

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ROOT / "docs" / "zensical.toml"
BUILD = ROOT / "build"
PAGES = BUILD / "docs"
SITE = BUILD / "site"

# Pages that stand at the root of the repository, and what they are called on the site.
_FROM_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
# What a browser fetches by itself; a link is fetched by whoever follows it.
_LOADED = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
_SKIPPED_RELATIONS = {"canonical", "prev", "next", "alternate"}


def gather(pages: Path = PAGES) -> None:
    """Write every page of the site into a folder, which is emptied before."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(ROOT / "docs", pages, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    for name, page in _FROM_ROOT.items():
        (pages / page).write_text(move_links((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    (pages / "configuration.md").write_text(write_configuration(), encoding="utf-8")


def move_links(text: str) -> str:
    """Return a page of the repository's root with the links that it has on the site."""
    text = re.sub(r"\]\(docs/", "](", text)
    for name, page in _FROM_ROOT.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text


class _Page(HTMLParser):
    """What a page of the site refers to, and what can be referred to in it."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        skipped = tag == "link" and values.get("rel") in _SKIPPED_RELATIONS
        if not skipped and (address := values.get(_LOADED.get(tag, ""))):
            self.loaded.append(address)


def find_problems(site: Path = SITE) -> Iterator[str]:
    """Yield every link, anchor or picture of a built site that leads nowhere, and whatever is loaded from elsewhere."""
    pages: dict[Path, _Page] = {}
    # The page of what was not found is shown at any depth, so that its links begin at the root of a server.
    for path in sorted(path.resolve() for path in site.rglob("*.html") if path.name != "404.html"):
        pages[path] = _Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    for path, page in pages.items():
        shown = path.relative_to(site.resolve())
        for address in page.loaded:
            if urlsplit(address).netloc:
                yield f"{shown} loads {address} from another host"
        for address in dict.fromkeys([*page.links, *page.loaded]):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{shown} leads to {address}, which is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{shown} leads to {address}, but {target.name} has no such place"


def find_lost_pages(pages: Path = PAGES) -> Iterator[str]:
    """Yield every page that is not in the navigation, and every entry of the navigation without a page."""
    navigation = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["project"]["nav"]
    named = list(_flatten(navigation))
    there = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    yield from (f"{name} is not in the navigation (docs/zensical.toml)" for name in sorted(there - set(named)))
    yield from (
        f"the navigation (docs/zensical.toml) names {name}, which is not there" for name in named if name not in there
    )
    yield from (
        f"the navigation (docs/zensical.toml) names {name} twice"
        for name in sorted({n for n in named if named.count(n) > 1})
    )


def _flatten(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        yield from _flatten(list(entry.values()))
    elif isinstance(entry, list):
        for item in entry:
            yield from _flatten(item)


def main() -> int:
    """Build the site; return 1 when something is wrong with it."""
    gather()
    problems = list(find_lost_pages())
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copy(SETTINGS, BUILD)
    # Within build, since Zensical empties `.cache` beside its settings.
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=BUILD, check=False)
    if done.returncode:
        return done.returncode
    problems += find_problems()
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"the site stands in {(SITE / 'index.html').relative_to(ROOT)}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
