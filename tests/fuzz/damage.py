"""Files that nearly are what they should be: a whole one, with a few things done to it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings, strategies

CASES = int(os.environ.get("ALFRED_FUZZ_CASES", "25"))
"""Cases a surface; `make fuzz` has ten thousand."""

many = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    derandomize=CASES < 1_000,  # the tests of every day are the same every day
    suppress_health_check=list(HealthCheck),
)
chances = strategies.randoms(use_true_random=False)

HOSTILE = (
    *(
        b"",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b",",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"#",
        b"%",
    ),
    *(
        b"nan",
        b"inf",
        b"-inf",
        b"1e999",
        b"-1",
        b"0",
        b"1e-320",
        b"99999999999999999999",
        b"0x10",
        b"1_000",
        b"null",
        b"~",
    ),
    *(
        b"true",
        b"2020-13-45",
        b"0001-01-01",
        b"9999-12-31",
        b"2020-01-01T00:00:00+99:00",
        b"&a",
        b"*a",
        b"<<: *a",
        b"!!python",
    ),
    *(
        b"../../x",
        b"/etc/passwd",
        b"<script>",
        "ü".encode(),
        "\u202e".encode(),
        b"kind",
        b"- ",
        b"  ",
        b"\t",
        b"---\n",
        b"...",
    ),
)


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return a content with one to four things done to it."""
    for _ in range(chance.randint(1, 4)):
        content = chance.choice(_WAYS)(content, chance)
    return content


def _flip(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return content
    place = chance.randrange(len(content))
    return content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(content))
    return content[:place] + chance.choice(HOSTILE) + content[place:]


def _cut(content: bytes, chance: random.Random) -> bytes:
    first = chance.randint(0, len(content))
    return content[:first] + content[min(first + chance.choice((1, 3, 20, 200)), len(content)) :]


def _truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randint(0, len(content))]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    first = chance.randint(0, len(content))
    return content[: first + 60] + content[first:]


def _replace_word(content: bytes, chance: random.Random) -> bytes:
    """Replace a word, where most meaning sits, by something hostile."""
    words = content.split()
    return content.replace(chance.choice(words), chance.choice(HOSTILE), 1) if words else content


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flip, _insert, _cut, _truncate, _repeat, _replace_word)


def make_value(chance: random.Random, depth: int = 0) -> Any:
    """Return something that JSON or YAML may hold."""
    simple: tuple[Any, ...] = (None, True, -1, 0, 3, 1e308, float("nan"), "", "x" * 300, "../..", "2020-01-01", "SPY")
    if depth < 3 and chance.random() < 0.4:
        if chance.random() < 0.5:
            return [make_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
        return {str(chance.choice(simple)): make_value(chance, depth + 1) for _ in range(chance.randint(0, 3))}
    return chance.choice(simple)
