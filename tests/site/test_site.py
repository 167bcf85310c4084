"""The site: every page is found, every link leads somewhere, and what is public is in the reference."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import markdown
import pytest

import alfred
import alfred.checks
from alfred.config import REGISTRIES
from alfred.config_reference import list_keys
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def build() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module("build")


@pytest.fixture(scope="module")
def pages(build, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "docs"
    build.gather(folder)
    return folder


def test_every_page_is_in_the_navigation_once(build, pages) -> None:
    assert list(build.find_lost_pages(pages)) == []


def test_lost_pages_are_found(build, pages, tmp_path) -> None:
    build.gather(tmp_path / "docs")
    (tmp_path / "docs" / "stray.md").write_text("# Stray\n")
    (tmp_path / "docs" / "paper.md").unlink()
    assert list(build.find_lost_pages(tmp_path / "docs")) == [
        "stray.md is not in the navigation (docs/zensical.toml)",
        "the navigation (docs/zensical.toml) names paper.md, which is not there",
    ]


def test_links_and_anchors_of_all_pages_resolve(build, pages, tmp_path) -> None:
    # Rendered without the theme, which is quick; the slow test builds the site itself.
    for path in pages.rglob("*.md"):
        html = markdown.markdown(
            path.read_text(encoding="utf-8"), extensions=["toc", "tables", "fenced_code", "attr_list", "def_list"]
        )
        # The reference is made of docstrings by the build alone, so that its anchors are not there yet.
        html = re.sub(
            r'href="(?!\w+:)([^"#]*)\.md(#[^"]*)?"',
            lambda m: f'href="{m[1]}.html{"" if "api" in m[1] else m[2] or ""}"',
            html,
        )
        target = tmp_path / path.relative_to(pages).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html, encoding="utf-8")
    for path in (pages / "img").iterdir():
        (tmp_path / "img").mkdir(exist_ok=True)
        (tmp_path / "img" / path.name).write_bytes(b"")
    assert list(build.find_problems(tmp_path)) == []


def test_broken_links_and_what_is_loaded_from_elsewhere_are_found(build, tmp_path) -> None:
    (tmp_path / "one.html").write_text(
        '<h2 id="here">Here</h2><a href="#here">a</a><a href="#gone">b</a><a href="two.html#there">c</a>'
        '<a href="three.html">d</a><a href="https://example.org/x">e</a><img src="picture.png">'
        '<script src="https://example.org/x.js"></script><link rel="stylesheet" href="//example.org/x.css">'
    )
    (tmp_path / "two.html").write_text('<a href="one.html#here">a</a>')
    assert list(build.find_problems(tmp_path)) == [
        "one.html loads https://example.org/x.js from another host",
        "one.html loads //example.org/x.css from another host",
        "one.html leads to #gone, but one.html has no such place",
        "one.html leads to two.html#there, but two.html has no such place",
        "one.html leads to three.html, which is not there",
        "one.html leads to picture.png, which is not there",
    ]


def test_pages_that_the_code_names_exist() -> None:
    for folder in ("alfred", "configs", "benchmarks", "examples"):
        for path in (
            path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml", ".html", ".txt", ".md")
        ):
            for name in re.findall(r"\bdocs/[\w/]+\.md\b", path.read_text(encoding="utf-8")):
                assert (ROOT / name).is_file(), f"{path} names {name}"


def test_the_reference_has_what_is_public() -> None:
    documented = set(re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE))
    classes = {name.rpartition(".")[2] for name in documented}
    for name in set(alfred.__all__) - {"__version__"}:
        assert name in classes
    assert {f"alfred.checks.{name}" for name in alfred.checks.__all__} <= documented
    table = (ROOT / "docs" / "design.md").read_text().partition("## 5.")[2].partition("Axes legend")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 15
    assert named <= classes


def test_the_page_of_the_configuration_has_every_key(pages) -> None:
    text = (pages / "configuration.md").read_text(encoding="utf-8")
    for key in (key for key in list_keys() if key.name != "kind" or "." not in key.section):
        parts = key.path.split(".")
        if parts[0] in REGISTRIES:
            # Below its kind, or once for all kinds.
            assert len(parts) < 2 or f"\n### {parts[0]}: {parts[1]}\n" in text
            name = ".".join(parts[2:])
        else:
            name = ".".join(parts[1:]) or parts[0]
        assert not name or f"| `{name}` |" in text, key.path
    assert "| `cost_bps` | " in text.partition("\n## env\n")[2].partition("\n## ")[0]
    gamma = next(key for key in list_keys() if key.path == "agents.ppo.gamma")
    section = text.partition("\n### agents: ppo\n")[2].partition("\n### ")[0]
    assert f"| `gamma` | {gamma.text[:20]}" in section
    assert f"| `{gamma.default}` |" in section


@pytest.mark.slow
def test_the_site_builds_without_a_warning() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "build.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    site = ROOT / "build" / "site"
    reference = (site / "api.html").read_text(encoding="utf-8")
    assert 'id="alfred.load_market"' in reference
    assert "The symbol to be judged against" in reference
    assert "Kronos" in (site / "search.js").read_text(encoding="utf-8")
