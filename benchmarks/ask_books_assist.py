"""Assistance on books: an agent that acts on what it believes of the reward, with a person's answers still to come.

Of every target it may deliver a root output, put a question about the target's root or the parts below it, show the
person the source's own words and ask there (evidence), or leave the choice to a person who reads the whole book; and
it may ask for more about training sources. It does what gains most acceptance a minute (`rrm.ask.lookahead`), until
the minutes are spent or an act gains less than `WORTH`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, softmax

from benchmarks.ask_books_cell import Cell, spent
from rrm.ask.lookahead import Act, Plan, Prospects, worth_a_minute
from rrm.core.draws import effective, first_chosen
from rrm.core.ids import generator, seed_for
from rrm.core.roles import Ratings, Train
from rrm.core.text import word_count
from rrm.core.values import Group, Passage, Ranking, Rated, Request, Shown, View
from rrm.feedback.minutes import Meter, Tally, view_size
from rrm.feedback.select import select_new
from rrm.pipeline.forest import Tree
from rrm.pipeline.steps import Run
from rrm.policy.finite import Finite
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.criteria import overall

WAYS = ("random", "value")
MINUTES = (250.0, 500.0, 1000.0)
WORTH = 0.0005
"""Acceptance of one target's output that a minute must gain, or nothing more is asked about it."""
STEPS, WIDTH = 1, 4
"""Answers that are looked ahead, and questions that are looked at beyond the first."""
DRAWS = 600
EVIDENCE = "of them evidence"
LEAVING, ASKING, BOTH_ACTS = "leaving", "asking", "asking and leaving"
ALLOWED = (LEAVING, ASKING, BOTH_ACTS)
"""What an agent may do about targets: leave them to a person, ask about them, or both."""
LEAST_EFFECTIVE = DRAWS / 4
"""So few draws being left, in effect, of those that answers weigh, what is believed is worked out anew."""


@dataclass
class AtTarget:
    """How a target stands: draws of its outputs' rewards, weighed by answers, and what can be asked about it."""

    tree: Tree
    groups: list[Group]
    requests: list[Request]
    prices: np.ndarray
    person_minutes: float
    belief: Finite = field(init=False)
    prospects: Prospects = field(init=False)
    offered: list[int] = field(init=False)
    best: tuple[Plan, float] = field(init=False)

    def drawn(self, mean: np.ndarray, covariance: np.ndarray, seed: int) -> None:
        """Draw rewards of all groups' outputs, in logits; the first group's are of root outputs beside the source."""
        values, vectors = np.linalg.eigh(covariance)
        noise = np.random.default_rng(seed).normal(size=(DRAWS, len(mean)))
        rewards = mean + noise @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
        place = {(g.view.id, text): at for at, (g, text) in enumerate((g, t) for g in self.groups for t in g.outputs)}
        k = len(self.groups[0].outputs)
        read = np.array([_read(rewards, place, each) for each in self.requests]).reshape(-1, DRAWS)
        answers = np.stack([log_expit(read), log_expit(-read)], axis=1)
        whole = rewards[:, :k].T
        self.belief = Finite.uniform(DRAWS)
        self.prospects = Prospects(expit(whole), answers, self.prices, softmax(whole, axis=0), self.person_minutes)

    def looked(self, offered: Sequence[int], may_leave: bool) -> None:
        """Find out what is best next, of these questions, and of leaving the choice if that is allowed."""
        self.offered = list(offered)
        some = replace(self.prospects, answers=self.prospects.answers[self.offered], minutes=self.prices[self.offered])
        some = some if may_leave else replace(some, person=None)
        self.best = worth_a_minute(self.belief, some, STEPS, WIDTH)

    def told(self, question: int, first: bool) -> None:
        """Weigh draws by an answer; the question is not put again."""
        row = self.prospects.answers[question, 0 if first else 1]
        self.belief = Finite.weighted(self.belief.log_probs + row)


def _read(rewards: np.ndarray, place: Mapping[tuple[str, str], int], request: Request) -> np.ndarray:
    one, *other = (rewards[:, place[request.view.id, shown.text]] for shown in request.shown)
    return one - other[0] if other else one


class Agent:
    """One way's agent with so many minutes; `allowed` says which acts about targets it has beside delivering."""

    def __init__(self, cell: Cell, stages: Mapping[float, Run], way: str, minutes: float, allowed: str) -> None:
        self.cell, self.stages, self.way, self.minutes, self.allowed = cell, stages, way, minutes, allowed
        rater = cell.parts[way].rater
        assert isinstance(rater, SimulatedRaters)
        self.rater, self.models = rater, cell.worker(way).models
        self.at = min(stages)
        self.spent_by = {at: spent(run) for at, run in stages.items()}
        self.meters: dict[str, Meter] = defaultdict(lambda: Meter(cell.start.plan.rates))
        self.rows: list[Rated] = []
        self.left: dict[str, str] = {}  # what persons chose, by root
        self.person_minutes = 0.0
        self.acts: Counter[str] = Counter()
        self.seed = seed_for("assistance", way, minutes, allowed)
        self.open = {tree.graph.root: self._standing(tree) for tree in cell.targets}
        self.every = dict(self.open)
        self._believe()

    @property
    def run(self) -> Run:
        return self.stages[self.at]

    @property
    def spent(self) -> float:
        return self.spent_by[self.at] + sum(each.minutes for each in self.meters.values()) + self.person_minutes

    def act(self) -> bool:
        """Do what is worth most a minute; False where nothing is, or nothing that the minutes pay for."""
        left = self.minutes - self.spent
        later = [minutes for minutes in self.stages if minutes > self.at]
        paying = {
            root: each
            for root, each in self.open.items()
            if each.best[1] >= WORTH and self._minutes(each, each.best[0].act) <= left
        }
        most = max((each.best[1] for each in paying.values()), default=0.0)
        now = self.spent_by[self.at]
        if later and self.spent_by[min(later)] - now <= left:
            gain = next(outlook.gain for at, outlook in self.stages[min(later)].outlooks if at >= now - 1e-9)
            if gain * len(self.every) > max(most, WORTH):
                self.at = min(later)
                self.acts["train"] += 1
                self._believe()
                return True
        if not paying:
            return False
        root = max(paying, key=lambda root: (paying[root].best[1], root))
        self._do(root, paying[root])
        return True

    def delivered(self, root: str) -> int:
        """Return which of a root's outputs is delivered."""
        standing = self.every[root]
        texts = [output.text for output in self.run.state.outputs[root]]
        if root in self.left:
            return texts.index(self.left[root])
        best = int((standing.prospects.worth @ standing.belief.probs).argmax())
        return texts.index(standing.groups[0].outputs[best])

    def _do(self, root: str, standing: AtTarget) -> None:
        act = standing.best[0].act
        self.acts[act.kind] += 1
        if act.kind == "leave":
            view, texts = self.whole(standing.tree), standing.groups[0].outputs
            place = standing.groups[0].place
            shown = tuple(Shown(f"{at}", text) for at, text in enumerate(texts))
            asked = Request(root, standing.tree.source, place, "ranking", view, shown)
            answer = self.rater.rate(asked, self.seed).answer
            assert isinstance(answer, Ranking)
            self.left[root] = texts[answer.best_first[0]]
            self.person_minutes += standing.person_minutes
            del self.open[root]
            return
        at = standing.offered[act.which]
        request = standing.requests[at]
        self.acts[EVIDENCE] += request.view.id == standing.groups[0].view.id
        feedback = self.rater.rate(request, self.seed)
        self.rows.append(Rated(request, feedback))
        self.meters[feedback.rater].add(request)
        first = first_chosen(feedback.answer)
        if first is not None:
            standing.told(at, first)
        if effective(standing.belief.log_probs) < LEAST_EFFECTIVE:
            self._believe([root])
        else:
            self._look(root)

    def _minutes(self, standing: AtTarget, act: Act) -> float:
        return standing.person_minutes if act.kind == "leave" else float(standing.prices[standing.offered[act.which]])

    # ---- what is believed ----

    def _believe(self, roots: Sequence[str] | None = None) -> None:
        """Work out what is believed of all answers so far, and draw from it."""
        run = self.run
        levels = sorted((level, fitted) for (role, level), fitted in run.models.items() if role == Train.name)
        rows = [
            (*run.rated.get((Train.name, level), ()), *(r for r in self.rows if r.request.place.level == level))
            for level, _ in levels
        ]
        models = [overall(self.models.load(fitted)) for _, fitted in levels]
        belief = self.cell.parts[self.way].believer.believe(models, [Ratings(Train, each) for each in rows])
        for root in self.open if roots is None else roots:
            standing = self.open[root]
            about = belief.means(standing.groups), belief.covariance(standing.groups, standing.groups)
            standing.drawn(*about, seed_for(self.seed, root, len(self.rows)))
            self._look(root)

    def _look(self, root: str) -> None:
        standing = self.open[root]
        put = {row.request.id for row in self.rows}
        offered = [at for at, each in enumerate(standing.requests) if each.id not in put]
        if self.way == "random" and offered:
            random = generator("offered", self.seed, root, len(self.rows))
            offered = [offered[int(random.integers(len(offered)))]]
        standing.looked(offered if self.allowed != LEAVING else [], self.allowed != ASKING)

    def _standing(self, tree: Tree) -> AtTarget:
        run, root = self.run, tree.graph.root
        rates, wanted = run.plan.rates, ("comparison", "label")
        views = [(root, run.informed[root].view), (root, run.state.view(root))]
        views += [(node, run.state.view(node)) for node in tree.graph.children(root) if node in run.state.outputs]
        groups, requests = [], []
        for node, view in views:
            place, outputs = run.state.prompt_contexts[node].place, run.state.outputs[node]
            groups.append(Group(tree.source, place, view, tuple(dict.fromkeys(output.text for output in outputs))))
            found = select_new(node, tree.source, place, view, outputs, wanted, run.plan.seed)
            requests += [request for some in found.values() for request in some]
        if self.allowed == LEAVING:
            groups, requests = groups[:1], []
        prices = np.array([
            rates.cost(Tally(0, sum(word_count(s.text) for s in each.shown), len(each.shown), 1))
            + rates.cost(Tally(view_size(each.view))) / rates.decisions_a_reading
            for each in requests
        ])  # fmt: skip
        words = sum(map(word_count, groups[0].outputs))
        person = rates.cost(Tally(view_size(self.whole(tree)), words, len(groups[0].outputs), 1))
        return AtTarget(tree, groups, requests, prices, person)

    def whole(self, tree: Tree) -> View:
        task = tree.graph.task(tree.graph.root)
        return View(task.instruction, (Passage(self.cell.start.forest.sources[tree.source].text),), task.max_tokens)


def assisted(cell: Cell, stages: Mapping[str, Mapping[float, Run]]) -> list[dict[str, Any]]:
    """Return rows of assistance by each way, by what is allowed about targets, and of what is believed and true."""
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        for minutes in (each for each in MINUTES if each in stages[way]):
            for allowed in ALLOWED:
                some = {at: run for at, run in stages[way].items() if at <= minutes}
                agent = Agent(cell, some, way, minutes, allowed)
                while agent.act():
                    pass
                shared = {
                    "part": "assistance", "way": way, "allowed": allowed, "minutes": minutes,
                    "spent": agent.spent, "acts": dict(agent.acts),
                }  # fmt: skip
                rows += [
                    {**shared, "source": tree.source, "gold": float(cell.gold[root][agent.delivered(root)])}
                    for tree in cell.targets
                    for root in [tree.graph.root]
                ]
    return [*rows, *(row for at, run in stages["value"].items() for row in _beliefs(cell, at, run))]


def _beliefs(cell: Cell, minutes: float, run: Run) -> Iterator[dict[str, Any]]:
    """Yield what is believed of root outputs after so many minutes asked for by value, beside what is true of them.

    What is true is the probability that a rater accepts an output, read beside the source's words that its view comes
    to rest on. With the first minutes come the bounds: what raters choose who answer without end, beside these words
    and beside the whole book.
    """
    agent = Agent(cell, {minutes: run}, "value", 0.0, LEAVING)
    for tree in cell.targets:
        root = tree.graph.root
        standing = agent.every[root]
        group, of = standing.groups[0], standing.prospects

        def accepted(view: View, group: Group = group, root: str = root) -> np.ndarray:
            shown = [(Shown("0", text),) for text in group.outputs]
            asked = [Request(root, group.source, group.place, "label", view, each) for each in shown]
            return np.array([agent.rater.probability(each)[0] for each in asked])

        beside, whole = accepted(group.view), accepted(agent.whole(tree))
        logits = np.log(of.worth / (1 - of.worth))
        spread = (logits - logits.mean(axis=0)).std(axis=1).mean()
        shares = softmax(np.log(whole / (1 - whole)))
        yield {
            "part": "belief", "minutes": minutes, "source": tree.source,
            "spread": float(spread), "true_spread": float(np.log(beside / (1 - beside)).std()),
            "deliver": float(of.worth.mean(axis=1).max()), "left": float(of.left.mean()),
            "true_deliver": float(beside[of.worth.mean(axis=1).argmax()]), "true_left": float(shares @ beside),
        }  # fmt: skip
        if minutes == min(MINUTES):
            golds = dict(zip((o.text for o in run.state.outputs[root]), cell.gold[root], strict=True))
            for name, found in (("evidence", beside), ("whole book", whole)):
                gold = float(golds[group.outputs[int(found.argmax())]])
                yield {"part": "bounds", "way": f"unlimited: {name}", "source": tree.source, "gold": gold}
