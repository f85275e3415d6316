"""How often SmolLM2 is right on StrategyQA, at once or by people's steps: `python -m benchmarks.decompose_questions`.

    --count 100         validation questions, drawn from the seed, asked at once with their facts
    --decomposed 20     of these so many through their steps, each answered in at most 16 tokens
    --seed 0

The verdict is the more probable of "Yes" and "No". Chance is the larger share of the two answers. Intervals are 95 %
bootstrap intervals over questions. Minutes on two cores: needs `make smollm` and $RRM_DATA.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.decompose_solutions import interval
from decomposers.questions import RecordedSteps
from rrm.api.splitting import Answering
from rrm.core.growth import grow
from rrm.core.protocols import PromptContext
from rrm.core.task import Source, Task
from rrm.core.values import Passage, View
from rrm.policy.local import LocalPolicy
from tasks.questions import Questions, RecordedPlans

PATHS = (str(Path(os.environ.get("RRM_DATA", "../shared/data")) / "strategyqa" / "validation.jsonl.gz"),)
ASK = " Answer yes or no."


def says_yes(policy: LocalPolicy, question: str, passages: tuple[Passage, ...]) -> bool:
    """Return whether a model finds "Yes" more probable than "No"."""
    made = PromptContext("root", Task(question, max_tokens=8, rank=1), View(question + ASK, passages, 8))
    yes, no = policy.log_prob(made, ["Yes", "No"])
    return bool(yes > no)


def at_once(policy: LocalPolicy, source: Source) -> bool:
    question, _, facts = source.text.partition("\n\n")
    return says_yes(policy, question, (Passage(facts),))


def by_steps(policy: LocalPolicy, decomposer: RecordedSteps, source: Source, seed: int) -> bool:
    answering = Answering(policy, source, seed)
    graph, answers = grow(decomposer, source, seed, answering)
    for part in graph.children(graph.root):
        if part not in answers:
            answers[part] = answering(graph, graph.node(part), answers)
    passages = tuple(Passage(answers[part].text, part) for part in graph.children(graph.root))
    return says_yes(policy, graph.task(graph.root).instruction, passages)


def report(name: str, said: Sequence[bool], right: Sequence[bool]) -> None:
    hits = np.array([float(a == b) for a, b in zip(said, right, strict=False)])
    low, high = interval(hits, [str(at) for at in range(len(hits))], 0)
    yes = float(np.mean(right[: len(hits)]))
    print(
        f"{name:10} {hits.mean():.2f} ({low:.2f} to {high:.2f}), chance {max(yes, 1 - yes):.2f}, n {len(hits)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--decomposed", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    asked = Questions(PATHS, count=given.count, seed=given.seed)
    right = [question.answer == "yes" for question in asked.questions]
    policy = LocalPolicy("smollm", temperature=0.1)
    decomposer = RecordedSteps(RecordedPlans(PATHS), max_tokens=16)
    said = [at_once(policy, source) for source in asked.sources()]
    report("at once", said, right)
    some = asked.sources()[: given.decomposed]
    report("by steps", [by_steps(policy, decomposer, source, given.seed) for source in some], right)
    report("the same", said[: len(some)], right)


if __name__ == "__main__":
    main()
