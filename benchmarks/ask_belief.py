"""What it takes to believe fine-tuned models, and to learn from an answer: processor seconds of one thread.

    python -m benchmarks.ask_belief --backbone smollm

Two levels are fine-tuned on made-up outputs of 40 words beside passages of 150, for one epoch on a few, and questions
about some more are chosen for two targets of eight candidates. What a trunk learned does not change what it takes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from rrm.ask import Value
from rrm.ask.standing import Standing
from rrm.core.asking import BY_VALUE, Alternatives, Asking, Question
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import Comparison, Feedback, Group, Label, Passage, Rated, Request, Shown, View
from rrm.reward.joint import Joint

WORDS = ("river", "mill", "house", "Anna", "stole", "letter", "night", "garden", "key", "stone", "knew", "brother")
Made = TypeVar("Made")


class _Texts:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def of(self, words: int) -> str:
        return " ".join(self.random.choice(WORDS, words))

    def view(self) -> View:
        return View("Summarise the passage.", (Passage(self.of(150)),), 60)

    def rated(self, level: int, sources: int, views: int) -> list[Rated]:
        """Return three comparisons and a label of four outputs beside each view."""
        found = []
        for source in range(sources):
            for number in range(views):
                node, view = f"{level}-{source}-{number}", self.view()
                shown = [Shown(f"{node}-{at}", self.of(40)) for at in range(4)]
                for pair in ((0, 1), (2, 3), (1, 2), (0,)):
                    kind, some = ("comparison" if len(pair) > 1 else "label"), tuple(shown[at] for at in pair)
                    request = Request(node, f"s{source}", Place(level=level), kind, view, some)
                    coin = bool(self.random.random() < 0.5)
                    answer = Comparison(int(coin)) if len(pair) > 1 else Label(coin)
                    found.append(Rated(request, Feedback(request.id, "r", answer)))
        return found


def _took(what: str, work: Callable[[], Made], share: int = 1) -> Made:
    began = time.process_time()
    made = work()
    print(f"| {what} | {(time.process_time() - began) / share:.2g} |", flush=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.ask_belief", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--backbone", default="smollm")
    options = parser.parse_args()
    texts, learner = _Texts(0), Joint(options.backbone, epochs=1, device="cpu")
    rows = [texts.rated(0, 4, 2), texts.rated(1, 4, 1)]
    models: list[RewardModel] = []
    with tempfile.TemporaryDirectory() as folder:
        for level, rated in enumerate(rows):
            start = Start(models[-1] if models else None)
            where = Workspace(Path(folder) / str(level))
            models.append(learner.fit(Ratings(Train, tuple(rated)), start, Place(level=level), 0, where))
    ratings = [Ratings(Train, tuple(each)) for each in rows]
    requests = {row.request.id: row.request for rated in rows for row in rated}
    outputs = len({shown.output for each in requests.values() for shown in each.shown})
    print("| what | processor seconds |\n|---|---|")
    _took("to read an output that no model of the belief has read", lambda: learner.believe(models, ratings), outputs)
    belief = _took(f"a belief over two levels, {outputs} outputs read before", lambda: learner.believe(models, ratings))
    targets = []
    for number in range(2):
        group = Group(f"t{number}", Place(level=1), texts.view(), tuple(texts.of(40) for _ in range(8)))
        belief.means([group])
        ids = tuple(f"{group.source}-{at}" for at in range(8))
        targets.append(Alternatives(ids, texts.random.uniform(size=8), (group,), 0.2 * np.eye(8)))
    questions = tuple(Question(each, 1.0, 0.2) for each in requests.values())
    asking = Asking(questions, tuple(targets), {0: 3.0, 1: 1.0}, minutes=30.0, seed=1)
    sampler = Value()
    chosen = _took(f"to choose among {len(questions)} questions", lambda: sampler.choose(belief, asking))
    standing = Standing.of(sampler.keep(belief, asking, chosen.asked))
    first = next(each.request for each in chosen.asked if each.stream == BY_VALUE)
    _took("to learn from an answer", lambda: standing.learn(first, True))


if __name__ == "__main__":
    main()
