"""Conservative scores: an optimiser does not go where only one member of an ensemble wants it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rrm.core.errors import InputError, RoleError
from rrm.core.protocols import Optimiser, Policy, Seen, Workspace
from rrm.core.roles import Select, Train
from rrm.core.values import Group, Prediction
from rrm.policy.conservative import Cautious, Conservative
from rrm.policy.extractive import Extractive
from rrm.policy.kl_anchored import KLAnchored
from tests.policy.policy_scenes import Known, early, prompt_context, proposed, said

SHORT = "Anna left. Peter wept. Nobody spoke."


@dataclass
class OneDeceived:
    """Three members that like early sentences, but the first is wholly taken in by whatever says "Nobody"."""

    name: str = "deceived"
    role: type[Train] = Train

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        found = []
        for group in groups:
            fair = [0.2 + 0.3 * early(group, text) for text in group.outputs]
            taken_in = [1.0 if "Nobody" in text else worth for text, worth in zip(group.outputs, fair, strict=True)]
            found.append(said(taken_in, fair, fair))
        return found


def share_deceived(policy: Policy) -> float:
    return float(
        np.mean(["Nobody" in output.text for output in proposed(policy, prompt_context(SHORT, limit=3), 300, 0)])
    )


def improved(optimiser: Optimiser, folder: Path) -> Policy:
    given = prompt_context(SHORT, limit=3)
    seen = [Seen("one", given, tuple(proposed(Extractive(), given, 4, 0)))]
    return optimiser.improve(Extractive(), Extractive(), seen, OneDeceived(), 1.0, 0, Workspace(folder)).sampler


def test_a_region_that_one_member_over_scores_is_entered_by_the_mean_and_not_by_the_least(tmp_path: Path) -> None:
    before = share_deceived(Extractive())
    by_mean, by_least = improved(KLAnchored(), tmp_path), improved(Conservative(KLAnchored()), tmp_path)
    assert share_deceived(by_mean) > before + 0.2
    assert share_deceived(by_least) < before
    by_spread = improved(Conservative(KLAnchored(), "uncertain", 5.0), tmp_path)
    assert share_deceived(by_spread) < share_deceived(by_mean) - 0.2


def test_cautious_scores_are_of_one_member_and_have_a_name_of_their_own() -> None:
    given = prompt_context(SHORT, limit=3)
    group = Group("one", given.place, given.view, ("Anna left.", "Nobody spoke."))
    [raw], [least] = OneDeceived().score([group]), Cautious(OneDeceived(), "worst", 1.0).score([group])
    [mean] = Cautious(OneDeceived(), "uncertain", 0.0).score([group])
    assert least.acceptance["overall"].tolist() == [raw.acceptance["overall"].min(axis=0).tolist()]
    assert mean.acceptance["overall"][0] == pytest.approx(raw.acceptance["overall"].mean(axis=0), abs=1e-15)
    names = {Cautious(OneDeceived(), how, weight).name for how in ("worst", "uncertain") for weight in (0.0, 1.0)}
    assert len(names) == 4


def test_bad_settings_and_roles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="worst, uncertain"):
        Conservative(KLAnchored(), "median")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 or more"):
        Conservative(KLAnchored(), weight=-1.0)
    given = prompt_context(SHORT, limit=3)
    seen = [Seen("one", given, ())]
    with pytest.raises(RoleError, match="not of role select"):
        Conservative(KLAnchored()).improve(
            Extractive(), Extractive(), seen, Known(early, role=Select), 1.0, 0, Workspace(tmp_path)
        )
