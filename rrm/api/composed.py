"""Texts scored in the place of a node's output, together with what was read below it: the composed score of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rrm.api.recorded import RecordedTree, claims_model, recorded_trees
from rrm.compose.align import Aligner
from rrm.compose.provenance import read_back, traced
from rrm.compose.tree import Judged, compose, compose_node
from rrm.core.claims import Claims
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.protocols import ClaimReader, Composer, PromptContext, RewardModel
from rrm.core.roles import Train
from rrm.core.values import OVERALL, Fitted, Group, Output, Passage, Prediction, Scored, View
from rrm.store.record import SqlStore

if TYPE_CHECKING:
    from rrm.api.worker import Models


class OwnAndComposed(NamedTuple):
    """What the node's model says of k texts, and what becomes of it with the scores below, both [members, k]."""

    own: Prediction
    composed: Prediction


class Anew(NamedTuple):
    """How a node is scored anew: its view read back, who judges claims beside it, and the text that it is about."""

    view: View
    claims: ClaimReader | None
    whole: str


@dataclass(frozen=True, eq=False)
class ComposedNode:
    """A node of a tree, and all that scores texts in the place of its output.

    `group` has its view and the outputs that were proposed there; `below` are the nodes under it with the outputs that
    were read, and their own scores. `informed` is how it is scored anew, read back to the source, where the composer
    wants that. Without `anchored` a text's own score is that of being preferred to the node's own outputs.
    """

    tree: RecordedTree
    node: str
    group: Group
    model: RewardModel
    composer: Composer
    anchored: bool
    below: Mapping[str, Judged] = field(repr=False)
    informed: Anew | None = None

    def score(self, texts: Sequence[str]) -> OwnAndComposed:
        """Return the scores of texts, each for itself; one pass of the model for all."""
        return self.joined(texts, self.model.predict(self.asked(texts)))

    def asked(self, texts: Sequence[str]) -> list[Group]:
        """Return what the node's model is asked about texts: beside the node's view, then beside it read back."""
        return [group for view in self._views for group in self._beside(view, texts)]

    def joined(self, texts: Sequence[str], said: Sequence[Prediction]) -> OwnAndComposed:
        """Return what becomes of the model's answers with the scores below."""
        each = len(said) // len(self._views)
        own, *informed = (self._in_order(texts, said[at : at + each]) for at in range(0, len(said), each))
        scores = self._anew(informed[0], texts) if informed else own
        outputs = tuple(Output(self.node, text, "somebody", at) for at, text in enumerate(texts))
        here = {**self.below, self.node: Judged(outputs, scores, 0)}
        graph, members = self.tree.graph, {each.scores.acceptance[OVERALL].shape[0] for each in here.values()}
        if len(members) > 1:  # some levels left more members out than others: `compose` makes them alike
            return OwnAndComposed(own, compose(graph, here, self.composer)[self.node])
        return OwnAndComposed(own, compose_node(graph, self.node, here, self._composed, self.composer))

    @property
    def _views(self) -> list[View]:
        return [self.group.view] if self.informed is None else [self.group.view, self._read_back]

    @property
    def _read_back(self) -> View:
        assert self.informed is not None
        view, claims = self.informed.view, self.informed.claims
        return view if claims is None else claims.as_usual(view, self.group.place.level)

    @cached_property
    def _composed(self) -> Mapping[str, Prediction]:
        return compose(self.tree.graph, self.below, self.composer)

    def _anew(self, level: Prediction, texts: Sequence[str]) -> Prediction:
        """Return the model's scores beside the view read back, with what a model of claims says of it."""
        assert self.informed is not None
        if self.informed.claims is None:
            return level
        group = Group(self.group.source, self.group.place, self._read_back, tuple(texts))
        return self.informed.claims.joined([group], [self.informed.whole], [level])[0]

    def _beside(self, view: View, texts: Sequence[str]) -> list[Group]:
        """Return one group of all texts, or without an anchor one a text, beside the node's own outputs."""
        source, place = self.group.source, self.group.place
        if self.anchored:
            return [Group(source, place, view, tuple(dict.fromkeys(texts)))]
        others = [tuple(text for text in self.group.outputs if text != said) for said in texts]
        return [Group(source, place, view, (said, *rest)) for said, rest in zip(texts, others, strict=True)]

    def _in_order(self, texts: Sequence[str], said: Sequence[Prediction]) -> Prediction:
        if self.anchored:
            distinct = list(dict.fromkeys(texts))
            return said[0].at([distinct.index(text) for text in texts])
        return _side_by_side([found.at([0]) for found in said])


@dataclass(frozen=True, eq=False)
class ComposedScorer:
    """Scores outputs at any node of a run's trees by what they would be worth, with all that was read below them.

    Implements `rrm.core.roles.Scorer` with the role train: only models of that role are asked. What was read below has
    the scores that these `models` gave it, or else the first of role train that did, so that what becomes of the record
    later changes nothing. A view that no node of the source is shown is refused with InputError.
    """

    record: SqlStore = field(repr=False)
    models: Mapping[int, tuple[Fitted, RewardModel]] = field(repr=False)
    composer: Composer
    aligner: Aligner
    claims: ClaimReader | None = field(default=None, repr=False)

    @property
    def role(self) -> type[Train]:
        return Train

    @property
    def name(self) -> str:
        digests = [fitted.digest for fitted, _ in self.models.values()]
        digests += [self.claims.digest] if self.claims is not None else []
        return content_id("composed scorer", self.composer.name, digests, self.aligner.name)

    @cached_property
    def _nodes(self) -> dict[str, ComposedNode]:
        return {}

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return the composed scores of each group's outputs; each model is asked about all of its groups at once."""
        nodes = [self._node(group) for group in groups]
        asked = [node.asked(group.outputs) for node, group in zip(nodes, groups, strict=True)]
        by_model: dict[int, list[int]] = {}
        for at, node in enumerate(nodes):
            by_model.setdefault(id(node.model), []).append(at)
        said: dict[int, list[Prediction]] = {}
        for places in by_model.values():
            found = iter(nodes[places[0]].model.predict([each for at in places for each in asked[at]]))
            said |= {at: list(islice(found, len(asked[at]))) for at in places}
        return [node.joined(groups[at].outputs, said[at]).composed for at, node in enumerate(nodes)]

    def _node(self, group: Group) -> ComposedNode:
        key = f"{group.source} {group.view.id}"
        if key not in self._nodes:
            self._nodes[key] = self._made(group)
        return self._nodes[key]

    def _made(self, group: Group) -> ComposedNode:
        tree, node = self._shown_at(group)
        view, level = group.view, group.place.level
        fitted, model = self.models[min(self.models, key=lambda each: (abs(each - level), -each))]
        outputs = self._with_inputs([passage.output for passage in view.passages if passage.output is not None])
        return ComposedNode(
            tree=tree,
            node=node,
            group=Group(group.source, fitted.place, view, self._proposed(node)),
            model=model,
            composer=self.composer,
            anchored=fitted.anchored,
            below=self._judged(view, outputs),
            informed=self._anew(tree, node, view, outputs) if self.composer.reads_back else None,
        )

    def _shown_at(self, group: Group) -> tuple[RecordedTree, str]:
        """Return the node that is shown a view, and its tree; the last one, of a source whose trees grew anew."""
        for again in (False, True):
            for tree in self._trees_of(group.source, again):
                for node in tree.graph:
                    if shows(tree, node, group.view):
                        return tree, node
        raise InputError(
            f"no node of the source {group.source} is shown this view, so nothing is known of what stands below it: "
            "take rows from the reward function's rows()"
        )

    def _trees_of(self, source: str, again: bool) -> Sequence[RecordedTree]:
        if again or not self._trees:
            self._trees.clear()
            for tree in reversed(recorded_trees(self.record).every):
                self._trees.setdefault(tree.source.id, []).append(tree)
        return self._trees.get(source, [])

    @cached_property
    def _trees(self) -> dict[str, list[RecordedTree]]:
        return {}

    def _proposed(self, node: str) -> tuple[str, ...]:
        outputs: list[Output] = self.record.load_where(Output, "node", [node])
        return tuple(dict.fromkeys(output.text for output in outputs))

    def _with_inputs(self, ids: Sequence[str]) -> dict[str, Output]:
        """Return outputs by id, with all that they were made from."""
        found: dict[str, Output] = {}
        waiting = list(ids)
        while waiting:
            fresh: dict[str, Output] = {each.id: each for each in self.record.load_where(Output, "id", waiting)}
            found |= fresh
            read = [id_ for output in fresh.values() for id_ in (*output.inputs, *output.context)]
            waiting = [id_ for id_ in dict.fromkeys(read) if id_ not in found]
        return found

    def _judged(self, view: View, outputs: Mapping[str, Output]) -> dict[str, Judged]:
        """Return the nodes whose outputs a view shows, and all that these were made from, with their scores."""
        scores = self._scores(list(outputs))
        found: dict[str, Judged] = {}
        waiting = [passage.output for passage in view.passages if passage.output is not None]
        while waiting:
            here = [outputs[id_] for id_ in dict.fromkeys(waiting) if id_ in outputs]
            for output in here:
                if output.id in scores and output.node not in found:
                    found[output.node] = Judged((output,), scores[output.id], 0)
            waiting = [id_ for output in here for id_ in output.inputs]
        return found

    def _scores(self, outputs: Sequence[str]) -> dict[str, Prediction]:
        """Return what these models said of each output, or the first of role train that scored it."""
        by_output: dict[str, dict[str, list[Scored]]] = {}
        for score in self.record.load_where(Scored, "output", outputs):
            by_output.setdefault(score.output, {}).setdefault(score.model, []).append(score)
        mine = {fitted.id for fitted, _ in self.models.values()}
        fitted: list[Fitted] = self.record.load(Fitted)
        trained = {each.id for each in fitted if each.role == Train.name and each.place.subject == "answer"}
        found = {}
        for output, by_model in by_output.items():
            rows = [
                by_model[model] for model in sorted(by_model, key=lambda each: each not in mine) if model in trained
            ]
            if rows:
                found[output] = prediction_of(rows[0])
        return found

    def _anew(self, tree: RecordedTree, node: str, view: View, outputs: Mapping[str, Output]) -> Anew | None:
        """Return how a node is scored anew, with claims aligned as at a round's end."""
        contexts = {output.node: made_from(tree, output, outputs) for output in outputs.values()}
        shown = [passage.output for passage in view.passages if passage.output is not None]
        read = [outputs[id_] for id_ in shown if id_ in outputs]
        return anew(view, tree, node, traced(read, outputs, contexts, self.aligner), outputs, self.claims)


def shows(tree: RecordedTree, node: str, view: View) -> bool:
    """Say whether a view is one that a node is shown: its task, outputs of its parts, its piece of the source."""
    graph, task = tree.graph, tree.graph.task(node)
    if (task.instruction, task.max_tokens) != (view.instruction, view.max_tokens):
        return False
    told = {passage.node for passage in view.passages if passage.node is not None}
    pieces = [passage.text for passage in view.passages if passage.node is None]
    if not told <= set(graph.needs(node)) or (graph.children(node) and not told and not task.sees_source):
        return False
    return not pieces or (task.span is not None and pieces == [tree.source.read(task.span)])


def made_from(tree: RecordedTree, output: Output, outputs: Mapping[str, Output]) -> PromptContext:
    """Return what an output was made from, as far as claims are aligned with it."""
    graph, task = tree.graph, tree.graph.task(output.node)
    own = task.span is not None and (task.sees_source or not graph.children(output.node))
    pieces = [Passage(tree.source.read(task.span))] if own and task.span is not None else []
    told = [Passage(outputs[id_].text, outputs[id_].node, id_) for id_ in output.inputs if id_ in outputs]
    view = View(task.instruction, (*pieces, *told), task.max_tokens)
    return PromptContext(output.node, task, view, output.inputs, output.context)


def prediction_of(scores: Sequence[Scored]) -> Prediction:
    """Return the scores of one output by one model, its criteria together, as a prediction [members, 1]."""
    return Prediction(
        {each.criterion: np.array(each.rewards)[:, None] for each in scores},
        {each.criterion: np.array(each.acceptance)[:, None] for each in scores},
    )


def anew(
    view: View,
    tree: RecordedTree,
    node: str,
    claims: Mapping[str, Claims],
    outputs: Mapping[str, Output],
    reader: ClaimReader | None,
) -> Anew | None:
    """Return how a node is scored anew, None where nothing leads to the source; claims and outputs are by output id."""
    back = read_back(view, claims, outputs, tree.source.text)
    span = None if node == tree.graph.root else tree.graph.task(node).span
    whole = tree.source.text if span is None else tree.source.text[span.start : span.end]
    return None if back is None else Anew(back, reader, whole)


def claim_reader(record: SqlStore, models: "Models", composer: Composer) -> ClaimReader | None:
    """Return the run's last model of claims, where its composer asks one and it was fitted."""
    fitted = claims_model(record)
    if fitted is None or not composer.checks_claims:
        return None
    model = models.load(fitted)
    assert isinstance(model, ClaimReader)
    return model


def _side_by_side(found: Sequence[Prediction]) -> Prediction:
    return Prediction(
        {name: np.concatenate([each.rewards[name] for each in found], axis=1) for name in found[0].rewards},
        {name: np.concatenate([each.acceptance[name] for each in found], axis=1) for name in found[0].acceptance},
    )
