"""What a forecast depends on besides settings, data and code stands in the digest of its analyst."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from alfred.analysts.kronos.settings import KronosSettings
from alfred.analysts.macro.settings import MacroAnalystSettings
from alfred.analysts.news.analyst import NewsAnalyst
from alfred.analysts.news.settings import NewsAnalystSettings
from alfred.analysts.settings import AnalystSettings, NaiveSettings
from alfred.config import ForecastSettings
from alfred.training.provenance.cache import Cache
from alfred.training.provenance.stages import describe_forecast, digest_analyst, explain_change, list_packages
from tests.conftest import make_random_market


def write_checkpoint(folder: Path) -> Path:
    folder.mkdir()
    for name in ("model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json", "README.md"):
        (folder / name).write_text(f"of {name}")
    return folder


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("model.safetensors", True),
        ("config.json", True),
        ("vocab.txt", True),
        ("tokenizer_config.json", True),
        ("tokenizer.json", True),  # it was not there before
        ("README.md", False),
    ],
)
def test_labels_and_tokenizer_of_a_local_classifier_count(tmp_path: Path, name: str, counts: bool) -> None:
    folder = write_checkpoint(tmp_path / "classifier")
    settings = NewsAnalystSettings(backend="transformer", checkpoint=str(folder), knowledge_cutoff="2020-01-01")
    before = digest_analyst(settings)
    (folder / name).write_text("another")
    assert (digest_analyst(settings) != before) == counts


def test_files_beside_the_weights_of_others_do_not_count(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "kronos")
    settings = KronosSettings(checkpoint=str(folder), tokenizer=str(folder))
    before = digest_analyst(settings)
    (folder / "vocab.txt").write_text("another")
    assert digest_analyst(settings) == before


@pytest.mark.parametrize(
    ("settings", "package"),
    [
        (NewsAnalystSettings(), "vaderSentiment"),
        (NewsAnalystSettings(backend="transformer"), "transformers"),
        (MacroAnalystSettings(), "statsmodels"),
    ],
)
def test_new_versions_of_what_an_analyst_uses_forecast_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: AnalystSettings, package: str
) -> None:
    pytest.importorskip(package, reason="the extra of the analyst is not installed")
    cache, market = Cache(tmp_path, "code"), make_random_market(20)
    stage, place = describe_forecast("data", settings, ForecastSettings()), cache.open(market, settings).model
    other = NaiveSettings()
    kept = describe_forecast("data", other, ForecastSettings()), cache.open(market, other).model
    read = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.0" if name == package else read(name))
    changed = describe_forecast("data", settings, ForecastSettings())
    assert explain_change(stage, changed) == "the versions of its packages changed"
    assert cache.open(market, settings).model != place
    assert (describe_forecast("data", other, ForecastSettings()), cache.open(market, other).model) == kept


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NewsAnalyst, "packages", ("no-package-of-this-name",))
    assert list_packages(NewsAnalystSettings()) == ("numpy", "torch")
