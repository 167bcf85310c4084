"""Trained analysts: kept with their dates and code, used again as they were, never mistaken for others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from alfred.analysts.extractors.settings import ExtractorSettings
from alfred.analysts.registry import ANALYSTS, make_analyst
from alfred.analysts.saved import AnalystCard
from alfred.analysts.settings import AnalystSettings, LstmSettings, NaiveSettings, SavedSettings
from alfred.config import ForecastSettings
from alfred.data.contexts import make_contexts
from alfred.errors import CheckpointError, ConfigError
from alfred.learning.settings import FittingSettings
from alfred.training.comparison import compare_analysts
from alfred.training.forecasting import forecast_walk_forward
from alfred.training.judging.caveats import find_knowledge_caveat
from alfred.training.library import explain_code, find_trained, list_trained, read_settings, train_analysts
from alfred.training.progress import Silence
from alfred.training.provenance.stages import digest_analyst, fingerprint_analyst
from tests.conftest import make_random_market

MARKET = make_random_market(300, 3)
UNTIL = MARKET.dates[199]
LSTM = LstmSettings(
    name="mine", context_length=8, horizons=(1, 5), fitting=FittingSettings(steps=6, batch_size=32, validate_every=3)
)


def train(folder: Path, *settings: AnalystSettings, fresh: bool = False) -> list[AnalystCard]:
    asked = list(settings or (LSTM,))
    return train_analysts(MARKET, asked, folder, until=UNTIL, n_jobs=1, reporter=Silence(), fresh=fresh)


def test_a_saved_analyst_forecasts_as_the_trained_one_does(tmp_path: Path) -> None:
    [card] = train(tmp_path)
    assert (card.trained_from, card.trained_until) == (MARKET.dates[0].date(), UNTIL.date())
    own = make_analyst(LSTM).fit(MARKET.until(UNTIL).copy())
    saved = make_analyst(ANALYSTS.load_settings("saved").model_validate({"path": tmp_path / "mine"}))
    assert saved.horizons == (1, 5) and saved.context_length == 8
    assert saved.knowledge_cutoff == UNTIL
    windows = make_contexts(MARKET, np.array([250, 260]), np.array([0, 1]), length=8, fields=saved.fields)
    forecast = saved.fit(MARKET).predict(windows)
    np.testing.assert_array_equal(forecast.quantiles, own.predict(windows).quantiles)


def test_signals_of_a_saved_analyst_tell_until_when_it_may_know(tmp_path: Path) -> None:
    train(tmp_path)
    settings = SavedSettings.model_validate({"name": "old", "path": str(tmp_path / "mine")})
    schedule = ForecastSettings(min_train_days=150, refit_every_days=100, cache=None)
    signals = forecast_walk_forward(MARKET, settings, schedule)
    assert signals.knowledge_cutoffs == {"old": UNTIL}
    assert any("not refitted since" in note for note in signals.notes)


def test_other_weights_in_the_folder_are_another_analyst(tmp_path: Path) -> None:
    train(tmp_path)
    settings = SavedSettings.model_validate({"path": str(tmp_path / "mine")})
    before = digest_analyst(settings)
    kept = make_analyst(settings).fit(MARKET)
    kept.save_pretrained(tmp_path / "cache")
    train(tmp_path, LSTM.model_copy(update={"seed": 5}), fresh=True)
    assert digest_analyst(settings) != before
    with pytest.raises(CheckpointError, match="another analyst"):
        type(kept).from_pretrained(tmp_path / "cache")


def test_the_code_of_the_analyst_inside_counts(tmp_path: Path) -> None:
    train(tmp_path, LSTM, NaiveSettings())
    digests = {
        name: fingerprint_analyst(SavedSettings.model_validate({"path": str(tmp_path / name)}))
        for name in ("mine", "naive")
    }
    assert digests["mine"] != digests["naive"]
    [(place, card)] = [found for found in list_trained(tmp_path) if found[1].name == "mine"]
    assert explain_code(card, read_settings(place, card)) == "as it was"
    assert "has changed" in explain_code(card.model_copy(update={"code": "0"}), LSTM)


def test_the_same_again_is_left_alone_and_another_is_refused(tmp_path: Path) -> None:
    [first] = train(tmp_path)
    weights = tmp_path / "mine" / "model.safetensors"
    stamp = weights.stat().st_mtime_ns
    assert train(tmp_path) == [first]
    assert weights.stat().st_mtime_ns == stamp
    with pytest.raises(CheckpointError, match="another settings"):
        train(tmp_path, LSTM.model_copy(update={"seed": 1}))
    with pytest.raises(CheckpointError, match="another market"):
        train_analysts(MARKET, [LSTM], tmp_path, until=MARKET.dates[150], n_jobs=1, reporter=Silence())
    # A training that was killed before its card was written is no trained analyst, and is done again.
    (tmp_path / "mine" / "card.json").unlink()
    assert list_trained(tmp_path) == []
    assert train(tmp_path)[0].code == first.code


def test_what_is_not_a_trained_analyst_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not the folder of a trained analyst"):
        SavedSettings.model_validate({"path": str(tmp_path)})
    train(tmp_path)
    with pytest.raises(ValueError, match=r"horizons is \[3\]"):
        SavedSettings.model_validate({"path": str(tmp_path / "mine"), "horizons": [3]})
    settings = SavedSettings.model_validate({"path": str(tmp_path / "mine")})
    with pytest.raises(ConfigError, match="is saved already"):
        train(tmp_path, settings)
    with pytest.raises(CheckpointError, match="Did you mean 'mine'"):
        find_trained("min", tmp_path)
    whole = json.loads((tmp_path / "mine" / "card.json").read_text())
    for change in ({"trained_until": ""}, {"trained_until": None}, {"versions": []}, {"code": None}, {"name": "../x"}):
        (tmp_path / "mine" / "card.json").write_text(json.dumps(whole | change))
        with pytest.raises(CheckpointError, match="not the card") as told:
            make_analyst(settings)
        assert "\n" not in str(told.value)
        assert list_trained(tmp_path) == []


def test_a_stored_configuration_needs_no_folder_and_notices_another_analyst(tmp_path: Path) -> None:
    train(tmp_path)
    settings = SavedSettings.model_validate({"path": str(tmp_path / "mine")})
    stored = settings.model_dump(mode="json")
    train(tmp_path, LSTM.model_copy(update={"horizons": (1,)}), fresh=True)
    with pytest.raises(CheckpointError, match=r"with horizons \(1,\) now, but 'saved' was set up with \(1, 5\)"):
        make_analyst(SavedSettings.model_validate(stored))
    shutil.rmtree(tmp_path / "mine")
    assert SavedSettings.model_validate(stored) == settings


def test_a_saved_extractor_offers_what_it_was_trained_to_offer(tmp_path: Path) -> None:
    quick = FittingSettings(steps=6, batch_size=32, validate_every=3)
    own = ExtractorSettings(
        name="emb", parts=("mlp",), context_length=8, horizons=(1,), signals="embedding", components=3, fitting=quick
    )
    train(tmp_path, own)
    settings = SavedSettings.model_validate({"name": "emb", "path": str(tmp_path / "emb")})
    schedule = ForecastSettings(min_train_days=200, refit_every_days=100, cache=None)
    signals = forecast_walk_forward(MARKET, settings, schedule)
    assert signals.names == ("emb.component1_1", "emb.component2_1", "emb.component3_1")
    assert np.isfinite(signals.values).all()


def test_a_copy_of_a_folder_is_found_by_its_own_name(tmp_path: Path) -> None:
    train(tmp_path)
    shutil.copytree(tmp_path / "mine", tmp_path / "mine_old")
    train(tmp_path, LSTM.model_copy(update={"seed": 7}), fresh=True)
    assert find_trained("mine_old", tmp_path)[0].name == "mine_old"
    assert find_trained("mine", tmp_path)[1].digest != find_trained("mine_old", tmp_path)[1].digest


def test_what_may_be_memory_is_marked_and_never_the_best(tmp_path: Path) -> None:
    train_analysts(MARKET, [LSTM], tmp_path, n_jobs=1, reporter=Silence())
    saved = SavedSettings.model_validate({"name": "old", "path": str(tmp_path / "mine")})
    schedule = ForecastSettings(min_train_days=150, refit_every_days=150, cache=None)
    found = compare_analysts(MARKET, [saved, LSTM], schedule, since=MARKET.dates[220], n_jobs=1, reporter=Silence())
    marked = found.table.groupby("analyst")["may_know"].all()
    assert marked.to_dict() == {"naive": False, "old": True, "mine": False}
    assert set(found.track(tmp_path / "best.json")) == {"mine"}
    signals = forecast_walk_forward(MARKET, saved, schedule)
    caveat = find_knowledge_caveat(signals, MARKET.dates[220], MARKET.dates[-1])
    assert "may have seen the whole test" in caveat and "old until" in caveat
    early = train(tmp_path, LSTM.model_copy(update={"name": "early"}))[0]
    assert early.trained_until == UNTIL.date()
    signals = forecast_walk_forward(MARKET, SavedSettings.model_validate({"path": str(tmp_path / "early")}), schedule)
    assert "learnt to trust" in find_knowledge_caveat(signals, MARKET.dates[220], MARKET.dates[-1])
    assert find_knowledge_caveat(signals.since(MARKET.dates[210]), MARKET.dates[220], MARKET.dates[-1]) == ""
