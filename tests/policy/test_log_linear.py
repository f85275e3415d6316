"""The log-linear policy: Extractive at zero, exact densities, features that stay finite, files that are checked."""

import json
from collections import defaultdict
from math import exp
from pathlib import Path

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.protocols import Density, Policy, PromptContext
from rrm.core.text import sentence_texts
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive
from rrm.policy.log_linear import FEATURES, FILE, Leash, LogLinear, described, names
from tests.policy.policy_scenes import TEXT, joined, prompt_context, proposed

ODD = [
    "",
    "...",
    "One sentence only.",
    "读书。写字。",
    "a",
    "No stop at the end",
    "word " * 200,
    "A. A. A. B.",
    "😀 😀! 😀?",
]


def moved(**weights: float) -> LogLinear:
    """A policy with some weights by name, `leaf_` or `above_` before the feature."""
    given = {name.replace("_", ".", 1): weight for name, weight in weights.items()}
    assert set(given) <= set(names())
    return LogLinear(weights=tuple(given.get(name, 0.0) for name in names()))


def random_policy(seed: int) -> LogLinear:
    return LogLinear(weights=tuple(np.random.default_rng(seed).normal(size=len(names())).tolist()))


def texts_of(policy: LogLinear | Extractive, prompt_context: PromptContext) -> dict[str, float]:
    """The probability of each text, summed over the selections that read so."""
    walk = policy.walk(prompt_context)
    found: dict[str, float] = defaultdict(float)
    for each in walk.selections():
        found[walk.write(each.chosen)] += exp(each.log_prob)
    return found


def test_they_are_policies_and_densities() -> None:
    for policy in (Extractive(), LogLinear()):
        assert isinstance(policy, Policy)
        assert isinstance(policy, Density)


@pytest.mark.parametrize("text", [TEXT, *ODD])
@pytest.mark.parametrize("limit", [1, 7, 30])
def test_at_zero_it_is_extractive(text: str, limit: int) -> None:
    given = prompt_context(text, limit)
    assert texts_of(LogLinear(), given) == texts_of(Extractive(), given)
    assert [o.text for o in proposed(LogLinear(), given, 5, 0)] == [o.text for o in proposed(Extractive(), given, 5, 0)]
    assert LogLinear().kl(given, Extractive()) == 0
    assert LogLinear().entropy(given) == Extractive().entropy(given)


@pytest.mark.parametrize("text", [TEXT, *ODD])
@pytest.mark.parametrize("limit", [1, 7, 30])
def test_densities_sum_to_one_and_are_those_of_what_is_proposed(text: str, limit: int) -> None:
    given, policy = prompt_context(text, limit), random_policy(1)
    known = texts_of(policy, given)
    assert np.exp(policy.log_prob(given, list(known))) == pytest.approx(list(known.values()), rel=1e-10)
    assert sum(known.values()) == pytest.approx(1, abs=1e-10)
    alike = len(known) < len(list(policy.walk(given).selections()))
    for output in proposed(policy, given, 10, 0):
        exact = policy.log_prob(given, [output.text])[0]
        assert output.log_prob <= exact + 1e-10  # that of one selection
        assert alike or output.log_prob == pytest.approx(exact, abs=1e-10)
        assert policy.tokens.count(output.text) <= limit
    assert policy.log_prob(given, ["Never written.", TEXT[::-1]]).tolist() == [-np.inf] * 2
    assert policy.log_prob(given, []).shape == (0,)


def test_a_sentence_that_stands_twice_is_told_once_and_at_its_first_place() -> None:
    given = prompt_context("The bell rang. Anna left. The bell rang. Peter wept.", limit=60)
    for policy in (Extractive(), random_policy(2)):
        known = texts_of(policy, given)
        assert len(known) == 8
        assert "Anna left. The bell rang." not in known
        assert "The bell rang. Anna left. Peter wept." in known


def test_where_nothing_fits_one_sentence_is_cut_and_weights_move_which() -> None:
    given = prompt_context(
        "Nobody there had ever heard such a thing. Anna and Peter and Martha had all heard it.", limit=3
    )
    plain, named = texts_of(LogLinear(), given), texts_of(moved(leaf_names=2.0), given)
    assert set(plain) == set(named) == {"Nobody there had", "Anna and Peter"}
    assert named["Anna and Peter"] > plain["Anna and Peter"] + 0.1
    assert all(output.truncated for output in proposed(LogLinear(), given, 3, 0))


def test_a_budget_below_every_sentence_but_a_limit_above_cuts_nothing() -> None:
    given = prompt_context("Anna left the house. Peter wept all day.", limit=8)
    for output in proposed(Extractive(fill=0.3), given, 5, 0):
        assert output.text in sentence_texts(given.view.text)
        assert not output.truncated


def test_a_weight_moves_what_it_names() -> None:
    given = prompt_context()
    first, last = sentence_texts(TEXT)[0], sentence_texts(TEXT)[-1]

    def share(policy: LogLinear, sentence: str) -> float:
        return sum(p for text, p in texts_of(policy, given).items() if sentence in text)

    early = moved(leaf_place=-4.0)
    assert share(early, first) > share(LogLinear(), first) + 0.1
    assert share(moved(leaf_place=4.0), last) > share(early, last)
    assert moved(above_place=-4.0).kl(given, LogLinear()) == 0
    assert proposed(moved(leaf_take=-50.0), given, 1, 0)[0].text == ""


def test_above_the_leaves_a_childs_score_can_be_weighed() -> None:
    given, policy = joined([0.9, 0.1, None]), moved(above_score=5.0)
    good = given.view.passages[0].text.split(". ")[0]
    bad = given.view.passages[1].text.split(". ")[0]
    known = texts_of(policy, given)
    assert sum(p for text, p in known.items() if good in text) > 2 * sum(p for text, p in known.items() if bad in text)
    sentences = Extractive().sentences(given.view)
    scores = described(given.view, sentences)[:, FEATURES.index("score")]
    assert scores == pytest.approx([0.4, 0.4, -0.4, -0.4, 0, 0])


@pytest.mark.parametrize("text", [TEXT, *ODD])
def test_features_are_finite_and_centred(text: str) -> None:
    given = prompt_context(text, context="Anna walked to the mill.")
    found = described(given.view, Extractive().sentences(given.view))
    assert found.shape[1] == len(FEATURES) - 1
    assert np.isfinite(found).all()
    assert (found[:, 0] == 1).all()
    assert found[:, 1:].sum(axis=0) == pytest.approx(0, abs=1e-9)


def test_features_say_what_they_are_called() -> None:
    text = 'Then Anna met Peter, because Ada had said so. "Leave it," said Anna; it was 1850! No stop here'
    given = prompt_context(text, context="They met before.")
    raw = described(given.view, Extractive().sentences(given.view))
    at = {name: raw[:, FEATURES.index(name)] for name in FEATURES[:-1]}
    order = {name: np.argsort(-values, kind="stable")[0] for name, values in at.items()}
    assert order["names"] == order["cause"] == order["two_names"] == order["echo"] == 0
    assert order["digits"] == order["speech"] == order["clauses"] == 1
    assert order["heading"] == 2
    assert at["place"] == pytest.approx([-0.5, 0, 0.5])


def test_the_scores_by_weights_are_the_gradient_of_the_log_probability() -> None:
    given, policy = prompt_context(), random_policy(3)
    weights = np.array(policy.weights)
    situation = policy.situation(given)
    walk = situation.walk(weights)
    squares = np.zeros((len(weights), len(weights)))
    for each in walk.selections():
        score = situation.score(walk, each.chosen)
        squares += exp(each.log_prob) * np.outer(score, score)
        if np.exp(each.log_prob) > 0.01:
            text = walk.write(each.chosen)
            assert score == pytest.approx(_slopes(weights, lambda w, t=text: situation.walk(w).log_prob(t)), abs=1e-6)
    assert situation.fisher(walk) == pytest.approx(squares, abs=1e-10)


def test_the_kls_gradient_by_weights_is_its_central_difference() -> None:
    given, policy, other = prompt_context(), random_policy(4), LogLinear().walk(prompt_context())
    situation, weights = policy.situation(given), np.array(policy.weights)
    found = situation.by_weights(situation.walk(weights).kl_gradient(other))
    assert found == pytest.approx(_slopes(weights, lambda w: situation.walk(w).kl(other)), abs=1e-7)


def _slopes(weights: np.ndarray, value, step: float = 1e-5) -> np.ndarray:
    moves = step * np.eye(len(weights))
    return np.array([(value(weights + move) - value(weights - move)) / (2 * step) for move in moves])


def test_names_cover_weights_and_settings() -> None:
    policies = [LogLinear(), moved(leaf_place=1), moved(above_place=1), LogLinear(Extractive(fill=0.5)), Extractive()]
    assert len({policy.name for policy in policies}) == len(policies)
    assert LogLinear().name == moved(leaf_place=0.0).name


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    policy = LogLinear(Extractive(0.7, 0.9), random_policy(5).weights, Leash(random_policy(6).weights, 0.5))
    policy.save(tmp_path / "new" / "folder")
    assert LogLinear.load(tmp_path / "new" / "folder") == policy
    assert [each.name for each in (tmp_path / "new" / "folder").iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {"leaf.take": 0.0}}, "not those of this version's features"),
        ({"weights": dict.fromkeys(names(), "1")}, "must be a finite number, got '1'"),
        ({"weights": dict.fromkeys(names(), True)}, "must be a finite number, got True"),
        ({"weights": dict.fromkeys(names(), float("nan"))}, "must be a finite number, got nan"),
        ({"weights": None}, "features"),
        ({"writer": {"temperature": 1}}, "needs a temperature"),
        ({"writer": {"temperature": -1, "fill": 1, "tokenizer": "minilm"}}, "temperature > 0"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_one_sentence(tmp_path: Path, change: dict, message: str) -> None:
    LogLinear().save(tmp_path)
    saved = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**saved, **change}))
    with pytest.raises(InputError, match=message) as error:
        LogLinear.load(tmp_path)
    assert "\n" not in str(error.value)


def test_no_file_and_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        LogLinear.load(tmp_path)
    for content in ("{", "[]"):
        (tmp_path / FILE).write_text(content)
        with pytest.raises(InputError, match=FILE):
            LogLinear.load(tmp_path)


@pytest.mark.parametrize("weights", [(1.0,), (float("inf"),) * len(names()), (float("nan"),) * len(names())])
def test_weights_of_another_number_or_not_finite_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="finite weights"):
        LogLinear(weights=weights)


def test_policies_of_different_settings_have_no_kl() -> None:
    with pytest.raises(InputError, match="same fill"):
        LogLinear().kl(prompt_context(), LogLinear(Extractive(fill=0.5)))


def test_a_careless_policy_makes_the_same_mistakes_whoever_writes() -> None:
    given, hasty, zero = prompt_context(), Careless(0.5), LogLinear()
    assert [o.text for o in proposed(hasty.with_writer(zero), given, 20, 0)] == [
        o.text for o in proposed(hasty, given, 20, 0)
    ]
    other = hasty.with_writer(random_policy(6))
    assert other.writer == random_policy(6) and other.rate == 0.5 and other.name != hasty.name
    assert other.kl(given, hasty) == random_policy(6).kl(given, zero)
    assert other.entropy(given) == random_policy(6).entropy(given)
    with pytest.raises(InputError, match="equal rates"):
        other.kl(given, Careless(0.4))


def test_the_kl_of_careless_policies_is_the_mean_log_ratio_of_selections_and_mistakes() -> None:
    given, n = prompt_context(), 1500
    hasty = Careless(0.5, moved(leaf_place=-2.0))
    plain = hasty.with_writer(LogLinear())
    writer = plain.writer.walk(given)
    ratios = []
    for output, chosen in hasty.sample(given, n, 0):
        selected = hasty.writer.log_prob(given, [writer.write(chosen)])[0]
        mistakes = output.log_prob - selected  # given the selection: nothing of the writer is in it
        ratios.append(output.log_prob - (writer.log_prob(writer.write(chosen)) + mistakes))
    assert np.mean(ratios) == pytest.approx(hasty.kl(given, plain), abs=5 * np.std(ratios) / np.sqrt(n))
