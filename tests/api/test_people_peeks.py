"""People look at claims in the source on the pages where they rate: laid, answered, learned from and told."""

from itertools import count
from pathlib import Path
from typing import Any

import rrm
from rrm.core.annotation import Submission
from rrm.core.errors import Waiting
from rrm.core.report import Report
from rrm.core.values import Answer, Comparison, Label
from rrm.pipeline.peeks import QUESTION
from rrm.queue import SqlDesk, open_desk
from tests.toys import TOYS

KEYS = (f"key-{number}" for number in count())


def go_on(out: Path) -> Report | None:
    """Return the report; None where the run waits for people."""
    rater = {"plugin": "people", "per_node": {"comparison": 1, "label": 1}, "peeks": 0.3, "random_share": 0.0}
    parts = {name: value for name, value in {**TOYS, "rater": rater}.items() if name != "flat"}
    try:
        return rrm.run(rrm.run_file(parts), out, again="rrm run people.toml", quiet=True)
    except Waiting:
        return None


def rate(desk: SqlDesk, person: str) -> list[Any]:
    """Answer all there is: of claims, every second one by its words is right."""
    done = []
    while (lease := desk.claim(person)) is not None:
        made = []
        for each in lease.questions:
            words = [len(shown.text.split()) for shown in each.outputs]
            peek = each.request.view.instruction == QUESTION
            good = words[0] % 2 == 1 if peek else words[0] > 1
            answer: Answer = Label(good) if len(words) == 1 else Comparison(int(words[1] > words[0]))
            made.append(Submission(answer, each.shown, seconds=6.0))
        desk.submit(person, lease.id, made, next(KEYS))
        done += [each.request for each in lease.questions]
    return done


def test_people_are_asked_to_look_at_claims_after_all_levels_and_the_report_says_what_they_found(
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    assert go_on(out) is None
    asked: list[list[Any]] = []
    with open_desk(out) as desk:
        anna = desk.add_person("anna", by="test").id
        report = None
        while report is None and len(asked) < 9:
            asked.append(rate(desk, anna))
            report = go_on(out)
    assert report is not None and report.peeks is not None
    *levels, looked = asked
    assert {each.place.subject for some in levels for each in some} == {"answer"}
    assert looked and {(each.place.subject, each.kind, each.view.instruction) for each in looked} == {
        ("claims", "label", QUESTION)
    }
    assert sum(each.peeked for each in report.peeks.claims) == len(looked)
    wrong = sum(len(each.shown[0].text.split()) % 2 == 0 for each in looked)
    assert sum(each.wrong for each in report.peeks.claims) == wrong
