"""A run whose model plans badly for every training source: refusals on record, and the rest of the run goes on."""

import json
from pathlib import Path
from typing import Any

import rrm
from decomposers.plans import LanguageModelPlanner
from rrm.api.recorded import recorded_trees
from rrm.core.protocols import Prompt, Reply
from rrm.store.record import open_store
from tests.toys import TEXTS, Texts, toys


def part(instruction: str, *reads: int, first: int = 0, last: int = 0) -> dict[str, Any]:
    return {"instruction": instruction, "reads": list(reads), "first": first, "last": last}


def plan(*parts: dict[str, Any]) -> str:
    return json.dumps({"too_big": True, "why": "", "parts": parts})


BAD = {
    "first": ("Certainly! Here is my plan: I would first read it all.", "the answer holds no JSON object"),
    "second": (plan(part("One?", 1), part("Two?", 0)), "references point backward"),
    "third": (plan(*(part("Part?") for _ in range(10_000))), "characters, more than 100000"),
    "fourth": (plan(part("tell.", first=1, last=99)), "asks for the same as its parent"),
}


class Planner:
    """Plans badly for the training sources, and well for the target."""

    name = "planner"

    async def ask(self, prompt: Prompt) -> Reply:
        for title, (said, _) in BAD.items():
            if TEXTS[title].split()[2] in prompt.user:  # a sentence of its own, and so a unit
                return Reply(said.replace("99", str(prompt.user.count('{"unit"'))))  # the whole text
        return Reply(plan(part("Tell the colours.", first=1, last=1), part("Say it again.", 0)))


def test_bad_plans_are_refused_with_their_reasons_and_the_rest_of_the_run_goes_on(tmp_path: Path) -> None:
    planner = LanguageModelPlanner(Planner(), task="Tell.", max_depth=1, max_tokens=9, root_tokens=9)
    parts = toys(train={"plugin": Texts(list(BAD))}, decomposer=planner)
    report = rrm.run(out=tmp_path / "run", quiet=True, **parts)
    assert report.failures == ()
    with open_store(tmp_path / "run", "read") as store:
        trees = {tree.source.title: tree.graph for tree in recorded_trees(store).trees}
    assert len(trees["target"]) == 3 and trees["target"].refusals == ()
    assert trees.keys() == {*BAD, "target"}
    for title in BAD:
        graph = trees[title]
        assert (len(graph), graph.open) == (1, frozenset())
        assert len(graph.refusals) == 3 and all(BAD[title][1] in each.reason for each in graph.refusals)
        assert graph.note(graph.root) == "closed as it stands, after 3 refused proposals"
    assert report.targets[0].chosen is not None
