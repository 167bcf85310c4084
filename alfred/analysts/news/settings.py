"""What the news analyst can be told, and what is known about the models that score headlines."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from alfred.analysts.tabular.settings import QuietSettings
from alfred.learning.settings import Device
from alfred.settings import Settings

DAILY_NAMES = ("sentiment", "outlook", "attention", "sentiment_recent", "outlook_recent")
"""What is made of the headlines of a symbol each day; see `aggregation.aggregate`."""

FINBERT = "ProsusAI/finbert"
TRANSFORMER_REVISIONS: dict[str, str] = {FINBERT: "4556d13015211d73dccd3fdd39d39232506f3e43"}
"""Commits of released classifiers on the hub."""

TRANSFORMER_CUTOFFS: dict[str, datetime.date] = {FINBERT: datetime.date(2020, 7, 31)}
"""FinBERT (Araci, 2019) was tuned on sentences of 2014 and before, and its BERT read the Wikipedia of 2018; nobody says
when these weights were made, so that the end of the month of their upload is taken."""

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt"),
    *("vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
"""Files from which a tokenizer is made, where a checkpoint has them."""

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


class EndpointSettings(Settings):
    """A chat endpoint with the interface of OpenAI's, local by default.

    Attributes:
        url: Its base, to which `/chat/completions` is added. Plain http is for this machine only.
        model: Name of the model there.
        api_key_env: Environment variable that holds the key, or None where none is asked for. The key itself is never
            part of a configuration, a run or a message.
        mask_names: Whether ticker and company name are replaced by "the company" before anything is sent, so that a
            model is less reminded of what it knows about the company's future.
        company_names: Names of each symbol's company, for the mask.
        headlines_per_call: Headlines in one call.
        timeout_s: Seconds that one call may take in all.
        retries: Further attempts after a call that failed or was answered wrongly.
        backoff_s: Seconds before the first of these; each waits twice as long as the one before.
        max_calls: Calls that all scores of one cache may cost, over all runs and endpoints.
        max_tokens: Tokens that they may cost, as the endpoint counts them, or a quarter of the letters where it does
            not.
    """

    url: str = "http://127.0.0.1:8080/v1"
    model: str = Field(default="local", min_length=1)
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    mask_names: bool = False
    company_names: Mapping[str, tuple[str, ...]] = {}
    headlines_per_call: int = Field(default=16, ge=1, le=256)
    timeout_s: float = Field(default=60.0, gt=0)
    retries: int = Field(default=4, ge=0, le=20)
    backoff_s: float = Field(default=1.0, ge=0)
    max_calls: int = Field(default=2_000, ge=1)
    max_tokens: int = Field(default=2_000_000, ge=1)

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        try:
            parts = urlsplit(self.url)
            host = parts.hostname
        except ValueError as error:
            raise ValueError(f"url '{self.url}' cannot be read ({error}); write http://127.0.0.1:8080/v1") from error
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError(f"url '{self.url}' is not one of http or https; write http://127.0.0.1:8080/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("url must hold neither a key nor a query; name the variable of the key in api_key_env")
        if parts.scheme == "http" and host not in LOCAL_HOSTS:
            raise ValueError(f"url '{self.url}' is plain http to another machine, where anyone may read it; use https")
        return self


class NewsAnalystSettings(QuietSettings):
    """Settings of `NewsAnalyst`.

    Attributes:
        context_length: Sessions whose headlines count, C.
        backend: Who scores a headline: `lexicon` (VADER with words of finance), `transformer` (FinBERT or another
            classifier of sentiment) or `endpoint` (a chat model).
        half_life_days: Sessions after which a headline counts half as much in the recent values.
        knowledge_cutoff: Last date that the scoring model may have seen. Needed for an endpoint, a folder and another
            revision; none for the lexicon, which is a list of words.
        cache: Folder that keeps the scores of a transformer or an endpoint by headline, or None. An endpoint needs
            one: what it cost is counted there.
        checkpoint: A classifier by its hub name, or a folder with `config.json`, `model.safetensors` and a tokenizer.
        revision: Commit on the hub, in place of the pinned one.
        device: Where torch computes; `auto` is a GPU where there is one.
        batch_size: Headlines in one pass of the transformer.
        endpoint: The chat endpoint.
    """

    # The order of the labels, and which tokens a headline is made of.
    beside_weights: ClassVar[tuple[str, ...]] = ("config.json", *TOKENIZER_FILES)

    kind: Literal["news"] = "news"
    backend: Literal["lexicon", "transformer", "endpoint"] = "lexicon"
    half_life_days: float = Field(default=5.0, gt=0)
    knowledge_cutoff: datetime.date | None = None
    cache: Path | None = Path("~/.cache/alfred/headlines")
    checkpoint: str = Field(default=FINBERT, min_length=1)
    revision: str | None = None
    device: Device = "auto"
    batch_size: int = Field(default=32, ge=1)
    endpoint: EndpointSettings = EndpointSettings()

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of the daily values."""
        return DAILY_NAMES

    @property
    def cutoff(self) -> datetime.date | None:
        """Last date that the scoring model may have seen; None for a list of words."""
        if self.knowledge_cutoff is not None or self.backend != "transformer":
            return self.knowledge_cutoff
        pinned = TRANSFORMER_REVISIONS.get(self.checkpoint)
        return TRANSFORMER_CUTOFFS[self.checkpoint] if pinned and self.revision in (None, pinned) else None

    @model_validator(mode="after")
    def _require_cutoff(self) -> Self:
        if self.backend != "lexicon" and self.cutoff is None:
            what = f"model '{self.endpoint.model}'" if self.backend == "endpoint" else f"'{self.checkpoint}'"
            raise ValueError(
                f"nobody says until when {what} was trained: set knowledge_cutoff to the last date that it may have "
                "seen, such as 2024-06-30, so that the report can keep the dates before it apart"
            )
        if self.backend == "endpoint" and self.cache is None:
            raise ValueError(
                "an endpoint needs a cache: without one every refit asks again, each with a fresh budget; name a "
                "folder, such as cache: ~/.cache/alfred/headlines"
            )
        return self
