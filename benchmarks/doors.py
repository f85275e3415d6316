"""What comes in: rows of messages and a book in EPUB, read in processes of their own; CPU seconds and peak memory.

With `--beside FOLDER` another checkout reads the same files in turn, and ratios to it are printed: seconds of the
processor, which other work on the machine changes less than those of the clock.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parents[1]
TIMES = 3
READ = {
    "message rows": "from rrm.interchange.preferences import read_feedback as read",
    "message rows, surveyed and scored": (
        "from rrm.interchange.rows import read_rows\n"
        "from rrm.interchange.scoring import unscored\n"
        "from rrm.interchange.survey import survey\n"
        "def read(path):\n"
        "    known = survey(row for _, row in read_rows(path))\n"
        "    return [len(unscored(row, path, None, known).groups) for _, row in read_rows(path)]"
    ),
    "EPUB": "from tasks.books import read_book as read",
}
MEASURED = """
{reader}
import json, resource, sys, time
began = time.process_time()
read(sys.argv[1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.process_time() - began, peak]))
"""


class Taken(NamedTuple):
    """CPU seconds, and the most MiB that the process had in memory."""

    seconds: float
    peak: float


def taken(checkout: Path, reader: str, file: Path) -> Taken:
    """Read a file once in a new process, by the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", MEASURED.format(reader=reader), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=checkout)
    return Taken(*json.loads(done.stdout.splitlines()[-1]))


def message_rows(file: Path, count: int) -> None:
    """Write rows of two turns and two replies, some 1.3 kB each, as collections of talks have them."""
    chance = random.Random(0)
    words = ["ferry", "mill", "river", "letter", "donkey", "rain", "harbour", "winter", "and", "the", "of", "slowly"]

    def said(length: int) -> str:
        return " ".join(chance.choices(words, k=length))

    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            asked = [
                {"role": "user", "content": f"{number}: {said(30)}?"},
                {"role": "assistant", "content": said(30)},
                {"role": "user", "content": said(20)},
            ]
            chosen, rejected = ([{"role": "assistant", "content": said(60)}] for _ in range(2))
            out.write(json.dumps({"prompt": asked, "chosen": chosen, "rejected": rejected}) + "\n")


def epub(file: Path, words: int, chapters: int = 60) -> None:
    """Write a book of so many words in chapters of paragraphs, with note marks, page marks and broken words."""
    chance = random.Random(0)
    known = ["ferry", "mill", "river", "letter", "donkey", "rain", "Wil\u00adhelmina", "well-\nknown", "the", "of"]
    manifest, spine = [], []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "META-INF/container.xml", '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>'
        )
        for chapter in range(chapters):
            paragraphs = [
                f'<p>{" ".join(chance.choices(known, k=60))}.<sup><a href="#n{at}">{at}</a></sup>'
                f'<span epub:type="pagebreak" title="{at}"/> <i>{" ".join(chance.choices(known, k=40))}</i>.</p>'
                for at in range(words // chapters // 100)
            ]
            text = f"<html><body><h2>Chapter {chapter + 1}</h2>{''.join(paragraphs)}</body></html>"
            archive.writestr(f"c{chapter}.xhtml", text)
            manifest.append(f'<item id="i{chapter}" href="c{chapter}.xhtml" media-type="application/xhtml+xml"/>')
            spine.append(f'<itemref idref="i{chapter}"/>')
        archive.writestr(
            "b.opf", f"<package><manifest>{''.join(manifest)}</manifest><spine>{''.join(spine)}</spine></package>"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows and of the book")
    parser.add_argument("--beside", type=Path, help="another checkout, which reads the same files in turn")
    options = parser.parse_args()
    share = 10 if options.quick else 1
    with tempfile.TemporaryDirectory() as folder:
        rows, book = Path(folder) / "rows.jsonl", Path(folder) / "book.epub"
        message_rows(rows, 100_000 // share)
        epub(book, 187_000 // share)
        print(
            f"{100_000 // share:,} rows of {rows.stat().st_size / 2**20:.0f} MiB, a book of {187_000 // share:,} words"
        )
        print(f"medians of {TIMES}, each in a process of its own, whose imports are left out\n")
        print(f"{'':36} CPU seconds  peak MiB" + ("   beside" if options.beside else ""))
        for name, reader in READ.items():
            file = book if name == "EPUB" else rows
            ours, others = [], []
            for _ in range(TIMES):
                ours.append(taken(HERE, reader, file))
                if options.beside:
                    others.append(taken(options.beside, reader, file))
            seconds = statistics.median(each.seconds for each in ours)
            peak = max(each.peak for each in ours)
            before = statistics.median(each.seconds for each in others) if others else None
            ratio = "" if before is None else f"  {seconds / before:5.2f} x {before:.2f} s"
            print(f"{name:36} {seconds:11.2f}  {peak:8,.0f}{ratio}", flush=True)


if __name__ == "__main__":
    main()
