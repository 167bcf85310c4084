"""What a forecast depends on besides settings, data and code stands in the digest of its analyst."""

from __future__ import annotations

from pathlib import Path

import pytest

from alfred.analysts.kronos.settings import KronosSettings
from alfred.analysts.news.settings import NewsAnalystSettings
from alfred.training.provenance.stages import digest_analyst


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
