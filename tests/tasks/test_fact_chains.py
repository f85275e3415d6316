"""Questions over tables of facts: what the facts say, what gold is, and that no shortcut finds the answer."""

import doctest
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks.fact_chains
from rrm.core.errors import InputError
from rrm.core.protocols import SourceSet
from rrm.core.task import Span
from rrm.core.text import words
from rrm.core.values import Passage, View
from tasks.fact_chains import NAMES, RELATIONS, FactChain, FactChains, perceived_quality


def facts_of(chain: FactChain) -> list[str]:
    return chain.source.text.split("\n")[2:]


def value(fact: str) -> str:
    return fact.partition(" is ")[2].removesuffix(".")


@pytest.fixture(scope="module")
def questions() -> FactChains:
    return FactChains(count=200, seed=3)


def test_the_example_in_the_docstring_is_true() -> None:
    assert doctest.testmod(tasks.fact_chains).failed == 0


def test_a_source_is_its_question_and_its_facts_one_a_line(questions: FactChains) -> None:
    assert isinstance(questions, SourceSet)
    chain = questions.chains[0]
    assert chain.source.text.startswith(f"{chain.question}\n\n")
    assert chain.source.title == chain.question
    assert len(facts_of(chain)) == len(RELATIONS) * 8
    assert len(set(facts_of(chain))) == len(facts_of(chain))
    assert len({source.id for source in questions.sources()}) == 200


@settings(max_examples=60, deadline=None)
@given(hops=st.integers(1, 8), spare=st.integers(0, 10), seed=st.integers(0, 1000))
def test_the_answer_follows_from_the_facts_step_by_step_over_names_that_all_differ(
    hops: int, spare: int, seed: int
) -> None:
    chain = FactChains(1, hops, hops + 2 + spare, seed).chains[0]
    inner = chain.question.removeprefix("What is ").removesuffix("?")
    names = [inner.split(" of ")[-1]]
    for step in reversed(inner.split(" of ")[:-1]):  # by plain text, from the inside out
        (fact,) = [line for line in facts_of(chain) if line.lower().startswith(f"{step} of {names[-1]} is ".lower())]
        names.append(value(fact))
    assert names[-1] == chain.answer
    assert [step.answer for step in chain.steps] == names[1:]
    assert [value(chain.source.read(step.fact)) for step in chain.steps] == names[1:]
    assert len(set(names)) == hops + 1


def test_the_same_seed_makes_the_same_questions_whatever_the_count(questions: FactChains) -> None:
    assert [each.id for each in FactChains(5, seed=3).sources()] == [each.id for each in questions.sources()[:5]]
    assert FactChains(1, seed=4).sources()[0].id != questions.sources()[0].id


def test_gold_is_one_for_the_answer_and_shared_among_names_of_its_kind(questions: FactChains) -> None:
    chain = next(each for each in questions.chains if each.question.startswith("What is the birthplace of the author"))
    gold = lambda text: questions.gold(chain.source.id, None, text)  # noqa: E731
    others = [name for name in NAMES["city"] if name != chain.answer]
    assert gold(chain.answer) == 1
    assert gold(f"It is {chain.answer}, where {chain.steps[0].answer} was born.") == 1
    assert gold(f"The birthplace of {chain.steps[0].answer} is {chain.answer}.") == 1
    assert gold(f"The mayor of {chain.answer} is {chain.steps[0].answer}.") == 0  # names it, but says something else
    assert gold(f"{chain.answer} or {others[0]}") == 0.5
    assert gold(", ".join(NAMES["city"])) == pytest.approx(1 / 20)
    assert [gold(text) for text in ("", others[0], chain.steps[0].answer, f"{chain.answer}s")] == [0, 0, 0, 0]


def test_gold_of_a_span_is_that_of_the_step_whose_fact_lies_inside(questions: FactChains) -> None:
    chain = questions.chains[0]
    first, last = chain.steps
    whole = Span(len(chain.question) + 1, len(chain.source.text))
    for step in chain.steps:
        assert questions.gold(chain.source.id, step.fact, step.answer) == 1
        assert questions.gold(chain.source.id, whole, step.answer) == 1
    assert questions.gold(chain.source.id, first.fact, last.answer) == 0
    question = Span(0, len(chain.question))
    assert [questions.gold(chain.source.id, question, text) for text in ("", last.answer)] == [1, 0]
    with pytest.raises(InputError, match="no source with the id 'source-x'"):
        questions.gold("source-x", None, "")


def overlap(chain: FactChain) -> str:
    asked = set(words(chain.question))
    return value(max(facts_of(chain), key=lambda fact: len(asked & set(words(fact)))))


def best_fact_of_the_outer_relation(chain: FactChain) -> str:
    outer = chain.question.split()[3]
    asked = set(words(chain.question))
    facts = [fact for fact in facts_of(chain) if fact.startswith(f"The {outer} of ")]
    return value(max(facts, key=lambda fact: len(asked & set(words(fact)))))


BASELINES: dict[str, tuple[Callable[[FactChain], str], float]] = {
    "the fact with most of the question's words": (overlap, 0.02),
    "the last fact": (lambda chain: value(facts_of(chain)[-1]), 0.1),
    "a fact drawn at random": (lambda chain: value(random.Random(chain.question).choice(facts_of(chain))), 0.1),
    "the name told most often": (lambda chain: Counter(map(value, facts_of(chain))).most_common(1)[0][0], 0.15),
    "all that the source says": (lambda chain: chain.source.text, 0.126),
    "a fact of the right relation": (best_fact_of_the_outer_relation, 0.25),
}


@pytest.mark.parametrize("name", BASELINES)
def test_no_trivial_baseline_answers_the_questions(questions: FactChains, name: str) -> None:
    baseline, most = BASELINES[name]
    gold = [questions.gold(chain.source.id, None, baseline(chain)) for chain in questions.chains]
    assert np.mean(gold) <= most


def test_a_reader_of_the_facts_sees_which_answer_is_right(questions: FactChains) -> None:
    for chain in questions.chains[:30]:
        first, last = chain.steps
        facts = View(first.question, (Passage(chain.source.text),), 20)
        texts = [first.answer, f"The x of y is {first.answer}.", last.answer, ""]
        assert perceived_quality(facts, texts).tolist() == [1, 1, 0, 0]
        whole = View(chain.question, (Passage(first.answer), Passage(f"{last.answer}.")), 20)
        assert perceived_quality(whole, [first.answer, last.answer]).tolist() == [0, 1]
        told = View(chain.question, tuple(Passage(chain.source.read(step.fact)) for step in chain.steps), 20)
        assert perceived_quality(told, [first.answer, last.answer]).tolist() == [0, 1]


def test_a_reader_who_missed_the_fact_or_knows_no_question_cannot_tell(questions: FactChains) -> None:
    chain = questions.chains[0]
    view = View(chain.steps[0].question, (Passage(chain.source.text),), 20)
    assert perceived_quality(view, ["a", "b"], read=0.0).tolist() == [0.5, 0.5]
    seen = [perceived_quality(view, [chain.steps[0].answer], read=0.6, seed=seed)[0] for seed in range(200)]
    assert set(seen) == {0.5, 1.0}
    assert np.mean([each == 1 for each in seen]) == pytest.approx(0.6, abs=0.12)  # 3.5 standard errors of 200 draws
    assert perceived_quality(View("Sum up.", (Passage(chain.source.text),), 20), ["a"]).tolist() == [0.5]
    assert perceived_quality(View(chain.question, (), 20), ["a"]).tolist() == [0.5]


@pytest.mark.parametrize(
    "settings",
    [
        {"count": 0},
        {"count": 1, "hops": 0},
        {"count": 1, "hops": 9, "entities": 12},
        {"count": 1, "hops": 4, "entities": 5},
        {"count": 1, "entities": 21},
    ],
)
def test_settings_that_make_no_question_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match="fact chains need"):
        FactChains(**settings)
