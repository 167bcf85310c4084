"""Target weights of any kind of number are traded alike, by the plain bar and by the general way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.errors import DataError
from tests.conftest import make_random_market

MARKET, SETTINGS = make_random_market(40, 3), PortfolioSettings()
TAPE = prepare_tape(MARKET, None, SETTINGS)


def start(record: bool) -> PortfolioSimulator:
    simulator = PortfolioSimulator(TAPE, SETTINGS, 2, record=record)
    simulator.reset(np.zeros(2, dtype=int), np.full(2, TAPE.n_bars))
    return simulator


@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("convert", [np.float32, np.float16, np.asfortranarray, np.ndarray.tolist, np.longdouble])
def test_every_number_is_traded_as_float64(record: bool, convert: Any) -> None:
    mine, other = start(record), start(record)
    for cash in (0.5, 0.25, 0.75, 0.0):  # exact in every one of the types
        target = np.full((2, 4), (1.0 - cash) / 4.0)
        target[:, 0] *= 2.0
        target[:, -1] = cash
        given = convert(target)
        result, expected = mine.step(given), other.step(target)
        np.testing.assert_array_equal(result.reward, expected.reward)
        np.testing.assert_array_equal(mine.drifted, other.drifted)
        assert mine.wealth.dtype == np.float64
        np.testing.assert_array_equal(np.asarray(given, dtype=np.float64), target)  # not ours to write to


@pytest.mark.parametrize("target", [[["a"] * 4] * 2, None, [[1.0, 2.0], [1.0]]])
def test_what_is_no_number_is_refused(target: Any) -> None:
    with pytest.raises(DataError, match=r"the actions are no numbers|the actions have shape"):
        start(False).step(target)
