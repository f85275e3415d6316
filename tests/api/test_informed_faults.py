"""What a run with the composer `Informed` makes of outputs, citations, marks and trees that are no good."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, cast

import pytest

import rrm
from rrm.compose.composers import Informed
from rrm.core.claims import Chain, Citation, Claims
from rrm.core.errors import AssistantError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.protocols import ProposeJob
from rrm.core.report import Report, TargetReport
from rrm.core.task import Source, Span, Task
from rrm.core.values import ClaimMarks, Failure, Feedback, Label, Output, Request
from rrm.store.record import open_store
from tests.toys import TEXTS, Longer, Texts, Words, toys

LIMIT = 5000
Says = Callable[[str, int], str]
"""(what is shown, the number of the output) -> its text."""


class Capitals(Texts):
    """The toys' texts with a capital at the beginning of each sentence, by which sentences are told apart."""

    def sources(self) -> list[Source]:
        return [Source(title, TEXTS[title].title()) for title in self.titles]


class Parts:
    """Nine sentences, three to a part: heights 0, 1 and 2, with room for long outputs.

    A root that `skips` reads its text itself, and has no part about the last three sentences.
    """

    def __init__(self, skips: bool = False) -> None:
        self.skips, self.name = skips, f"parts({skips})"

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        ends = [at + 1 for at, letter in enumerate(source.text) if letter == "."]

        def thirds(graph: TaskGraph, node: Node) -> Proposal:
            assert node.task.span is not None
            inside = [end for end in ends if node.task.span.start < end <= node.task.span.end]
            if len(inside) < 3:
                return Proposal()
            cuts = [node.task.span.start, *inside[len(inside) // 3 - 1 :: len(inside) // 3]]
            spans = [Span(a, b) for a, b in pairwise(cuts)]
            kept = spans[:-1] if node.id == graph.root and self.skips else spans
            tasks = (Task("Tell.", source.id, span, max_tokens=LIMIT) for span in kept)
            return Proposal(tuple(tasks), skipped=tuple(spans[len(kept) :]))

        whole = Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=LIMIT, sees_source=self.skips)
        return TaskGraph.start(whole, self.name, seed).grow_all(thirds)


class Saying(Words):
    """Says what a function of what is shown says, with the citations that another makes of the text."""

    def __init__(self, name: str, says: Says, cites: Callable[[str], Sequence[Citation]] = lambda text: ()) -> None:
        super().__init__()
        self.name, self.says, self.cites = name, says, cites

    def _outputs(self, job: ProposeJob) -> list[Output]:
        shown = job.prompt_context
        texts = [self.says(shown.view.text, number) for number in range(job.n)]
        return [
            Output(shown.node, text, self.name, at, shown.inputs, shown.context, citations=tuple(self.cites(text)))
            for at, text in enumerate(texts)
        ]


def told(text: str, number: int) -> str:
    """The first words shown, one more in every output."""
    return " ".join(text.replace(".", " ").split()[: number + 1]).capitalize() + "."


def first(text: str) -> str:
    return text.split()[0].strip(".")


def ran(out: Path, policy: Words, decomposer: Parts | None = None, claims: bool = False, **changes: Any) -> Report:
    """A run over toys; a model of claims is fitted where `claims` are asked for, which takes longer."""
    parts = toys(
        train={"plugin": Capitals(["first", "second"])},
        target={"plugin": Capitals(["target"])},
        policy={"plugin": policy, "outputs": 2, "root_outputs": 3},
        decomposer=decomposer or Parts(),
        **changes,
    )
    return rrm.run(out=out, quiet=True, **{**parts, "compose": Informed(claims)})


def target(report: Report) -> TargetReport:
    assert report.composer.startswith("informed")
    [found] = report.targets
    return found


def whole(text: str) -> Span:
    return Span(0, len(text))


CITING: dict[str, Callable[[str], Sequence[Citation]]] = {
    "nothing": lambda text: (),
    "what was not shown": lambda text: [
        Citation(whole(text), 99, Span(0, 3)),
        Citation(whole(text), 0, Span(0, 10**9)),
    ],
    "nowhere": lambda text: [Citation(whole(text), -1, Span(0, 3)), Citation(whole(text), 0, Span(3, 3))],
    "everything": lambda text: [Citation(whole(text), 0, Span(*each)) for each in combinations(range(5), 2)],
}


@pytest.mark.parametrize("cites", CITING)
def test_whoever_cites_badly_has_claims_aligned_as_if_nothing_was_cited(cites: str, tmp_path: Path) -> None:
    found = target(ran(tmp_path, Saying("liar", told, CITING[cites])))
    [claim] = found.claims
    assert claim.text == "Red green cyan." and claim.grounded
    assert not any(each.cited for each in claim.walk())
    assert {"Red.", "Green.", "Cyan."} <= {quote.text for quote in claim.reaches()}


@pytest.mark.parametrize(
    "wrong",
    [
        "page 3",
        ((0, 3), 0, (0, 3)),
        Citation(Span(0, 3), "0", Span(0, 3)),  # type: ignore[arg-type]
        Citation(Span(0, 3), 0, Span(0.5, 3)),  # type: ignore[arg-type]
        Citation(Span(0, 3), True, Span(0, 3)),
    ],
    ids=["text", "bare tuples", "a number in quotes", "half a character", "true"],
)
def test_a_citation_that_is_none_is_refused_when_it_is_written_and_not_once_all_is_rated(
    wrong: Any, tmp_path: Path
) -> None:
    with pytest.raises(rrm.RrmError, match=r"the policy liar must cite by Citation\(said, seen, read\)"):
        ran(tmp_path, Saying("liar", told, lambda text: [wrong]))
    with open_store(tmp_path, "read") as store:
        assert not store.load(Feedback)


def test_what_is_cited_rightly_is_what_a_claim_rests_on_and_nothing_else(tmp_path: Path) -> None:
    """At every node the author cites the first word shown, though it says the first two or three.

    The root says three words as one part does that says the first of two, or of three.
    """
    found = target(ran(tmp_path, Saying("citing", told, lambda text: [Citation(whole(text), 0, Span(0, 3))])))
    [claim] = found.claims
    assert claim.cited and 0 < claim.score < 1
    assert [quote.text for quote in claim.reaches()] == ["Red"]
    with open_store(tmp_path, "read") as store:
        kept = [output for output in store.load(Output) if output.text == claim.text]
    assert kept and all(output.citations == (Citation(whole(output.text), 0, Span(0, 3)),) for output in kept)


@pytest.mark.parametrize("said", [Span(3, 0), Span(0, 0), Span(-2, 2), Span(0, 10**6)], ids=str)
def test_a_citation_for_no_characters_of_the_own_text_is_refused(said: Span, tmp_path: Path) -> None:
    policy = Saying("liar", told, lambda text: [Citation(said, 0, Span(0, 3))])
    with pytest.raises(rrm.RrmError, match=f"cites for characters {said.start} to {said.end} of its text, which has"):
        ran(tmp_path, policy)


def test_citations_that_are_none_are_refused_in_a_sentence(tmp_path: Path) -> None:
    class Silent(Words):
        def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
            found = super().propose(jobs)
            return [[replace(each, citations=cast(Any, None)) for each in some] for some in found]

    with pytest.raises(
        rrm.RrmError, match="gave an Output whose citations are NoneType: no citation is an empty tuple"
    ):
        ran(tmp_path, Silent())


@pytest.mark.parametrize(
    ("says", "claims", "grounded"),
    [
        (lambda text, number: "", 0, 0),
        (lambda text, number: "...", 0, 0),
        (lambda text, number: f"{first(text)} " * (300 + number), 8, 8),
        pytest.param(lambda text, number: f"{first(text)}. " * (1000 + number), 1002, 1002, marks=pytest.mark.slow),
    ],
    ids=["nothing", "no word", "one endless sentence", "a thousand claims"],
)
def test_outputs_of_any_length_are_scored_and_traced(says: Says, claims: int, grounded: int, tmp_path: Path) -> None:
    report = ran(tmp_path, Saying("odd", says))
    found = target(report)
    assert found.chosen is not None and found.chosen.composed is not None
    assert 0 < found.chosen.composed < 1
    assert len(found.claims) == pytest.approx(claims, abs=2)
    assert sum(claim.grounded for claim in found.claims) == pytest.approx(grounded, abs=2)
    lost = "1 of the targets' roots rest on nothing that leads to the source: their scores are their own"
    assert (lost in report.warnings) == (claims == 0)
    if not claims:
        assert found.chosen.composed == pytest.approx(found.chosen.own)


class Refusing(Saying):
    """Fails at the target's leaves, or at all parts of its root."""

    def __init__(self, level: int) -> None:
        super().__init__(f"refusing({level})", told)
        self.level = level

    def _outputs(self, job: ProposeJob) -> list[Output]:
        said = set(job.prompt_context.view.text.lower().replace(".", " ").split())
        if job.prompt_context.place.level == self.level and said & set(TEXTS["target"].replace(".", " ").split()):
            raise AssistantError("the model is gone")
        return super()._outputs(job)


@pytest.mark.parametrize("level", [0, 1])
def test_a_tree_all_of_whose_parts_failed_has_no_score_and_says_why(level: int, tmp_path: Path) -> None:
    report = ran(tmp_path, Refusing(level))
    found = target(report)
    assert (found.chosen, found.claims) == (None, ())
    root = found.trees[0].nodes[0]
    assert root.failure == (
        "AssistantError: there is nothing to work on: the text is blank, or all of its parts failed"
    )
    failed = [node.failure for node in found.trees[0].nodes if node.level == level]
    assert set(failed) == {"AssistantError: the model is gone"}


def test_where_all_parts_failed_a_root_that_reads_the_text_itself_is_scored_by_it(tmp_path: Path) -> None:
    found = target(ran(tmp_path, Refusing(1), Parts(skips=True)))
    assert found.chosen is not None and found.chosen.composed is not None
    assert all(claim.grounded for claim in found.claims)


def test_a_chain_that_ends_in_a_skipped_span_ends_there(tmp_path: Path) -> None:
    """A root that reads the text itself tells what no part is about: it was shown, so it is what the claim rests on."""

    def last(text: str, number: int) -> str:
        return f"White. {told(text, number)}" if "White" in text else told(text, number)

    found = target(ran(tmp_path, Saying("last", last), Parts(skips=True)))
    skipped: Chain = found.claims[0]
    assert skipped.text == "White." and skipped.grounded and not skipped.below
    assert [quote.text for quote in skipped.reaches()] == ["White."]


class Marking(Longer):
    """Marks claims, at characters that may lie behind the output's end, as if a longer version had been read."""

    def __init__(self, end: int) -> None:
        super().__init__(f"marking({end})")
        self.end = end

    def rate(self, request: Request, seed: int) -> Feedback:
        if request.kind != "claims":
            return Feedback(request.id, self.name, Label(len(request.shown[0].text) > 12))
        return Feedback(request.id, self.name, ClaimMarks(unsupported=((0, self.end),)))


def rated_by(rater: Longer) -> dict[str, Any]:
    return {"plugin": rater, "per_node": {"claims": 1, "label": 2}, "random_share": 0.0}


def test_a_mark_on_a_claim_that_an_edit_removed_is_refused_and_is_no_rating(tmp_path: Path) -> None:
    report = ran(tmp_path, Saying("told", told), rater=rated_by(Marking(10_000)))
    assert target(report).chosen is not None
    with open_store(tmp_path, "read") as store:
        assert {type(each.answer) for each in store.load(Feedback)} == {Label}
        causes = {each.cause.partition("characters")[2] for each in store.load(Failure)}
    assert causes == {", got 0 to 10000: was it made on another version of the output?"}


def test_marks_are_learned_from_in_a_run(tmp_path: Path) -> None:
    report = ran(tmp_path, Saying("told", told), claims=True, rater=rated_by(Marking(3)))
    assert target(report).claims and all(0 < (claim.support or 0) < 1 for claim in target(report).claims)
    with open_store(tmp_path, "read") as store:
        answers = [each.answer for each in store.load(Feedback)]
        assert sum(isinstance(each, ClaimMarks) for each in answers) > 0
        assert store.load(Claims)
