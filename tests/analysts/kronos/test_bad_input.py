from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.analysts.kronos.candles import Candles
from alfred.analysts.kronos.checkpoint import load_pair, make_pair, save_pair
from alfred.analysts.kronos.config import RELEASES, REVISIONS, ModelConfig, TokenizerConfig, check_pair
from alfred.analysts.kronos.forecaster import KronosForecaster
from alfred.errors import CheckpointError, ConfigError, DataError
from tests.analysts.kronos.small import make_batch, make_frame, make_small_pair

PAIR = make_small_pair()
FORECASTER = KronosForecaster(PAIR.tokenizer, PAIR.model, max_context=40)


def with_value(column: str, row: int, value: float) -> pd.DataFrame:
    frame = make_frame(20, 0)
    frame.iloc[row, frame.columns.get_loc(column)] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (with_value("close", 7, np.nan), "close of series 0 is nan in bar 7: fill or drop"),
        (with_value("volume", 3, np.inf), "volume of series 0 is inf in bar 3"),
        (make_frame(1, 0), "series 0 has a context of 1 bars: it needs 2 at least"),
        (make_frame(20, 0).iloc[::-1], "timestamps of series 0 do not increase: 2021-01-29T00:00:00 is followed by"),
        (make_frame(20, 0).rename(columns={"high": "hihg"}), r"no column 'high'.*Did you mean 'hihg'\?"),
        (make_frame(20, 0).set_axis([f"bar {i}" for i in range(20)]), "timestamps are not times"),
    ],
)
def test_bad_candles(frame, message) -> None:
    with pytest.raises(DataError, match=message):
        Candles.from_frames([frame])


def test_no_candles() -> None:
    with pytest.raises(DataError, match="there is nothing to forecast"):
        Candles.from_frames([])
    with pytest.raises(DataError, match="candles disagree"):
        Candles(np.zeros((2, 3, 5), np.float32), np.zeros((2, 3), "datetime64[s]"), np.array([3, 3]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, DataError, "horizon is None: give a positive horizon"),
        ({"horizon": 0}, DataError, "horizon is 0"),
        ({"horizon": 40}, DataError, "horizon 40 must be between 1 and 39, max_context less one"),
        ({"horizon": 3, "samples": 0}, ConfigError, "samples 0 must be at least 1"),
        ({"horizon": 3, "temperature": 0.0}, ConfigError, "temperature 0.0 must be positive; for greedy use top_k=1"),
        ({"horizon": 3, "top_p": 1.5}, ConfigError, r"top_p 1.5 in \(0, 1\]"),
        ({"horizon": 3, "top_k": -1}, ConfigError, "top_k -1 must be 0"),
        ({"future": [pd.bdate_range("2021-01-20", periods=3)]}, DataError, "coming times of series 0 do not increase"),
        ({"future": []}, DataError, r"lengths \[\] for 0 series, but there are 1 series"),
        ({"horizon": 2, "future": [pd.bdate_range("2021-06-01", periods=3)]}, DataError, "and the horizon is 2"),
    ],
)
def test_bad_questions(options, error, message) -> None:
    with pytest.raises(error, match=message):
        FORECASTER.forecast(make_batch(20), **options)


def test_composite_ids_are_refused() -> None:
    s1 = torch.tensor([[3, 31, 0]])
    message = r"holds the id 70, outside \[0, 32\): one number for both tokens is refused"
    for call in (
        lambda ids: PAIR.tokenizer.decode(ids, s1),
        lambda ids: PAIR.model.decode_s1(ids, s1),
        lambda ids: PAIR.model.decode_s1(s1, ids),
    ):
        with pytest.raises(DataError, match=message):
            call(torch.tensor([[3, 70, 0]]))
        with pytest.raises(DataError, match="holds the id -1"):
            call(torch.tensor([[3, -1, 0]]))


def test_a_tokenizer_of_another_vocabulary_is_refused() -> None:
    other = make_pair(TokenizerConfig(s1_bits=4, s2_bits=4), ModelConfig(s1_bits=4, s2_bits=4))
    with pytest.raises(CheckpointError, match=r"tokens of 4 \+ 4 bits, but the model reads 5 \+ 5"):
        KronosForecaster(other.tokenizer, PAIR.model)


@pytest.mark.parametrize("name", RELEASES)
def test_a_released_shape_needs_its_own_tokenizer(name) -> None:
    release = RELEASES[name]
    width, n_layers, n_heads, hidden = release.shape
    model = ModelConfig(s1_bits=10, s2_bits=10, d_model=width, n_layers=n_layers, n_heads=n_heads, ff_dim=hidden)
    bits = {"s1_bits": 10, "s2_bits": 10}
    check_pair(TokenizerConfig(**bits, group_size=release.group_size), model)
    with pytest.raises(CheckpointError, match=f"load {release.tokenizer}"):
        check_pair(TokenizerConfig(**bits, group_size=9 - release.group_size), model)
    assert name in REVISIONS
    assert release.tokenizer in REVISIONS


def test_a_pair_comes_back_from_its_folder_and_no_other_tokenizer_fits(tmp_path: Path) -> None:
    save_pair(tmp_path / "ours", PAIR.tokenizer, PAIR.model)
    back = load_pair(tmp_path / "ours")
    for ours, theirs in ((PAIR.model, back.model), (PAIR.tokenizer, back.tokenizer)):
        assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())
    other = make_small_pair(seed=1)
    save_pair(tmp_path / "theirs", other.tokenizer, other.model)
    with pytest.raises(CheckpointError, match=r"is not the one that the model .* was trained with"):
        load_pair(tmp_path / "ours", tmp_path / "theirs" / "tokenizer")


def test_checkpoints_that_cannot_be_loaded(tmp_path: Path) -> None:
    save_pair(tmp_path / "pair", PAIR.tokenizer, PAIR.model)
    with pytest.raises(ConfigError, match=r"no tokenizer is known for .*set `tokenizer`"):
        load_pair(tmp_path / "pair" / "model")
    with pytest.raises(CheckpointError, match="'NeoQuasar/Kronos-Tokenizer-base' does not belong to"):
        load_pair("NeoQuasar/Kronos-mini", "NeoQuasar/Kronos-Tokenizer-base")
    with pytest.raises(ConfigError, match=r"Did you mean 'NeoQuasar/Kronos-small'"):
        load_pair("NeoQuasar/Kronos-smal", "NeoQuasar/Kronos-Tokenizer-base")
    with pytest.raises(CheckpointError, match=r"config.json of .* lacks 'beta'.* not the config of a Kronos tokenizer"):
        load_pair(tmp_path / "pair" / "model", tmp_path / "pair" / "model")
    config = tmp_path / "pair" / "model" / "config.json"
    config.write_text(config.read_text().replace('"n_heads": 2', '"n_heads": 7'))
    with pytest.raises(CheckpointError, match=r"is not usable: .*d_model 24 over n_heads 7"):
        load_pair(tmp_path / "pair")


def test_no_network_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="'NeoQuasar/Kronos-mini' at f4e68697 is not in the cache and the hub"):
        load_pair("NeoQuasar/Kronos-mini")
