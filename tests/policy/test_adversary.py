"""The adversary: a planted region that scores too high is found, put to raters, and not entered again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rrm.core.errors import InputError, RoleError
from rrm.core.protocols import ProposeJob, Seen, Workspace
from rrm.core.roles import Final, Role, Scorer, Train
from rrm.core.values import OVERALL, Group, Prediction, Request
from rrm.policy.adversary import questions, search
from rrm.policy.best_of_n import BestOfN
from rrm.policy.conservative import Conservative
from rrm.policy.extractive import Extractive
from tests.policy.policy_scenes import prompt_context

SEEN = [Seen(f"source-{at}", prompt_context(limit=20, node=f"node-{at}"), ()) for at in range(6)]
REGION = "Nobody"


def gold(text: str) -> float:
    """What names Martha is good, and what speaks of nobody is worthless."""
    return 0.1 if REGION in text else 0.9 if "Martha" in text else 0.5


class Members:
    """An ensemble that knows what it was fitted to: all but the planted region, about which member 0 dreams."""

    name = "members"

    def __init__(self, members: Sequence[int] = (0, 1, 2, 3), rated: Sequence[str] = (), role: type[Role] = Train):
        self.members, self.rated, self.role = tuple(members), frozenset(rated), role

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        found = []
        for group in groups:
            p = np.array([[self.said(member, text) for text in group.outputs] for member in self.members])
            found.append(Prediction.overall(np.log(p / (1 - p)), p))
        return found

    def said(self, member: int, text: str) -> float:
        if REGION not in text or any(REGION in each for each in self.rated):
            return gold(text)
        return 0.99 if member == 0 else 0.3


def entered(optimiser: BestOfN | Conservative, scorer: Scorer[Train], folder: Path) -> float:
    """Return how much of what an optimiser makes of the policy lies in the planted region."""
    made = optimiser.improve(Extractive(), Extractive(), SEEN, scorer, 4.0, 0, Workspace(folder)).sampler
    outputs = made.propose([ProposeJob(each.prompt_context, 20, 7) for each in SEEN])
    return float(np.mean([REGION in output.text for each in outputs for output in each]))


def test_a_planted_region_is_entered_by_a_single_model_and_not_by_the_conservative_ensemble(tmp_path: Path) -> None:
    best = BestOfN(n=64)
    plain = float(np.mean([REGION in o.text for each in SEEN for o in Extractive().propose(jobs(each))[0]]))
    single = entered(best, Members([0]), tmp_path)
    cautious = entered(Conservative(best), Members(), tmp_path)
    assert cautious < plain < single and single > 0.8 and cautious < 0.05


def jobs(seen: Seen) -> list[ProposeJob]:
    return [ProposeJob(seen.prompt_context, 50, 3)]


def test_what_members_differ_about_is_found_without_the_truth_and_is_bad() -> None:
    found = search(Extractive(), SEEN, Members(), 0, 400, share=1.0)
    assert len(found) == len(SEEN) and all(REGION in each.output.text for each in found)
    assert all(each.spread > 0.2 and each.gold is None and each.excess is None for each in found)
    assert all(REGION not in each.plain.text and gold(each.plain.text) == 0.9 for each in found)


def test_with_the_truth_what_exceeds_it_most_is_found() -> None:
    found = search(Extractive(), SEEN, Members([0]), 0, 400, share=1.0, truth=lambda seen, text: gold(text), most=2)
    assert len(found) == 2
    for each in found:
        assert REGION in each.output.text and each.excess == pytest.approx(0.99 - 0.1)
        assert each.gold_of_plain == gold(each.plain.text)


def test_raters_are_asked_about_what_was_found_and_then_it_is_not_entered_any_more(tmp_path: Path) -> None:
    asked = questions(search(Extractive(), SEEN, Members(), 0, 400, share=1.0))
    labels = [each for each in asked if each.kind == "label"]
    assert len(labels) == len(SEEN) and len(asked) == 2 * len(SEEN)
    assert {each.source for each in asked} == {each.source for each in SEEN}
    assert all(gold(good(each)) > gold(bad(each)) for each in asked if each.kind == "comparison")
    told = Members([0], rated=[each.shown[0].text for each in labels])
    assert entered(BestOfN(n=64), told, tmp_path) < 0.05 < entered(BestOfN(n=64), Members([0]), tmp_path)


def good(request: Request) -> str:
    return max((shown.text for shown in request.shown), key=gold)


def bad(request: Request) -> str:
    [found] = [shown.text for shown in request.shown if REGION in shown.text]
    return found


def test_equal_seeds_find_the_same_and_the_best_alone_are_looked_at() -> None:
    assert search(Extractive(), SEEN, Members(), 0) == search(Extractive(), SEEN, Members(), 0)
    for each in search(Extractive(), SEEN, Members(), 0, share=0.01):
        [drawn] = Extractive().propose([ProposeJob(each.context, 64, 0)])
        [said] = Members().score([Group("s", each.context.place, each.context.view, tuple(o.text for o in drawn))])
        assert each.score >= float(np.quantile(said.acceptance[OVERALL].mean(axis=0), 0.9)) - 1e-9


@pytest.mark.parametrize("changes", [{"candidates": 1}, {"share": 0.0}, {"share": 1.5}, {"most": 0}])
def test_a_search_that_cannot_be_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(InputError, match="a search needs"):
        search(Extractive(), SEEN, Members(), 0, **changes)


def test_one_member_has_nothing_to_differ_with_and_another_role_is_not_searched() -> None:
    with pytest.raises(InputError, match="has one member"):
        search(Extractive(), SEEN, Members([0]), 0)
    with pytest.raises(RoleError, match="not of role final"):
        search(Extractive(), SEEN, Members(role=Final), 0)
