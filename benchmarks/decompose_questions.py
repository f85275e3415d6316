"""How often SmolLM2 is right on questions, at once or by people's steps: `python -m benchmarks.decompose_questions`.

    --data strategyqa   or entailment_bank, gsm8k: validation questions of $RRM_DATA
    --count 100         drawn from the seed, asked at once with the facts that are given
    --decomposed 20     of these so many through their steps, each answered in at most 16 tokens
    --seed 0

What is said is the most probable of the answers offered, by log-probability a word: "Yes" and "No", elsewhere the
right one and those of three other questions. Chance is the larger share of the two, or one in four. Intervals are 95 %
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
from rrm.core.ids import generator
from rrm.core.protocols import PromptContext
from rrm.core.task import Source, Task
from rrm.core.values import Passage, View
from rrm.policy.local import LocalPolicy
from tasks.questions import Questions, RecordedPlans
from tasks.recorded_rows import Question

FILES = {
    "strategyqa": "strategyqa/validation.jsonl.gz",
    "entailment_bank": "entailment_bank/validation.jsonl.gz",
    "gsm8k": "gsm8k/problems_validation.jsonl.gz",
}
ASK = {"yes or no": " Answer yes or no.", "number": " Answer with a number.", "words": " Answer in a few words."}
OFFERED = 4


def offered(questions: Sequence[Question], seed: int) -> list[tuple[str, ...]]:
    """Return the answers that each question is offered, the right one first."""
    found = []
    for question in questions:
        if question.kind == "yes or no":
            found.append(("Yes", "No") if question.answer == "yes" else ("No", "Yes"))
            continue
        others = sorted({each.answer for each in questions} - {question.answer})
        drawn = generator("offered", seed, question.text).permutation(others)[: OFFERED - 1]
        found.append((question.answer, *map(str, drawn)))
    return found


def chooses_first(
    policy: LocalPolicy, kind: str, question: str, passages: tuple[Passage, ...], answers: Sequence[str]
) -> bool:
    """Return whether a model finds the first answer the most probable one."""
    made = PromptContext("root", Task(question, max_tokens=48, rank=1), View(question + ASK[kind], passages, 48))
    per_word = np.asarray(policy.log_prob(made, answers)) / [len(answer.split()) for answer in answers]
    return int(per_word.argmax()) == 0


def at_once(policy: LocalPolicy, kind: str, source: Source, answers: Sequence[str]) -> bool:
    question, _, facts = source.text.partition("\n\n")
    return chooses_first(policy, kind, question, (Passage(facts),) if facts else (), answers)


def by_steps(
    policy: LocalPolicy, decomposer: RecordedSteps, kind: str, source: Source, answers: Sequence[str], seed: int
) -> bool:
    answering = Answering(policy, source, seed)
    graph, known = grow(decomposer, source, seed, answering)
    for part in graph.children(graph.root):
        if part not in known:
            known[part] = answering(graph, graph.node(part), known)
    passages = tuple(Passage(known[part].text, part) for part in graph.children(graph.root))
    return chooses_first(policy, kind, graph.task(graph.root).instruction, passages, answers)


def report(name: str, said: Sequence[bool], chance: float) -> None:
    hits = np.array(said, dtype=float)
    low, high = interval(hits, [str(at) for at in range(len(hits))], 0)
    print(f"{name:10} {hits.mean():.2f} ({low:.2f} to {high:.2f}), chance {chance:.2f}, n {len(hits)}", flush=True)


def chance_of(questions: Sequence[Question]) -> float:
    if questions[0].kind != "yes or no":
        return 1 / OFFERED
    yes = float(np.mean([question.answer == "yes" for question in questions]))
    return max(yes, 1 - yes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=FILES, default="strategyqa")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--decomposed", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    paths = (str(Path(os.environ.get("RRM_DATA", "../shared/data")) / FILES[given.data]),)
    asked = Questions(paths, count=given.count, seed=given.seed)
    kind, answers = asked.questions[0].kind, offered(asked.questions, given.seed)
    policy = LocalPolicy("smollm", temperature=0.1)
    said = [at_once(policy, kind, *each) for each in zip(asked.sources(), answers, strict=True)]
    report("at once", said, chance_of(asked.questions))
    some = asked.questions[: given.decomposed]
    if some:
        decomposer = RecordedSteps(RecordedPlans(paths), max_tokens=16)
        pairs = zip(asked.sources(), answers[: len(some)], strict=False)
        stepped = [by_steps(policy, decomposer, kind, *each, given.seed) for each in pairs]
        report("by steps", stepped, chance_of(some))
        report("the same", said[: len(some)], chance_of(some))


if __name__ == "__main__":
    main()
