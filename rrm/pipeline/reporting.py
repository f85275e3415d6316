"""From where a run ended to what it has to say: every node's candidates with their scores, blame, and the rounds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rrm.compose.tree import Blame, blame
from rrm.core.claims import Chain, chains
from rrm.core.errors import InputError
from rrm.core.protocols import AsyncPolicy, Composer, Divergence, Policy, PromptContext
from rrm.core.report import (
    Candidate,
    CriterionScore,
    Interval,
    NodeReport,
    PassedOver,
    PolicyChoice,
    RoundLevel,
    RoundReport,
    Spent,
    TargetReport,
    TreeReport,
)
from rrm.core.values import OVERALL, Choice, Improvement, Output, Prediction, Score
from rrm.evaluate.choosing import Made
from rrm.evaluate.metrics import cluster_interval
from rrm.pipeline.forest import Forest, State, Tree, by_source, compose_unanchored
from rrm.pipeline.leaving import taken_by_persons
from rrm.pipeline.steps import Outcome, RoundOutcome

_SEEN = 0.005
"""A difference of two scores that a report of two digits may show."""


def target_reports(outcome: Outcome, composer: Composer) -> tuple[TargetReport, ...]:
    """Return the report of every target source, in the order of its trees.

    Of each the root output of the highest composed score is chosen, or the one that answers about targets or a person
    who was left to choose took.
    """
    forest = outcome.forest
    grown = by_source(tree for tree in forest.trees if forest.is_target(tree))
    taken = taken_by_persons(outcome.run)
    return tuple(_target_report(outcome, source, trees, composer, taken) for source, trees in grown.items())


def _target_report(
    outcome: Outcome, source: str, trees: list[Tree], composer: Composer, taken: Mapping[str, Sequence[str]]
) -> TargetReport:
    forest = outcome.forest
    state = outcome.state if outcome.run.anchored else compose_unanchored(outcome.state, trees)
    reports = tuple(_tree_report(forest, state, tree, composer) for tree in trees)
    roots = [(candidate, number) for number, tree in enumerate(reports) for candidate in tree.nodes[0].candidates]
    scored = [each for each in roots if each[0].composed is not None]
    told = told_of(outcome, trees, taken)

    def rank(root: tuple[Candidate, int]) -> tuple[bool, float]:
        return root[0].text == told, root[0].composed or 0.0

    chosen, number = max(scored, key=rank) if scored else (None, None)
    claims = _claims(forest, state, source, trees[number], chosen) if number is not None and chosen else ()
    worst, where = min(scored, key=lambda root: root[0].composed or 0.0) if scored else (None, 0)
    least = None
    if worst and chosen and (chosen.composed or 0.0) - (worst.composed or 0.0) >= _SEEN:
        least = PassedOver(worst, where, _claims(forest, state, source, trees[where], worst))
    criteria = _criteria(state, trees[number], chosen) if number is not None and chosen else ()
    title = forest.sources[source].title
    return TargetReport(source, title, reports, chosen, number, claims=claims, criteria=criteria, least=least)


def told_of(outcome: Outcome, trees: Sequence[Tree], taken: Mapping[str, Sequence[str]]) -> str | None:
    """Return the root output's text that a person took who was left to choose, or that answers about targets chose.

    `taken` is what persons took (see `taken_by_persons`). None where there are none.
    """
    if texts := taken.get(trees[0].source):
        return texts[0]
    if outcome.run.decided is None:
        return None
    roots = (outcome.state.outputs.get(tree.graph.root, ()) for tree in trees)
    return outcome.run.decided.chosen({output.id: output.text for found in roots for output in found})


def _criteria(state: State, tree: Tree, chosen: Candidate) -> tuple[CriterionScore, ...]:
    """Return the chosen root output's scores by every criterion of raters but the overall one."""
    root = tree.graph.root
    at = next(place for place, output in enumerate(state.outputs[root]) if output.id == chosen.id)
    own, composed = state.predictions[root], state.composed.get(root, state.predictions[root])
    found = {name: Score(samples[:, at]) for name, samples in composed.acceptance.items() if name != OVERALL}
    return tuple(
        CriterionScore(name, score.mean, Interval(*score.interval()), Score(own.acceptance[name][:, at]).mean)
        for name, score in sorted(found.items())
    )


def _claims(forest: Forest, state: State, source: str, tree: Tree, root: Candidate) -> tuple[Chain, ...]:
    """Return the claims of an output of a tree's root, with what they rest on; none where nothing was traced."""
    outputs = {output.id: output for node in tree.graph for output in state.outputs.get(node, ())}
    outputs |= {output.id: output for output in state.answers.values()}
    if root.id not in state.claims:
        return ()
    return chains(root.id, state.claims, outputs, forest.sources[source].text)


def _tree_report(forest: Forest, state: State, tree: Tree, composer: Composer) -> TreeReport:
    causes = {failure.subject: f"{failure.error}: {failure.cause}" for failure in state.failures}
    graph = tree.graph
    read = graph.root in state.read and not composer.reads_back  # where it does, blame is found claim by claim
    to_blame = blame(graph, state.judged(graph), composer) if read else {}
    titles = _titles(forest, tree)
    nodes = [
        _node_report(forest, state, tree, node, titles[node], causes.get(node), to_blame.get(node))
        for node in graph.in_order()
    ]
    return TreeReport(tree.number, graph.root, tuple(nodes))


def _titles(forest: Forest, tree: Tree) -> dict[str, str]:
    """Return what each node is called: the first words of its text, or its instruction if others read that text too."""
    graph, titles = tree.graph, {}
    reading = Counter((graph.height(node), graph.task(node).span) for node in graph)
    for node in graph:
        task = graph.task(node)
        alone = task.span is not None and reading[graph.height(node), task.span] == 1
        text = forest.sources[tree.source].read(task.span) if alone and task.span else ""
        titles[node] = " ".join(text.split()[:10]) or task.instruction
    return titles


def _node_report(
    forest: Forest, state: State, tree: Tree, node: str, title: str, failure: str | None, to_blame: Blame | None
) -> NodeReport:
    task = tree.graph.task(node)
    text = forest.sources[tree.source].read(task.span) if task.span else ""
    parts = tree.graph.children(node)
    return NodeReport(
        id=node,
        level=forest.level_of(tree, node),
        depth=tree.graph.depth(node),
        title=title,
        children=parts,
        source_text="" if parts else text,
        candidates=_candidates(state, node),
        failure=failure if node not in state.outputs else None,
        blame=to_blame.own if to_blame else None,
        subtree_blame=to_blame.subtree if to_blame else None,
    )


def _candidates(state: State, node: str) -> tuple[Candidate, ...]:
    """Return a node's candidates, best first; equal texts stand once, as the chosen one where that is among them."""
    outputs = state.outputs.get(node, ())
    best = state.chosen.get(node)
    own, composed = state.predictions.get(node), state.composed.get(node)
    first: dict[str, int] = {}
    for at, output in enumerate(outputs):
        if output.text not in first or at == best:
            first[output.text] = at
    found = [
        _candidate(outputs[at], at, own, composed, at == best, sum(o.text == outputs[at].text for o in outputs))
        for at in sorted(first.values())
    ]
    return tuple(sorted(found, key=lambda each: -1.0 if each.composed is None else each.composed, reverse=True))


def _candidate(
    output: Output, at: int, own: Prediction | None, composed: Prediction | None, chosen: bool, times: int
) -> Candidate:
    if own is None:
        return Candidate(output.id, output.text, times=times)
    alone = Score(own.acceptance[OVERALL][:, at])
    whole = Score((composed or own).acceptance[OVERALL][:, at])
    return Candidate(
        id=output.id,
        text=output.text,
        own=alone.mean,
        own_interval=Interval(*alone.interval()),
        composed=whole.mean,
        composed_interval=Interval(*whole.interval()),
        chosen=chosen,
        times=times,
    )


def made_of_parts(outcome: Outcome) -> list[Made]:
    """Return every training node that was made of parts: what it read, and how far its outputs are accepted."""
    forest, state = outcome.forest, outcome.state
    made = []
    for tree in forest.trees:
        for node in () if forest.is_target(tree) else tree.graph:
            parts = [part for part in tree.graph.children(node) if part in state.read]
            if parts and node in state.predictions:
                others = float(np.mean([state.read[part] != state.chosen[part] for part in parts]))
                made.append(
                    Made(tree.source, forest.level_of(tree, node), others, float(state.acceptance(node).mean()))
                )
    return made


# ---- rounds ----


def round_reports(
    outcome: Outcome, policies: Mapping[str, Policy], anchor: Policy | AsyncPolicy
) -> tuple[RoundReport, ...]:
    """Return, round by round and level by level, what target outputs came to and how far policies had gone.

    `policies` are those that proposed, by name; distances are from `anchor`, exact where the policy knows them.
    """
    improving = outcome.run.plan.improve
    budget = improving.kl_budget if improving and improving.budget_of == "node" else None
    reports = []
    for number, current in enumerate(outcome.run.rounds):
        before = outcome.run.rounds[number - 1] if number else None
        levels = tuple(
            _round_level(outcome, current, before, level, policies, anchor, budget)
            for level in range(current.forest.height + 1)
        )
        choices = tuple(
            _policy_choice(outcome, choice) for choice in outcome.run.choices if choice.place.round == current.number
        )
        reports.append(RoundReport(current.number, levels, choices))
    return tuple(reports)


def _policy_choice(outcome: Outcome, choice: Choice) -> PolicyChoice:
    """Return how much more of a new policy's outputs was accepted, with its interval over sources held apart."""
    made = [each for each in outcome.run.improvements if each.place.round == choice.place.round]
    sources = [source for source, _ in choice.by_node]
    gains = np.array([gain for _, gain in choice.by_node])
    level = next((each.level for each in made if each.policy == choice.policy), None)
    if not choice.by_select:
        held = len(outcome.forest.apart)
        return PolicyChoice(choice.policy, level, choice.gain, None, choice.nodes, held, choice.chosen, False)
    interval = cluster_interval(gains, sources, lambda rows: float(rows.mean()), seed=outcome.run.plan.seed)
    distinct = len(set(sources))
    return PolicyChoice(choice.policy, level, choice.gain, interval, choice.nodes, distinct, choice.chosen)


def _round_level(
    outcome: Outcome,
    current: RoundOutcome,
    before: RoundOutcome | None,
    level: int,
    policies: Mapping[str, Policy],
    anchor: Policy | AsyncPolicy,
    budget: float | None,
) -> RoundLevel:
    nodes = [
        node
        for tree, node in current.forest.level(level)
        if current.forest.is_target(tree) and node in current.state.outputs
    ]
    gold = [outcome.gold[o.id] for node in nodes for o in current.state.outputs[node] if o.id in outcome.gold]
    proxy = [current.state.acceptance(node) for node in nodes if node in current.state.predictions]
    improved = current.policies.get(level, current.policies.get(None))
    policy = policies[improved.policy] if improved else anchor
    shown = [current.state.prompt_contexts[node] for node in nodes]
    exact = policy if isinstance(policy, Divergence) else None
    kl = [0.0] * (improved is None)
    if improved and exact and isinstance(anchor, Policy):
        other = anchor
        kl = known_of(lambda at: exact.kl(at, other), shown)
    entropy = known_of(exact.entropy, shown) if exact else []
    return RoundLevel(
        level=level,
        gold_mean=_mean(gold),
        proxy_mean=_mean([float(value) for node in proxy for value in node]),
        kl=_mean(kl),
        kl_budget=improved.kl_budget if improved else budget,
        entropy=_mean(entropy),
        moved=_moved(current, before, level),
        spent=_spent(improved, anchor) if improved else None,
        proxy_interval=_over_nodes(proxy, outcome.run.plan.seed),
    )


def known_of(ask: Callable[[PromptContext], float], shown: Sequence[PromptContext]) -> list[float]:
    """Return what a policy says of every node; nothing where it does not know it of one of them."""
    try:
        return [ask(at) for at in shown]
    except InputError:
        return []


def _over_nodes(values: list[np.ndarray], seed: int) -> Interval | None:
    """Return the 95 % bootstrap interval over nodes of the mean over all their values; None with fewer than two."""
    rows = np.array([(node.sum(), len(node)) for node in values]).reshape(-1, 2)
    return cluster_interval(rows, np.arange(len(rows)), lambda drawn: float(np.divide(*drawn.sum(0))), seed=seed)


def _spent(improved: Improvement, first: Policy | AsyncPolicy) -> Spent:
    return Spent(improved.kl, improved.how, "first" if improved.anchor == first.name else "last")


def _moved(current: RoundOutcome, before: RoundOutcome | None, level: int) -> float | None:
    """Return the share of a level's nodes whose view is another than in the round before; None in the first."""
    if before is None:
        return None
    nodes = [node for _, node in current.forest.level(level) if node in current.state.prompt_contexts]
    here = [node for node in nodes if node in before.state.prompt_contexts]
    if not here:
        return None
    changed = sum(current.state.view(node).id != before.state.view(node).id for node in here)
    return changed / len(here)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
