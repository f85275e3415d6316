"""One node of a tree in full, as JSON: what it read, what was said there, who judged it and how."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from rrm.core.annotation import Annotation
from rrm.core.calls import Call
from rrm.core.graph import TaskGraph
from rrm.core.kinds.answer import Written
from rrm.core.nodes import NodeRecord
from rrm.core.place import Place
from rrm.core.report import Candidate, Interval, NodeReport
from rrm.core.task import Source
from rrm.core.values import OVERALL, Answer, ClaimMarks, Composed, Critique, Feedback, Output, Request, Score, Scored
from rrm.viewer.outline import Layout

LONGEST = 20_000
"""Characters of one text that are sent; how long the whole is, is said."""

Answers = Callable[[str], Sequence[Annotation]]
"""What the desk has on a request, by its id."""


@dataclass(frozen=True, eq=False)
class Located:
    """A node in its tree, what is on record about it, and what the finished run's report says of it.

    `several` says that more rounds than the first are on record, so that places are told with theirs.
    """

    graph: TaskGraph
    layout: Layout
    source: Source | None
    node: str
    record: NodeRecord
    report: NodeReport | None = None
    several: bool = False

    @cached_property
    def outputs(self) -> list["ScoredOutput"]:
        """The node's outputs, best first: by composed score, else by their own, else as recorded.

        Those of the last round come before those of the one before it, and so on, for scores of different rounds are
        not on one scale. Of equals the chosen one comes first.
        """
        by_text = {each.text: each for each in reversed(self.report.candidates)} if self.report else {}
        latest = {each.output: each for each in self.record.composed if each.criterion == OVERALL}
        scored = [
            self._scored_output(each, by_text.get(each.text) or _candidate(each, latest.get(each.id)))
            for each in self.record.outputs
        ]
        rounds = self.record.rounds

        def place(each: ScoredOutput) -> tuple[int, bool, float, bool]:
            chosen = each.output.id == self.chosen
            return (-rounds.get(each.output.id, -1), each.composed is None, -each.worth, not chosen)

        return sorted(scored, key=place)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number that each output has on the page, the best one's being 1."""
        return {each.output.id: number for number, each in enumerate(self.outputs, 1)}

    @cached_property
    def chosen(self) -> str | None:
        """The id of the output that the finished run chose, by its text where the report lists another id."""
        best = self.report.chosen if self.report else None
        alike = [each.id for each in self.record.outputs if best and each.text == best.text]
        if best is None or (best.id in alike and best.chosen):
            return best.id if best else None
        return next((id_ for id_ in alike if id_ in self.record.handed_up), alike[0] if alike else None)

    def link(self, node: str) -> dict[str, Any]:
        """Return a node's number in this tree (None for one of another tree), id and title."""
        at = self.layout.place.get(node)
        return {"node": at, "id": node, "title": "" if at is None else self.layout.titles[at]}

    def _scored_output(self, output: Output, composed: Candidate | None) -> "ScoredOutput":
        own, flat = None, None
        for each in self.record.scores:
            if each.output == output.id and each.criterion == OVERALL:
                model = self.record.models.get(each.model)
                whole = model is not None and model.place.subject == "whole"
                own, flat = (own, each) if whole else (each, flat)
        return ScoredOutput(output, own, flat, composed)


@dataclass(frozen=True, eq=False)
class ScoredOutput:
    """An output with its latest scores overall: by its level's model, by the flat baseline's, and composed."""

    output: Output
    own: Scored | None
    flat: Scored | None
    composed: Candidate | None

    @property
    def worth(self) -> float:
        """What outputs are put in order by."""
        if self.composed is not None and self.composed.composed is not None:
            return self.composed.composed
        return sum(self.own.acceptance) / len(self.own.acceptance) if self.own else -1.0


def node_json(located: Located, answers: Answers) -> dict[str, Any]:
    """Return everything about a node; texts are cut at `LONGEST` characters."""
    record = located.record
    return {
        **_task(located),
        "read": {id_: {**located.link(each.node), "text": cut(each.text)} for id_, each in record.read.items()},
        "outputs": [_output(located, each) for each in located.outputs],
        "outputs_in_all": record.outputs_in_all,
        "requests": _requests(located, answers),
        "requests_in_all": record.requests_in_all,
        "failures": [{"step": each.step, "error": each.error, "cause": cut(each.cause)} for each in record.failures],
        "refusals": [cut(each.reason) for each in located.graph.refusals if each.node == located.node],
        "rounds": located.several,
        "models": [
            {"id": each.id, **_place(located, each.place), "digest": each.digest, "ratings": each.ratings}
            for each in record.models.values()
        ],
        "blame": located.report.blame if located.report else None,
        "cost": _cost(record),
        "calls": record.calls._asdict(),
    }


def cut(text: str) -> dict[str, Any]:
    """Return the beginning of a text and how long the whole is, in characters."""
    return {"text": text[:LONGEST], "length": len(text)}


def _place(located: Located, place: Place) -> dict[str, Any]:
    """Return a place as text, its parts, and in words for people."""
    parts = {"round": place.round, "subject": place.subject, "level": place.level}
    return {"place": str(place), **parts, "where": place.words(located.several)}


# ---- the task ----


def _task(located: Located) -> dict[str, Any]:
    graph, node = located.graph, located.node
    task, before = graph.task(node), graph.before(node)
    return {
        "node": located.layout.place[node],
        "id": node,
        "title": located.layout.titles[located.layout.place[node]],
        "level": graph.height(node),
        "depth": graph.depth(node),
        "open": node in graph.open,
        "parents": [located.link(each) for each in graph.parents(node)],
        "parts": [located.link(each) for each in graph.children(node)],
        "before": located.link(before) if before else None,
        "instruction": cut(task.instruction),
        "max_tokens": task.max_tokens,
        "context_tokens": task.context_tokens,
        "note": cut(graph.note(node)),
        "skipped": [list(span) for span in graph.skipped(node)],
        "source": _source(located),
    }


def _source(located: Located) -> dict[str, Any] | None:
    source, span = located.source, located.graph.task(located.node).span
    if source is None or span is None:
        return None
    text = {"text": source.text[span.start : min(span.end, span.start + LONGEST)], "length": span.end - span.start}
    whole = len(source.text)
    return {"id": source.id, "title": source.title, "start": span.start, "end": span.end, "of": whole, "text": text}


# ---- outputs ----


def _output(located: Located, scored_output: ScoredOutput) -> dict[str, Any]:
    output, composed = scored_output.output, scored_output.composed
    return {
        "number": located.numbers[output.id],
        "id": output.id,
        "text": cut(output.text),
        "policy": output.policy,
        "round": located.record.rounds.get(output.id),
        "seed": str(output.seed),  # 63 bits are more than a number holds in JavaScript
        "inputs": output.inputs,
        "context": output.context,
        "log_prob": output.log_prob,
        "truncated": output.truncated,
        "own": _scored(scored_output.own),
        "flat": _scored(scored_output.flat),
        "composed": _score(composed.composed, composed.composed_interval) if composed else None,
        "chosen": output.id == located.chosen,
        "handed_up": output.id in located.record.handed_up,
        "traced": output.id in located.record.traced,
    }


def _candidate(output: Output, composed: Composed | None) -> Candidate | None:
    """Return an output with its composed score on record, as a report tells it."""
    if composed is None:
        return None
    score = Score(np.array(composed.acceptance))
    return Candidate(output.id, output.text, composed=score.mean, composed_interval=Interval(*score.interval()))


def _scored(scored: Scored | None) -> dict[str, Any] | None:
    if scored is None:
        return None
    acceptance, rewards = Score(np.array(scored.acceptance)), Score(np.array(scored.rewards))
    return {
        **_distribution(acceptance),
        "reward": _distribution(rewards),
        "members": len(scored.acceptance),
        "model": scored.model,
    }


def _distribution(score: Score) -> dict[str, float]:
    low, high = score.interval()
    return {"mean": score.mean, "low": low, "high": high}


def _score(mean: float | None, interval: Interval | None) -> dict[str, Any] | None:
    if mean is None:
        return None
    return {"mean": mean, "low": interval.low if interval else None, "high": interval.high if interval else None}


# ---- ratings ----


def _requests(located: Located, answers: Answers) -> list[dict[str, Any]]:
    """Return what was asked, each with its answers.

    When a place is taken up, the desk records each answer with the request exactly as its rater saw it; such
    a request is no question of its own, so its answer is told at the one that was asked.
    """
    annotations = {request.id: answers(request.id) for request in located.record.requests}
    seen = {
        (seen_by_rater(request, each), each.person)
        for request in located.record.requests
        for each in annotations[request.id]
    }
    copies = {id_ for id_, _ in seen}
    return [
        _request(located, request, annotations[request.id], seen)
        for request in located.record.requests
        if annotations[request.id] or request.id not in copies
    ]


def seen_by_rater(request: Request, annotation: Annotation) -> str:
    """Return the id of a request as the rater of an answer saw it: in that order, under those guidelines."""
    shown = tuple(request.shown[position] for position in annotation.order)
    return replace(request, shown=shown, guideline=f"v{annotation.guideline}").id


def _request(
    located: Located, request: Request, annotations: Sequence[Annotation], seen: Collection[tuple[str, str]]
) -> dict[str, Any]:
    shown = [located.numbers.get(each.output) for each in request.shown]
    others = [each for each in located.record.feedback.get(request.id, ()) if (request.id, each.rater) not in seen]
    return {
        "id": request.id,
        **_place(located, request.place),
        "criterion": request.criterion,
        "kind": request.kind,
        "copy": request.copy,
        "guideline": request.guideline,
        "shown": shown,
        "answers": [
            *(_answer(each.answer, shown, each, each.rater, "recorded") for each in others),
            *(_answer(each.answer, shown, each, each.person, _state(located, request, each)) for each in annotations),
        ],
        "failures": [
            f"{each.error}: {each.cause}"[:LONGEST] for each in located.record.failures if each.subject == request.id
        ],
    }


def _answer(
    answer: Answer, shown: Sequence[int | None], of: Feedback | Annotation, rater: str, state: str
) -> dict[str, Any]:
    return {
        **answer_json(answer, shown),
        "rater": rater,
        "seconds": of.seconds,
        "confidence": of.confidence,
        "at": getattr(of, "at", None),
        "state": state,
        "decision": getattr(of, "adjudication", False),
    }


def _state(located: Located, request: Request, annotation: Annotation) -> str:
    """Return what became of an answer at the desk: its state, or "recorded", "waiting", "check"."""
    if annotation.state != "live":
        return annotation.state
    if annotation.purpose != "work":
        return "check"
    recorded = located.record.feedback.get(seen_by_rater(request, annotation), ())
    return "recorded" if any(each.rater == annotation.person for each in recorded) else "waiting"


def answer_json(answer: Answer, shown: Sequence[int | None]) -> dict[str, Any]:
    """Return an answer as a sentence about the outputs by their numbers, and what its rater wrote.

    `shown` holds the numbers of the outputs in the order of the request; None for one not on the page.
    """

    def name(place: int) -> str:
        number = shown[place] if place < len(shown) else None
        return f"output {number}" if number else "an output that is not listed"

    return {
        "kind": answer.kind,
        "said": answer.sentence(name)[:LONGEST],
        "text": cut(answer.text) if isinstance(answer, Written) and answer.text else None,
        "spans": [list(span) for span in _spans(answer)],
    }


def _spans(answer: Answer) -> tuple[tuple[int, int], ...]:
    """Return the characters of the output that an answer is about."""
    if isinstance(answer, ClaimMarks):
        return answer.marks
    return answer.spans if isinstance(answer, Critique) else ()


# ---- cost ----


def _cost(record: NodeRecord) -> dict[str, Any]:
    """Return what people took for a node, as far as the record knows; `calls` tells it of models."""
    feedback = [each for rows in record.feedback.values() for each in rows]
    timed = [each.seconds for each in feedback if each.seconds is not None]
    return {
        "outputs": record.outputs_in_all,
        "ratings": len(feedback),
        "rater_seconds": sum(timed) if timed else None,
        "timed": len(timed),
    }


# ---- model calls ----


def call_json(call: Call) -> dict[str, Any]:
    """Return a model call in full; texts are cut at `LONGEST` characters."""
    return {
        "id": call.id,
        "asker": call.asker,
        "about": call.about,
        "assistant": call.assistant,
        "system": cut(call.system),
        "user": cut(call.user),
        "sample": str(call.sample),  # as a seed: 63 bits
        "attempt": call.attempt,
        "at": call.at,
        "seconds": call.seconds,
        "reply": None if call.reply is None else cut(call.reply),
        "reason": None if call.reason is None else cut(call.reason),
        "error": None if call.error is None else cut(call.error),
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cost": call.cost,
        "cached": call.cached,
    }
