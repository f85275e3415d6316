"""What is wrong with a part of a run ends it with one sentence that names the part, what it did and what is right."""

import re
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import rrm
from rrm.core.errors import (
    ConfigError,
    InputError,
    PluginError,
    ProposalError,
    RoleError,
    RrmError,
    SetupError,
    StoreError,
)
from rrm.core.graph import Node, Part, Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import Improved, Policy, ProposeJob, ScoredPart, Seen, Start, Workspace
from rrm.core.roles import Final, R, Ratings, Scorer, Select, Train, for_improving
from rrm.core.task import Source, Span, Task
from rrm.core.values import Comparison, Feedback, Group, Label, Output, Prediction, Ranking, Rating, Request
from rrm.reward.model import nothing_to_fit
from rrm.store.record import open_store
from tests.toys import Growing, LengthModel, Lengths, Longer, Texts, Thirds, Words, toys


def refused(out: Path, kind: type[RrmError] = PluginError, **changes: Any) -> str:
    """Run the toys with other parts, which must end it with an error of a kind; return its one sentence."""
    with pytest.raises(kind) as ended:
        rrm.run(out=out, quiet=True, **toys(**changes))
    assert type(ended.value) is kind
    assert not (out / "report.json").exists()
    sentence = str(ended.value)
    assert "\n" not in sentence
    return sentence


def policy(part: object) -> dict[str, Any]:
    return {"plugin": part, "outputs": 4, "root_outputs": 5}


def rater(part: object, **more: Any) -> dict[str, Any]:
    return {"plugin": part, "per_node": {"comparison": 2, "label": 1}, "random_share": 0.0, **more}


# ---- policies ----


class Answering:
    """Proposes what a function makes of what `Words` proposes for a job."""

    name = "answering"

    def __init__(self, change: Callable[[list[Output]], Any]) -> None:
        self._change = change

    def propose(self, jobs: Sequence[ProposeJob]) -> list[Any]:
        return [self._change(outputs) for outputs in Words().propose(jobs)]


def close(outputs: list[Output]) -> NoReturn:
    raise GeneratorExit


def long(outputs: list[Output]) -> list[Output]:
    return [Output(each.node, "word " * 12, each.policy, each.seed, each.inputs, each.context) for each in outputs]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda outputs: [each.text for each in outputs], "the policy answering must return Outputs, got str among"),
        (lambda outputs: "a text", "the policy answering must return a list of Outputs for each job, got str"),
        (lambda outputs: None, "the policy answering must return a list of Outputs for each job, got NoneType"),
        (lambda outputs: outputs[:-1], "the policy answering was asked for 4 outputs and returned 3"),
        (long, "the policy answering returned 12 tokens where the task allows 9"),
        (
            lambda outputs: [replace(each, text=b"bytes") for each in outputs],
            "the policy answering must return Outputs whose text is a str, got bytes",
        ),
        (lambda outputs: sys.exit(7), "it ends the program (SystemExit: 7), which no part may"),
        (close, "it ends the program (GeneratorExit), which no part may"),
    ],
    ids=["texts", "a-text", "nothing", "too-few", "too-long", "bytes", "exits", "closes"],
)
def test_a_policy_that_returns_something_else(change: Any, sentence: str, tmp_path: Path) -> None:
    said = refused(tmp_path / "run", policy=policy(Answering(change)))
    assert said.startswith(f"every propose fails: {sentence}")
    assert said.endswith("; mend that and give the same command again")


def test_a_policy_whose_outputs_no_record_can_hold_ends_the_run(tmp_path: Path) -> None:
    part = Answering(lambda outputs: [replace(each, text="half \ud800") for each in outputs])
    said = refused(tmp_path / "run", InputError, policy=policy(part))
    assert said.startswith("every propose fails: output.text cannot be recorded: ")


def test_a_rater_that_answers_what_was_not_asked(tmp_path: Path) -> None:
    class Labels(Longer):
        def rate(self, request: Request, seed: int) -> Feedback:
            return Feedback(request.id, self.name, Label(True))

    assert "label" in refused(tmp_path / "run", InputError, rater=rater(Labels(), per_node={"comparison": 2}))


def test_an_error_that_cannot_say_what_it_is_is_told_by_its_kind(tmp_path: Path) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    class Failing(Longer):
        def rate(self, request: Request, seed: int) -> Feedback:
            raise Odd

    said = refused(tmp_path / "run", rater=rater(Failing()))
    assert said.startswith("every rate fails: Odd: it gives no reason; ")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "must return a list of Sources, got NoneType"),
        ("a text", "must return a list of Sources, got str"),
        (["a text"], "must return Sources, got str among them"),
        ([Source(7, "One.")], "must return Sources whose title and text are a str"),  # type: ignore[arg-type]
    ],
)
def test_sources_that_are_none(given: Any, sentence: str, tmp_path: Path) -> None:
    class Odd:
        name = "odd"

        def sources(self) -> Any:
            return given

    assert refused(tmp_path / "run", target={"plugin": Odd()}) == f"[target] odd {sentence}"


def test_sources_that_raise_are_named(tmp_path: Path) -> None:
    said = refused(tmp_path / "run", target={"plugin": Texts(["nowhere"])})
    assert said == "[target] texts(nowhere) gives no sources: KeyError: 'nowhere'"


def test_recorded_ratings_that_are_none_are_named(tmp_path: Path) -> None:
    said = refused(tmp_path / "run", recorded=[{"plugin": Words()}])
    assert said.startswith("[recorded.0] ") and "is no RecordedRatings (rated)" in said


@pytest.mark.parametrize("gold", ["high", float("nan"), [1.0]], ids=str)
def test_gold_that_is_no_number(gold: Any, tmp_path: Path) -> None:
    class Known(Texts):
        def gold(self, source: str, span: Span | None, text: str) -> Any:
            return gold

    said = refused(tmp_path / "run", target={"plugin": Known(["target"])})
    assert said.startswith("[target] the gold of texts(target) must be a finite number or None, got ")


def test_a_policy_that_answers_for_fewer_jobs_than_it_was_given(tmp_path: Path) -> None:
    class Short(Words):
        def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
            return []

    said = refused(tmp_path / "run", policy=policy(Short()))
    assert "the policy words must return a list of outputs for each of 1 jobs" in said


def test_a_policy_whose_outputs_are_all_equal_is_warned_of_and_each_stands_once(tmp_path: Path) -> None:
    class Same(Words):
        def _outputs(self, job: ProposeJob) -> list[Output]:
            return [replace(each, text="the same") for each in super()._outputs(job)]

    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(policy=policy(Same())))
    assert tuple(each for each in report.warnings if each.startswith("level")) == tuple(
        f"level {level}: all outputs of each node are equal, so nothing can be compared" for level in range(3)
    )
    candidates = [node.candidates for node in report.targets[0].trees[0].nodes]
    assert [[(each.times, each.chosen) for each in said] for said in candidates] == [[(5, True)], *[[(4, True)]] * 12]
    assert report.ratings == 26  # a label of the one text at each of 26 nodes, and no comparison
    # as they are, these toys say the last output twice, and all others once
    usual = rrm.run(out=tmp_path / "usual", quiet=True, **toys())
    root = usual.targets[0].trees[0].nodes[0]
    assert not any("are equal" in each for each in usual.warnings) and sorted(
        each.times for each in root.candidates
    ) == [1, 1, 1, 2]


def test_models_that_saw_all_that_could_tell_how_good_they_are_are_warned_of(tmp_path: Path) -> None:
    class SeenAll(LengthModel):
        def holds_out(self, source: str) -> bool:
            return False

    class SeesAll(Lengths):
        def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LengthModel:
            kind = SeenAll if place.level else LengthModel
            return kind(place, sorted({row.request.source for row in ratings.rows}))

    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(reward=SeesAll()))
    [told] = [each for each in report.warnings if "every source" in each]
    assert told.startswith("levels 1, 2: models were fitted on every source that was rated")
    assert told.endswith("can be wrapped in rrm.reward.cross_fit:CrossFitted")
    assert not any("every source" in each for each in rrm.run(out=tmp_path / "other", quiet=True, **toys()).warnings)


def test_a_mended_policy_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    mended = Answering(lambda outputs: outputs)
    refused(tmp_path / "run", policy=policy(Answering(lambda outputs: outputs[1:])))
    assert rrm.run(out=tmp_path / "run", quiet=True, **toys(policy=policy(mended))).outputs == 3 * 53


# ---- decomposers ----


class Giving:
    """Gives what a function makes of a source."""

    name = "giving"

    def __init__(self, give: Callable[[Source], Any]) -> None:
        self._give = give

    def decompose(self, source: Source, seed: int) -> Any:
        return self._give(source)


def opened(source: Source) -> TaskGraph:
    return TaskGraph.start(Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=9), "giving", 0)


def overlapping(source: Source) -> TaskGraph:
    halves = Proposal(tuple(Task("Tell.", source.id, Span(0, 20), max_tokens=9) for _ in range(2)))
    graph = opened(source)
    return graph.grow(graph.root, halves)


@pytest.mark.parametrize(
    ("give", "kind", "sentence"),
    [
        (lambda source: None, PluginError, "giving returned None from `decompose`, where a TaskGraph belongs"),
        (opened, ProposalError, "giving returned a graph with 1 open"),
        (overlapping, ProposalError, "the text from 0 to 20 is covered twice"),
    ],
    ids=["nothing", "open", "refused-by-the-gate"],
)
def test_a_decomposer_whose_trees_are_none(give: Any, kind: type[RrmError], sentence: str, tmp_path: Path) -> None:
    said = refused(tmp_path / "run", kind, decomposer=Giving(give))
    assert said.startswith("every decompose fails: ") and sentence in said
    assert kind.exit_code == 2


class Endless(Growing):
    """Grows one part more each time that it is asked, and never closes the task."""

    name = "endless"

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> list[Proposal]:
        if node.id != graph.root:
            return [Proposal()]
        at = len(graph.children(node.id))
        return [Proposal((Task(f"Tell {at}.", source.id, Span(at, at + 1), max_tokens=9),), more=True)]


class Deep(Growing):
    """Splits every node into a first and a second part, for ever."""

    name = "deep"

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> list[Proposal]:
        assert node.task.span is not None
        start, end = node.task.span
        middle = (start + end) // 2
        return [
            Proposal(
                tuple(Task("Tell.", source.id, Span(*at), max_tokens=9) for at in ((start, middle), (middle, end)))
            )
        ]


class Splitting(Growing):
    """Splits as a function does that is given the graph, the node and the answers that it may see."""

    name = "splitting"

    def __init__(self, do: Callable[[TaskGraph, Node, Mapping[str, Output]], Any]) -> None:
        self._do = do

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Any:
        return self._do(graph, node, answers)


def broken(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Any:
    raise KeyError("river")


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        (
            lambda graph, node, answers: answers["node-later"],
            "splitting asks at .* for the answer of node-later, which is",
        ),
        (lambda graph, node, answers: None, "splitting returned None from `split`, where a list of Proposals belongs"),
        (
            lambda graph, node, answers: [node.task],
            "splitting returned a list with a Task from `split`, where each",
        ),
        (broken, "KeyError: 'river'"),
    ],
    ids=["later-answer", "nothing", "tasks", "raises"],
)
def test_a_growing_decomposer_that_splits_into_something_else(split: Any, sentence: str, tmp_path: Path) -> None:
    said = refused(tmp_path / "run", decomposer=Splitting(split))
    assert re.match(f"every split fails: {sentence}", said)


def test_a_part_that_reads_a_later_one_is_refused_and_the_report_says_so(tmp_path: Path) -> None:
    def forward(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> list[Proposal]:
        first, second = (Task(f"Tell {at}.", node.task.source, Span(at, at + 1), max_tokens=9) for at in (0, 1))
        return [Proposal((Part(first, (1,)), Part(second)))]

    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(decomposer=Splitting(forward)))
    [warning] = [each for each in report.warnings if "closed as" in each]
    assert "part 0 reads part 1, but references point backward" in warning


def test_nodes_that_read_the_same_text_are_titled_by_what_they_ask(tmp_path: Path) -> None:
    class Asking(Thirds):
        name = "asking"

        def decompose(self, source: Source, seed: int) -> TaskGraph:
            whole = Span(0, len(source.text))
            graph = TaskGraph.start(Task(f"What of {source.title}?", max_tokens=9, rank=2), self.name, 0)
            asked = tuple(Task(f"What of {at}?", source.id, whole, max_tokens=9, rank=1) for at in range(2))
            return graph.grow_each({graph.root: Proposal(asked)}).grow_all(lambda graph, node: Proposal())

    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(decomposer=Asking()))
    titles = [node.title for node in report.targets[0].trees[0].nodes]
    assert titles == ["What of target?", "What of 0?", "What of 1?"]


def test_a_leaf_without_a_text_is_worked_on_by_its_instruction_alone(tmp_path: Path) -> None:
    class Steps(Thirds):
        name = "steps"

        def decompose(self, source: Source, seed: int) -> TaskGraph:
            graph = TaskGraph.start(Task("Solve it.", max_tokens=9, rank=2), self.name, seed)
            steps = tuple(Task(f"Step {at} of {source.title}.", max_tokens=9, rank=1) for at in range(2))
            return graph.grow_each({graph.root: Proposal(steps)}).grow_all(lambda graph, node: Proposal())

    class Obedient(Words):
        def _outputs(self, job: ProposeJob) -> list[Output]:
            said = job.prompt_context.view.instruction
            return [Output(job.prompt_context.node, f"{said} {at}", self.name, at) for at in range(job.n)]

    parts = toys(decomposer=Steps(), policy={"plugin": Obedient(), "outputs": 2, "root_outputs": 2})
    report = rrm.run(out=tmp_path / "run", quiet=True, **parts)
    assert report.failures == () and report.outputs == 3 * 3 * 2
    said = {each.text for node in report.targets[0].trees[0].nodes for each in node.candidates if node.level == 0}
    assert said == {f"Step {step} of target. {at}" for step in range(2) for at in range(2)}


@pytest.mark.parametrize(
    ("decomposer", "growth", "limit"),
    [
        (Endless(), {"max_splits": 3}, "max_splits = 3"),
        (Deep(), {"max_depth": 2}, "max_depth = 2"),
        (Deep(), {"max_nodes": 6}, "max_nodes = 6"),
    ],
    ids=["never-closes", "ever-deeper", "ever-more"],
)
def test_a_decomposer_without_an_end_is_closed_at_its_budget_and_the_report_says_so(
    decomposer: Growing, growth: dict[str, int], limit: str, tmp_path: Path
) -> None:
    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(decomposer=decomposer, growth=growth))
    [warning] = [each for each in report.warnings if "closed as" in each]
    assert limit in warning and decomposer.name in warning


# ---- raters ----


def test_a_rater_that_always_raises(tmp_path: Path) -> None:
    class Broken(Longer):
        def rate(self, request: Request, seed: int) -> Feedback:
            raise ZeroDivisionError("nobody there")

    said = refused(tmp_path / "run", rater=rater(Broken()))
    assert said.startswith("every rate fails: ZeroDivisionError: nobody there; mend that")


def test_a_rater_with_a_wrong_key_stops_the_run_and_the_same_call_goes_on_with_the_right_one(tmp_path: Path) -> None:
    class Keyed(Longer):
        asked, right = 0, False

        def rate(self, request: Request, seed: int) -> Feedback:
            self.asked += 1
            if not self.right:
                raise SetupError("the key of some-model is refused: set SOME_KEY")
            return super().rate(request, seed)

    keyed = Keyed()
    said = refused(tmp_path / "run", SetupError, rater=rater(keyed))
    assert said == "the key of some-model is refused: set SOME_KEY"
    assert SetupError.exit_code == 5
    assert keyed.asked == 1
    keyed.right = True
    assert rrm.run(out=tmp_path / "run", quiet=True, **toys(rater=rater(keyed))).failures == ()


# ---- composers ----


@dataclass(frozen=True)
class Scaled:
    """Multiplies a node's own acceptance."""

    by: float
    name: str = "scaled"
    needs_anchor: bool = True
    reads_back: bool = False
    checks_claims: bool = False

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        return Prediction(scores.rewards, {name: self.by * p for name, p in scores.acceptance.items()})


@dataclass(frozen=True)
class Scalar(Scaled):
    name: str = "scalar"

    def compose(self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]) -> Any:
        return 0.5


@pytest.mark.parametrize(
    ("composer", "sentence"),
    [
        (Scaled(5.0), r"the composer scaled failed: InputError: .* must lie in \[0, 1\]"),
        (Scaled(float("nan")), "the composer scaled failed: InputError: .* must be finite"),
        (Scalar(1.0), "the composer scalar must return a Prediction, got float"),
    ],
    ids=["out-of-range", "not-finite", "a-number"],
)
def test_a_composer_that_gives_no_probabilities_is_refused_before_anything_is_spent(
    composer: Scaled, sentence: str, tmp_path: Path
) -> None:
    assert re.match(sentence, refused(tmp_path / "run", compose=composer))
    with open_store(tmp_path / "run", "read") as record:
        assert record.counts() == [] and record.setting("run") is None
    assert rrm.run(out=tmp_path / "run", quiet=True, **toys(compose=Scaled(1.0))).composer == "scaled"


# ---- budgets, schedules, roles ----


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rater": rater(Longer(), budget={"minutes": 0})}, "minutes must be more than 0, got 0"),
        ({"rater": rater(Longer(), budget={"questions": 0})}, "questions must be more than 0, got 0"),
        ({"rater": rater(Longer(), budget={})}, "one of minutes, questions and by_level, this one says nothing"),
        ({"schedule": [{"levels": [1]}, {}]}, "round 1 visits level 1 before level 0 was ever visited"),
        ({"schedule": [{}, {"levels": [-1]}, {}]}, "schedule.1..levels.0. must be a number from 0 up or .* got -1"),
        ({"schedule": [{"levels": []}, {}]}, "round 1 visits no level"),
        (
            {"schedule": [{"levels": ["leaves"]}, {}]},
            "levels.0. must be a number from 0 up or .* got 'leaves'",
        ),
        ({"schedule": [{"levels": [0]}]}, "the last round visits all levels and the targets"),
        ({"select": rater(Longer())}, "unknown key 'random_share' in .select."),
        (
            {"select": {"plugin": Longer()}, "train": toys()["target"], "target": toys()["train"]},
            "two or more of them",
        ),
    ],
)
def test_budgets_and_schedules_that_cannot_be_are_refused_before_the_folder_holds_a_run(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    assert re.search(sentence, refused(tmp_path / "run", ConfigError, **changes))
    assert rrm.run(out=tmp_path / "run", quiet=True, **toys()).outputs == 3 * 53


class Gold:
    """What a final judge would say, as a scorer."""

    name = "gold"
    role = Final

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        return [Prediction.overall(*[np.full((1, len(group.outputs)), 0.5)] * 2) for group in groups]


class Cheating:
    """Optimises against gold."""

    name = "cheating"

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        for_improving(Gold())  # type: ignore[arg-type]
        return Improved(sampler, 0.0, "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        return anchor


def test_an_optimiser_that_is_handed_the_final_judge(tmp_path: Path) -> None:
    said = refused(tmp_path / "run", RoleError, rounds=2, improve=Cheating())
    assert said == "an optimiser may use scores of role train, not of role final"


def test_a_learner_that_fails_on_the_ratings_of_role_select_says_so_and_so_does_the_stage(tmp_path: Path) -> None:
    class Biased(Lengths):
        name = "biased"

        def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LengthModel:
            if ratings.role is Select:
                raise InputError("nothing of that judge")
            return super().fit(ratings, start, place, seed, workspace)

    stages: list[str] = []
    parts = toys(reward=Biased(), select={"plugin": Longer("judge"), "per_node": {"label": 1}})
    with pytest.raises(InputError) as ended:
        rrm.run(out=tmp_path / "run", on_event=lambda event: stages.append(event.stage), **parts)
    where = "round 1, level 0, role select"
    assert f"[reward] Biased failed at {where}: nothing of that judge" in str(ended.value)
    fits = [stage for stage in dict.fromkeys(stages) if stage.startswith("fit")]
    assert fits == ["fit · round 1, level 0", f"fit · {where}"]


def test_a_learner_that_names_the_place_where_it_fails_has_it_named_once(tmp_path: Path) -> None:
    class Needy(Lengths):
        name = "needy"

        def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LengthModel:
            raise nothing_to_fit(place)

    said = refused(tmp_path / "run", InputError, reward=Needy())
    assert said.startswith("[reward] Needy failed: round 1, level 0 has no ratings to fit on")


# ---- folders ----


def test_one_setting_changed_in_the_same_folder_names_the_keys_that_differ(tmp_path: Path) -> None:
    out = tmp_path / "run"
    rrm.run(out=out, quiet=True, **toys())
    changed = toys(rater=rater(Longer("longest"), budget={"questions": 90}), rounds=2)
    with pytest.raises(InputError) as ended:
        rrm.run(out=out, quiet=True, **changed)
    assert str(ended.value) == (
        f"{out} holds a run that was begun with another rater.budget, rater.object, rounds: use a new directory"
    )


def test_a_folder_of_an_older_layout_is_refused_with_a_way_out(tmp_path: Path) -> None:
    out = tmp_path / "run"
    rrm.run(out=out, quiet=True, **toys())
    with sqlite3.connect(out / "record.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0004'")
    with pytest.raises(StoreError, match=r"layout from before rrm's first release .*: name a new directory"):
        rrm.run(out=out, quiet=True, **toys())


def test_a_part_that_has_nothing_of_what_it_should_names_what_is_needed(tmp_path: Path) -> None:
    said = refused(tmp_path / "run", decomposer=Words())
    assert said.startswith("[decomposer] tests.toys:Words is no Decomposer (decompose, name) or ")
    said = refused(tmp_path / "run", policy=policy(Thirds()))
    assert said.startswith("[policy] tests.toys:Thirds is no Policy (name, propose) or AsyncPolicy")


def test_a_class_is_no_part(tmp_path: Path) -> None:
    said = refused(tmp_path / "run", ConfigError, reward={"plugin": Lengths})
    assert "it is the class Lengths, where an object belongs: write Lengths(...)" in said


@pytest.mark.parametrize("key", ["train", "target"])
def test_no_sources_and_sources_without_text_are_refused_before_anything_is_done(tmp_path: Path, key: str) -> None:
    assert refused(tmp_path / "none", InputError, **{key: []}).endswith("has no sources: give it one at least")
    blank = refused(tmp_path / "blank", InputError, **{key: [Source("Empty", " \n")]})
    assert blank == f"[{key}] the source 'Empty' has no text: leave it out"


def test_a_rater_that_answers_by_another_criterion(tmp_path: Path) -> None:
    class Rich(Longer):
        def rate(self, request: Request, seed: int) -> Feedback:
            return replace(super().rate(request, seed), criterion="rich")

    said = refused(tmp_path / "run", PluginError, rater=rater(Rich()))
    assert "was asked by the criterion 'overall' and answered by 'rich'" in said


def test_numbers_of_numpy_are_plain_ones_on_record() -> None:
    assert type(Label(np.bool_(True)).good) is bool  # type: ignore[arg-type]
    assert type(Comparison(np.int64(1)).better) is int  # type: ignore[arg-type]
    assert type(Rating(np.float64(3.5)).value) is float  # type: ignore[arg-type]
    ranked = Ranking(tuple(np.argsort([2, 1, 3])), tuple(np.array([0])))
    assert [type(place) for place in (*ranked.best_first, *ranked.tied)] == [int, int, int, int]
    assert Feedback("request", "rater", Label(np.bool_(True))).id  # type: ignore[arg-type]
