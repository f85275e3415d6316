"""What goes into a record comes out of it, and stays."""

import importlib
import itertools
import json
import os
import pkgutil
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, Column, MetaData, Table
from sqlalchemy.exc import DBAPIError

import rrm.core
from rrm.core.asking import Asked, Outlook
from rrm.core.calls import Call
from rrm.core.claims import Citation, Claim, Claims, Origin
from rrm.core.errors import InputError, StoreError
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import Cache, Store
from rrm.core.roles import JudgeUse
from rrm.core.task import Source, Span, Task
from rrm.core.values import (
    KINDS,
    Answer,
    Choice,
    ClaimMarks,
    Comparison,
    Composed,
    Consequence,
    Correction,
    Criticised,
    Critique,
    Demonstration,
    Failure,
    Feedback,
    Fitted,
    FittedComposer,
    Gold,
    Hindsight,
    Improvement,
    Label,
    Output,
    Passage,
    Ranking,
    Rated,
    Rating,
    Reject,
    Request,
    RolledOut,
    Scored,
    Shown,
    Supported,
    View,
)
from rrm.store import SqlStore, StepCount, database, location, open_store
from rrm.store import kinds as recorded
from rrm.store.location import FILE
from rrm.store.tables import Row

TEXT = "NUL \x00, quotes \"'`, line\r\nends\u2028, 漢字, 🦊, é and e\u0301, {{ x }}, <b>, '; DROP TABLE output; --"

PLAIN = TEXT.replace("\0", "")  # a column of PostgreSQL cannot hold NUL, JSON in it can

SOURCE = Source("A title", "One. Two. Three." + PLAIN, breaks=(5, 10), skipped=(Span(0, 4), Span(12, 14)))
VIEW = View("Judge this.", (Passage(TEXT), Passage("below", "node-1", "output-1", 0.1 + 0.2)), 128, "before")


def tree() -> TaskGraph:
    whole = Task("Summarise.", SOURCE.id, Span(0, 16), max_tokens=50, context_tokens=7)
    halves = tuple(replace(whole, span=Span(*ends), rank=8) for ends in ((0, 8), (8, 15)))
    graph = TaskGraph.start(whole, "halves", 3)
    graph = graph.grow(graph.root, Proposal(halves, skipped=(Span(15, 16),), note=TEXT))
    graph = graph.refuse(graph.children(graph.root)[0], "too small").grow_all(lambda *_: Proposal())
    return graph.with_context()


ANSWERS: list[Answer] = [
    Comparison(0),
    Comparison(1, 1 / 3),
    Comparison(None, 0.0),
    Hindsight(1, 1 / 3),
    Ranking((2, 0, 1)),
    Rating(6, 9),
    Rating(2 + 1 / 3, 5),
    Label(True),
    Label(False),
    Correction(TEXT),
    Demonstration(""),
    Critique("names swapped", ((0, 4), (9, 12))),
    Critique("the second is shorter", consistent=(1,)),
    ClaimMarks(((0, 4),), ((9, 12), (13, 20)), ("Nobody came.",)),
    Reject("not English"),
]

HERE, ABOVE, LATER = Place(), Place(0, "answer", 1), Place(1, "answer", 0)

BOTH = (Shown("output-1", TEXT), Shown("output-2", ""))
CAME = Consequence("Right: A ____ burned – mill.", 1 / 3, 4, 1)
REQUEST = Request("node-1", SOURCE.id, Place(3, "split", 2), "comparison", VIEW, BOTH, "v2", 4, "faithful")

EXAMPLES: dict[type, list[Any]] = {
    Source: [SOURCE, Source("", "")],
    TaskGraph: [tree(), TaskGraph.start(Task("Add 2 and 3.", rank=2), "sums", 0)],
    View: [VIEW, View("", (), 2**63 - 1)],
    Claims: [
        Claims(
            "output-1",
            (Claim(Span(0, 9), (Origin("output-2", Span(3, 12), 0.25), Origin(None, Span(0, 4), 1.0)), True),),
        ),
        Claims("output-2", ()),
    ],
    Output: [
        Output("node-1", PLAIN, "extractive", 2**63 - 1, ("output-8", "output-9"), ("output-7",), -5e-324, True),
        Output("node-2", "", "extractive", 0, log_prob=-1.7976931348623157e308),
        Output("node-3", "x", "extractive", -1),
        Output("node-4", "x", "extractive", 0, citations=(Citation(Span(0, 1), 2, Span(3, 4)),)),
    ],
    Request: [
        REQUEST,
        replace(REQUEST, copy=5),
        replace(REQUEST, kind="claims", shown=(Shown("output-1", "It ran. It slept.", (0.25, 1 / 3)),)),
        replace(REQUEST, kind="hindsight", shown=tuple(replace(each, consequence=CAME) for each in BOTH)),
        replace(REQUEST, kind="claims", shown=(Shown("output-1", "It ran.", (), critique="It did not."),)),
        Request("node-2", SOURCE.id, HERE, "demonstration", View("", (), 0), ()),
    ],
    Feedback: [Feedback(f"request-{n}", "Ann", answer, 0.1 * n) for n, answer in enumerate(ANSWERS)]
    + [
        Feedback("request-0", "Bob", Comparison(1)),
        Feedback("request-1", "Bob", Comparison(1), None, 1 / 3, "faithful"),
    ],
    Failure: [Failure("node-1", "propose", "AssistantError", PLAIN)],
    Fitted: [
        Fitted(Place(0, "answer", 1), "models/level-1", "ab12", 400),
        Fitted(Place(12, "whole"), "models/flat", "cd34", 7, root=True, role="select"),
    ],
    Scored: [
        Scored("output-1", "fitted-1", (0.1, -2.5e-17, 1e300), (0.25, 1 / 3, 1.0)),
        Scored("o", "m", (), (), "faithful"),
    ],
    Criticised: [Criticised("output-1", "by-names", PLAIN)],
    RolledOut: [RolledOut("output-1", "cloze", CAME)],
    Supported: [Supported("output-1", "fitted-1", (0.25, 1 / 3)), Supported("o", "m", ())],
    Composed: [Composed("output-1", "basis-1", (0.25, 1 / 3)), Composed("output-1", "basis-1", (), "faithful")],
    Improvement: [
        Improvement(Place(1, "split", 2), "policies/1", "policy-1", "policy-0", "anchor", 0.1 + 0.2, 4.0, "exact"),
        Improvement(Place(), "policies/2", PLAIN, "policy-1", "policy-0", 0.0, 1e-9, "a bound", level=2),
    ],
    FittedComposer: [FittedComposer(LATER, "composers/1", "learned")],
    Choice: [
        Choice(LATER, "policy-1", "policy-0", -0.25, 2, False, (("a", -(0.1 + 0.2)), ("b", -0.2))),
        Choice(HERE, PLAIN, "p", 0.0, 0, True),
    ],
    Asked: [Asked("request-1", "random", "pool-1", 1 / 3), Asked(PLAIN, "value", "pool-1", 1.0, 5e-324, 7, 1 / 3)],
    Outlook: [
        Outlook(LATER, 2, "pool-1", 400, 12, 1 / 3, 5e-324, 0.25, True, ("output-1", "output-2"), (1 / 3, 2 / 3)),
        Outlook(HERE, 0, PLAIN, 0, 0, 0.0, 0.0, 0.0),
        Outlook(HERE, 0, PLAIN, 0, 0, 0.0, 0.0, 0.0, draws=1000, effective=59.5),
        Outlook(HERE, 0, PLAIN, 0, 0, 0.0, 0.0, 0.0, draws=1000, effective=1000.0),
    ],
    Gold: [Gold("output-1", 1 / 3)],
    Rated: [
        Rated(REQUEST, Feedback(REQUEST.id, "Ann", Comparison(0), criterion="faithful"), 1 / 3),
        Rated(REQUEST, Feedback(REQUEST.id, "Bob", Comparison(None))),
    ],
    Call: [
        Call(
            "SimulatedRaters", "request-1", "assistant", PLAIN, "Judge.", -(2**63), 2, 0.1 + 0.2, 5e-324, PLAIN, "why"
        ),
        Call("a", "node-1", "b", "", "", 0, 0, 1e9, 0.0, None, None, PLAIN, 7, 0, 1e-9, True, "answer", PLAIN),
    ],
    Proposal: [Proposal(), Proposal(("node-1",), (Span(1, 2),), TEXT, more=True)],
}


class Done(NamedTuple):
    id: str
    step: str = "propose"
    place: Place = HERE
    slot: str = "node-1"


@pytest.fixture
def store(tmp_path: Path, url: str | None) -> Iterator[SqlStore]:
    with open_store(tmp_path / "run", url=url) as opened:
        yield opened


def execute(store: SqlStore, statement: str) -> list[tuple[Any, ...]]:
    """Do something to the database of a record behind its back."""
    with store._engine.connect() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def plain(value: Any) -> Any:
    return value.to_json() if isinstance(value, TaskGraph) else value


def again(value: Any) -> Any:
    """The same value made anew, so that its id is computed and not the one it was recorded under."""
    return value if isinstance(value, TaskGraph) else replace(value)


def output(number: int) -> Output:
    return Output(f"node-{number}", f"text {number}", "test", number)


def kinds_with_ids() -> set[type]:
    modules = [importlib.import_module(each.name) for each in pkgutil.iter_modules(rrm.core.__path__, "rrm.core.")]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {each for each in found if is_dataclass(each) and isinstance(vars(each).get("id"), cached_property)}


def test_every_kind_in_core_with_an_id_can_be_recorded_and_is_tested_here() -> None:
    assert len(kinds_with_ids()) >= 8
    kept = kinds_with_ids() - {JudgeUse}  # which is counted anew from what is on record
    assert kept | {TaskGraph, Proposal} == set(recorded.KINDS) == set(EXAMPLES)
    assert {type(answer) for answer in ANSWERS} == set(KINDS.values())


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_values_come_back_exactly_as_they_were(store: SqlStore, kind: type) -> None:
    store.append(EXAMPLES[kind])
    back = store.load(kind)
    assert [plain(value) for value in back[-len(EXAMPLES[kind]) :]] == [plain(value) for value in EXAMPLES[kind]]
    for value, before in zip(back, EXAMPLES[kind], strict=True):
        assert type(value) is type(before)
        assert repr(value) == repr(before)
        if not isinstance(value, TaskGraph | Proposal):
            assert value.id == again(value).id == before.id


def test_named_tuples_inside_values_come_back_as_named_tuples(store: SqlStore) -> None:
    store.append([SOURCE])
    assert all(isinstance(span, Span) for span in store.load(Source)[0].skipped)


text = st.text(st.characters(exclude_categories=["Cs"]))
number = st.floats(allow_nan=False, allow_infinity=False).map(lambda each: each + 0.0)  # SQLite keeps no sign of zero
numbers = itertools.count()


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_and_any_finite_number_comes_back(store: SqlStore, data: st.DataObject) -> None:
    policy = f"new {next(numbers)}"  # another id every time, which covers neither log_prob nor rewards
    seed, inputs = data.draw(st.integers(-(2**63), 2**63 - 1)), tuple(data.draw(st.lists(text)))
    column = text if store._engine.dialect.name == "sqlite" else text.filter(lambda each: "\0" not in each)
    made = Output(data.draw(column), data.draw(column), policy, seed, inputs, log_prob=data.draw(st.none() | number))
    scored = Scored(made.id, data.draw(column), tuple(data.draw(st.lists(number))), (1.0,))
    done = Done(made.id)
    store.complete([(done, (made, scored))])
    assert repr(store.results("propose", HERE)[done.id]) == repr((made, scored))


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (replace(output(0), text="\ud800"), "output.text cannot be recorded: it: 'utf-8' codec can't encode"),
        (replace(output(0), inputs=("\udfff",)), "output.inputs cannot be recorded"),
        (
            replace(output(0), log_prob=float("nan")),
            "output.log_prob cannot be recorded: it must be a finite number",
        ),
        (replace(output(0), seed=2**63), "output.seed cannot be recorded: it must be less than 9223372036854775808"),
        (Output("n", None, "p", 0), "output.text cannot be recorded: it must be a valid string, got None"),  # type: ignore[arg-type]
        (
            Output("n", "", "p", 0, truncated=1),
            "output.truncated cannot be recorded: it must be a valid boolean",
        ),  # type: ignore[arg-type]
        (Fitted(1, "p", "d", 0), "fitted.place cannot be recorded: it must be a Place, got 1"),  # type: ignore[arg-type]
        (Scored("o", "m", (float("inf"),), ()), "scored.rewards cannot be recorded"),
        (Feedback("r", "Ann", "good"), "feedback.answer cannot be recorded"),  # type: ignore[arg-type]
        ("a text", "a str cannot be recorded: a record holds Source,"),
    ],
)
def test_what_would_not_come_back_is_refused_and_nothing_of_its_batch_is_recorded(
    store: SqlStore, value: Any, fault: str
) -> None:
    with pytest.raises(InputError, match=fault.replace("(", r"\(")):
        store.append([output(1), value])
    with pytest.raises(InputError):
        store.complete([(Done("a"), [output(1)]), (Done("b"), [value])])
    assert store.load(Output) == []
    assert store.results("propose", HERE) == {}


def test_recording_a_value_again_changes_nothing(store: SqlStore) -> None:
    first = Feedback("request-1", "Ann", Comparison(0), seconds=3.0)
    store.append([output(2), output(1), first])
    store.append([output(1), replace(first, seconds=99.0), output(3), output(3)])
    assert store.load(Output) == [output(2), output(1), output(3)]
    assert store.load(Feedback) == [first]


def test_a_view_that_many_requests_share_is_stored_once(store: SqlStore) -> None:
    requests = [replace(REQUEST, copy=copy) for copy in range(50)]
    store.append(requests)
    assert store.load(Request) == requests
    assert execute(store, "SELECT count(*) FROM view") == [(1,)]


def test_what_a_nodes_outputs_were_made_after_is_stored_once(store: SqlStore) -> None:
    before = ("output-1", "output-2")
    made = [replace(output(number), context=context) for number, context in enumerate((before, before, (), before[1:]))]
    store.append(made)
    assert store.load(Output) == made
    assert execute(store, "SELECT count(*) FROM context") == [(3,)]


ID = "output-0123456789abcdef0123"
ODD = [ID.upper(), ID[:-1], f"{ID}0", ID.replace("0", "x"), "", "é" * 27, ID.replace("-", "_"), f'output-{"0" * 19}"']


@given(st.lists(st.sampled_from([ID, f"output-{'f' * 20}", "output-00000000000000000000", *ODD])))
@example([f"{ID}0", ID[:-1]])
@example([f'{ID[:-9]}","output-'])
@example([])
def test_packed_or_not_contexts_come_back_as_they_were(context: list[str]) -> None:
    kind = recorded.KINDS[Output].references["context"]
    row = kind.row(tuple(context))
    assert kind.value(row["id"], [recorded.from_json(row["outputs"])], {}) == tuple(context)


def test_what_many_outputs_were_made_after_takes_half_the_room_of_their_ids() -> None:
    context = tuple(f"output-{number:020x}" for number in range(300))
    row = recorded.KINDS[Output].references["context"].row(context)
    assert len(row["outputs"]) < 0.45 * len(json.dumps(context))


def test_outputs_that_were_recorded_before_contexts_stood_by_themselves_keep_theirs(
    tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, older = tmp_path / "run", tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, older)
    for each in (older / "versions").glob("r*.py"):
        if each.name > "r0019":  # which made the table of contexts
            each.unlink()
    cited = (Citation(Span(0, 1), 2, Span(3, 4)),)
    odd = Output("node-4", "x", "test", 2**62, ("output-7",), ("é", "output-8"), -0.1, True, cited)
    made = [*(replace(output(number), context=("output-7",) * (number % 3)) for number in range(2_500)), odd]
    with monkeypatch.context() as before:
        before.setattr(database, "MIGRATIONS", older)
        before.setattr(database, "REVISION", "0018")
        with open_store(folder, url=url) as store, database.transaction(store._engine, folder, writes=True) as there:
            rows = [
                {name: recorded.to_json(held) if isinstance(held, tuple) else held for name, held in vars(each).items()}
                for each in made
                if each.id
            ]
            columns = [
                Column(name, JSON) if name in ("inputs", "context", "citations") else Column(name) for name in rows[0]
            ]
            there.execute(Table("output", MetaData(), *columns).insert(), rows)
    with open_store(folder) as store:
        assert store.load(Output) == made
        assert execute(store, "SELECT count(*) FROM context") == [(4,)]
        store.append([output(2_500)])


def test_what_actions_made_before_links_stood_by_their_key_alone_is_known(
    tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, made = tmp_path / "migrations", (output(1), REQUEST, output(2))
    shutil.copytree(database.MIGRATIONS, older)
    for each in (older / "versions").glob("r*.py"):
        if each.name > "r0020":  # which put links by their key alone
            each.unlink()
    with monkeypatch.context() as before:
        before.setattr(database, "MIGRATIONS", older)
        before.setattr(database, "REVISION", "0019")
        with open_store(tmp_path / "run", url=url) as store:
            store.complete([(Done("b"), made), (Done("a"), ())])
    with open_store(tmp_path / "run") as store:
        store.complete([(Done("c"), [output(3)])])
        assert store.results("propose", HERE) == {"b": made, "a": (), "c": (output(3),)}
        with pytest.raises(DBAPIError, match="append-only"):
            execute(store, "DELETE FROM link")
        if url is None:
            assert execute(store, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'sqlite_autoindex_link%'") == [
                (0,)
            ]


def test_scores_that_were_recorded_as_text_come_back_as_they_were(
    tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, older = tmp_path / "run", tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, older)
    (older / "versions" / "r0021_scores.py").unlink()
    odd = (1 / 3, 0.1, -1e-300, 5e-324, 1.7976931348623157e308, 2.0**53)
    made = [
        *(Scored(f"output-{number}", "é", (number / 7, -0.5), odd, "tone") for number in range(2_500)),
        Scored("none", "m", (), (), "overall"),
        Composed("output-1", "basis", odd, "overall"),
        Supported("output-1", "m", (0.25, 1.0)),
    ]
    with monkeypatch.context() as before:
        before.setattr(database, "MIGRATIONS", older)
        before.setattr(database, "REVISION", "0020")
        with open_store(folder, url=url) as store, database.transaction(store._engine, folder, writes=True) as there:
            for each in made:
                row = {"id": each.id} | {name: held for name, held in vars(each).items() if name != "id"}
                columns = [
                    Column(name, JSON) if isinstance(held, tuple) else Column(name) for name, held in row.items()
                ]
                there.execute(Table(type(each).__name__.lower(), MetaData(), *columns).insert(), row)
    with open_store(folder) as store:
        assert [each for kind in (Scored, Composed, Supported) for each in store.load(kind)] == made
        assert store.load(Scored)[7].acceptance == odd
        again = Composed("output-2", "basis", (0.5,), "overall")
        store.append([again, made[0]])
        assert store.load(Composed) == [made[-2], again] and len(store.load(Scored)) == 2_501
        for name in ("scored", "composed", "supported"):
            with pytest.raises(DBAPIError, match="append-only"):
                execute(store, f"DELETE FROM {name}")


@pytest.mark.parametrize("scores", [(0.5, float("nan")), (float("inf"),), ("0.5",), (None,)])
def test_scores_that_are_no_finite_numbers_are_refused(store: SqlStore, scores: Any) -> None:
    with pytest.raises(InputError, match=r"scored\.acceptance cannot be recorded: they must be"):
        store.append([Scored("output-1", "m", (0.5,), scores)])
    assert store.load(Scored) == []


def test_scores_take_eight_bytes_each() -> None:
    scores = tuple(1 / number for number in range(1, 25))
    assert len(recorded.KINDS[Composed].row(Composed("output-1", "basis", scores))["acceptance"]) == 8 * 24


def test_results_of_all_rounds_come_back_by_action_in_order_for_one_step_subject_and_level(store: SqlStore) -> None:
    mixed = (output(3), Scored(output(3).id, "m", (0.5,), (0.5,)), output(1), REQUEST, output(3))
    store.complete([(Done("b"), mixed), (Done("a"), ())])
    store.complete([(Done("c", place=ABOVE), [output(4)]), (Done("d", step="rate"), [output(5)])])
    elsewhere = [Place(0, "whole", 0), Place(0, "answer", 10)]
    store.complete([(Done(str(place), place=place), [output(7)]) for place in elsewhere])
    store.complete([(Done("e", place=LATER), [output(6)])])
    assert store.results("propose", HERE) == {"b": mixed, "a": (), "e": (output(6),)}
    assert list(store.results("propose", HERE)) == ["b", "a", "e"]
    assert store.results("propose", ABOVE) == {"c": (output(4),)}
    assert store.results("rate", ABOVE) == {}
    assert store.results("propose", LATER) == store.results("propose", HERE)
    places = [("propose", HERE, 2), ("propose", ABOVE, 1), ("rate", HERE, 1)]
    places += [("propose", place, 1) for place in (*elsewhere, LATER)]
    assert store.counts() == [StepCount(step, place, done, 0) for step, place, done in places]


def test_the_first_result_of_an_action_stands(store: SqlStore) -> None:
    store.complete([(Done("a"), [output(1)]), (Done("a"), [output(2)]), (Done("b"), ())])
    store.complete([(Done("a"), [output(3)]), (Done("b"), [output(3)])])
    assert store.results("propose", HERE) == {"a": (output(1),), "b": ()}


def test_a_failure_may_be_followed_by_another_attempt_and_stays_on_record(store: SqlStore) -> None:
    faults = [Failure("node-1", "propose", "AssistantError", cause) for cause in ("busy", "down")]
    store.complete([(Done("a"), faults[:1]), (Done("b"), [output(2)]), (Done("c"), faults[:1])])
    store.complete([(Done("a"), faults[1:])])
    assert store.results("propose", HERE)["a"] == (faults[1],)
    assert (
        repr(store.counts())
        == "[StepCount(step='propose', place=Place(round=0, subject='answer', level=0), done=3, failed=2)]"
    )
    store.complete([(Done("a"), [output(1)]), (Done("c"), [output(3)])])
    assert store.results("propose", HERE) == {"a": (output(1),), "b": (output(2),), "c": (output(3),)}
    assert store.counts() == [StepCount("propose", HERE, 3, 0)]
    assert store.load(Failure) == faults


def test_answers_are_found_by_request(store: SqlStore) -> None:
    ann, bob = Feedback("request-1", "Ann", Comparison(0)), Feedback("request-1", "Bob", Comparison(1))
    other = Feedback("request-2", "Ann", Rating(3))
    store.append([ann, other, bob])
    assert store.answers(["request-1", "request-3"]) == {"request-1": [ann, bob]}
    assert store.answers([]) == {}
    assert store.answers([f"request-{number}" for number in range(25_000)]) == {
        "request-1": [ann, bob],
        "request-2": [other],
    }


def test_events_and_what_was_spent_outlast_the_process(tmp_path: Path, url: str | None) -> None:
    for _ in range(3):
        with open_store(tmp_path, url=url) as store:
            store.add_event("started", {"who": TEXT, "share": 0.1})
            store.spend({"seconds": 1.25, "calls": 3})
    with open_store(tmp_path, "read") as store:
        assert [(event.kind, event.data) for event in store.events()] == [("started", {"who": TEXT, "share": 0.1})] * 3
        assert store.events("ended") == []
        assert store.spent() == {"seconds": 3.75, "calls": 9.0}


def test_settings_are_settled_once(store: SqlStore) -> None:
    assert store.setting("run") is None
    store.settle("run", {"seed": 3, "rate": 0.1})
    store.settle("run", {"seed": 3, "rate": 0.1})
    with pytest.raises(InputError, match="was begun with another run: use a new directory"):
        store.settle("run", {"seed": 4, "rate": 0.1})
    assert store.setting("run") == {"seed": 3, "rate": 0.1}


def test_the_cache_keeps_bytes_by_key_and_table(tmp_path: Path, url: str | None) -> None:
    with open_store(tmp_path, url=url) as store:
        assert isinstance(store, Cache)
        assert isinstance(store, Store)
        store.put_many("calls", {"a": b"1", "b": b"\x00\xff"})
        store.put_many("calls", {"a": b"2"})
        store.put_many("vectors", {"a": b"3"})
        store.put_many("calls", {})
        store.put_many("many", {str(key): b"" for key in range(25_000)})
    with open_store(tmp_path) as store:
        assert store.get_many("calls", ["a", "b", "c"]) == {"a": b"2", "b": b"\x00\xff"}
        assert store.get_many("calls", []) == {}
        assert len(store.get_many("many", [str(key) for key in range(30_000)])) == 25_000


def test_nothing_in_a_record_can_be_changed_or_removed(store: SqlStore) -> None:
    store.append([value for values in EXAMPLES.values() for value in values])
    store.complete([(Done("a"), [output(1)])])
    store.add_event("started", {})
    store.spend({"calls": 1})
    store.settle("run", {})
    for name in {"action", "link", *(kind.name for kind in recorded.KINDS.values()), "event", "spent", "meta"}:
        column = Row.metadata.tables[name].columns.keys()[0]
        changes = [f'DELETE FROM "{name}"', f'UPDATE "{name}" SET {column} = {column}']
        if store._engine.dialect.name == "postgresql":
            changes.append(f'TRUNCATE "{name}" CASCADE')
        for change in changes:
            with pytest.raises(DBAPIError, match="append-only"):
                execute(store, change)


def test_many_threads_may_write_and_read_at_once(store: SqlStore) -> None:
    faults: list[Exception] = []

    def work(thread: int) -> None:
        try:
            for number in range(20):
                name = f"{thread}-{number}"
                store.complete([(Done(name), [Output(name, "", "test", 0)])])
                store.put_many("calls", {name: b""})
                assert name in store.results("propose", HERE)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(store.results("propose", HERE)) == len(store.load(Output)) == 120


def test_answers_can_be_added_beside_a_running_run(tmp_path: Path, url: str | None) -> None:
    with open_store(tmp_path, url=url) as run, open_store(tmp_path, "append") as page:
        run.append([REQUEST])
        assert page.load(Request) == [REQUEST]
        page.append([Feedback(REQUEST.id, "Ann", Comparison(1))])
        assert run.answers([REQUEST.id]) == {REQUEST.id: [Feedback(REQUEST.id, "Ann", Comparison(1))]}


def test_who_only_reads_cannot_write(tmp_path: Path, url: str | None) -> None:
    with open_store(tmp_path, url=url) as run:
        run.append([output(1)])
        with open_store(tmp_path, "read") as reader:
            assert reader.load(Output) == [output(1)]
            with pytest.raises(StoreError, match="it is read-only"):
                reader.append([output(2)])


def test_a_log_left_beside_a_record_in_a_folder_that_may_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path) as run:
        run.append([output(1)])
    log, index = (tmp_path / f"{FILE}{end}" for end in ("-wal", "-shm"))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == index and index.exists())
    log.write_bytes(b"")  # in which nothing lies
    with open_store(tmp_path, "read") as reader:
        assert reader.load(Output) == [output(1)]
    log.write_bytes(b"a commit")
    with pytest.raises(StoreError, match=r"left its latest entries in record\.db-wal.*copy .* and look at the copy"):
        open_store(tmp_path, "read").close()


def test_several_new_records_are_made_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations = tmp_path / "migrations"  # elsewhere, so that they are carried out and not copied
    shutil.copytree(database.MIGRATIONS, migrations)
    monkeypatch.setattr(database, "MIGRATIONS", migrations)
    together = threading.Barrier(4)

    def make(number: int) -> list[Output]:
        together.wait()
        with open_store(tmp_path / f"run-{number}") as record:
            record.append([output(number)])
            return record.load(Output)

    with ThreadPoolExecutor(4) as pool:
        for attempt in range(3):
            numbers = range(4 * attempt, 4 * attempt + 4)
            assert list(pool.map(make, numbers)) == [[output(number)] for number in numbers]


def test_a_record_is_for_its_owner_alone(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.complete([(Done("a"), [output(1)])])
        files = [path for path in tmp_path.iterdir() if path.name.startswith("record.db")]
        assert len(files) > 1  # the log beside it, too
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_password_on_the_command_line_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for url, warned in (
        ("postgresql://u@h/d", 0),
        ("postgresql://u:secret@h/d", 1),
        ("postgresql://u@h/d?password=x", 1),
    ):
        caplog.clear()
        location.locate(tmp_path, url)
        assert ["$PGPASSWORD" in each.message for each in caplog.records] == [True] * warned
        assert "secret" not in caplog.text
