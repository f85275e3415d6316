"""Claim marks in the table of feedback, in its likelihood beside other kinds, and through files and back."""

from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import ClaimMarks, Feedback, Label, Passage, Rated, Request, Shown, View
from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.scales import Scales
from rrm.feedback.table import tabulate
from rrm.interchange.export import from_records, to_jsonl, to_records
from rrm.interchange.items import items_from, ratings_from
from tests.feedback.feedback_problems import told

TEXT = "The fox ran. It slept. Nobody saw it."
MARKED = told(ClaimMarks(((0, 12),), ((13, 22),), ("It was cold.",)), [TEXT], "Ann")
FINE = told(ClaimMarks(), ["It slept."], "Bob")


def sigmoid(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def test_the_likelihood_of_marks_beside_labels_is_written_out() -> None:
    table = tabulate([MARKED, told(Label(True), ["It slept."], "Bob"), FINE])
    texts = [item.text for item in table.items]
    assert texts == ["The fox ran.", "It slept.", TEXT, f"{TEXT}\nIt was cold.", "Nobody saw it."]
    scales = Scales(table, reliability=False)
    with torch.no_grad():
        scales.claim_shift += 0.7
        scales.shift += 5.0  # of labels alone
    rewards = dict(zip(texts, (-1.0, 0.5, 0.2, 1.2, 2.0), strict=True))
    found = log_likelihood(torch.tensor([list(rewards.values())], dtype=torch.float64), table, scales)[0]
    marked = [1 - sigmoid(-1.0 + 0.7), 1 - sigmoid(0.5 + 0.7), sigmoid(2.0 + 0.7), sigmoid(1.2 - 0.2)]
    assert found[0].item() == pytest.approx(sum(map(log, marked)), abs=1e-12)
    assert found[1].item() == pytest.approx(log(sigmoid(0.5 + scales.anchor().item())), abs=1e-12)
    assert found[2].item() == pytest.approx(log(sigmoid(0.5 + 0.7)), abs=1e-12)


def test_a_rater_who_is_not_sure_is_blind_at_each_mark() -> None:
    table = tabulate([told(ClaimMarks(((0, 12),)), ["The fox ran. It slept."], confidence=0.5)])
    found = log_likelihood(torch.tensor([[-2.0, 1.0]], dtype=torch.float64), table, Scales(table))
    expected = (0.5 * sigmoid(2.0) + 0.25) * (0.5 * sigmoid(1.0) + 0.25)
    assert found.item() == pytest.approx(log(expected), abs=1e-12)


def test_marks_say_nothing_of_where_outputs_are_accepted() -> None:
    assert not tabulate([MARKED]).anchors
    assert tabulate([told(ClaimMarks(), ["..."])]).unused == 1


def test_marks_beyond_the_output_name_their_request() -> None:
    shown = (Shown("o", "Short."),)
    request = Request("n", "s", Place(), "claims", View("Do it.", (), 9), shown)
    with pytest.raises(InputError, match=f"{request.id} .*6 characters, got 0 to 9"):
        tabulate([Rated(request, Feedback(request.id, "Ann", ClaimMarks(((0, 9),))))])


def test_claims_that_raters_mark_get_lower_rewards_than_others() -> None:
    from rrm.feedback.optimise import minimise

    rng = np.random.default_rng(2)
    rows = []
    for number in range(60):
        good, bad = f"Good {number % 3} it is.", f"Bad {number % 3} it is."
        text = f"{good} {bad}"
        faulty = ((len(good) + 1, len(text)),) if rng.random() < 0.8 else ()
        rows.append(told(ClaimMarks(faulty), [text]))
    table = tabulate(rows)
    rewards = torch.zeros(1, len(table.items), dtype=torch.float64, requires_grad=True)
    scales = Scales(table)

    def loss() -> torch.Tensor:
        return 0.05 * (rewards**2).sum() - scales.log_prior().sum() - log_likelihood(rewards, table, scales).sum()

    minimise(loss, [rewards, *scales.parameters()])
    worth = {item.text: value for item, value in zip(table.items, rewards[0].tolist(), strict=True)}
    shift = scales.claims().item()
    shares = [sigmoid(value + shift) for text, value in worth.items() if text.startswith("Bad")]
    assert np.mean(shares) == pytest.approx(0.2, abs=0.1)
    assert min(value for text, value in worth.items() if text.startswith("Good")) > max(
        value for text, value in worth.items() if text.startswith("Bad")
    )


def test_marks_and_support_go_through_files_and_back(tmp_path: Path) -> None:
    view = View("Do it.", (Passage("A source."),), 9)
    request = Request("n", "s", Place(), "claims", view, (Shown("o", "It ran. It slept.", (0.25, 0.5)),))
    rated = Rated(request, Feedback(request.id, "Ann", ClaimMarks(((0, 7),), (), ("It was cold.",))))
    to_jsonl(to_records([rated]), tmp_path / "rows.jsonl")
    assert list(from_records(tmp_path / "rows.jsonl")) == [rated]
    simple = {"item": request.id, "rater": "Ann", "answer": {"unsupported": [[0.0, 7]], "missing": ["It was cold."]}}
    assert list(ratings_from([simple], lambda ids: {request.id: request})) == [rated]


def test_an_item_shows_the_support_of_its_claims() -> None:
    row = {"instruction": "Do it.", "kind": "claims", "source": "A source."}
    [item] = items_from([{**row, "outputs": [{"text": "It ran. It slept.", "support": [0.25, 1]}]}])
    [plain] = items_from([{**row, "outputs": ["It ran. It slept."]}])
    assert item.request.shown[0].support == (0.25, 1.0)
    assert plain.request.shown[0].support == ()
    assert item.request.id != plain.request.id  # another thing is shown
    for support, says in ([[0.5], "each of its 2 claims"], [[0.5, 1.5], "from 0 to 1"], ["high", "from 0 to 1"]):
        with pytest.raises(InputError, match=says):
            list(items_from([{**row, "outputs": [{"text": "It ran. It slept.", "support": support}]}]))
