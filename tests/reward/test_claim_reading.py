"""Claims beside a view: which unit each comes nearest to, and what tells against it, by hand."""

import numpy as np
import pytest

from rrm.core.values import Passage, View
from rrm.reward.claim_reading import DEFICITS, Beside, read_claims

TOLD = "Anna robbed Maron of the key. It rained all day. Nobody saw Wanda at the mill."


def encode(texts: object) -> np.ndarray:
    return np.stack([np.eye(2)[0] for _ in list(texts)])  # type: ignore[call-overload]  # every text means the same


def read(*outputs: str, view: str = TOLD, whole: str = "", score: float | None = None) -> Beside:
    passages = (Passage(view, score=score),) if view else ()
    return read_claims(View("Tell.", passages, 50), outputs, encode, None, whole)


def deficits(claim: str, view: str = TOLD) -> dict[str, float]:
    [told] = read(claim, view=view).outputs
    return dict(zip(DEFICITS, told.deficits[0].tolist(), strict=True))


def test_a_copied_claim_has_no_deficit_and_rests_on_its_sentence() -> None:
    [told] = read("It rained all day. Anna robbed Maron of the key.").outputs
    assert told.places.tolist() == [1, 0] and not told.deficits.any()


def test_an_exchanged_name_is_missing() -> None:
    found = deficits("Anna robbed Marin of the key.")
    assert found["a_name_missing"] == 1 and found["names_missing"] == 1  # Anna, at the beginning, may be any word
    assert found["changed"] == 1 and found["words_missing"] > 0 and found["left_out"] > 0
    assert found["pairs_missing"] == pytest.approx(2 / 5)  # robbed marin, marin of


def test_exchanged_roles_break_pairs_and_runs() -> None:
    view = "The mayor met Anna of York and Maron of Kent at noon."
    found = deficits("The mayor met Maron of York and Anna of Kent at noon.", view)
    assert found["words_missing"] == 0 and found["names_missing"] == 0
    assert found["pairs_missing"] == pytest.approx(2 / 11)  # met maron, and anna
    assert 0 < found["no_run"] < 1


def test_a_negation_on_one_side_is_told() -> None:
    assert deficits("Anna never robbed Maron of the key.")["negation"] == 1
    assert deficits("Nobody saw Wanda at the mill.")["negation"] == 0


def test_what_comes_near_nothing_is_ungrounded() -> None:
    far = read_claims(
        View("Tell.", (Passage(TOLD),), 50),
        ["Quite other things happened elsewhere."],
        lambda texts: np.eye(len(list(texts)) + 1)[: len(list(texts))],
        None,
    )
    [told] = far.outputs
    assert told.places.tolist() == [-1]
    assert dict(zip(DEFICITS, told.deficits[0].tolist(), strict=True)) == dict.fromkeys(DEFICITS, 0.0) | {
        "ungrounded": 1.0
    }


def test_the_rest_of_a_whole_is_to_be_told_and_no_claim_rests_on_it() -> None:
    found = read("It snowed for a week.", whole=f"{TOLD} It snowed for a week.")
    assert len(found.units) == 4 and found.outputs[0].places.tolist() == [1]
    assert len(read("It rained all day.", whole=TOLD).units) == 3


def test_passages_carry_their_scores_as_trust() -> None:
    found = read("It rained all day.", whole=f"{TOLD} It snowed.", score=0.3)
    assert found.trust.tolist() == [0.3, 0.3, 0.3, 1.0]


@pytest.mark.parametrize("output", ["", "...", "   "])
def test_an_output_without_a_word_makes_no_claim(output: str) -> None:
    [told] = read(output).outputs
    assert told.deficits.shape == (0, len(DEFICITS)) and told.places.shape == (0,)


def test_without_anything_shown_nothing_is_grounded() -> None:
    [told] = read("It rained all day.", view="").outputs
    assert told.places.tolist() == [-1]


def test_one_endless_sentence_and_a_thousand_claims_are_read() -> None:
    endless = " and then ".join(["it rained all day in the valley where Wanda lived"] * 300) + "."
    many = " ".join(["It rained all day."] * 1000)
    told = read(endless, many).outputs
    assert len(told[1].places) == 1000 and set(told[1].places.tolist()) == {1}
    assert 1 < len(told[0].places) < 1000
