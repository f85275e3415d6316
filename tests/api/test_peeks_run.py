"""A run with peeks from its file to its report, and what the report says of them."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api.look import export
from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked
from rrm.core.graph import TaskGraph
from rrm.core.report import PeekedClaims, PeeksReport, Report
from rrm.core.values import Feedback, Label, Output, Rated, Request, Supported
from rrm.interchange.rows import read_rows
from rrm.pipeline.peeks import QUESTION, SURE
from rrm.report.record import report_from_json, report_to_json
from rrm.store.record import open_store
from tests.toys import Longer, toys


class Strict(Longer):
    """Finds every second claim wrong, by its length."""

    def rate(self, request: Request, seed: int) -> Feedback:
        if request.view.instruction != QUESTION:
            return super().rate(request, seed)
        return Feedback(request.id, self.name, Label(len(request.shown[0].text.split()) % 2 == 1))


def ran(out: Path, **rater: Any) -> Report:
    parts: dict[str, Any] = toys()
    parts["rater"] = {**parts["rater"], "plugin": Strict(), "peeks": 0.3, **rater}
    return rrm.run(out=out, quiet=True, **parts)


def test_a_report_says_how_often_claims_are_wrong_that_raters_could_not_check(tmp_path: Path) -> None:
    report = ran(tmp_path / "run")
    peeks = report.peeks
    assert peeks is not None and report.cost.peeks is not None
    assert [each.high for each in peeks.claims] == list(SURE)
    answers = sum(each.peeked for each in peeks.claims)
    assert answers == report.cost.peeks.ratings > 0 and peeks.minutes == report.cost.peeks.minutes
    assert 0 < sum(each.wrong for each in peeks.claims) < answers
    for each in peeks.claims:
        assert each.share == pytest.approx((each.wrong + 0.5) / (each.peeked + 1))
        assert each.share_low < each.share < each.share_high and each.peeked <= each.claims
    assert peeks.minutes <= 0.3 * report.cost.minutes
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What raters could not see" in page and "claims of the outputs chosen for targets are wrong" in page
    assert report_from_json(report_to_json(report)) == report
    export(tmp_path / "run", "jsonl", tmp_path / "rows.jsonl")
    looked = [row for _, row in read_rows(tmp_path / "rows.jsonl") if row["request"]["place"]["subject"] == "claims"]
    assert len(looked) == answers


def test_what_is_expected_of_chosen_outputs_follows_from_the_shares() -> None:
    one = PeekedClaims(0.0, 0.5, 10, 4, 1, 0.3, 0.1, 0.5, 2)
    report = PeeksReport((one, replace_of(one, 0.1, 0.0, 0.2, 5)), 3, 1, 2.0)
    assert report.wrong_chosen == pytest.approx((1.1, 0.2, 2.0))


def replace_of(row: PeekedClaims, share: float, low: float, high: float, chosen: int) -> PeekedClaims:
    return row._replace(share=share, share_low=low, share_high=high, chosen=chosen)


def test_without_peeks_a_report_says_nothing_of_them(tmp_path: Path) -> None:
    report = ran(tmp_path, peeks=0.0)
    assert report.peeks is None and report.cost.peeks is None
    assert "What raters could not see" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("share", [-0.1, 1.0, np.nan, "0.1"])
def test_a_share_that_is_none_is_refused_in_one_sentence(tmp_path: Path, share: Any) -> None:
    with pytest.raises(rrm.RrmError, match=r"rater\.peeks"):
        ran(tmp_path, peeks=share)


def test_looks_that_were_chosen_teach_and_tell_no_share(tmp_path: Path) -> None:
    report = ran(tmp_path / "run", peeks_random=0.25)
    peeks = report.peeks
    assert peeks is not None and report.cost.peeks is not None
    drawn = sum(each.peeked for each in peeks.claims)
    assert 0 < drawn < peeks.by_value and 0 <= peeks.by_value_wrong <= peeks.by_value
    assert drawn + peeks.by_value == report.cost.peeks.ratings
    for each in peeks.claims:
        assert each.share == pytest.approx((each.wrong + 0.5) / (each.peeked + 1))
    with open_store(tmp_path / "run", "read") as store:
        why = {each.request: each for each in store.load(Asked)}
        looked = [each.request for each in store.load(Rated) if each.request.place.subject == "claims"]
    streams = Counter(why[each.id].stream for each in looked)
    assert streams == {BY_VALUE: peeks.by_value, AT_RANDOM: drawn}
    assert all(each.minutes > 0 and each.propensity > 0 and each.pool.startswith("pool-") for each in why.values())
    page = (tmp_path / "run" / "report.html").read_text()
    assert "were chosen by what a look is worth" in page and "drawn at random, beside the words" not in page
    assert report_from_json(report_to_json(report)) == report
    export(tmp_path / "run", "jsonl", tmp_path / "rows.jsonl")
    told = [row for _, row in read_rows(tmp_path / "rows.jsonl") if row["request"]["place"]["subject"] == "claims"]
    assert {row["asked"]["stream"] for row in told} == {BY_VALUE, AT_RANDOM}
    again = ran(tmp_path / "run", peeks_random=0.25)  # from the record
    assert again.peeks == peeks


def test_a_later_round_goes_by_the_model_of_claims(tmp_path: Path) -> None:
    parts: dict[str, Any] = toys(rounds=2, compose={"plugin": "rrm.compose.composers:Informed"})
    parts["rater"] = {**parts["rater"], "plugin": Strict(), "peeks": 0.1, "peeks_random": 0.25}
    report = rrm.run(out=tmp_path, quiet=True, **parts)
    assert report.peeks is not None and report.peeks.by_value > 0
    with open_store(tmp_path, "read") as store:
        said = store.load(Supported)
        roots = {tree.root for tree in store.load(TaskGraph)}
        outputs = {output.id: output.node for output in store.load(Output)}
    assert said and {outputs[each.output] for each in said} <= roots  # claims of roots, which nobody else asks about
    assert all(0 <= share <= 1 for each in said for share in each.support)


@pytest.mark.parametrize(("peeks", "random"), [(0.3, 0.0), (0.3, 1.5), (0.3, np.nan), (0.0, 0.5)])
def test_a_share_of_drawn_looks_that_makes_no_sense_is_refused(tmp_path: Path, peeks: float, random: float) -> None:
    with pytest.raises(rrm.RrmError, match=r"peeks_random"):
        ran(tmp_path, peeks=peeks, peeks_random=random)
