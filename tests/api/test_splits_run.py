"""A run whose decomposer learns between its rounds from comparisons of decompositions."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from decomposers.learn_cuts import FromOutcomes
from decomposers.segmenter import Segmenter
from rrm.api.recorded import recorded_trees
from rrm.core.errors import ConfigError, PluginError
from rrm.core.graph import TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import TreeOutcome
from rrm.core.splits import read_outline
from rrm.core.task import Span
from rrm.core.values import Composed, Fitted, Improvement, Output, Rated
from rrm.evaluate.outcomes import outcome_of
from rrm.evaluate.splits import fewer_parts_win
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline.stages import tree_seed
from rrm.store.record import SqlStore, open_store
from tests.toys import TOYS

PLANTED = "tasks.planted_cuts:PlantedCuts"
RUN: dict[str, Any] = {
    **TOYS,
    "rounds": 2,
    "flat": True,
    "train": {"plugin": PLANTED, "arguments": {"count": 5, "events": 8, "sign": "paragraph"}},
    "target": {"plugin": PLANTED, "arguments": {"count": 1, "events": 8, "sign": "paragraph", "seed": 1}},
    "decomposer": {
        "plugin": "decomposers.segmenter:Segmenter",
        "arguments": {"leaf_tokens": 60, "fan_in": [6], "max_tokens": [9]},
    },
    "splits": {
        "plugin": "decomposers.learn_cuts:FromScores",
        "arguments": {"draws": 6, "steps": 2},
        "candidates": 4,
        "per_source": {"comparison": 5},
        "kl_budget": 6.0,
        "rater": {
            "plugin": "rrm.raters.simulated:SimulatedRaters",
            "arguments": {"quality": "tasks.planted_cuts:outline_quality", "temperature": 0.02},
        },
    },
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits") / "run"
    rrm.run(out=folder, quiet=True, **RUN)
    return folder


def improvement(record: SqlStore) -> Improvement:
    [made] = [each for each in record.load(Improvement) if each.place.subject == "split"]
    return made


def test_decompositions_are_rated_modelled_and_learned_from_within_the_budget(out: Path) -> None:
    with open_store(out, "read") as record:
        made = improvement(record)
        rated = [each for each in record.load(Rated) if each.request.place.subject == "split"]
        [model] = [each for each in record.load(Fitted) if each.place.subject == "split"]
        drawn = [each for each in record.load(Output) if each.node.startswith("split-")]
        trees = record.load(TaskGraph)
    assert (made.place.round, made.how) == (0, "exact")
    assert 0 < made.kl <= 6.0
    assert (model.role, model.ratings) == ("train", len(rated))
    assert 10 <= len(rated) <= 25
    assert len(drawn) == 20
    assert all(read_outline(each.text) for each in drawn)
    assert all(each.log_prob is not None and each.log_prob < 0 for each in drawn)
    assert len({tree.root for tree in trees}) == 12  # six sources, split otherwise in the second round


def test_what_was_learned_cuts_at_paragraphs_more_often(out: Path) -> None:
    from tasks.planted_cuts import PlantedCuts

    with open_store(out, "read") as record:
        folder = out / "policies" / improvement(record).path
    first = Segmenter(leaf_tokens=60, fan_in=(6,), max_tokens=(9,))
    learned = Segmenter(str(folder / "segmenter.json"), leaf_tokens=60, fan_in=(6,), max_tokens=(9,))

    def at_paragraphs(segmenter: Segmenter) -> float:
        found = []
        for source in PlantedCuts(8, events=8, sign="paragraph", seed=5).sources():
            graph = segmenter.decompose(source, 0)
            starts = [span.start for leaf in graph.leaves if (span := graph.task(leaf).span) and span.start]
            found += [source.text[at - 2 : at] == "\n\n" for at in starts]
        return sum(found) / len(found)

    assert at_paragraphs(learned) > at_paragraphs(first)


def test_a_second_run_over_the_record_computes_nothing_anew(out: Path) -> None:
    with open_store(out, "read") as record:
        before = len(record.load(Output)), improvement(record).id
    rrm.run(out=out, quiet=True, **RUN)
    with open_store(out, "read") as record:
        assert (len(record.load(Output)), improvement(record).id) == before


def test_new_sources_are_split_by_what_was_learned(out: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join("Anna sold the lamp. Peter hid the key. Anna wept." for _ in range(30)))
    rrm.apply(out, [book], tmp_path / "applied", quiet=True)
    with open_store(tmp_path / "applied", "read") as record:
        [graph] = record.load(TaskGraph)
        path = tmp_path / "applied" / "policies" / improvement(record).path / "segmenter.json"
    learned = Segmenter(str(path), leaf_tokens=60, fan_in=(6,), max_tokens=(9,))
    spans = [graph.task(leaf).span for leaf in graph.leaves]
    from tasks.books import read_book

    expected = learned.decompose(read_book(book), 0)
    assert spans == [expected.task(leaf).span for leaf in expected.leaves]


def test_the_minutes_of_comparing_decompositions_are_in_the_runs_totals(out: Path) -> None:
    from rrm.api import look

    with open_store(out, "read") as record:
        rated = [each for each in record.load(Rated) if each.request.place.subject == "split"]
    cost = look.finished(out).cost
    assert cost.splits is not None
    assert (cost.splits.ratings, cost.splits.minutes) == (len(rated), pytest.approx(minutes_of_raters(rated)))
    assert cost.minutes == pytest.approx(sum(level.minutes for level in cost.levels) + cost.splits.minutes)
    assert cost.flat is not None
    assert cost.minutes - 3 < cost.flat.minutes <= cost.minutes  # the flat baseline has as many


def test_the_report_says_how_well_preferences_of_decompositions_are_told_on_sources_held_out(out: Path) -> None:
    from rrm.api import look
    from rrm.cli.summary import _splits
    from rrm.report.html import report_html

    with open_store(out, "read") as record:
        rated = [each for each in record.load(Rated) if each.request.place.subject == "split"]
    report = look.finished(out)
    assert report.splits is not None
    found = report.splits.figures
    assert report.splits.n_train == found.n == len(rated)  # all sources are held out in turn
    assert found.accuracy is not None and found.noise_ceiling is not None and 0.5 < found.noise_ceiling <= 1
    decided = [row for row in rated if outcome_of(row) != 0.5]
    fewer = [fewer_parts_win([row.request])[0] for row in decided]
    agreed = [0.5 if said == 0.5 else said == outcome_of(row) for said, row in zip(fewer, decided, strict=True)]
    assert report.splits.fewer_parts_win == pytest.approx(np.mean(agreed))
    assert report.to_json()["splits"]["more_even_wins"] == report.splits.more_even_wins
    [line] = _splits(report)
    assert line.startswith(f"decompositions: accuracy {found.accuracy:.2f}")
    assert "<h2>Decompositions</h2>" in report_html(report)
    assert "<h2>Decompositions</h2>" not in report_html(replace(report, splits=None))


def test_a_forecast_prices_the_questions_about_decompositions_as_the_run_spends_on_them(out: Path) -> None:
    from rrm.api import look
    from rrm.api.forecast import forecast
    from rrm.api.runfile import run_of

    said, cost = forecast(run_of(RUN)), look.finished(out).cost
    assert cost.splits is not None
    assert said["splits"]["ratings"] == cost.splits.ratings  # there is one round that learns, and its trees are known
    assert said["splits"]["minutes"]["expected"] == pytest.approx(cost.splits.minutes, rel=0.3)
    of_levels = sum(level["minutes"]["at_most"] for level in said["levels"])
    assert said["rater_minutes"]["at_most"] > of_levels + said["splits"]["minutes"]["at_most"] - 0.5
    assert said["people_minutes"] is None
    once, twice = (
        forecast(
            run_of({**RUN, "splits": {**RUN["splits"], "rater": {"plugin": "people", "arguments": {"overlap": n}}}})
        )
        for n in (1, 2)
    )
    assert once["people_minutes"] == once["splits"]["minutes"]
    assert 0 < 2 * once["splits"]["ratings"] == twice["splits"]["ratings"]


def test_people_compare_decompositions_at_the_desk_while_others_rate_the_outputs(tmp_path: Path) -> None:
    from rrm.api import look
    from rrm.core.annotation import Lease, Submission
    from rrm.core.errors import Waiting
    from rrm.core.values import Comparison
    from rrm.queue import open_desk
    from tasks.planted_cuts import outline_quality

    run = {**RUN, "splits": {**RUN["splits"], "rater": {"plugin": "people", "arguments": {"grace_seconds": 0}}}}
    with pytest.raises(Waiting, match=r"0 of \d+ answers are in.*rrm annotate"):
        rrm.run(out=tmp_path / "run", quiet=True, **run)

    def better(lease: Lease) -> Comparison:
        request = lease.first.request
        first, second = outline_quality(request.view, [request.shown[at].text for at in lease.first.order])
        return Comparison(int(second > first))

    with open_desk(tmp_path / "run") as desk:
        assert {place.subject for place in desk.places()} == {"split"}
        anna = desk.add_person("anna", by="test").id
        number = 0
        while (lease := desk.claim(anna)) is not None:
            desk.submit(anna, lease.id, [Submission(better(lease), lease.first.shown, seconds=3.0)], f"key-{number}")
            number += 1
    rrm.run(out=tmp_path / "run", quiet=True, **run)
    report = look.finished(tmp_path / "run")
    assert report.cost.splits is not None and report.cost.splits.ratings == number > 10
    with open_store(tmp_path / "run", "read") as record:
        rated = [each for each in record.load(Rated) if each.request.place.subject == "split"]
        assert {each.feedback.rater for each in rated} == {anna}
        assert 0 < improvement(record).kl <= 6.0


OUTCOMES: dict[str, Any] = {
    **RUN,
    "train": {**RUN["train"], "trees": 3},
    "splits": {"plugin": "decomposers.learn_cuts:FromOutcomes", "kl_budget": 3.0},
}


class Noting(FromOutcomes):
    """Keeps the outcomes that it learns from."""

    seen: tuple[TreeOutcome, ...] = ()

    def improve_by_outcomes(self, sampler: Any, anchor: Any, outcomes: Any, *rest: Any) -> Any:
        type(self).seen = tuple(outcomes)
        return super().improve_by_outcomes(sampler, anchor, outcomes, *rest)


def spans(graph: TaskGraph) -> set[tuple[int, Span | None]]:
    return {(graph.depth(node), graph.task(node).span) for node in graph}


def test_by_outcome_trees_of_training_sources_are_drawn_and_targets_get_the_best_cut(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **OUTCOMES)
    segmenter = Segmenter(leaf_tokens=60, fan_in=(6,), max_tokens=(9,))
    with open_store(tmp_path / "run", "read") as record:
        trees = [tree for tree in recorded_trees(record).every if tree.round == 0]
    assert Counter(tree.role for tree in trees) == {"train": 15, "target": 1}
    drawn_otherwise = 0
    for tree in trees:
        best = spans(segmenter.decompose(tree.source, 0))
        if tree.role == "target":
            assert spans(tree.graph) == best
        else:
            [drawn] = segmenter.draw(tree.source, 1, tree_seed(0, tree.source.id, tree.number))
            assert spans(tree.graph) == spans(drawn)
            drawn_otherwise += spans(drawn) != best
    assert drawn_otherwise > 5


def test_a_decomposer_learns_from_what_came_of_its_trees(tmp_path: Path) -> None:
    splits = {"plugin": Noting(), "kl_budget": 3.0}
    report = rrm.run(out=tmp_path / "run", quiet=True, **{**OUTCOMES, "splits": splits})
    with open_store(tmp_path / "run", "read") as record:
        made = improvement(record)
        composed = {each.output: np.mean(each.acceptance) for each in record.load(Composed)}
        roots = defaultdict(list)
        for output in record.load(Output):
            roots[output.node].append(composed.get(output.id, 0.0))
        rows = [each for each in record.load(Rated) if each.request.place == Place(0, "answer", 0)]
    trees = Counter(outcome.source.id for outcome in Noting.seen)
    assert len(trees) >= 3 and set(trees.values()) == {3}
    for outcome in Noting.seen:
        assert outcome.root == pytest.approx(max(roots[outcome.graph.root]))
        leaves = {row.request.node for row in rows} & set(outcome.graph.leaves)
        took = minutes_of_raters([row for row in rows if row.request.node in leaves])
        assert outcome.minutes == pytest.approx(took / len(leaves))
    with open_store(tmp_path / "run", "read") as record:
        assert not [each for each in record.load(Rated) if each.request.place.subject == "split"]
        assert not [each for each in record.load(Output) if each.node.startswith("split-")]
    assert (made.place.round, made.how) == (0, "exact")
    assert 0 < made.kl <= 3.0
    assert report.cost.splits is None
    assert any("nats a cut" in warning for warning in report.warnings)


def test_trees_that_do_not_differ_teach_nothing_and_that_is_said(tmp_path: Path) -> None:
    alike = {**RUN["decomposer"], "arguments": {**RUN["decomposer"]["arguments"], "leaf_tokens": 10_000}}
    report = rrm.run(out=tmp_path / "run", quiet=True, **{**OUTCOMES, "decomposer": alike})
    assert any("no training source had two trees that differ" in warning for warning in report.warnings)
    with pytest.raises(ConfigError, match=r"train\.trees = 2 or more"):
        rrm.run(out=tmp_path / "one", quiet=True, **{**OUTCOMES, "train": RUN["train"]})
    with pytest.raises(ConfigError, match=r"\[splits.rater\] nobody rates decompositions"):
        rater = {"rater": RUN["splits"]["rater"]}
        rrm.run(out=tmp_path / "rated", quiet=True, **{**OUTCOMES, "splits": {**OUTCOMES["splits"], **rater}})


def test_people_have_one_desk_and_its_settings_are_checked_before_anything_is_spent(tmp_path: Path) -> None:
    people = {"plugin": "people", "arguments": {"overlap": 2}}
    twice = {**RUN, "rater": people, "splits": {**RUN["splits"], "rater": {**people, "arguments": {"overlap": 3}}}}
    with pytest.raises(ConfigError, match="people have one desk"):
        rrm.run(out=tmp_path / "run", quiet=True, **twice)
    unknown = {**RUN, "splits": {**RUN["splits"], "rater": {**people, "arguments": {"overlaps": 3}}}}
    with pytest.raises(ConfigError, match="unknown key 'overlaps'"):
        rrm.run(out=tmp_path / "run", quiet=True, **unknown)
    assert not (tmp_path / "run" / "models").exists()


TAUGHT: dict[str, Any] = {
    **RUN,
    "assistants": {"model": {"model": "rrm.assistants.scripted_model:ScriptedChatModel", "arguments": {"vary": 0.0}}},
    "splits": {
        **RUN["splits"],
        "plugin": "decomposers.learn_cuts:Distil",
        "arguments": {
            "of": 2,
            "teacher": {
                "plugin": "decomposers.language_model:LanguageModelDecomposer",
                "arguments": {"assistant": "model", "leaf_tokens": 60, "least_tokens": 60},
            },
        },
    },
}


def test_a_language_models_trees_are_taught_to_the_segmenter_in_a_run(tmp_path: Path) -> None:
    report = rrm.run(out=tmp_path / "run", quiet=True, **TAUGHT)
    with open_store(tmp_path / "run", "read") as record:
        made = improvement(record)
    assert (made.how, made.place.round) == ("exact", 0) and 0 < made.kl <= 6.0
    assert report.cost.calls >= 5  # nobody else asks the model, which cuts each of the five sources


def test_a_teacher_of_cuts_names_an_assistant_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[splits\] there is no \[assistants.model\]"):
        rrm.run(out=tmp_path / "run", quiet=True, **{**TAUGHT, "assistants": {}})


def test_a_growth_budget_that_nothing_would_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[growth\].*segmenter:Segmenter splits a source at once: leave it out"):
        rrm.run(out=tmp_path / "run", quiet=True, **{**RUN, "growth": {"max_nodes": 5}})


def test_a_decomposer_that_is_no_distribution_cannot_learn(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"\[decomposer\].*is no SplitSampler"):
        rrm.run(out=tmp_path / "run", quiet=True, **{**RUN, "decomposer": {"plugin": "tests.toys:Thirds"}})
    with pytest.raises(ConfigError, match=r"splits.candidates"):
        rrm.run(out=tmp_path / "run", quiet=True, **{**RUN, "splits": {**RUN["splits"], "candidates": 1}})
