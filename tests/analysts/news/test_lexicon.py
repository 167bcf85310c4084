"""The list of words reads what headlines of finance say."""

from __future__ import annotations

import pytest

from alfred.analysts.news.lexicon import FINANCE_WORDS, LexiconScorer, is_forward_looking

pytest.importorskip("vaderSentiment", reason="the extra 'news' is not installed")

SCORER = LexiconScorer()


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("Agilent beats Q2 estimates", 1),
        ("Barclays upgrades Agilent to overweight", 1),
        ("AbbVie misses on revenue", -1),
        ("Goldman downgrades Advance Auto Parts", -1),
        ("Shares plunge after bankruptcy filing", -1),
        ("Company does not miss estimates", 1),
        ("Annual meeting of shareholders on Tuesday", 0),
        ("Best time to value short interest in energy shares", 1),
    ],
)
def test_direction(text, sign) -> None:
    score = float(SCORER.score([""], [text])[0, 0])
    assert (score > 0.05) - (score < -0.05) == sign


def test_finance_goes_before_everyday_language() -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    plain = SentimentIntensityAnalyzer()
    text = "Short interest in shares"
    assert plain.polarity_scores(text)["compound"] > 0.3
    assert SCORER.score([""], [text])[0, 0] == 0.0
    assert all(-4 <= valence <= 4 for valence in FINANCE_WORDS.values())


def test_outlook_is_of_the_future_only() -> None:
    scores = SCORER.score(["", ""], ["Agilent posts great profit", "Agilent expects great profit"])
    assert scores[0, 0] > 0
    assert scores[0, 1] != scores[0, 1]
    assert scores[1, 1] == scores[1, 0] > 0
    assert is_forward_looking("FDA to approve drug next year")
    assert not is_forward_looking("Shares fell on May 5")
