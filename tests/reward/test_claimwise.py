"""The model of claims: it finds known weights again from ratings, says what the law says, and keeps its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import ClaimReader, RewardModel
from rrm.core.values import (
    OVERALL,
    ClaimMarks,
    Comparison,
    Feedback,
    Group,
    Label,
    Passage,
    Prediction,
    Rated,
    Request,
    Shown,
    View,
)
from rrm.reward.claim_reading import DEFICITS, Beside, Told
from rrm.reward.claimwise import (
    Basis,
    ClaimModel,
    ClaimwiseConfig,
    Table,
    _prior,
    _unit_words,
    fit,
    output_parts,
    rewards,
    support,
)
from rrm.reward.disperse import Dispersion
from rrm.reward.features import parse

PLACE = Place(0, "claims", 1)
SMALL = ClaimwiseConfig(members=4, folds=2, components=2)
NAMES = ("Anna", "Maron", "Wanda", "Peter", "Clara", "Otto")


class Vectors:
    """An encoder that tells texts apart by their first letters."""

    name, dimensions = "letters", 3

    def encode(self, texts: object) -> np.ndarray:
        made = [np.array([ord(text[0]), ord(text[-2]), len(text)], dtype=np.float32) for text in list(texts)]  # type: ignore[call-overload]
        return np.stack([each / np.linalg.norm(each) for each in made]) if made else np.zeros((0, 3), np.float32)


def sentence(random: np.random.Generator) -> str:
    one, two = random.permutation(len(NAMES))[:2]
    return f"Then {NAMES[one]} met {NAMES[two]} at mill number {random.integers(1000)}."


def rows(sources: int = 8, each: int = 30, labels: bool = True) -> list[Rated]:
    """Return answers of raters who like outputs of which all is so, and dislike each wrong name."""
    found = []
    for source in range(sources):
        random = generator("claimwise rows", source)
        view = View("Tell.", (Passage(" ".join(sentence(random) for _ in range(8))),), 60)
        told = view.passages[0].text.replace(". ", ".|").split("|")
        for number in range(each):
            chosen = [told[at] for at in random.permutation(8)[:4]]
            wrong = int(random.integers(4))
            output = " ".join(
                text.replace("Then", "Then Zeno and") if at < wrong else text for at, text in enumerate(chosen)
            )
            id_ = f"{source}-{number}"
            request = Request(f"n{source}", f"s{source}", Place(0, "answer", 1), "label", view, (Shown(id_, output),))
            if labels:
                good = random.random() < 1 / (1 + np.exp(3 * wrong - 3))
                found.append(Rated(request, Feedback(request.id, "r", Label(bool(good)))))
            else:
                both = replace(
                    request, kind="comparison", shown=(Shown(id_, output), Shown(f"{id_}b", " ".join(chosen)))
                )
                found.append(Rated(both, Feedback(both.id, "r", Comparison(1 if wrong else None))))
    return found


@pytest.fixture(scope="module")
def model() -> ClaimModel:
    return fit(rows(), Vectors(), SMALL, 3, PLACE)


def group(source: str, *outputs: str) -> Group:
    row = next(each for each in rows(each=1) if each.request.source == "s0")
    return Group(source, PLACE, row.request.view, outputs)


def true_and_false() -> tuple[str, str]:
    told = group("new").view.passages[0].text.replace(". ", ".|").split("|")[:4]
    return " ".join(told), " ".join(text.replace("Then", "Then Zeno and") for text in told)


def test_it_is_a_reward_model_that_joins(model: ClaimModel) -> None:
    assert isinstance(model, RewardModel) and isinstance(model, ClaimReader)
    assert model.anchored and model.fold("s0") in (0, 1) and model.fold("new") is None and model.holds_out("s0")


def test_what_raters_disliked_is_not_supported_and_not_accepted(model: ClaimModel) -> None:
    good, bad = true_and_false()
    [said] = model.predict([group("new", good, bad)])
    accepted = said.acceptance[OVERALL].mean(axis=0)
    assert accepted[0] > 0.75 and accepted[1] < 0.25
    right, wrong = (np.array(each.support) for each in model.claim_scores(group("new", good, bad), ""))
    assert right.shape == wrong.shape == (4,) and right.min() > 2 * wrong.max()


def test_marks_on_claims_teach_it_what_is_supported() -> None:
    """Each output has a claim with a wrong name, which its rater marks, and no label says what is accepted."""
    marked = []
    for row in rows(each=6):
        view = row.request.view
        told = view.passages[0].text.replace(". ", ".|").split("|")
        text = " ".join([*told[:3], told[3].replace("Then", "Then Zeno and")])
        request = replace(row.request, kind="claims", shown=(Shown(row.request.shown[0].output, text),))
        start = text.index("Then Zeno")
        marks = ClaimMarks(((start, len(text)),))
        marked.append(Rated(request, Feedback(request.id, "r", marks)))
    model = fit(marked, Vectors(), SMALL, 3, PLACE)
    good, bad = true_and_false()
    right, wrong = (np.array(each.support) for each in model.claim_scores(group("new", good, bad), ""))
    assert right.min() > wrong.max() and right.mean() > wrong.mean() + 0.2


def test_a_source_that_was_fitted_on_is_scored_by_members_that_were_not(model: ClaimModel) -> None:
    good, bad = true_and_false()
    assert model.logits(group("new", good, bad)).shape == (4, 2)
    assert model.logits(group("s0", good, bad)).shape == (2, 2)


def test_what_else_the_whole_holds_lowers_coverage_alone(model: ClaimModel) -> None:
    good, _ = true_and_false()
    shown = group("new", good)
    more = " ".join(sentence(generator("more", at)) for at in range(40))
    alone = model.logits(shown)
    assert np.allclose(model.logits(shown, shown.view.text), alone)
    assert (model.logits(shown, f"{shown.view.text} {more}") < alone).all()


def test_the_stack_weighs_the_levels_model(model: ClaimModel) -> None:
    good, bad = true_and_false()
    shown = group("new", good, bad)
    other = Prediction.overall(np.array([[1.0, -2.0]]), np.array([[0.7, 0.1]]))
    half = replace(model, stack=(0.5, 0.25, 2.0))
    [said] = half.joined([shown], [""], [other])
    expected = 0.5 + 0.25 * model.logits(shown) + 2.0 * np.array([1.0, -2.0])
    assert said.rewards[OVERALL] == pytest.approx(expected)
    # the spread keeps the mean over members
    assert said.acceptance[OVERALL].mean(axis=0) == pytest.approx((1 / (1 + np.exp(-expected))).mean(axis=0))


def of_parts(view: View, *scores: float | None) -> View:
    """Return the view with its text as that of parts, each with a score, sentences dealt in turn."""
    told = view.passages[0].text.replace(". ", ".|").split("|")
    texts = [" ".join(told[at :: len(scores)]) for at in range(len(scores))]
    parts = enumerate(zip(texts, scores, strict=True))
    return replace(view, passages=tuple(Passage(text, f"n{at}", f"o{at}", score) for at, (text, score) in parts))


def test_words_of_the_source_are_read_as_parts_with_the_usual_score(tmp_path: Path) -> None:
    read = [replace(row, request=replace(row.request, view=of_parts(row.request.view, 0.9, 0.3))) for row in rows()]
    model = fit(read, Vectors(), SMALL, 3, PLACE)
    assert model.usual == {1: pytest.approx(0.6)}
    model.save(tmp_path)
    assert ClaimModel.load(tmp_path, Vectors()).usual == model.usual
    shown = group("new", *true_and_false())
    back, sure = of_parts(shown.view, None), of_parts(shown.view, 0.6)
    assert model.as_usual(back, 1).passages == tuple(replace(each, score=pytest.approx(0.6)) for each in back.passages)
    assert model.as_usual(back, 2) == back  # no ratings there
    assert model.as_usual(shown.view, 1) == shown.view  # the source itself
    level = [Prediction.overall(np.zeros((1, 2)), np.full((1, 2), 0.5))]
    said, full = (model.joined([replace(shown, view=view)], [""], level)[0].rewards[OVERALL] for view in (sure, back))
    assert not np.allclose(said, full)  # it matters how surely parts say what is so


def test_what_is_not_told_of_a_source_moves_all_outputs_beside_it_together(model: ClaimModel) -> None:
    good, bad = true_and_false()
    blind = replace(model, stack=(0.5, 0.0, 0.0))
    shown, another = group("new", good, bad), group("new", bad)
    another = replace(another, view=replace(another.view, instruction="Tell more."))
    level = [Prediction.overall(np.zeros((1, count)), np.full((1, count), 0.5)) for count in (2, 1)]

    def samples(output: float, view: float) -> np.ndarray:
        found = replace(blind, dispersion=Dispersion(output, view)).joined([shown, another], ["", ""], level)
        return np.concatenate([said.acceptance[OVERALL] for said in found], axis=1)

    together, apart = samples(0.0, 1.0), samples(1.0, 0.0)
    assert together.std(axis=0).min() > 0.1 and np.allclose(together, together[:, :1])
    assert apart.std(axis=0).min() > 0.1 and not np.allclose(apart, apart[:, :1])


def test_dispersion_is_told_by_the_ratings_of_all_levels(model: ClaimModel) -> None:
    """Below the model's own level raters accept all that stands beside one view, or nothing of it."""
    moody = []
    for row in rows():
        view, request = row.request.view, replace(row.request, place=replace(row.request.place, level=0))
        request = replace(request, view=replace(view, instruction=f"Mood {len(moody) // 6}."), shown=request.shown[:1])
        moody.append(replace(row, request=replace(request, kind="label"), feedback=replace(
            row.feedback, request=request.id, answer=Label(len(moody) // 6 % 2 == 0))))  # fmt: skip
    assert model.place.level == 1
    found = fit([*rows(), *moody], Vectors(), SMALL, 3, PLACE)
    assert found.dispersion.view > model.dispersion.view + 1


def test_other_criteria_stay_the_levels_however_many_members_it_has(model: ClaimModel) -> None:
    good, bad = true_and_false()
    shown = group("new", good, bad)
    own = np.array([[0.6, 0.2], [0.7, 0.3], [0.8, 0.1]])
    level = Prediction({OVERALL: own, "accuracy": own + 1}, {OVERALL: own, "accuracy": own / 2})
    [said] = model.joined([shown], [""], [level])
    [alone] = model.joined([shown], [""], [Prediction.overall(own, own)])
    assert said.acceptance["accuracy"].shape == said.acceptance[OVERALL].shape == (12, 2)  # 3 and 4 members
    assert np.array_equal(said.acceptance["accuracy"][:3], own / 2) and np.array_equal(
        said.rewards["accuracy"][3:6], own + 1
    )
    assert np.array_equal(said.acceptance[OVERALL][:4], alone.acceptance[OVERALL])


def test_without_labels_it_is_not_anchored_and_tells_preferences() -> None:
    found = fit(rows(labels=False), Vectors(), SMALL, 3, PLACE)
    good, bad = true_and_false()
    [said] = found.predict([group("new", good, bad)])
    assert not found.anchored and said.acceptance[OVERALL].mean(axis=0)[0] > 0.7
    assert said.acceptance[OVERALL].sum(axis=1) == pytest.approx(np.ones(4))
    assert found.predict([group("new", good)])[0].acceptance[OVERALL] == pytest.approx(np.full((4, 1), 0.5))


def test_outputs_of_nothing_of_one_endless_sentence_and_of_a_thousand_claims_are_scored(model: ClaimModel) -> None:
    endless = "then " * 3000 + "."
    many = " ".join([true_and_false()[0]] * 250)
    [said] = model.predict([group("new", "", endless, many)])
    assert np.isfinite(said.rewards[OVERALL]).all()
    nothing = Group("new", PLACE, View("Tell.", (), 20), ("It rained.",))
    assert np.isfinite(model.predict([nothing])[0].rewards[OVERALL]).all()


def test_views_without_any_text_are_fitted_and_scored() -> None:
    """Of questions that nothing is read for, and that no parts answer."""
    bare = View("Tell.", (), 60)
    without = [replace(row, request=replace(row.request, view=bare)) for row in rows(sources=4, each=6)]
    fitted = fit(without, Vectors(), SMALL, 3, PLACE)
    for view in (bare, group("new").view):
        [said] = fitted.predict([Group("new", PLACE, view, true_and_false())])
        assert np.isfinite(said.rewards[OVERALL]).all()


def test_equal_fits_are_equal_and_files_give_the_model_back(model: ClaimModel, tmp_path: Path) -> None:
    again = fit(rows(), Vectors(), SMALL, 3, PLACE)
    assert again.digest == model.digest == model.save(tmp_path)
    good, bad = true_and_false()
    loaded = ClaimModel.load(tmp_path, Vectors())
    assert loaded.digest == model.digest
    assert np.array_equal(loaded.logits(group("new", good, bad)), model.logits(group("new", good, bad)))
    (tmp_path / "claimwise.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="was changed after it was written"):
        ClaimModel.load(tmp_path, Vectors())
    with pytest.raises(InputError, match="no model of claims can be read"):
        ClaimModel.load(tmp_path / "elsewhere", Vectors())


def test_another_encoder_is_refused(model: ClaimModel, tmp_path: Path) -> None:
    class Other(Vectors):
        name = "other"

    model.save(tmp_path)
    with pytest.raises(InputError, match="needs the encoder letters, not other"):
        ClaimModel.load(tmp_path, Other())


def test_nothing_to_fit_on_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="has no ratings to fit on"):
        fit([], Vectors(), SMALL, 3, PLACE)
    with pytest.raises(InputError, match="folds <= members"):
        ClaimwiseConfig(members=2, folds=3)
    with pytest.raises(InputError, match="above 0"):
        ClaimwiseConfig(worth_sd=0.0)


# ---- the law, by hand ----


def law(**scalars: float) -> dict[str, torch.Tensor]:
    made = {name: mean for name, (mean, _) in _prior(2).items()}
    return made | {name: torch.tensor(value, dtype=torch.float64) for name, value in scalars.items()}


def test_the_reward_is_accuracy_times_coverage_times_order() -> None:
    units = tuple(map(parse, ["One.", "Two.", "Three.", "Four.", "Five.", "Six."]))
    none = np.zeros((3, len(DEFICITS)))
    beside = Beside(units, np.zeros((6, 2)), np.ones(6), (Told(none, np.array([1, 0, 2]), 3),))
    table = Table.of([beside], Basis(np.zeros(2), np.zeros((2, 0)), np.array(1.0), np.array(2.0)))
    table = table._replace(contents=torch.zeros((1, 6, 2), dtype=torch.float64))  # all are worth the same
    found = law(bias=1.0, scatter=-20.0, intercept=-3.0, slope=2.0, disorder=0.0, accuracy=0.3, coverage=-0.2)
    sure = 1 / (1 + np.exp(-1.0))
    assert support(found, table).numpy() == pytest.approx(np.array([[sure] * 3]))
    # three claims cover three of the four best; two of three stand in order, and disorder costs a half
    expected = -3 + np.exp(2.0) * sure ** np.exp(0.3) * (0.75 * sure) ** np.exp(-0.2) * (1 - 0.5 / 3)
    assert rewards(found, table).numpy() == pytest.approx(np.array([expected]))


def test_worth_that_scatters_makes_the_best_few_of_many_worth_more() -> None:
    units = tuple(map(parse, [f"Unit {at}." for at in range(40)]))
    beside = Beside(units, np.zeros((40, 2)), np.ones(40), (Told(np.zeros((4, len(DEFICITS))), np.arange(4), 8),))
    table = Table.of([beside], Basis(np.zeros(2), np.zeros((2, 0)), np.array(1.0), np.array(2.0)))
    table = table._replace(contents=torch.zeros((1, 40, 2), dtype=torch.float64))
    even, scattered = (float(rewards(law(scatter=each), table)[0]) for each in (-20.0, 0.0))
    assert scattered < even


def test_long_claims_are_held_against_what_so_many_words_could_hold() -> None:
    units = tuple(map(parse, [f"Unit {at}." for at in range(40)]))
    told = [Told(np.zeros((4, len(DEFICITS))), np.arange(4), words) for words in (8, 9, 16)]
    beside = Beside(units, np.zeros((40, 2)), np.ones(40), tuple(told))
    table = Table.of([beside], Basis(np.zeros(2), np.zeros((2, 0)), np.array(1.0), np.array(2.0)))
    table = table._replace(contents=torch.zeros((1, 40, 2), dtype=torch.float64))
    four, nearly_five, eight = output_parts(law(scatter=-20.0), table).coverage.tolist()
    assert four == nearly_five == pytest.approx(2 * eight)


def test_the_words_of_a_unit_are_those_of_the_source_and_not_of_outputs() -> None:
    source, output = (
        View("Sum up.", (Passage("It rained. We left."),), 9),
        View("Sum up.", (Passage("It rained a lot."),), 9),
    )
    rows = [
        Rated(
            request := Request("n", "s", Place(level=level), "label", view, (Shown("o", "It rained."),)),
            Feedback(request.id, "r", Label(True)),
        )
        for level, view in ((0, source), (1, output))
    ]
    read = {
        view.id: Beside(tuple(map(parse, units)), np.zeros((0, 2)), np.ones(0), ())
        for view, units in ((source, ["It rained.", "We left then."]), (output, ["It rained a lot."]))
    }
    assert _unit_words(rows, read) == 2.5


def test_a_search_that_tries_enormous_parameters_meets_numbers() -> None:
    units = tuple(map(parse, [f"Unit {at}." for at in range(40)]))
    beside = Beside(units, np.zeros((40, 2)), np.ones(40), (Told(np.ones((4, len(DEFICITS))), np.arange(4), 8),))
    table = Table.of([beside], Basis(np.zeros(2), np.zeros((2, 0)), np.array(1.0), np.array(2.0)))
    for size in (-1e4, 1e4):
        for name in ("scatter", "accuracy", "coverage", "slope", "worth", "bias"):
            tried = {key: value.requires_grad_() for key, value in law(**{name: size}).items()}
            told = rewards(tried, table).sum()
            told.backward()
            gone = [key for key, value in tried.items() if value.grad is not None and not value.grad.isfinite().all()]
            assert told.isfinite() and not gone, (name, size, gone)
