from pathlib import Path

import numpy as np
import pytest

from decomposers.segmenter import Segmenter
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, SplitScorer, Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.splits import HEAD, split_group, split_node, split_output, split_view
from rrm.core.values import OVERALL, Rated, Request, Shown
from rrm.evaluate.outcomes import outcome_of
from rrm.evaluate.splits import fewer_parts_win, more_even_wins
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.splits import FEATURES, FittedSplits, SplitRewards, outline_features
from tasks.planted_cuts import PlantedCuts, outline_quality

PLACE = Place(0, "split", 2)


def line(number: str, words: int, begins: str, first: str = "It was.", last: str = "It ended.", about: str = "") -> str:
    return f"{number} | {words} words | {begins} | {first} | {last} | {about}"


EVEN = "\n".join([HEAD, line("1", 100, "a chapter"), line("2", 100, "a paragraph"), line("3", 100, "a paragraph")])
ODD = "\n".join(
    [HEAD, line("1", 20, "a chapter"), line("2", 200, "no sentence", last="and the"), line("3", 80, "a sentence")]
)
TWO = "\n".join(
    [HEAD, line("1", 150, "a chapter", about="anna, ring"), line("2", 150, "a chapter", "But Anna saw.", about="anna")]
)


def request(*texts: str) -> Request:
    [source] = PlantedCuts(1).sources()
    shown = tuple(Shown(f"output-{at}", text) for at, text in enumerate(texts))
    return Request(split_node(source), source.id, PLACE, "comparison", split_view(source), shown)


def test_features_are_those_that_can_be_counted_by_hand() -> None:
    even, odd, two = (dict(zip(FEATURES, outline_features(text), strict=True)) for text in (EVEN, ODD, TWO))
    assert even["uneven"] == 0
    assert odd["uneven"] == pytest.approx(np.std(np.log([20, 200, 80])))
    assert (even["parts"], two["parts"]) == (pytest.approx(np.log(3)), pytest.approx(np.log(2)))
    assert (even["at paragraphs"], odd["inside sentences"], two["at chapters"]) == (1, 0.5, 1)
    assert (even["break off"], odd["break off"]) == (0, 0.5)
    assert (even["point back"], two["point back"]) == (1, 1)
    assert (even["go on"], two["go on"]) == (0, 1)
    with pytest.raises(InputError, match="no outline"):
        outline_features("a summary")


def test_the_baselines_say_which_is_more_even_and_which_has_fewer_parts() -> None:
    requests = [request(EVEN, ODD), request(ODD, EVEN), request(EVEN, TWO), request(EVEN, EVEN)]
    assert more_even_wins(requests).tolist() == [1, 0, 0.5, 0.5]
    assert fewer_parts_win(requests).tolist() == [0.5, 0.5, 0, 0.5]


def test_it_learns_which_decompositions_are_preferred_and_beats_both_baselines_on_other_sources(tmp_path: Path) -> None:
    rater = SimulatedRaters(outline_quality, temperature=0.03)
    rows = []
    segmenter = Segmenter(leaf_tokens=90, fan_in=(4, 3))
    for source in PlantedCuts(24, sign="paragraph", events=10, seed=3).sources():
        trees = segmenter.draw(source, 8, seed=0, temperature=2.0)
        texts = list(dict.fromkeys(split_output(source, tree, "drawn", 0).text for tree in trees))
        for at in range(len(texts) - 1):
            shown = (Shown(f"o{at}", texts[at]), Shown(f"o{at + 1}", texts[at + 1]))
            asked = Request(split_node(source), source.id, PLACE, "comparison", split_view(source), shown)
            rows.append(Rated(asked, rater.rate(asked, 0)))
    learner = SplitRewards()
    assert isinstance(learner, RewardLearner)
    model = learner.fit(Ratings(Train, tuple(rows)), Start(), PLACE, 0, Workspace(tmp_path))
    said = [found.rewards[OVERALL].mean(0) for found in model.predict([row.request.group for row in rows])]
    ours = np.array([(rewards[0] > rewards[1]) for rewards in said], dtype=float)
    outcomes = np.array([outcome_of(row) for row in rows], dtype=float)
    requests = [row.request for row in rows]

    def accuracy(chosen: np.ndarray) -> float:
        return float(np.mean(np.where(chosen == 0.5, 0.5, chosen == outcomes)))

    assert all(model.holds_out(row.request.source) for row in rows)
    assert accuracy(ours) > max(accuracy(more_even_wins(requests)), accuracy(fewer_parts_win(requests))) + 0.05
    assert accuracy(ours) > 0.65
    assert model.save(tmp_path / "model") == model.digest
    again = learner.load(tmp_path / "model").predict([rows[0].request.group])[0]
    np.testing.assert_array_equal(again.rewards[OVERALL], model.predict([rows[0].request.group])[0].rewards[OVERALL])
    [other] = PlantedCuts(1, sign="paragraph", seed=9).sources()
    assert model.predict([split_group(other, [EVEN, ODD], PLACE)])[0].k == 2
    scorer, trees = FittedSplits(str(tmp_path / "model")), segmenter.draw(other, 6, seed=1)
    assert isinstance(scorer, SplitScorer) and scorer.name == f"fitted-splits({model.digest})"
    group = split_group(other, [split_output(other, tree, "drawn", 0).text for tree in trees], PLACE)
    expected = model.predict([group])[0].acceptance[OVERALL].mean(axis=0)  # what an optimiser of decomposers is told
    assert scorer.score_splits(other, trees[0].root, trees) == pytest.approx(expected.tolist())
    with pytest.raises(InputError, match="holds no reward model of decompositions"):
        FittedSplits(tmp_path).score_splits(other, trees[0].root, trees)
