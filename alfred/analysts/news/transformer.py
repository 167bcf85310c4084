"""Scores by a released classifier of sentiment, FinBERT by default, with weights from the hub or from a folder.

Axes legend: R headlines, L tokens, K labels.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from alfred.analysts.foundation.identity import digest_file
from alfred.analysts.news.lexicon import is_forward_looking
from alfred.analysts.news.scores import Item, Score, Scorer
from alfred.analysts.news.settings import TOKENIZER_FILES, TRANSFORMER_REVISIONS
from alfred.errors import CheckpointError, import_extra
from alfred.keys.mistakes import explain_briefly
from alfred.learning.devices import find_device
from alfred.learning.hub import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, resolve_checkpoint
from alfred.learning.settings import Device
from alfred.typing import Float

_ADAPTER_FILE = "adapter_config.json"
_MOST_TOKENS = 128
_STEP = 16  # Lengths are rounded up to it, so that few shapes occur.


class TransformerScorer(Scorer):
    """Sentiment is P(positive) - P(negative); outlook is the same where the headline speaks of the future.

    Nothing of a checkpoint is run: weights are safetensors only, and a configuration that asks for code of its own is
    refused. Which output is which label is read from its `config.json`.

    A headline is always computed in a batch of the same shape, by its own length alone, so that its score does not
    follow the others of its batch.
    """

    def __init__(
        self,
        checkpoint: str,
        revision: str | None,
        cache: Path | None,
        *,
        device: Device = "auto",
        batch_size: int = 32,
    ) -> None:
        """Load tokenizer and network.

        Args:
            checkpoint: A hub name, or a folder with `config.json`, `model.safetensors` and a tokenizer.
            revision: Commit on the hub in place of the pinned one.
            cache: Folder of the store of scores, or None.
            device: Where torch computes.
            batch_size: Headlines in one pass.

        Raises:
            CheckpointError: A file is missing or damaged, or the labels are not those of sentiment.
            ConfigError: No commit is known for the name, or there is no such device.
            MissingExtraError: `transformers` is not installed.
        """
        import_extra("transformers", "transformers")
        found = resolve_checkpoint(checkpoint, revision=revision, pinned=TRANSFORMER_REVISIONS, beside=TOKENIZER_FILES)
        folder = found.weights.parent
        files = [folder / name for name in (WEIGHTS_FILE, CONFIG_FILE, *TOKENIZER_FILES)]
        digests = " ".join(digest_file(file) for file in files if file.is_file())
        # Another version may cut texts into other tokens, and must not find the scores of this one.
        version = importlib.metadata.version("transformers").partition("+")[0]
        super().__init__(f"transformer {version} {hashlib.sha256(digests.encode()).hexdigest()} {_MOST_TOKENS}", cache)
        self._positive, self._negative = find_labels(found)
        with torch.random.fork_rng(devices=[]):
            self._tokenizer, self._network = load_classifier(found)
        self._device = find_device(device)
        self._network.to(self._device)
        self._batch_size = batch_size

    def _score(self, items: Sequence[Item]) -> list[Score]:
        tone = self._classify([item.text for item in items])
        return [
            Score(float(value), float(value) if is_forward_looking(item.text) else float("nan"))
            for item, value in zip(items, tone, strict=True)
        ]

    def _classify(self, texts: list[str]) -> Float:
        """Return P(positive) - P(negative), `[R]`."""
        most = min(_MOST_TOKENS, int(getattr(self._network.config, "max_position_embeddings", _MOST_TOKENS)))
        tokens = self._tokenizer(texts, truncation=True, max_length=most)
        lengths = np.array([len(row) for row in tokens["input_ids"]])
        padded = np.minimum(-(-lengths // _STEP) * _STEP, most)
        tone = np.empty(len(texts))
        for length in np.unique(padded):
            rows = np.flatnonzero(padded == length)
            for start in range(0, len(rows), self._batch_size):
                chosen = rows[start : start + self._batch_size]
                full = np.resize(chosen, self._batch_size)
                batch = self._tokenizer.pad(
                    {name: [values[row] for row in full] for name, values in tokens.items()},
                    padding="max_length",
                    max_length=int(length),
                    return_tensors="pt",
                )
                with torch.inference_mode():
                    logits = self._network(**{name: value.to(self._device) for name, value in batch.items()}).logits
                shares = torch.softmax(logits.double(), dim=1).cpu().numpy()
                tone[chosen] = (shares[:, self._positive] - shares[:, self._negative])[: len(chosen)]
        return tone


def find_labels(checkpoint: Checkpoint) -> tuple[int, int]:
    """Return which outputs of a classifier are positive and negative.

    Raises:
        CheckpointError: Its `config.json` does not say it, or its keys are not the outputs 0 to K - 1.
    """
    raw = checkpoint.config.get("id2label")
    named = {str(key): str(name).lower() for key, name in raw.items()} if isinstance(raw, dict) else {}
    names = list(named.values())
    if {"positive", "negative"} - set(names):
        raise CheckpointError(
            f"'{checkpoint.source}' has the labels {', '.join(names) or 'none'} in its config.json; it needs "
            "'positive' and 'negative': name a classifier of sentiment"
        )
    outputs = [str(output) for output in range(len(named))]
    if set(named) != set(outputs) or len(set(names)) < len(names):
        told = ", ".join(f"{key}: {name}" for key, name in named.items())
        raise CheckpointError(
            f"'{checkpoint.source}' has the labels {told} in its config.json; id2label must name the outputs "
            f"{', '.join(outputs)}, each with a label of its own: correct it"
        )
    ordered = [named[output] for output in outputs]
    return ordered.index("positive"), ordered.index("negative")


def load_classifier(checkpoint: Checkpoint) -> tuple[Any, Any]:
    """Return tokenizer and network of a checkpoint, ready to compute.

    Raises:
        CheckpointError: The checkpoint asks for code of its own or holds an adapter, a file is missing, or the weights
            do not fit.
    """
    transformers = import_extra("transformers", "transformers")
    folder = checkpoint.weights.parent
    if "auto_map" in checkpoint.config:
        raise CheckpointError(f"'{checkpoint.source}' asks for code of its own to be run (auto_map); name another one")
    # transformers would put the adapter's weights, or another network altogether, in place of those that count.
    if (folder / _ADAPTER_FILE).exists():
        raise CheckpointError(
            f"'{checkpoint.source}' holds an adapter ({_ADAPTER_FILE}); merge it into {WEIGHTS_FILE}, or remove it"
        )
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _quiet(transformers.utils.logging):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
            network, told = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
            )
    # Its errors for a damaged file are of many kinds; none of them is a fault of ours.
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError, SafetensorError) as error:
        raise CheckpointError(
            f"'{checkpoint.source}' is not a classifier that can be read ({explain_briefly(error)}); it needs "
            "config.json, model.safetensors and the files of its tokenizer"
        ) from error
    if missing := sorted(told["missing_keys"]):
        raise CheckpointError(
            f"the weights of '{checkpoint.source}' lack '{missing[0]}' and {len(missing) - 1} more: they are not those "
            "of a classifier"
        )
    return tokenizer, network.eval()


@contextlib.contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep the bars and reports of transformers off the screen; what is missing is an error of our own."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
