"""What raters write in a run is learned from once it is known which outputs it speaks for: by tags or an assistant."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api import look
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.errors import ConfigError, PluginError, RrmError
from rrm.core.roles import R, Ratings
from rrm.core.values import Critique, Failure, Feedback, Label, Rated, Request
from rrm.raters.critiques import ByAssistant, ByTags
from rrm.store.record import open_store
from tests.toys import LengthModel, Lengths, Longer, toys

TAGS = {"plugin": "rrm.raters.critiques:ByTags", "arguments": {"praise": ["good"], "fault": ["short"]}}


class Writing(Longer):
    """Says of outputs of two words and more that they are good, of others that they are short, of "red" nothing."""

    def rate(self, request: Request, seed: int) -> Feedback:
        if request.kind != "critique":
            return super().rate(request, seed)
        text = request.shown[0].text
        said = "Hm." if text.startswith("one") else "It is good." if len(text.split()) > 1 else "Too short."
        return Feedback(request.id, self.name, Critique(said))


class Noting(Lengths):
    """Notes what it was given to fit on."""

    def __init__(self) -> None:
        self.rows: list[Rated] = []

    def fit(self, ratings: Ratings[R], *rest: Any) -> LengthModel:
        self.rows += ratings.rows
        return super().fit(ratings, *rest)


def ran(out: Path, critiques: object, learner: Lengths | None = None, **more: Any) -> Any:
    rater = {"plugin": Writing(), "per_node": {"critique": 2}, "random_share": 0.0}
    rater |= {"critiques": critiques} if critiques is not None else {}
    compose = {"plugin": "rrm.compose.composers:Mean"}
    return rrm.run(out=out, quiet=True, **{**toys(reward=learner or Lengths(), compose=compose, rater=rater), **more})


def says(row: Rated) -> bool | None:
    answer = row.feedback.answer
    return answer.good if isinstance(answer, Label) else None


def expected(row: Rated) -> bool | None:
    text = row.request.shown[0].text
    return None if text.startswith("one") else len(text.split()) > 1


def test_critiques_grounded_by_tags_are_labels_to_the_learner_and_on_record_beside_what_was_written(
    tmp_path: Path,
) -> None:
    learner = Noting()
    ran(tmp_path, TAGS, learner)
    assert {says(row) for row in learner.rows} == {True, False, None}
    assert [says(row) for row in learner.rows] == [expected(row) for row in learner.rows]
    with open_store(tmp_path, "read") as store:
        written = [each for each in store.load(Feedback) if isinstance(each.answer, Critique)]
        labels = [each for each in store.load(Feedback) if isinstance(each.answer, Label)]
    assert written and len(labels) == len({row.feedback.id for row in learner.rows if says(row) is not None})
    with rrm.load(tmp_path, reward=Noting(), policy=toys()["policy"]["plugin"]) as run:
        told = run.ratings
    assert len(told) == len(written)
    assert {bool(answer.get("good")) for answer in told.answer if "good" in answer} == {True, False}
    assert look.export(tmp_path, "jsonl", None)["ratings"] == len(written)


def test_without_a_grounder_critiques_stay_as_they_were_written(tmp_path: Path) -> None:
    learner = Noting()
    ran(tmp_path, None, learner)
    assert learner.rows and {says(row) for row in learner.rows} == {None}


def test_a_grounded_run_is_resumed_without_grounding_again(tmp_path: Path) -> None:
    ran(tmp_path, TAGS)
    with open_store(tmp_path, "read") as store:
        before = len(store.load(Feedback))
    ran(tmp_path, TAGS)
    with open_store(tmp_path, "read") as store:
        assert len(store.load(Feedback)) == before


def answer(prompt: Any) -> str:
    return json.dumps({"spoken_for": ["A"] if "good" in prompt.user else []})


def shy(prompt: Any) -> str:
    """Names options of praise, and has nothing to say of faults."""
    return answer(prompt) if "good" in prompt.user else "no idea"


@pytest.mark.parametrize(("model", "labels"), [("answer", {True, False}), ("shy", {True, None})])
def test_an_assistant_grounds_them_and_where_it_fails_that_is_on_record_and_nothing_is_learned(
    model: str, labels: set[bool | None], tmp_path: Path
) -> None:
    learner = Noting()
    ran(tmp_path, ByAssistant(ScriptedAssistant({"answer": answer, "shy": shy}[model], name=model)), learner)
    assert {says(row) for row in learner.rows} == labels
    with open_store(tmp_path, "read") as store:
        failed = [each for each in store.load(Failure) if each.step == "ground"]
    assert bool(failed) == (model == "shy")
    assert all("grounded no critique in 2 attempts" in each.cause for each in failed)


class Changing(ByTags):
    """Says something else in the rater's place."""

    def ground(self, rated: Rated) -> Rated:
        return replace(rated, feedback=replace(rated.feedback, rater="somebody", answer=Label(True)))


@pytest.mark.parametrize(
    ("critiques", "error", "says"),
    [
        ({"plugin": "rrm.raters.critiques:ByTags"}, RrmError, "tags praise or find fault, each one of them: got none"),
        ({**TAGS, "arguments": {"praise": ["x"], "fault": ["X"]}}, RrmError, "got x as both"),
        ({**TAGS, "arguments": {"praise": "good"}}, RrmError, "praise is a list of words and phrases, got 'good'"),
        ({"plugin": "tests.toys:Words"}, (ConfigError, PluginError), "ground"),
        (Changing(("good",)), RrmError, "changed a critique: it only says which outputs it speaks for"),
    ],
)
def test_what_is_no_grounder_is_refused_in_one_sentence(
    critiques: object, error: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        ran(tmp_path, critiques)
