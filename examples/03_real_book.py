"""A real book from a file: read it, split it by the published procedure, propose and look at a leaf.

    python examples/03_real_book.py path/to/book.txt

Text, Markdown, HTML, EPUB and chapters as JSON lines are read. Without a path a short story is made up.
"""

import sys
import tempfile
from pathlib import Path

from decomposers.chunks import Chunks
from rrm.core.protocols import PromptContext, ProposeJob
from rrm.core.values import Passage, View
from rrm.policy.extractive import Extractive
from tasks.books import read_book

STORY = "\n\n".join(
    f"CHAPTER {chapter}\n\n"
    + " ".join(
        f"On day {day} of the voyage the captain of ship {chapter} wrote that the wind had turned, "
        f"that mate number {day % 5} had fallen ill, and that water would last for {30 - day} days."
        for day in range(1, 25)
    )
    for chapter in range(1, 4)
)


def main(path: str | None = None) -> None:
    file = Path(path) if path else Path(tempfile.mkdtemp()) / "voyage.txt"
    if path is None:
        file.write_text(STORY, encoding="utf-8")
    book = read_book(file)
    graph = Chunks().decompose(book, seed=0)
    levels = ", ".join(f"{len(nodes)} at level {level}" for level, nodes in enumerate(graph.levels))
    print(f"{book.title}: {len(book.text.split())} words, {levels}")
    leaf = graph.leaves[len(graph.leaves) // 2]
    task = graph.task(leaf)
    text = book.read(task.span)
    view = View(task.instruction, (Passage(text),), task.max_tokens)
    [outputs] = Extractive().propose([ProposeJob(PromptContext(leaf, task, view), n=2, seed=0)])
    for output in outputs:
        print(f"- log-probability {output.log_prob:.1f}: {output.text[:200]}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
