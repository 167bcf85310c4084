"""Scores by a chat model behind an endpoint with the interface of OpenAI's."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import math
import os
import time
import urllib.error
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from alfred.analysts.news.calls import MOST_BYTES, LengthError, post
from alfred.analysts.news.replies import PROMPT, ReplyError, make_request, mask_names, read_reply
from alfred.analysts.news.scores import Item, Score, Scorer
from alfred.analysts.news.settings import EndpointSettings
from alfred.analysts.news.store import Ledger
from alfred.errors import ConfigError, EndpointError

_LOGGER = logging.getLogger(__name__)
_MOST_WAIT_S = 60.0
_LETTERS_A_TOKEN = 4


class _PassingError(Exception):
    """A failure that another attempt may not meet.

    Attributes:
        wait_s: Seconds that the endpoint asks to wait.
    """

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class EndpointScorer(Scorer):
    """Asks a chat model for sentiment and outlook, some headlines a call.

    An answer counts only when it is JSON of the form asked for, with one number in range for each headline; else the
    call is made again, after a wait that doubles each time. What was answered is kept at once, so that a run that is
    stopped, or that has used up its budget, goes on from there. A reply that was refused costs as well.

    The score of a headline may depend on the others of its call, for a chat model reads them all; the store keeps the
    first answer, and with `headlines_per_call` 1 there is nothing to depend on.
    """

    reads_symbol = True

    def __init__(self, settings: EndpointSettings, cache: Path) -> None:
        """Prepare the calls; none is made yet.

        Args:
            settings: The endpoint, and what it may cost.
            cache: Folder of the scores and of what they have cost: of all endpoints that are asked with it.

        Raises:
            ConfigError: The environment variable of the key is not set, or holds what is not printable ASCII.
        """
        self.settings = settings
        told = settings.model_dump(mode="json", include={"url", "model", "mask_names", "company_names"})
        words = json.dumps([told, PROMPT], sort_keys=True)
        super().__init__(f"endpoint {hashlib.sha256(words.encode()).hexdigest()[:24]}", cache)
        self.chunk = settings.headlines_per_call
        self.notes = (
            f"headlines were scored by the chat model '{settings.model}'"
            f"{', with names of companies masked' if settings.mask_names else ''}: an answer may change with the "
            "version that is served, and may know what came later.",
        )
        self.ledger = Ledger(cache.expanduser())
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if settings.api_key_env is not None:
            key = os.environ.get(settings.api_key_env, "").strip()
            if not key:
                raise ConfigError(
                    f"the environment variable {settings.api_key_env} is not set; export the key of {settings.url} in "
                    "it, or leave out endpoint.api_key_env where no key is asked for"
                )
            # What no header can carry would be an error of the connection, whose text repeats the key.
            if not (key.isascii() and key.isprintable()):
                raise ConfigError(
                    f"the environment variable {settings.api_key_env} holds a character that no key has: a line break, "
                    "or one that is not ASCII; export the key alone in it (its value is not shown here)"
                )
            self._headers["Authorization"] = f"Bearer {key}"

    def _score(self, items: Sequence[Item]) -> list[Score]:
        s = self.settings
        texts = [mask_names(item, s.company_names) if s.mask_names else item.text for item in items]
        body = make_request(items, texts, s.model, masked=s.mask_names)
        reason = ""
        for attempt in range(1 + s.retries):
            self._check_budget()
            received, tokens, wait = b"", None, 0.0
            try:
                received = self._post(body)
                scores, tokens = read_reply(received, len(items))
                return scores
            except _PassingError as error:
                reason, wait = str(error), error.wait_s
            except ReplyError as error:
                reason = str(error)
            finally:
                self.ledger.spend(1, tokens if tokens is not None else (len(body) + len(received)) // _LETTERS_A_TOKEN)
            if attempt < s.retries:
                wait = min(max(wait, s.backoff_s * 2**attempt), _MOST_WAIT_S)
                _LOGGER.warning("%s: %s; trying again in %.1f s", s.url, reason, wait)
                time.sleep(wait)
        raise EndpointError(
            f"{s.url} failed {1 + s.retries} times, the last time because {reason}; see that it serves '{s.model}', or "
            "raise endpoint.retries or endpoint.timeout_s. What was scored before is kept"
        )

    def _check_budget(self) -> None:
        calls, tokens = self.ledger.read()
        for spent, most, what in (
            (calls, self.settings.max_calls, "calls"),
            (tokens, self.settings.max_tokens, "tokens"),
        ):
            if spent >= most:
                raise EndpointError(
                    f"the budget of {self.ledger.path.parent} is used up: {spent} {what} of {most}. What was scored is "
                    f"kept; raise endpoint.max_{what} to go on"
                )

    def _post(self, body: bytes) -> bytes:
        """Return the body of the reply.

        Raises:
            EndpointError: The endpoint refuses the request as it is.
            _PassingError: Another attempt may succeed.
        """
        url = f"{self.settings.url.rstrip('/')}/chat/completions"
        try:
            return post(url, body, self._headers, self.settings.timeout_s)
        except LengthError as error:
            raise _PassingError(f"the answer is longer than {MOST_BYTES} bytes") from error
        except urllib.error.HTTPError as error:
            with error:
                self._judge(error)
        except TimeoutError as error:
            raise _PassingError(f"no answer came within {self.settings.timeout_s:g} s") from error
        except urllib.error.URLError as error:
            slow = isinstance(error.reason, TimeoutError)
            what = f"no answer came within {self.settings.timeout_s:g} s" if slow else f"no connection: {error.reason}"
            raise _PassingError(what) from error
        except (http.client.HTTPException, OSError) as error:
            raise _PassingError(f"the connection broke ({type(error).__name__})") from error

    def _judge(self, error: urllib.error.HTTPError) -> NoReturn:
        """Raise what an HTTP status means. Its body is not shown: some endpoints send the key back."""
        if error.code == 429 or error.code >= 500:
            try:
                wait = float(error.headers.get("Retry-After", "0"))
            except ValueError:
                wait = 0.0  # a date: the usual wait will do
            is_wait = math.isfinite(wait) and wait >= 0
            raise _PassingError(f"it answered with status {error.code}", wait_s=wait if is_wait else 0.0)
        hint = {401: "check the key", 403: "check the key", 404: "check url and model"}.get(error.code, "check the url")
        if 300 <= error.code < 400:
            hint = "it redirects, which is not followed: name the address that it redirects to"
        raise EndpointError(f"{self.settings.url} refuses the request with status {error.code}: {hint}")
