"""How long it takes until 10,000 open questions are in their new order after an answer, in processor seconds."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from rrm.api.reordering import PAUSE_SECONDS, Reordering, keep_standing
from rrm.ask.bundles import Answers, Decision, Questions, Ranked
from rrm.ask.standing import Standing
from rrm.core.annotation import Item, Submission
from rrm.core.asking import BY_VALUE, Asked
from rrm.core.kinds import Label
from rrm.core.place import Place
from rrm.core.values import Request, Shown, View
from rrm.queue import open_desk
from rrm.store.record import open_store

OPEN, VIEWS, TARGETS, CANDIDATES, FACTORS, HELD = 10_000, 1_250, 20, 50, 48, 20
_POOL = "pool-benchmark"


def open_answers() -> Answers:
    """Return what answers to the open questions would do: eight labels about a view, and 1,000 root candidates."""
    random = np.random.default_rng(5)
    along = random.normal(size=(OPEN, FACTORS))
    toward = 0.05 * random.normal(size=(TARGETS, CANDIDATES, FACTORS))
    views = np.arange(OPEN) // (OPEN // VIEWS)
    outputs = along[::4]  # four questions an output, so that covariances stay in memory
    read = np.arange(OPEN) // 4
    questions = Questions(
        read,
        np.full(OPEN, -1),
        np.ones(OPEN, dtype=bool),
        np.full(OPEN, 1.7),
        views,
        np.ones(OPEN),
        np.full(OPEN, 0.3),
    )
    scores = 0.5 + 0.01 * random.normal(size=(TARGETS, CANDIDATES))
    present, weights = np.ones((TARGETS, CANDIDATES), dtype=bool), np.full(TARGETS, 1 / TARGETS)
    decision = Decision(scores, present, np.full(TARGETS, 0.1), weights)
    covariance = outputs @ outputs.T + 0.1 * np.eye(len(outputs))
    across = np.einsum("nd,tkd->ntk", outputs, toward)
    return Answers(decision, questions, np.zeros(len(outputs)), covariance, across, 3)


def seconds_to_choose() -> tuple[float, float]:
    """Return what a run's sampler takes to value all open questions, and until the best bundle of all is found."""
    known = open_answers()
    began = time.process_time()
    values = [value for value, *_ in known.singles()]
    valued = time.process_time() - began
    best = Ranked(known).next()
    chosen = time.process_time() - began - valued
    assert best is not None and sum(map(len, values)) == OPEN
    return valued, chosen


def seconds_to_reorder(answers: int = 3) -> float:
    """Return the least of some looks at the queue after one answer each, the pause between two looks included.

    20 raters hold a sheet each.
    """
    known = open_answers()
    views = known.questions.view
    requests = [_label(number, view) for number, view in enumerate(views.tolist())]
    with TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        open_store(directory).close()
        with open_store(directory, "append") as store:
            chosen = zip(requests, views.tolist(), strict=True)
            store.append([Asked(each.id, BY_VALUE, _POOL, 1.0, 0.0, view) for each, view in chosen])
        keep_standing(directory, _POOL, Standing([each.id for each in requests], views, known).arrays())
        with open_desk(directory) as desk:
            desk.change_settings({"strategy": "valuable", "gold_every": 0, "attention_every": 0}, "benchmark")
            named = zip(requests, views.tolist(), strict=True)
            desk.add_items([Item(each, sheet=f"view {view}") for each, view in named])
            persons = [desk.add_person(f"rater {number}", by="benchmark").id for number in range(HELD)]
            order = Reordering(desk, directory)
            order.look()
            took = []
            for number in range(answers):
                leases = [desk.claim(person) for person in persons]
                lease = leases[0]
                assert lease is not None
                made = [Submission(Label(True), each.shown) for each in lease.questions]
                desk.submit(lease.person, lease.id, made, f"answer {number}")
                began = time.process_time()
                assert order.look()
                took.append(time.process_time() - began)
    return min(took) + PAUSE_SECONDS


def _label(number: int, view: int) -> Request:
    shown = (Shown(f"output-{number}", f"Output {number}."),)
    return Request(f"node-{view}", "source", Place(), "label", View(f"Summarise ({view}).", (), 60), shown)
