"""A tiny random BERT in the shape of FinBERT goes through the code that loads FinBERT."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.analysts.checks import check_analyst
from alfred.analysts.news.analyst import NewsAnalyst
from alfred.analysts.news.settings import FINBERT, TRANSFORMER_REVISIONS, NewsAnalystSettings
from alfred.analysts.news.transformer import TransformerScorer
from alfred.errors import CheckpointError, ConfigError
from tests.analysts.news.planted import make_news_market

transformers = pytest.importorskip("transformers", reason="the extra 'transformers' is not installed")

WORDS = "posts a great profit wins superb contract is upgraded by analysts warns of terrible loss accused in number"
TEXTS = ["posts a great profit", "warns of a terrible loss", "analysts", " ".join(WORDS.split() * 9)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A classifier with the labels of FinBERT, in an order of its own, as `save_pretrained` writes it."""
    path = tmp_path_factory.mktemp("finbert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS.split())]
    (path / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    transformers.BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=3,
        id2label={0: "neutral", 1: "Positive", 2: "negative"},
        label2id={"neutral": 0, "Positive": 1, "negative": 2},
        initializer_range=1.0,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(path)
    return path


def make_scorer(folder: Path, cache: Path | None = None, **changes: object) -> TransformerScorer:
    return TransformerScorer(str(folder), None, cache, device="cpu", **changes)


def test_scores_are_those_of_transformers(folder) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    expected = []
    for text in TEXTS:
        with torch.no_grad():
            tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
            shares = network(**tokens).logits.softmax(dim=1)[0]
        expected.append(float(shares[1] - shares[2]))
    found = make_scorer(folder, batch_size=3).score([""] * 4, TEXTS)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(found) > 0.01


def test_a_score_does_not_follow_its_batch(folder) -> None:
    texts = [f"posts a {word} profit" for word in WORDS.split()]
    together = make_scorer(folder, batch_size=8).score([""] * len(texts), texts)
    alone = np.concatenate([make_scorer(folder, batch_size=8).score([""], [text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_labels_are_read_from_the_configuration(folder, tmp_path) -> None:
    turned = _copy(folder, tmp_path / "turned")
    raw = json.loads((turned / "config.json").read_text())
    raw["id2label"] = {"0": "neutral", "2": "positive", "1": "negative"}
    (turned / "config.json").write_text(json.dumps(raw))
    first, second = (make_scorer(place).score([""] * 4, TEXTS)[:, 0] for place in (folder, turned))
    np.testing.assert_array_equal(first, -second)
    raw["id2label"] = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    (turned / "config.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=r"has the labels label_0, label_1, label_2 .* it needs 'positive'"):
        make_scorer(turned)


@pytest.mark.parametrize(
    "labels",
    [
        {"7": "positive", "8": "negative", "9": "neutral"},
        {"0": "positive", "-1": "negative", "1": "neutral"},
        {"0": "positive", "1": "negative", "3": "neutral"},
        {"0": "positive", "1": "negative", "2": "Positive"},
        {"0": "positive", "1": "negative", "01": "neutral"},
        {"0": "positive", "1.0": "negative", "2": "neutral"},
    ],
)
def test_labels_that_are_not_those_of_the_outputs_are_refused(folder, tmp_path, labels) -> None:
    odd = _copy(folder, tmp_path / "odd")
    raw = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps({**raw, "id2label": labels}))
    with pytest.raises(CheckpointError, match="id2label must name the outputs 0, 1, 2, each with a label of its own"):
        make_scorer(odd)


@pytest.mark.parametrize("n_labels", [2, 4])
def test_labels_that_the_weights_do_not_have_are_refused(folder, tmp_path, n_labels) -> None:
    odd = _copy(folder, tmp_path / "odd")
    raw = json.loads((odd / "config.json").read_text())
    names = ["positive", "negative", "neutral", "mixed"][:n_labels]
    (odd / "config.json").write_text(json.dumps({**raw, "id2label": dict(enumerate(names))}))
    with pytest.raises(CheckpointError, match="classifier"):
        make_scorer(odd)


def test_an_adapter_beside_the_weights_is_refused(folder, tmp_path) -> None:
    adapted = _copy(folder, tmp_path / "adapted")
    (adapted / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "elsewhere"}')
    with pytest.raises(CheckpointError, match=r"holds an adapter \(adapter_config\.json\)"):
        make_scorer(adapted)


def test_scores_are_kept_on_disk(folder, tmp_path, monkeypatch) -> None:
    scorer = make_scorer(folder, tmp_path)
    first = scorer.score([""] * 4, TEXTS)
    again = make_scorer(folder, tmp_path)
    monkeypatch.setattr(again, "_network", None)
    np.testing.assert_array_equal(again.score([""] * 4, TEXTS), first)
    # Other weights have scores of their own.
    other = _copy(folder, tmp_path / "other")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(other)
    with torch.no_grad():
        network.classifier.bias += torch.tensor([0.0, 3.0, 0.0])
    network.save_pretrained(other)
    assert (make_scorer(other, tmp_path).score([""] * 4, TEXTS)[:, 0] > first[:, 0]).all()


def test_contract(folder, tmp_path) -> None:
    market, _ = make_news_market(0.3, n_dates=400, n_symbols=3)
    settings = NewsAnalystSettings(
        backend="transformer",
        checkpoint=str(folder),
        knowledge_cutoff="2020-01-01",
        context_length=20,
        horizons=(1, 5),
        cache=None,
        device="cpu",
    )
    check_analyst(lambda: NewsAnalyst(settings), market)
    assert str(NewsAnalyst(settings).knowledge_cutoff.date()) == "2020-01-01"


def test_pickled_weights_are_never_read(folder, tmp_path) -> None:
    pickled = _copy(folder, tmp_path / "pickled")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(pickled)
    torch.save(network.state_dict(), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors does not exist"):
        make_scorer(pickled)


def test_code_of_a_checkpoint_is_refused(folder, tmp_path) -> None:
    hostile = _copy(folder, tmp_path / "hostile")
    raw = json.loads((hostile / "config.json").read_text())
    raw["auto_map"] = {"AutoModelForSequenceClassification": "code.Model"}
    (hostile / "config.json").write_text(json.dumps(raw))
    (hostile / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(CheckpointError, match="asks for code of its own"):
        make_scorer(hostile)
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fit(folder, tmp_path) -> None:
    headless = _copy(folder, tmp_path / "headless")
    transformers.BertModel.from_pretrained(headless).save_pretrained(headless)
    raw = json.loads((folder / "config.json").read_text())
    (headless / "config.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match="lack 'classifier"):
        make_scorer(headless)
    (headless / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is not a classifier that can be read"):
        make_scorer(headless)


def test_finbert_is_pinned() -> None:
    settings = NewsAnalystSettings(backend="transformer")
    assert settings.checkpoint == FINBERT
    assert len(TRANSFORMER_REVISIONS[FINBERT]) == 40
    assert settings.cutoff is not None
    with pytest.raises(ValueError, match="until when 'ProsusAI/finbert' was trained"):
        NewsAnalystSettings(backend="transformer", revision="0" * 40)
    with pytest.raises(ConfigError, match="unknown checkpoint 'somebody/else'"):
        TransformerScorer("somebody/else", None, None)


def _copy(source: Path, target: Path) -> Path:
    import shutil

    return Path(shutil.copytree(source, target))
