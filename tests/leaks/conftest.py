"""Plugins are imported when a test asks for them, and what they register is gone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alfred.analysts.registry import ANALYSTS

collect_ignore = ["peeking.py", "catalogue.py"]


@pytest.fixture(autouse=True, scope="module")
def _forget_plugins() -> Iterator[None]:
    before = dict(ANALYSTS)
    yield
    ANALYSTS.clear()
    ANALYSTS.update(before)
