"""Which questions are put: equal texts once, orders drawn, no more than there are."""

from collections import Counter

import pytest

from rrm.core.errors import ConfigError
from rrm.core.values import Output, Passage, View
from rrm.feedback.select import select

VIEW = View("Summarise.", (Passage("text"),), 20)


def outputs(*texts: str) -> list[Output]:
    return [Output("node", text, "policy", seed) for seed, text in enumerate(texts)]


def test_equal_texts_are_never_compared() -> None:
    asked = select("node", "source", 0, VIEW, outputs("a", "b", "a", "b"), {"comparison": 1}, seed=0)
    assert [sorted(shown.text for shown in request.shown) for request in asked] == [["a", "b"]]
    assert select("node", "source", 0, VIEW, outputs("a", "a"), {"comparison": 5}, seed=0) == []


def test_every_pair_is_asked_once_before_any_is_asked_again() -> None:
    asked = select("node", "source", 0, VIEW, outputs("a", "b", "c"), {"comparison": 5}, seed=0)
    pairs = Counter(frozenset(shown.text for shown in request.shown) for request in asked)
    assert len(pairs) == 3
    assert max(pairs.values()) == 2
    assert len({request.id for request in asked}) == 5


def test_the_side_on_which_an_output_is_shown_is_random() -> None:
    first = Counter(
        request.shown[0].text
        for seed in range(200)
        for request in select("node", "source", 0, VIEW, outputs("a", "b"), {"comparison": 1}, seed)
    )
    assert 60 < first["a"] < 140


def test_kinds_show_as_many_outputs_as_they_need() -> None:
    asked = select("node", "s", 1, VIEW, outputs(*"abcdefgh"), {"label": 2, "ranking": 1, "rating": 1}, seed=0)
    assert [(request.kind, len(request.shown)) for request in asked] == [
        ("label", 1),
        ("label", 1),
        ("ranking", 6),
        ("rating", 1),
    ]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="applause"):
        select("node", "source", 0, VIEW, outputs("a", "b"), {"applause": 1}, seed=0)
