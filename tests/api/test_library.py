"""Many sources, one after another, with a finished run's models: a row of each, failures among them, and going on."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import rrm
from rrm.api import library
from rrm.api.library import ROWS, Applied, apply_each, books_of
from rrm.core.errors import BudgetError, InputError
from rrm.engines.here import Worker
from rrm.engines.local import Local
from rrm.pipeline.driver import Executor
from tests.toys import TOYS


class Counting(Local):
    """The engine of this process, and how often one was made."""

    made = 0

    def __init__(self, worker: Worker, others: Mapping[str, Executor]) -> None:
        super().__init__(worker, others)
        Counting.made += 1


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fitted") / "run"
    rrm.run(out=out, quiet=True, **TOYS)
    return out


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    folder.mkdir()
    for name, count in (("first", 9), ("second", 6)):
        (folder / f"{name}.txt").write_text(" ".join(f"{name}{at}." for at in range(count)))
    (folder / "empty.txt").write_text("")
    (folder / "cover.png").write_bytes(b"no book")
    return folder


def rows(fitted: Path, sources: list[Path], out: Path) -> list[Applied]:
    return list(apply_each(fitted, sources, out, quiet=True))


def test_each_source_is_a_row_and_one_that_fails_is_not_the_end(fitted: Path, books: Path, tmp_path: Path) -> None:
    told = rows(fitted, [books, tmp_path / "missing.txt"], tmp_path / "out")
    assert [Path(row.source).name for row in told] == ["empty.txt", "first.txt", "second.txt", "missing.txt"]
    assert told[0].failure == "empty.txt: the file is empty" and told[0].score is None
    assert told[3].failure is not None and "missing.txt" in told[3].failure
    for row in told[1:3]:
        assert row.failure is None and row.score is not None and row.text
        assert (Path(row.folder) / "report.html").exists()
    assert not Path(told[0].folder).exists()
    on_file = [json.loads(line) for line in (tmp_path / "out" / ROWS).read_text().splitlines()]
    assert on_file == [row.to_json() for row in told]


def test_a_source_comes_to_the_same_alone_and_among_others(fitted: Path, books: Path, tmp_path: Path) -> None:
    sources = [books / "first.txt", books / "second.txt"]
    together = rrm.apply(fitted, sources, tmp_path / "together", quiet=True)
    for row, target in zip(rows(fitted, sources, tmp_path / "out"), together.targets, strict=True):
        assert target.chosen is not None
        assert (row.score, row.text) == (target.chosen.composed, target.chosen.text)
        assert (row.low, row.high) == target.chosen.composed_interval


def test_what_is_done_is_not_done_again_and_what_failed_is(
    fitted: Path, books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rows(fitted, [books], tmp_path / "out")
    asked: list[str] = []
    real = library.apply
    monkeypatch.setattr(
        library,
        "apply",
        lambda run, paths, *more, **named: asked.append(paths[0].name) or real(run, paths, *more, **named),
    )
    (books / "empty.txt").write_text("now. it. has. words.")
    again = rows(fitted, [books], tmp_path / "out")
    assert asked == ["empty.txt"]
    assert again[0].failure is None and again[1:] == first[1:]
    (books / "second.txt").write_text("another. text. is. here.")
    changed = rows(fitted, [books], tmp_path / "out")[2]
    assert asked == ["empty.txt", "second.txt"]
    assert changed.failure is None and changed.folder != first[2].folder


def test_what_composes_otherwise_does_all_again(books: Path, tmp_path: Path) -> None:
    table = {**TOYS, "compose": {"plugin": "rrm.compose.composers:Mean"}}
    rrm.run(out=tmp_path / "run", quiet=True, **table)
    book = books / "first.txt"
    [mean] = rows(tmp_path / "run", [book], tmp_path / "out")
    rrm.run(out=tmp_path / "run", quiet=True, **{**table, "compose": {"plugin": "rrm.compose.composers:Product"}})
    [product] = rows(tmp_path / "run", [book], tmp_path / "out")
    assert product.score != mean.score
    assert [product.score] == [row.score for row in rows(tmp_path / "run", [book], tmp_path / "anew")]


def test_the_folder_that_has_the_models_is_not_written_over(fitted: Path, books: Path, tmp_path: Path) -> None:
    rrm.apply(fitted, [books / "first.txt"], tmp_path / "applied", quiet=True)
    files = sorted(path for path in (tmp_path / "applied" / "models").rglob("*") if path.is_file())
    with pytest.raises(InputError, match="holds the models that are applied: name another folder for what comes of it"):
        rrm.apply(tmp_path / "applied", [books / "first.txt"], tmp_path / "x" / ".." / "applied", quiet=True)
    assert sorted(path for path in (tmp_path / "applied" / "models").rglob("*") if path.is_file()) == files


@pytest.mark.parametrize("name", ["line\u2028break", "caf\udce9", "書", "a\x1b[31mb"])
def test_a_book_may_be_called_as_files_may_be(fitted: Path, books: Path, tmp_path: Path, name: str) -> None:
    book = books / f"{name}.txt"
    book.write_text("one. two. three. four.")
    sources = [book, books / "first.txt"]
    told = rows(fitted, sources, tmp_path / "out")
    assert [row.failure is None for row in told] == [name != "caf\udce9", True]
    assert rows(fitted, sources[1:], tmp_path / "out") == told[1:]
    assert [row.source for row in library.read_rows(tmp_path / "out")] == [row.source for row in told]


def test_a_run_done_elsewhere_is_applied_here(books: Path, tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **TOYS, engine={"plugin": f"{__name__}:Counting"})
    assert Counting.made == 1
    [row] = rows(tmp_path / "run", [books / "first.txt"], tmp_path / "out")
    assert row.failure is None and Counting.made == 1
    [row] = apply_each(
        tmp_path / "run", [books / "first.txt"], tmp_path / "other", quiet=True, engine=f"{__name__}:Counting"
    )
    assert row.failure is None and Counting.made == 2


def test_what_was_left_out_of_a_source_stands_in_its_row_and_is_its_failure_if_nothing_may_be(
    fitted: Path, books: Path, tmp_path: Path
) -> None:
    (books / "second.txt").write_text("A broken wo-\nrd. And. more.")
    sources, out = [books / "first.txt", books / "second.txt"], tmp_path / "out"
    first, second = rows(fitted, sources, out)
    assert first.notes == () and second.failure is None
    assert second.notes == ("second.txt: words broken at line ends joined: 1 (such as word)",)
    assert rows(fitted, sources, out) == [first, second]
    again, strict = apply_each(fitted, sources, out, quiet=True, strict=True)
    assert again == first and str(strict.failure).startswith("with --strict every note is an error: second.txt: words")
    with pytest.raises(InputError, match="with --strict every note is an error"):
        rrm.apply(fitted, sources[1:], tmp_path / "alone", quiet=True, strict=True)


def test_what_a_kill_left_of_a_row_is_done_again(fitted: Path, books: Path, tmp_path: Path) -> None:
    before = rows(fitted, [books / "first.txt", books / "second.txt"], tmp_path / "out")
    file = tmp_path / "out" / ROWS
    file.write_bytes(file.read_bytes()[:-20])
    after = rows(fitted, [books / "first.txt", books / "second.txt"], tmp_path / "out")
    assert [(row.source, row.score, row.text) for row in after] == [(row.source, row.score, row.text) for row in before]
    assert len(file.read_text().splitlines()) == 2
    file.write_text("no row\n" + file.read_text())
    with pytest.raises(InputError, match=r"results\.jsonl, line 1, is no row of a library: take it out"):
        rows(fitted, [books / "first.txt"], tmp_path / "out")


def test_what_would_meet_every_source_ends_the_library(
    fitted: Path, books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spent(*arguments: object, **named: object) -> None:
        raise BudgetError("the budget is used up")

    monkeypatch.setattr(library, "apply", spent)
    with pytest.raises(BudgetError):
        rows(fitted, [books / "first.txt", books / "second.txt"], tmp_path / "out")
    assert not (tmp_path / "out" / ROWS).exists()


def test_a_plug_in_that_raises_anything_fails_one_source(
    fitted: Path, books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(library, "apply", broken)
    [row] = rows(fitted, [books / "first.txt"], tmp_path / "out")
    assert row.failure == "by zero"


def test_models_are_on_the_disk_once(fitted: Path, books: Path, tmp_path: Path) -> None:
    [row] = rows(fitted, [books / "first.txt"], tmp_path / "out")
    files = [path for path in (Path(row.folder) / "models").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.samefile(fitted / path.relative_to(row.folder))


def test_bad_input_is_one_sentence_before_anything_is_done(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match=r"bare: no file in this folder ends in one of \.txt"):
        books_of([tmp_path / "bare"])
    with pytest.raises(InputError, match="~nobody-here/book: "):
        books_of(["~nobody-here/book"])
    with pytest.raises(InputError, match="no source was named"):
        rows(fitted, [], tmp_path / "out")
    with pytest.raises(rrm.StoreError, match="holds no run"):
        rows(tmp_path / "bare", [tmp_path / "book.txt"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
