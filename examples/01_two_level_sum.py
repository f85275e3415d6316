"""A sum split in two levels, with a known true reward: ask, learn, compose, and find the truth again.

Four leaves add up a few numbers each; three candidate answers stand at every leaf, and the true
reward of an answer falls with its error. A simulated rater compares answers; from the comparisons
alone the rewards are recovered, and the best answers add up to the right total.
"""

import numpy as np
import torch

from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.task import Task
from rrm.feedback.comparison import log_prob

NUMBERS = [[3, 4, 8], [10, 1], [7, 7, 2], [5, 9]]
TEMPERATURE = 2.0


def split(graph: TaskGraph, node: Node) -> Proposal:
    """Split the whole sum into four partial sums, and those no further."""
    if node.id != graph.root:
        return Proposal()
    return Proposal(tuple(Task(f"add {numbers}", rank=len(numbers)) for numbers in NUMBERS))


def recovered(true: np.ndarray, comparisons: int, random: np.random.Generator) -> np.ndarray:
    """Fit rewards [3], mean 0, to simulated comparisons of three answers with these true rewards."""
    pairs = random.integers(0, 3, size=(comparisons, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    chance = 1 / (1 + np.exp(true[pairs[:, 1]] - true[pairs[:, 0]]))
    choice = torch.tensor((random.random(len(pairs)) >= chance).astype(int))  # 0: the first is better
    reward = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([reward], line_search_fn="strong_wolfe", max_iter=100)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -log_prob(reward[pairs[:, 0]], reward[pairs[:, 1]], choice).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return (reward - reward.mean()).detach().numpy()


def main() -> None:
    graph = TaskGraph.start(Task("add all", rank=100), "by hand", 0).grow_all(split)
    random = np.random.default_rng(0)
    total, worst = 0, 0.0
    for leaf, numbers in zip(graph.leaves, NUMBERS, strict=True):
        answers = sum(numbers) + np.array([0, 1, -3])
        true = -np.abs(answers - sum(numbers)) / TEMPERATURE
        learned = recovered(true, 3000, random)
        worst = max(worst, float(np.abs(learned - (true - true.mean())).max()))
        total += int(answers[learned.argmax()])
        print(f"{graph.task(leaf).instruction}: chose {answers[learned.argmax()]}, rewards {learned.round(2)}")
    print(f"total {total}, true total {sum(map(sum, NUMBERS))}; largest error of a learned reward {worst:.2f}")


if __name__ == "__main__":
    main()
