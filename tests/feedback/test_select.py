"""Which questions are put: equal texts once, orders drawn, no more than there are."""

from collections import Counter
from dataclasses import replace

import pytest

from rrm.core.errors import ConfigError
from rrm.core.place import Place
from rrm.core.values import Output, Passage, Request, View
from rrm.feedback.select import flattened, select, select_new

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


# ---- of raters who are not asked again ----


def new(*texts: str, view: View = VIEW, asked: list[Request] | None = None, **more: object) -> list[Request]:
    kinds = ("comparison", "label")
    found = select_new("node", "source", Place(1), view, outputs(*texts), kinds, 0, asked or (), **more)  # type: ignore[arg-type]
    assert list(found) == list(kinds)
    return [request for requests in found.values() for request in requests]


def said(requests: list[Request]) -> list[str]:
    return sorted("".join(sorted(shown.text for shown in request.shown)) for request in requests)


def test_every_question_that_is_open_is_there_once() -> None:
    assert said(new("a", "b", "c", "a")) == ["a", "ab", "ac", "b", "bc", "c"]
    first = select("node", "source", Place(1), VIEW, outputs("a", "b", "c"), {"comparison": 3, "label": 3}, 0)
    assert new("a", "b", "c") == first
    assert new("a", "b", "c", asked=first) == []


def test_the_same_texts_in_another_order_and_by_another_policy_are_the_same_question() -> None:
    asked = [replace(each, shown=each.shown[::-1]) for each in new("a", "b")]
    again = [replace(each, policy="improved") for each in outputs("b", "a", "c")]
    found = select_new("node", "source", Place(1), VIEW, again, ["comparison", "label"], 3, asked)
    assert said(found["comparison"]) == ["ac", "bc"] and said(found["label"]) == ["c"]


def test_another_view_or_node_is_another_question() -> None:
    asked = new("a", "b")
    assert new("a", "b", view=replace(VIEW, context="before"), asked=asked) != []
    assert select_new("other", "source", Place(1), VIEW, outputs("a", "b"), ["label"], 0, asked)["label"] != []


def test_what_shows_the_fewest_outputs_that_were_shown_before_comes_first() -> None:
    asked = [each for each in new("a", "b", "c") if said([each]) == ["ab"]]
    for seed in range(20):
        kinds = ["comparison", "label"]
        found = select_new("node", "source", Place(1), VIEW, outputs(*"abcde"), kinds, seed, asked)
        counts = [[sum(text in "ab" for text in shown) for shown in map(texts, found[kind])] for kind in kinds]
        assert counts == [[0] * 3 + [1] * 6, [0] * 3 + [1] * 2]


def texts(request: Request) -> list[str]:
    return [shown.text for shown in request.shown]


def test_a_question_without_an_answer_comes_last_as_a_new_copy() -> None:
    asked = new("a", "b")
    (label,) = (each for each in asked if texts(each) == ["a"])
    found = new("a", "b", "c", asked=asked, unanswered={label.id})
    assert said(found) == ["a", "ac", "bc", "c"]
    assert [(texts(each), each.copy) for each in found if each.kind == "label"] == [(["c"], 0), (["a"], 1)]
    answered = new("a", "b", "c", asked=[*asked, found[-1]], unanswered={label.id})
    assert said(answered) == ["ac", "bc", "c"]


def test_an_unknown_kind_is_refused_here_too() -> None:
    with pytest.raises(ConfigError, match="applause"):
        select_new("node", "source", Place(), VIEW, outputs("a", "b"), ["applause"], 0)


def test_criteria_are_asked_about_the_same_outputs_each_counted_by_itself() -> None:
    wanted = flattened({"comparison": 1, "rating": {"overall": 2, "accuracy": 2}})
    assert wanted == {"comparison": 1, "rating": 2, "rating/accuracy": 2}
    asked = select("node", "source", Place(), VIEW, outputs("a", "b", "c"), wanted, seed=0)
    by = {
        criterion: [each.shown for each in asked if (each.kind, each.criterion) == ("rating", criterion)]
        for criterion in ("overall", "accuracy")
    }
    assert by["overall"] == by["accuracy"] and len(by["overall"]) == 2
    assert len({each.id for each in asked}) == 5


def test_a_question_by_another_criterion_is_another_question() -> None:
    about = ("node", "source", Place(), VIEW, outputs("a", "b"))
    asked = select(*about, {"rating": 2}, 0)
    found = select_new(*about, ["rating", "rating/accuracy"], 0, asked)
    assert found["rating"] == [] and len(found["rating/accuracy"]) == 2


def test_something_is_asked_as_a_whole() -> None:
    with pytest.raises(ConfigError, match="overall = 1 beside rating/accuracy"):
        flattened({"rating": {"accuracy": 1}})


def test_a_criterion_has_a_name() -> None:
    with pytest.raises(ConfigError, match="without a name"):
        flattened({"rating": {" ": 1}})
