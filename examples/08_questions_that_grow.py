"""A task graph that grows with its answers: who wrote a book must be known before asking where that person was born.

A whole run of parts given as objects: questions that are split as their parts are answered, a policy that looks
facts up, and simulated raters who know what the facts say.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import rrm
from decomposers.questions import NestedQuestions
from rrm.core.protocols import PromptContext, ProposeJob
from rrm.core.report import NodeReport, TargetReport
from rrm.core.values import Output, View
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.frozen import Frozen
from tasks.fact_chains import FactChains, perceived_quality

SHRUGS = ("I do not know.", "Nobody says.", "That is not told.")


@dataclass(frozen=True)
class LookUp:
    """Answers a question by its fact, or by what its last part said; its other outputs shrug."""

    name: str = "look up"

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return [self._outputs(job.prompt_context, job.n) for job in jobs]

    def _outputs(self, prompt_context: PromptContext, n: int) -> list[Output]:
        made = (prompt_context.inputs, prompt_context.context)
        texts = (_answer(prompt_context.view), *SHRUGS)[:n]
        return [Output(prompt_context.node, text, self.name, at, *made) for at, text in enumerate(texts)]


def _answer(view: View) -> str:
    """Return the name in the fact that answers a question of one relation; where no facts are shown, the last line."""
    lines = [line for passage in view.passages for line in passage.text.splitlines()]
    beginning = view.instruction.replace("What is the", "The").removesuffix("?") + " is "
    found = [line.removeprefix(beginning).removesuffix(".") for line in lines if line.startswith(beginning)]
    return next(iter(found), lines[-1])


def show(target: TargetReport) -> None:
    """Print a target's tree: each question below the one that it serves, with the answer that was chosen."""
    nodes = {node.id: node for node in target.trees[0].nodes}

    def line(node: NodeReport) -> None:
        chosen = next(candidate.text for candidate in node.candidates if candidate.chosen)
        print(f"{'    ' * node.depth}{node.title} {chosen}")
        for part in node.children:
            line(nodes[part])

    line(nodes[target.trees[0].root])
    print(f"gold of the answer: {target.gold_of_chosen:.0f}")


def main(out: str | None = None) -> None:
    report = rrm.run(
        out=out or tempfile.mkdtemp(),
        name="questions",
        train=FactChains(count=6, hops=2, seed=1),
        target=FactChains(count=2, hops=3, seed=2),
        decomposer=NestedQuestions(),
        policy={"plugin": LookUp(), "outputs": 3, "root_outputs": 3},
        rater={"plugin": SimulatedRaters(perceived_quality, accept_at=0.5), "random_share": 0.0},
        reward=Frozen(members=8),
        growth={"max_depth": 2},
        flat=False,
        quiet=True,
    )
    for target in report.targets:
        show(target)


if __name__ == "__main__":
    main(*sys.argv[1:2])
