"""A whole run of parts so small that it takes a second, and whose results can be worked out by hand."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rrm.core.calls import Call
from rrm.core.errors import BudgetError
from rrm.core.graph import Node, Part, Proposal, TaskGraph
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import Improved, Policy, ProposeJob, Seen, Start, Workspace
from rrm.core.roles import R, Ratings, Scorer, Train
from rrm.core.task import Source, Span, Task
from rrm.core.values import Comparison, Feedback, Group, Label, Output, Prediction, Request
from rrm.files import read_json, write_json
from rrm.store import open_store
from rrm.store.kinds import KINDS

TEXTS = {
    "first": "one. two. three. four. five. six. seven. eight. nine.",
    "second": "alpha. beta. gamma. delta. epsilon. zeta. eta. theta. iota.",
    "third": "un. deux. trois. quatre. cinq. sept. huit. neuf. dix.",
    "fourth": "eins. zwei. drei. vier. elf. sieben. acht. neun. zehn.",
    "target": "red. green. blue. cyan. pink. grey. black. white. brown.",
}


class Texts:
    """Some of the texts above as sources; as gold of an output it has a twentieth of its words."""

    def __init__(self, titles: Sequence[str]) -> None:
        self.titles = tuple(titles)
        self.name = f"texts({', '.join(titles)})"

    def sources(self) -> list[Source]:
        return [Source(title, TEXTS[title]) for title in self.titles]

    def gold(self, source: str, span: Span | None, text: str) -> float:
        return len(text.split()) / 20


class Thirds:
    """Nine sentences, three to a part: heights 0, 1 and 2."""

    name = "thirds"

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        ends = [at + 1 for at, letter in enumerate(source.text) if letter == "."]

        def thirds(graph: TaskGraph, node: Node) -> Proposal:
            assert node.task.span is not None
            inside = [end for end in ends if node.task.span.start < end <= node.task.span.end]
            if len(inside) < 3:
                return Proposal()
            cuts = [node.task.span.start, *inside[len(inside) // 3 - 1 :: len(inside) // 3]]
            return Proposal(tuple(Task("Tell.", source.id, Span(a, b), max_tokens=9) for a, b in pairwise(cuts)))

        root = Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=9)
        return TaskGraph.start(root, self.name, seed).grow_all(thirds)


class Words:
    """Output number i says the first word of the view i + 1 times; the last one says what the one before says."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.name = "words"

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        time.sleep(self.seconds * len(jobs))
        return [self._outputs(job) for job in jobs]

    def _outputs(self, job: ProposeJob) -> list[Output]:
        prompt_context = job.prompt_context
        first = prompt_context.view.text.split()[0].strip(".")
        counts = [min(number + 1, job.n - 1) for number in range(job.n)]
        made = (prompt_context.inputs, prompt_context.context)
        return [Output(prompt_context.node, " ".join([first] * n), self.name, at, *made) for at, n in enumerate(counts)]


class Last(Words):
    """Says the last word of the view instead of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "last"

    def _outputs(self, job: ProposeJob) -> list[Output]:
        return [
            replace(
                output, text=" ".join([job.prompt_context.view.text.split()[-1].strip(".")] * len(output.text.split()))
            )
            for output in super()._outputs(job)
        ]


class LastWords:
    """An optimiser that whatever it is told makes a policy of last words, half a nat from where it began."""

    name = "last words"

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
        return Improved(Last(), 0.5, "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        return Last()


class Longer:
    """Prefers the longer of two outputs, and accepts what has two words or more."""

    def __init__(self, name: str = "longer") -> None:
        self.name = name

    def rate(self, request: Request, seed: int) -> Feedback:
        lengths = [len(shown.text.split()) for shown in request.shown]
        answer = Comparison(int(np.argmax(lengths))) if request.kind == "comparison" else Label(lengths[0] > 1)
        return Feedback(request.id, self.name, answer)


class LengthModel:
    """Two members, who accept an output of n words with probability n / 10, at most .98, and with .02 more."""

    anchored = True

    def __init__(self, place: Place, sources: Sequence[str]) -> None:
        self.place, self.sources = place, tuple(sources)

    @property
    def digest(self) -> str:
        return content_id("lengths", str(self.place), list(self.sources))

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        words = [np.array([min(len(text.split()) / 10, 0.98) for text in group.outputs]) for group in groups]
        both = [np.stack([each, each + 0.02]) for each in words]
        return [Prediction.overall(np.log((p + 0.01) / (1.01 - p)), p) for p in both]

    def fold(self, source: str) -> int | None:
        return self.sources.index(source) if source in self.sources else None

    def holds_out(self, source: str) -> bool:
        return True

    def save(self, folder: Path) -> str:
        write_json(folder / "lengths.json", {"place": str(self.place), "sources": list(self.sources)})
        return self.digest


class Lengths:
    """Learns nothing."""

    name = "lengths"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LengthModel:
        return LengthModel(place, sorted({row.request.source for row in ratings.rows}))

    def load(self, folder: Path) -> LengthModel:
        facts = read_json(folder / "lengths.json")
        return LengthModel(Place.parse(facts["place"]), facts["sources"])


TOYS: dict[str, Any] = {
    "name": "toys",
    "train": {"plugin": "tests.toys:Texts", "arguments": {"titles": ["first", "second"]}},
    "target": {"plugin": "tests.toys:Texts", "arguments": {"titles": ["target"]}},
    "decomposer": {"plugin": "tests.toys:Thirds"},
    "policy": {"plugin": "tests.toys:Words", "outputs": 4, "root_outputs": 5},
    "rater": {"plugin": "tests.toys:Longer", "per_node": {"comparison": 2, "label": 1}, "random_share": 0.0},
    "reward": {"plugin": "tests.toys:Lengths"},
    "compose": {"plugin": "rrm.compose.composers:Mean"},
    "flat": False,
}
"""A run of the parts above, by import string: two training texts and a target, of 9, 3 and 1 nodes each."""


def toys(**changes: Any) -> dict[str, Any]:
    """Return the same run with its parts as objects."""
    parts = {
        "train": {"plugin": Texts(["first", "second"])},
        "target": {"plugin": Texts(["target"])},
        "decomposer": Thirds(),
        "policy": {"plugin": Words(), "outputs": 4, "root_outputs": 5},
        "rater": {"plugin": Longer(), "per_node": {"comparison": 2, "label": 1}, "random_share": 0.0},
        "reward": {"plugin": Lengths()},
        "compose": {"plugin": "rrm.compose.composers:Mean"},
        "flat": False,
    }
    return {**parts, **changes}


class Growing:
    """Splits a text of nine sentences into thirds, the last of them once the others are answered."""

    name = "growing"

    def start(self, source: Source, seed: int) -> TaskGraph:
        return TaskGraph.start(Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=9), self.name, seed)

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> list[Proposal]:
        if node.id != graph.root:
            return [Proposal()]
        ends = [at + 1 for at, letter in enumerate(source.text) if letter == "."][2::3]
        thirds = [Span(a, b) for a, b in pairwise([0, *ends])]
        if not graph.children(node.id):
            return [Proposal(tuple(Task("Tell.", source.id, third, max_tokens=9) for third in thirds[:2]), more=True)]
        told = ", ".join(answers[part].text for part in graph.children(node.id))
        return [Proposal((Part(Task(f"Tell, after {told}.", source.id, thirds[2], max_tokens=9), (0,)),))]


class Stuck(Words):
    """Proposes at leaves, and then has spent all that it may."""

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        if any(job.prompt_context.place.level for job in jobs):
            raise BudgetError("no calls are left")
        return super().propose(jobs)


def on_record(folder: Path) -> dict[str, Any]:
    """Return all values of a record by kind, and which action made which."""
    with open_store(folder, "read") as record:
        found: dict[str, Any] = {}
        for kind in KINDS:
            if kind is not Call:
                found[kind.__name__] = {id_: repr(value) for id_, value in record.by_id(kind).items()}
                found[f"{kind.__name__} made"] = sorted(record.made(kind))
        return found
