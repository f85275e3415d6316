"""Citations: what a policy says that its sentences rest on, exact where it copies, by number where a model is asked."""

import pytest

from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.claims import Citation, claim_spans
from rrm.core.protocols import ProposeJob
from rrm.core.task import Span
from rrm.core.text import sentence_texts
from rrm.core.values import Passage, View
from rrm.policy.careless import Careless
from rrm.policy.citing import Named, citations, numbered, without_numbers
from rrm.policy.extractive import Extractive
from rrm.policy.language_model import LanguageModelPolicy
from rrm.policy.selection import copied
from tests.policy.policy_scenes import TEXT, joined, prompt_context, proposed

VIEW = View("Tell.", (Passage("Anna slept. Ben ran."), Passage(""), Passage("Clara sang.")), 40)


def test_a_copied_sentence_cites_the_place_that_it_was_copied_from() -> None:
    for output in proposed(Extractive(), prompt_context(), 12, 1):
        said = [output.text[each.said.start : each.said.end] for each in output.citations]
        assert said == sentence_texts(output.text)
        assert said == [TEXT[each.read.start : each.read.end] for each in output.citations]
        assert {each.seen for each in output.citations} <= {0}


def test_above_the_leaves_the_part_is_cited_and_a_hasty_writer_cites_nothing() -> None:
    shown = joined([0.5, None])
    cited = [each for output in proposed(Extractive(), shown, 8, 2) for each in output.citations]
    assert {each.seen for each in cited} == {0, 1}
    assert all(shown.view.passages[each.seen].text[each.read.start : each.read.end] for each in cited)
    assert not any(output.citations for output in proposed(Careless(), shown, 8, 2))


def test_what_an_extractive_policy_wrote_is_known_again_with_its_citations() -> None:
    policy, shown = Extractive(), prompt_context()
    [output] = proposed(policy, shown, 1, 3)
    assert [piece.span for piece in policy.trace(shown, output)] == [each.said for each in output.citations]


def test_of_equal_sentences_the_first_is_cited_and_of_cut_ones_the_first_that_begins_so() -> None:
    view = View("Tell.", (Passage("No. Anna left the mill. No."), Passage("No.")), 40)
    assert copied(["No.", "Elsewhere."], view) == (Citation(Span(0, 3), 0, Span(0, 3)),)
    assert copied(["Anna left"], view, cut=True) == (Citation(Span(0, 9), 0, Span(4, 23)),)


def test_sentences_are_numbered_through_all_passages() -> None:
    assert numbered(VIEW) == "[1] Anna slept. [2] Ben ran.\n\n[3] Clara sang."


@pytest.mark.parametrize(
    ("answer", "text", "named"),
    [
        ("Anna slept [1]. Ben ran [2, 3].", "Anna slept. Ben ran.", (Named(10, (1,)), Named(19, (2, 3)))),
        ("Anna slept. [1-3]", "Anna slept.", (Named(11, (1, 2, 3)),)),
        ("All of it [1-900].", "All of it.", (Named(9, (1, 900)),)),
        ("Twice [2; 2 and 1].", "Twice.", (Named(5, (2, 1)),)),
        ("Nothing [here].", "Nothing [here].", ()),
        ("", "", ()),
    ],
)
def test_numbers_are_taken_out_of_an_answer(answer: str, text: str, named: tuple[Named, ...]) -> None:
    assert without_numbers(answer) == (text, named)


def test_a_number_is_of_the_claim_before_it_and_what_was_not_shown_is_passed_over() -> None:
    text, named = without_numbers("[3] Anna slept and Ben ran. [1, 2, 0, 77] Clara sang [3].")
    one, two = claim_spans(text)
    assert citations(text, named, VIEW) == (
        Citation(one, 0, Span(0, 11)),
        Citation(one, 0, Span(12, 20)),
        Citation(two, 2, Span(0, 11)),
    )


@pytest.mark.asyncio
async def test_a_language_model_that_is_asked_to_cite_is_shown_numbers_and_believed_by_them() -> None:
    shown = prompt_context("Anna slept. Ben ran.", limit=40)
    asked = LanguageModelPolicy(ScriptedAssistant(["Ben ran off [2]. Anna slept [1, 9]."], name="script"), cite=True)
    prompt = asked.prompt(shown, 0)
    assert "[1] Anna slept. [2] Ben ran." in prompt.user and "[3, 4]" in prompt.system
    [output] = await asked.propose_async(ProposeJob(shown, 1, 0))
    assert output.text == "Ben ran off. Anna slept."
    assert output.citations == (
        Citation(Span(0, 12), 0, Span(12, 20)),
        Citation(Span(13, 24), 0, Span(0, 11)),
    )
    plain = LanguageModelPolicy(ScriptedAssistant(["It rained [2]."], name="script"))
    [output] = await plain.propose_async(ProposeJob(shown, 1, 0))
    assert (output.text, output.citations) == ("It rained [2].", ()) and plain.name != asked.name


@pytest.mark.asyncio
async def test_what_is_cut_to_the_limit_cites_what_is_left() -> None:
    shown = prompt_context("Anna slept. Ben ran.", limit=4)
    asked = LanguageModelPolicy(ScriptedAssistant(["Anna slept [1]. Ben ran [2]."], name="script"), cite=True)
    [output] = await asked.propose_async(ProposeJob(shown, 1, 0))
    assert output.text == "Anna slept." and output.truncated
    assert output.citations == (Citation(Span(0, 11), 0, Span(0, 11)),)
