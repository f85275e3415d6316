"""Texts scored in the place of a node's output, together with what was read below it: the composed score of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rrm.api.recorded import RecordedTree, Trees, claims_model
from rrm.compose.provenance import read_back
from rrm.compose.tree import Judged, compose, compose_node
from rrm.core.claims import Claims
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.protocols import ClaimReader, Composer, RewardModel, Seen
from rrm.core.roles import Train
from rrm.core.values import OVERALL, Fitted, Group, Output, Prediction, Scored, View
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
        return [self.group.view] if self.informed is None else [self.group.view, self.informed.view]

    @cached_property
    def _composed(self) -> Mapping[str, Prediction]:
        return compose(self.tree.graph, self.below, self.composer)

    def _anew(self, level: Prediction, texts: Sequence[str]) -> Prediction:
        """Return the model's scores beside the view read back, with what a model of claims says of it."""
        assert self.informed is not None
        if self.informed.claims is None:
            return level
        group = Group(self.group.source, self.group.place, self.informed.view, tuple(texts))
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
    """Scores outputs of a run's training nodes by what they would be worth, with all that was read below them.

    Implements `rrm.core.roles.Scorer` with the role train: only models of that role are asked. `seen` are the nodes;
    groups are told apart by source and view, and a view that is none of theirs is refused with InputError.
    """

    record: SqlStore = field(repr=False)
    trees: Trees = field(repr=False)
    models: Mapping[int, tuple[Fitted, RewardModel]] = field(repr=False)
    composer: Composer
    seen: Sequence[Seen] = field(repr=False)
    claims: ClaimReader | None = field(default=None, repr=False)

    @property
    def role(self) -> type[Train]:
        return Train

    @property
    def name(self) -> str:
        digests = [fitted.digest for fitted, _ in self.models.values()]
        digests += [self.claims.digest] if self.claims is not None else []
        return content_id("composed scorer", self.composer.name, digests, sorted(self._at))

    @cached_property
    def _at(self) -> dict[str, Seen]:
        return {_key(each.source, each.prompt_context.view): each for each in self.seen}

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
        key = _key(group.source, group.view)
        if key not in self._at:
            raise InputError(
                f"the run showed no training node of the source {group.source} this view, so nothing is known of what "
                "stands below it: take rows from the reward function's rows()"
            )
        if key not in self._nodes:
            self._nodes[key] = self._made(self._at[key])
        return self._nodes[key]

    def _made(self, seen: Seen) -> ComposedNode:
        given, tree = seen.prompt_context, self.trees.of_node[seen.prompt_context.node]
        level = self.trees.level(given.node)
        fitted, model = self.models[min(self.models, key=lambda each: (abs(each - level), -each))]
        return ComposedNode(
            tree=tree,
            node=given.node,
            group=Group(seen.source, fitted.place, given.view, seen.group.outputs),
            model=model,
            composer=self.composer,
            anchored=fitted.anchored,
            below=self._below(given.view),
            informed=anew(self.record, given.view, tree, given.node, self.claims) if self.composer.reads_back else None,
        )

    def _below(self, view: View) -> dict[str, Judged]:
        """Return the nodes whose outputs a view shows, and all that these were made from, with their last scores."""
        found: dict[str, Judged] = {}
        waiting = [passage.output for passage in view.passages if passage.output is not None]
        while waiting:
            outputs = [self._outputs[id_] for id_ in dict.fromkeys(waiting) if id_ in self._outputs]
            scores = self._scores([output.id for output in outputs])
            for output in outputs:
                if output.id in scores and output.node not in found:
                    found[output.node] = Judged((output,), scores[output.id], 0)
            waiting = [id_ for output in outputs for id_ in output.inputs]
        return found

    @cached_property
    def _outputs(self) -> dict[str, Output]:
        return self.record.by_id(Output)

    @cached_property
    def _trained(self) -> frozenset[str]:
        return frozenset(
            each.id for each in self.record.load(Fitted) if each.role == Train.name and each.place.subject == "answer"
        )

    def _scores(self, outputs: Sequence[str]) -> dict[str, Prediction]:
        """Return what the last model of role train that scored each output said of it; others are left out."""
        by_output: dict[str, dict[str, list[Scored]]] = {}
        for score in self.record.load_where(Scored, "output", outputs):
            if score.model in self._trained:
                by_output.setdefault(score.output, {}).setdefault(score.model, []).append(score)
        return {output: prediction_of(list(by_model.values())[-1]) for output, by_model in by_output.items()}


def prediction_of(scores: Sequence[Scored]) -> Prediction:
    """Return the scores of one output by one model, its criteria together, as a prediction [members, 1]."""
    return Prediction(
        {each.criterion: np.array(each.rewards)[:, None] for each in scores},
        {each.criterion: np.array(each.acceptance)[:, None] for each in scores},
    )


def anew(record: SqlStore, view: View, tree: RecordedTree, node: str, reader: ClaimReader | None) -> Anew | None:
    """Return how a node is scored anew, None where nothing leads to the source."""
    claims = {each.output: each for each in record.load(Claims)}
    outputs: dict[str, Output] = record.by_id(Output)
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


def _key(source: str, view: View) -> str:
    return f"{source} {view.id}"


def _side_by_side(found: Sequence[Prediction]) -> Prediction:
    return Prediction(
        {name: np.concatenate([each.rewards[name] for each in found], axis=1) for name in found[0].rewards},
        {name: np.concatenate([each.acceptance[name] for each in found], axis=1) for name in found[0].acceptance},
    )
