"""A run with peeks from its file to its report, and what the report says of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api.look import export
from rrm.api.peeked import SURE
from rrm.core.report import PeekedClaims, PeeksReport, Report
from rrm.core.values import Feedback, Label, Request
from rrm.interchange.rows import read_rows
from rrm.pipeline.peeks import QUESTION
from rrm.report.record import report_from_json, report_to_json
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
