"""Who marks claims in a run is shown how probably each is supported, once anything was learned of that."""

from pathlib import Path

import rrm
from rrm.core.claims import claim_spans
from rrm.core.kinds import Answer
from rrm.core.values import ClaimMarks, Feedback, Fitted, Label, Request, Supported
from rrm.store.record import open_store
from tests.toys import Longer, toys

INFORMED = {"plugin": "rrm.compose.composers:Informed"}


class Marking(Longer):
    """Marks no claim, and accepts what has two words or more."""

    def rate(self, request: Request, seed: int) -> Feedback:
        answer: Answer = ClaimMarks() if request.kind == "claims" else Label(len(request.shown[0].text.split()) > 1)
        return Feedback(request.id, self.name, answer)


def asked(out: Path, **changes: object) -> list[Request]:
    rater = {"plugin": Marking(), "per_node": {"claims": 1, "label": 2}, "random_share": 0.0}
    rrm.run(out=out, quiet=True, **{**toys(rater=rater, compose=INFORMED), **changes})
    with open_store(out, "read") as store:
        return [request for request in store.load(Request) if request.kind == "claims"]


def test_from_the_second_level_on_claims_are_shown_with_their_support(tmp_path: Path) -> None:
    requests = asked(tmp_path)
    assert {request.place.level for request in requests} == {0, 1, 2}
    for request in requests:
        [shown] = request.shown
        assert len(shown.support) == (len(claim_spans(shown.text)) if request.place.level else 0)
        assert all(0 < each < 1 and each == round(each, 2) for each in shown.support)
    with open_store(tmp_path, "read") as store:
        told = {(each.output, each.support) for each in store.load(Supported)}
        fitted = [each for each in store.load(Fitted) if each.place.subject == "claims"]
        before = len(store.load(Request))
    assert {
        (shown.output, shown.support) for request in requests if request.place.level for shown in request.shown
    } <= told
    # one model before each level above the leaves, of what was said below it; the last is that of the composed scores
    assert [each.place.level for each in fitted] == [1, 2, 2] and fitted[-1].root
    asked(tmp_path)
    with open_store(tmp_path, "read") as store:
        assert len(store.load(Request)) == before  # nothing is asked again


def test_where_no_model_of_claims_is_asked_nothing_is_shown(tmp_path: Path) -> None:
    compose = {**INFORMED, "arguments": {"claims": False}}
    assert not any(shown.support for request in asked(tmp_path, compose=compose) for shown in request.shown)
