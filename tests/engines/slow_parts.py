"""Parts that take their time, so that a run is still under way when something happens to it."""

import logging
import threading
import time
from collections.abc import Sequence

from rrm.core.graph import Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import ProposeJob, Start, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.task import Source, Span, Task
from rrm.core.values import Output
from rrm.engines.crossing import read_actions, read_message
from rrm.files import read_json, write_json
from rrm.verify.engines import MadeUpElsewhere
from tests.toys import LengthModel, Lengths, Words

_log = logging.getLogger("rrm.tests")


class Slow(Words):
    """Takes so many seconds for each answer."""

    def __init__(self, seconds: float = 0.1) -> None:
        super().__init__()
        self._seconds = seconds

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        time.sleep(self._seconds * len(jobs))
        return super().propose(jobs)


class Stepwise(Lengths):
    """Fits in four steps, after each of which it can go on; in the second it waits until it was `heard`.

    `steps` are those that were done in this process.
    """

    heard = threading.Event()
    steps = 0

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LengthModel:
        file = workspace.folder / "steps.json"
        before: int = read_json(file)["steps"] if file.is_file() else 0
        for step in range(before, 4):
            Stepwise.steps += 1
            workspace.progress(step + 1, 4)
            workspace.say(f"loss {4 - step}")
            _log.info("%s: step %d", place.title, step)
            if step == 1 and not self.heard.wait(100):
                raise TimeoutError("nobody heard how it went")
            write_json(file, {"steps": step + 1})
        return super().fit(ratings, start, place, seed, workspace)


class Late(MadeUpElsewhere):
    """A worker that does not get on with `node-3` until it is `let`; `asked` counts how often anybody was asked for it.

    Whoever is asked after the first is not late.
    """

    asked = 0
    let = threading.Event()

    def answer(self, asked: bytes) -> bytes:
        head, body = read_message(asked)
        if "do" in head and self._has and read_actions(head["step"], body)[0].slot == "node-3":
            Late.asked += 1
            if Late.asked == 1 and not self.let.wait(100):
                raise TimeoutError("nobody let it get on")
        return super().answer(asked)


class Undivided:
    """Leaves a source as it is."""

    name = "undivided"

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        root = Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=9)
        return TaskGraph.start(root, self.name, seed).grow_all(lambda graph, node: Proposal())
