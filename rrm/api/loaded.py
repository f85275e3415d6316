"""A run's folder, opened to look at: its tables, trees, models and policies, and scores of somebody's own texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from math import isclose
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from rrm.api import frames
from rrm.api.composed import Anew, ComposedNode, anew, claim_reader, prediction_of
from rrm.api.look import finished, settings_of
from rrm.api.recorded import RecordedTree, Trees, improved_policies, recorded_trees
from rrm.api.runfile import RunFile, run_file, with_objects
from rrm.compose.tree import Judged
from rrm.core.claims import Chain, Claims, chains
from rrm.core.errors import InputError, StoreError
from rrm.core.graph import TaskGraph
from rrm.core.place import Place, node_level
from rrm.core.protocols import ClaimReader, Composer, Policy, RewardModel
from rrm.core.report import Candidate, Report, TargetReport
from rrm.core.values import (
    OVERALL,
    Fitted,
    FittedComposer,
    Group,
    Output,
    Passage,
    Prediction,
    Score,
    Scored,
    View,
)
from rrm.store.record import SqlStore, open_store

if TYPE_CHECKING:
    import networkx

    from rrm.api.worker import RunWorker


def load(directory: str | Path, **parts: Any) -> "Loaded":
    """Open the folder of a run that has finished, or is still running, to look at; nothing in it is changed.

    Parts that the run was given as objects (`reward=Mine()`) are given again where models or policies are to be
    opened; the tables need none. Raises StoreError where there is no run, InputError for another part than the run's.
    """
    return Loaded(Path(directory), parts)


@dataclass(frozen=True, eq=False)
class TextScores:
    """What a run says of somebody's own text as the output for a target: alone, and with what it stands on.

    `own` is the root model's score, `composed` the composer's over the outputs that the run chose below the root;
    `note` says so where the text is longer than any that raters saw.
    """

    target: str
    own: Score
    composed: Score
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object that `rrm score DIR --json` ends with."""
        found = {"target": self.target, "own": _distribution(self.own), "composed": _distribution(self.composed)}
        return found | ({"note": self.note} if self.note else {})


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A run's reward model as a function of texts; `fitted` is what the record says about it."""

    fitted: Fitted
    reward_model: RewardModel = field(repr=False)

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return the prediction of each group's outputs by the members that were not fitted on its source."""
        return self.reward_model.predict(groups)

    def score(self, *texts: str, beside: str | View = "", instruction: str = "", source: str = "") -> list[Score]:
        """Return for each text the probability that a rater accepts it, beside a view or a source's text.

        `source` is the id of a source of the run, where the texts are about one: members that were fitted on it
        are left out. Where nothing anchors the model, scores say how a text compares with the others.
        """
        view = beside if isinstance(beside, View) else View(instruction, (Passage(beside),) if beside else (), 128)
        [found] = self.predict([Group(source, self.fitted.place, view, texts)])
        return [Score(found.acceptance[OVERALL][:, at]) for at in range(len(texts))]

    __call__ = score


class Loaded:
    """A run's folder, opened by `rrm.load`; a context manager.

    The tables are pandas data frames (`pip install 'rrm[frames]'`), over all trees, the training sources' too, and
    all rounds; `rrm.api.frames` says what their columns mean. They are read once; open the folder again to see
    how a run went on. Models and policies load when they are first asked for.
    """

    def __init__(self, directory: Path, parts: Mapping[str, Any]) -> None:
        self.directory = directory
        self._given = parts
        self.record: SqlStore = open_store(directory, "read")
        self._targets: dict[int, _Target] = {}

    def __enter__(self) -> "Loaded":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the record; what was read stays."""
        self.record.close()

    # ---- results ----

    @property
    def finished(self) -> bool:
        """Whether the run has come to its report."""
        return (self.directory / "report.json").exists()

    @cached_property
    def report(self) -> Report:
        """The run's report; raises InputError while there is none."""
        return finished(self.directory)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The run file as plain values, defaults filled in."""
        return settings_of(self.record, self.directory).to_json()

    @cached_property
    def nodes(self) -> Any:
        """A data frame with a row a node."""
        return frames.frame(frames.node_rows(self.record, self.trees), frames.NODES)

    @cached_property
    def outputs(self) -> Any:
        """A data frame with a row an output."""
        return frames.frame(frames.output_rows(self.record, self.trees), frames.OUTPUTS)

    @cached_property
    def ratings(self) -> Any:
        """A data frame with a row a rating that was given in this run."""
        return frames.frame(frames.rating_rows(self.record, self.trees), frames.RATINGS)

    @cached_property
    def scores(self) -> Any:
        """A data frame with a row an output, scale (own or composed) and criterion."""
        return frames.frame(frames.score_rows(self.record, self.trees), frames.SCORES)

    @cached_property
    def calls(self) -> Any:
        """A data frame with a row a call of an assistant: what was sent, what came back, and what it took."""
        return frames.frame(frames.call_rows(self.record), frames.CALLS)

    def tree(self, number: int = 0, source: str | None = None) -> TaskGraph:
        """Return a tree of a source, named by id or title; without one, of the first target."""
        return self.trees.find(number, source).graph

    def graph(self, tree: int = 0, source: str | None = None) -> "networkx.DiGraph[str]":
        """Return what `tree` does as a networkx graph, edges in the way that outputs flow."""
        return self.tree(tree, source).networkx

    def claims(self, output: str | None = None, target: int = 0) -> tuple[Chain, ...]:
        """Return the sentences and clauses of an output, each with what it rests on, down to the source.

        `output` is the id of one that stood at a root, or was read below one, when a round ended; without it, the
        chosen output of a target, counted from 0. Of the chosen output, and of the one with the least score, it is told
        what the report says of them. Raises InputError for an output
        that was not traced to the source.
        """
        id_ = output or self._chosen(target)
        if self.finished and (known := self._told_of(id_)):
            return known
        claims = {each.output: each for each in self.record.load(Claims)}
        outputs: dict[str, Output] = self.record.by_id(Output)
        if id_ not in claims or id_ not in outputs:
            raise InputError(
                f"{self.directory} knows no claims of the output {id_}: those of the roots' outputs, and of the outputs"
                " that these were made from, are found when a round ends"
            )
        return chains(id_, claims, outputs, self.trees.of_node[outputs[id_].node].source.text)

    def named(self, node: str) -> tuple[str, str]:
        """Return what a node is called: leaf, root or its level, and the first words of its text, or else its task."""
        tree = self.trees.of_node[node]
        task = tree.graph.task(node)
        text = tree.source.text[task.span.start : task.span.end] if task.span else ""
        level = node_level(self.trees.level(node), self.trees.height)
        return level, " ".join(text.split(maxsplit=10)[:10]) or task.instruction

    def _told_of(self, output: str) -> tuple[Chain, ...]:
        """Return the claims of an output as the report has them, none where it does not tell of them."""
        found = (each.claims_of.get(output, ()) for each in self.report.targets)
        return next((claims for claims in found if claims), ())

    def _chosen(self, target: int) -> str:
        chosen = self._reported(target).chosen
        if chosen is None:
            raise InputError(f"{self._reported(target).title} has no chosen root output, so no claims")
        return chosen.id

    # ---- what it made ----

    def models(self) -> tuple[Fitted, ...]:
        """Return the reward models on record, in the order in which they were fitted."""
        return tuple(self.record.load(Fitted))

    def model(self, place: Place | str, role: str = "train") -> LoadedModel:
        """Return the reward model of a place, such as "0/answer/2", fitted to ratings of a role.

        Raises InputError naming the places that have one.
        """
        wanted = Place.parse(place) if isinstance(place, str) else place
        known = [fitted for fitted in self.models() if fitted.role == role]
        fitted = next((each for each in reversed(known) if each.place == wanted), None)
        if fitted is None:
            places = ", ".join(sorted({str(each.place) for each in known})) or "none yet"
            raise InputError(f"{self.directory} has no model of role {role} at {wanted}; there are: {places}")
        return LoadedModel(fitted, self.worker.models.load(fitted))

    def policy(self, place: Place | str) -> Policy:
        """Return the policy that proposed at a place: the run's own, or what an optimiser had made of it by then.

        Raises InputError for a round that the run has not come to, and for a place where nothing is proposed.
        """
        at = Place.parse(place) if isinstance(place, str) else place
        rounds, height = self._rounds, self.trees.height
        if at.subject != "answer" or at.round >= rounds or at.level > height:
            known = f"answers in rounds 0 to {rounds - 1} at levels 0 to {height}" if rounds else "nothing yet"
            raise InputError(f"{self.directory} has no policy at {at}: it proposed {known}")
        improved = improved_policies(self.record, at.round)
        return self.worker.policy(improved.get(at.level, improved.get(None)))

    # ---- a text of one's own ----

    def score(self, text: str, target: int = 0) -> TextScores:
        """Score a text as the root output for a target, counted from 0, over the parts that the run chose below.

        What is needed is opened once; from then on a text takes milliseconds. Where nothing anchors the run's
        rewards the own score says how the text compares with the run's own root outputs. Raises InputError for
        a target that there is not, or that has no root output, and for a text without words.
        """
        if not text.strip():
            raise InputError("the text is empty: give one to score")
        if target not in self._targets:
            self._targets[target] = self._target(target)
        return self._targets[target].score(text.strip())

    def _target(self, target: int) -> "_Target":
        return _target(self, self._reported(target), self.report.anchored)

    def _reported(self, target: int) -> TargetReport:
        """Return what the report says of a target."""
        targets = self.report.targets
        if not 0 <= target < len(targets):
            raise InputError(f"{self.directory} has {len(targets)} targets, counted from 0, and no number {target}")
        return targets[target]

    # ---- within ----

    @property
    def _rounds(self) -> int:
        """How many rounds the run has come to; one in which nothing changed leaves no step on record."""
        begun = 1 + max((count.place.round for count in self.record.counts()), default=-1)
        return max(begun, len(self.report.rounds)) if self.finished else begun

    @cached_property
    def trees(self) -> Trees:
        """The trees on record, those of all sources."""
        return recorded_trees(self.record)

    @cached_property
    def worker(self) -> "RunWorker":
        """Who opens the run's parts, models and policies."""
        from rrm.api.wiring import Parts
        from rrm.api.worker import RunWorker

        settings = with_objects(self._composed_as_reported(settings_of(self.record, self.directory)), self._given)
        return RunWorker(Parts(settings, self.record, looking=True), self.directory)

    def _composed_as_reported(self, settings: RunFile) -> RunFile:
        """Return settings with the composer of the report: another may have taken its place since the run was begun."""
        reported = self.report.settings.get("compose") if self.finished else None
        if reported is None:
            return settings
        return replace(run_file({**settings.to_json(), "compose": reported}, learns=False), folder=settings.folder)

    def composer(self) -> Composer:
        """Return the run's composer, as it was learned last where it is learned."""
        learned: list[FittedComposer] = self.record.load(FittedComposer)
        return self.worker.composer(learned[-1] if learned else None)

    # ---- in a notebook ----

    def __repr__(self) -> str:
        if self.finished:
            return f"rrm.load({str(self.directory)!r}): {self.report!r}"
        return f"rrm.load({str(self.directory)!r}): not finished, {self._so_far()}"

    def _repr_html_(self) -> str:
        if self.finished:
            return f"<p>{escape(str(self.directory))}</p>{self.report._repr_html_()}"
        return f"<p>{escape(str(self.directory))}: not finished, {escape(self._so_far())}</p>"

    def _so_far(self) -> str:
        counts = self.record.counts()
        done = sum(each.done for each in counts)
        return f"{done} steps on record" + (f", the last of them {counts[-1].step}" if counts else "")


# ---- what stands below a target's root ----


@dataclass(frozen=True, eq=False)
class _Target:
    """A target's root, and all that scores a text in its output's place."""

    title: str
    root: ComposedNode
    count: Callable[[str], int]

    def score(self, said: str) -> TextScores:
        own, composed = (Score(each.acceptance[OVERALL][:, 0]) for each in self.root.score([said]))
        return TextScores(self.title, own, composed, self._note(said))

    def _note(self, said: str) -> str:
        tokens, limit = self.count(said), self.root.group.view.max_tokens
        if tokens <= limit:
            return ""
        return (
            f"the text has {tokens:,} tokens of {limit:,} allowed: texts longer than any that raters saw are scored"
            " beyond what was learned"
        )


def _target(run: Loaded, target: TargetReport, anchored: bool) -> _Target:
    """Put together, from the report and the record, what the run chose below a target's root."""
    if target.chosen_tree is None:
        raise InputError(f"{target.title} has no chosen root output: nothing to score against")
    reported = target.trees[target.chosen_tree]
    tree = run.trees.find(reported.seed, target.source)
    chosen = {node.id: each for node in reported.nodes for each in node.candidates if each.chosen}
    judged = _judged(run.record, chosen)
    root = tree.graph.root
    below = {node: each for node, (each, _) in judged.items() if node != root}
    composer = run.composer()
    reader = claim_reader(run.record, run.worker.models, composer)
    fitted = next(each for each in run.models() if each.id == judged[root][1])
    view = _view(run.record, tree, below)
    texts = tuple(each.text for node in reported.nodes if node.id == root for each in node.candidates)
    node = ComposedNode(
        tree=tree,
        node=root,
        group=Group(target.source, fitted.place, view, texts),
        model=run.worker.models.load(fitted),
        composer=composer,
        anchored=anchored,
        below=below,
        informed=_anew(run.record, view, tree, reader) if composer.reads_back else None,
    )
    return _Target(target.title, node, run.worker.parts.tokenizer.count)


def _anew(record: SqlStore, view: View, tree: RecordedTree, reader: ClaimReader | None) -> Anew | None:
    """Return how a root is scored anew, by the claims on record."""
    claims = {each.output: each for each in record.load(Claims)}
    return anew(view, tree, tree.graph.root, claims, record.by_id(Output), reader)


def _judged(record: SqlStore, chosen: Mapping[str, Candidate]) -> dict[str, tuple[Judged, str]]:
    """Return the chosen output of each node with its own scores, and the id of the model that gave them."""
    ids = [candidate.id for candidate in chosen.values()]
    outputs = {output.id: output for output in record.load_where(Output, "id", ids)}
    answers = {fitted.id for fitted in record.load(Fitted) if fitted.place.subject == "answer"}
    scores: dict[str, dict[str, list[Scored]]] = {}
    for score in record.load_where(Scored, "output", ids):
        if score.model in answers:
            scores.setdefault(score.output, {}).setdefault(score.model, []).append(score)
    found = {}
    for node, candidate in chosen.items():
        by_model = scores.get(candidate.id)
        if candidate.id not in outputs or not by_model:
            raise StoreError(f"the report names the output {candidate.id}, of which its record has no score")
        model = _model_of(by_model, candidate.own)
        found[node] = Judged((outputs[candidate.id],), prediction_of(by_model[model]), 0), model
    return found


def _model_of(scores: Mapping[str, Sequence[Scored]], own: float | None) -> str:
    """Return the model whose score of an output the report tells, or the last where it tells it on another scale."""
    for model, found in scores.items():
        mean = next((float(np.mean(each.acceptance)) for each in found if each.criterion == OVERALL), None)
        if own is not None and mean is not None and isclose(mean, own, rel_tol=1e-9):
            return model
    return list(scores)[-1]


def _view(record: SqlStore, tree: RecordedTree, below: Mapping[str, Judged]) -> View:
    """Return what is shown with outputs of the root, once the nodes below are as they were judged."""
    from rrm.pipeline.forest import Forest, State, Tree, prompt_context_at

    grown = Tree(tree.source.id, tree.number, tree.graph)
    needed = list(tree.graph.needs(tree.graph.root))
    answers: dict[str, Output] = {}
    for output in record.load_where(Output, "node", needed):
        answers.setdefault(output.node, output)
    state = State(
        outputs={node: each.outputs for node, each in below.items()},
        predictions={node: each.scores for node, each in below.items()},
        read=dict.fromkeys(below, 0),
        answers=answers if tree.grew else {},
    )
    return prompt_context_at(Forest({tree.source.id: tree.source}, (), frozenset()), grown, tree.graph.root, state).view


def _distribution(score: Score) -> dict[str, float]:
    low, high = score.interval()
    return {"score": score.mean, "low": low, "high": high}
