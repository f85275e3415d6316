"""Content ids and seeds: equal content, equal name, on every machine."""

import hashlib
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.core.ids import content_id, exact_id, generator, seed_for
from rrm.core.place import Place
from rrm.core.task import Source, Span, Task
from rrm.core.values import Comparison, Feedback, Output, Passage, Request, Shown, View


def test_an_id_is_the_same_in_every_version_and_process() -> None:
    # hashlib.blake2b(b'["a",1]', digest_size=10, person=b"node") in Python 3.11
    assert content_id("node", "a", 1) == "node-751d701cddb677998d92"


def test_the_order_of_a_dictionarys_keys_does_not_matter() -> None:
    assert content_id("x", {"a": 1, "b": 2}) == content_id("x", {"b": 2, "a": 1})


def test_the_kind_and_the_order_of_parts_do_matter() -> None:
    assert len({content_id("x", 1, 2), content_id("y", 1, 2), content_id("x", 2, 1), content_id("x", [1, 2])}) == 4


def test_dataclasses_with_equal_fields_but_other_names_differ() -> None:
    @dataclass(frozen=True)
    class Left:
        value: int

    @dataclass(frozen=True)
    class Right:
        value: int

    assert content_id("x", Left(1)) != content_id("x", Right(1))
    assert content_id("x", Left(1)) == content_id("x", Left(1))


def test_what_has_no_stable_text_has_no_id() -> None:
    with pytest.raises(TypeError, match="object"):
        content_id("x", object())


def test_a_text_with_a_lone_surrogate_has_an_id() -> None:
    assert Source("odd", "a\ud800b").id != Source("odd", "ab").id


def test_seeds_are_63_bits_and_belong_to_their_parts() -> None:
    seeds = {seed_for(run, node) for run in range(20) for node in ("a", "b")}
    assert len(seeds) == 40
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_generator_repeats_itself_and_differs_from_its_neighbour() -> None:
    assert generator(7, "a").random() == generator(7, "a").random()
    assert generator(7, "a").random() != generator(7, "b").random()


def test_a_sources_id_is_its_contents_not_its_titles() -> None:
    assert Source("one", "text").id == Source("other", "text").id
    assert Source("one", "text").id != Source("one", "text", breaks=(2,)).id
    assert Source("one", "text").id != Source("one", "text", skipped=(Span(0, 1),)).id


def test_an_outputs_id_includes_its_seed_and_what_it_was_made_from() -> None:
    base = Output("n", "text", "policy", 0)
    others = [
        Output("m", "text", "policy", 0),
        Output("n", "other", "policy", 0),
        Output("n", "text", "p2", 0),
        Output("n", "text", "policy", 1),
        Output("n", "text", "policy", 0, inputs=("o",)),
        Output("n", "text", "policy", 0, context=("o",)),
    ]
    assert len({base.id, *(each.id for each in others)}) == 7
    assert base.id == Output("n", "text", "policy", 0, log_prob=-1.0).id


def test_a_request_that_shows_something_else_is_another_request() -> None:
    def request(text: str, score: float | None, copy: int = 0, guideline: str = "v1") -> Request:
        view = View("sum up", (Passage("below", "n1", "o1", score),), 128)
        return Request("n", "s", 1, "comparison", view, (Shown("a", text), Shown("b", "y")), guideline, copy)

    different = [request("x", 0.5), request("z", 0.5), request("x", 0.6), request("x", 0.5, 1)]
    assert len({each.id for each in [*different, request("x", 0.5, 0, "v2")]}) == 5
    assert request("x", 0.5).id == request("x", 0.5).id


def test_feedback_of_two_raters_differs_and_time_does_not_count() -> None:
    assert Feedback("r", "ann", Comparison(0)).id != Feedback("r", "bob", Comparison(0)).id
    assert Feedback("r", "ann", Comparison(0), 3.0).id == Feedback("r", "ann", Comparison(0), 9.0).id


def test_a_tasks_rank_is_the_length_of_its_span_unless_stated() -> None:
    assert Task("x", "s", Span(3, 10)).rank == 7
    assert Task("x", "s", Span(3, 10), rank=99).rank == 99


@dataclass(frozen=True)
class Deep:
    zone: object
    _under: object = None
    Capital: object = None


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("a\ud800\x7f"),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.builds(Deep, inner, inner, inner)
    ),
    max_leaves=8,
)


def _as_json_has_it(value: object) -> object:
    if isinstance(value, Deep):
        return {"__kind__": "Deep", **{each: _as_json_has_it(value.__dict__[each]) for each in value.__dict__}}
    if isinstance(value, list | tuple):
        return [_as_json_has_it(each) for each in value]
    return {key: _as_json_has_it(each) for key, each in value.items()} if isinstance(value, dict) else value


@given(st.lists(PARTS, max_size=4))
def test_an_id_is_of_the_json_text_of_its_parts(parts: list[object]) -> None:
    text = json.dumps([_as_json_has_it(each) for each in parts], sort_keys=True, separators=(",", ":"))
    digest = hashlib.blake2b(text.encode(), digest_size=10, person=b"x").hexdigest()
    assert content_id("x", *parts) == f"x-{digest}"


UNLIKE_ASCII = ["", "plain", 'quoted "\\/"', "\x00\x1f\x7f\n\t\b\f\r", "é\u2028", "\ud800", "a" * 700, "😀"]
EXACT = st.recursive(
    st.text(st.characters()) | st.sampled_from(UNLIKE_ASCII) | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(EXACT, max_size=4))
def test_an_exact_id_is_the_content_id_wherever_no_number_is_a_float(parts: list[object]) -> None:
    assert exact_id("x", *parts) == content_id("x", *parts)


@pytest.mark.parametrize("text", UNLIKE_ASCII)
@pytest.mark.parametrize("scores", [(), (0.1,), (1e-5, 1e16, 123.0)])
def test_ids_of_what_passes_between_steps_are_content_ids(text: str, scores: tuple[float, ...]) -> None:
    view = View(text, (Passage(text), *(Passage(text, score=score) for score in scores)), 128, text)
    output = Output("node", text, "policy", 2**70, ("a",), (text,))
    shown = [Shown(output.id, text, scores), Shown("other", "b")]
    request = Request("node", "source", Place(), "comparison", view, tuple(shown))
    assert view.id == content_id("view", view)
    assert output.id == content_id("output", "node", text, "policy", 2**70, ("a",), (text,))
    said = [[output.id, text, *([scores] if scores else [])], ["other", "b"]]
    assert request.id == content_id("request", "node", "comparison", view.id, said, "v1", 0, "overall")


def test_what_has_no_stable_text_has_no_exact_id() -> None:
    with pytest.raises(TypeError, match="object"):
        exact_id("x", object())
