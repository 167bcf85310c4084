"""Results are what they were: bit for bit on the machine that recorded them, up to rounding on any other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.golden import PLACE, compute_golden, describe_machine, digest, summarise

GOLDEN = json.loads(PLACE.read_text(encoding="utf-8"))
SAME_MACHINE = GOLDEN["machine"] == describe_machine()
# Training amplifies the last digits, in which processors differ.
_CLOSE = {"agents": 0.05, "analysts": 0.05, "run": 0.1}


@pytest.fixture(scope="module")
def computed() -> dict[str, np.ndarray]:
    return compute_golden()


@pytest.mark.parametrize("name", GOLDEN["results"])
def test_nothing_moved(name: str, computed: dict[str, np.ndarray]) -> None:
    expected = GOLDEN["results"][name]
    if SAME_MACHINE:
        assert digest(computed[name]) == expected["digest"]
    tolerance = _CLOSE.get(name.split("/")[0], 1e-7)
    np.testing.assert_allclose(summarise(computed[name]), expected["summary"], rtol=tolerance, atol=tolerance / 10)


def test_everything_is_recorded(computed: dict[str, np.ndarray]) -> None:
    assert set(computed) == set(GOLDEN["results"])
