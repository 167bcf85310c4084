"""What networks are handed: channels by hand, splits that do not overlap."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.analysts.networks.examples import make_examples, standardise_windows
from alfred.analysts.settings import LstmSettings
from alfred.analysts.windows import CLIP
from alfred.data.contexts import Contexts, make_contexts
from alfred.errors import DataError
from tests.conftest import make_random_market

FIELDS = ("close", "open", "high", "low", "volume")
MARKET = make_random_market(120)


def make_windows(length: int = 20, fields: tuple[str, ...] = FIELDS) -> Contexts:
    rows = np.array([40, 80, 119])
    return make_contexts(MARKET, rows, np.array([0, 1, 3]), length=length, fields=fields)


def test_channels_by_hand() -> None:
    windows = make_windows()
    found = standardise_windows(windows)
    assert found.shape == (3, 19, 5)
    assert found.dtype == np.float32
    close, volume = windows.field("close"), windows.field("volume")
    for b in range(3):
        volatility = np.sqrt(np.mean(np.diff(np.log(close[b])) ** 2))
        for t in range(19):
            before = close[b, t]
            expected = [(windows.field(name)[b, t + 1] / before - 1) / volatility for name in FIELDS[:4]]
            expected.append(np.log(volume[b, t + 1] / volume[b].mean()))
            np.testing.assert_allclose(found[b, t], np.clip(expected, -CLIP, CLIP), rtol=1e-5, atol=1e-6)


def test_missing_bars_and_no_volume_are_zero() -> None:
    windows = make_windows()
    values = windows.values.copy()
    values[0, 5] = np.nan
    values[1, :, 4] = 0.0
    found = standardise_windows(Contexts(values, windows.fields, windows.symbols, windows.dates, windows.timestamps))
    assert np.isfinite(found).all()
    assert not found[0, 4].any()
    assert not found[0, 5, :4].any()
    assert not found[1, :, 4].any()


def test_examples_are_purged() -> None:
    examples = make_examples(MARKET, LstmSettings(context_length=10, horizons=(1, 5), validation_fraction=0.2))
    # Windows end on rows 9 to 114, four symbols each; validation begins at the 80 % quantile of those rows.
    first = int(np.quantile(np.arange(9, 115).repeat(4), 0.8))
    assert examples.n_train == 4 * (first - 5 - 9)
    assert len(examples.inputs) - examples.n_train == 4 * (115 - first)
    window = make_contexts(MARKET, np.array([9]), np.array([0]), length=10)
    np.testing.assert_array_equal(examples.inputs[0], standardise_windows(window)[0])
    logs = np.log(MARKET.close[:, 0])
    volatility = np.sqrt(np.mean(np.diff(logs[:10]) ** 2))
    expected = [(logs[10] - logs[9]) / volatility, (logs[14] - logs[9]) / volatility / np.sqrt(5)]
    np.testing.assert_allclose(examples.targets[0], expected, rtol=1e-5)


def test_short_histories_and_missing_fields_are_refused() -> None:
    settings = LstmSettings(name="mine", context_length=33, horizons=(1, 20))
    with pytest.raises(DataError, match=r"'mine' has too short a history until 2010-04-.*: 80 sessions"):
        make_examples(MARKET.until(MARKET.dates[79]), settings)
    closes = make_random_market(300, ohlc=False)
    with pytest.raises(DataError, match="this market has no 'volume'"):
        make_examples(closes, settings.model_copy(update={"fields": ("close", "volume")}))
