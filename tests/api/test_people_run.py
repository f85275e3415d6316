"""A run whose raters are people: they answer at the desk, it takes up what levels have come to, and learns from it."""

import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import rrm
from rrm.agreement.attention import attentiveness
from rrm.api import look
from rrm.api.assist import rate_items
from rrm.api.people import People
from rrm.api.runfile import RunFile
from rrm.api.wiring import Parts
from rrm.cli.main import app
from rrm.core.annotation import Item, Lease, Submission
from rrm.core.errors import ConfigError, ConflictError, InputError, UnreachableError, Waiting
from rrm.core.place import Place
from rrm.core.report import Report
from rrm.core.values import Answer, Comparison, Feedback, Label, Rated, Request, Shown
from rrm.files.folders import Folders
from rrm.queue import SqlDesk, open_desk
from rrm.reward.blend import Blend
from rrm.reward.criteria import ByCriterion
from rrm.reward.frozen import Frozen
from rrm.store.record import open_store
from tests.scenarios import MEAN, SMALL
from tests.web.stations import desk_in, items_of

KEYS = (f"key-{number}" for number in count())


def settings(**arguments: Any) -> Any:
    table = deepcopy(SMALL) | {"compose": MEAN}
    table["train"]["arguments"] |= {"count": 2}
    table["rater"] = {"plugin": "people", "arguments": arguments, "per_node": {"comparison": 1, "label": 1}}
    table.pop("flat", None)
    return rrm.run_file(table)


def says(lease: Lease) -> Answer:
    """Rate as somebody does who likes long outputs."""
    lengths = [len(lease.first.request.shown[place].text) for place in lease.first.order]
    if lease.first.request.kind == "comparison":
        return Comparison(0 if lengths[0] >= lengths[1] else 1)
    return Label(lengths[0] % 2 == 0)


def rate_all(desk: SqlDesk, person: str, most: int = 10_000, says: Callable[[Lease], Answer] = says) -> int:
    done = 0
    while done < most and (lease := desk.claim(person)) is not None:
        desk.submit(person, lease.id, [Submission(says(lease), lease.first.shown, seconds=3.0)], next(KEYS))
        done += 1
    return done


def go_on(out: Path, **arguments: Any) -> Report:
    return rrm.run(settings(**arguments), out, again="rrm run people.toml", quiet=True)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[Path, SqlDesk]]:
    """A run that waits for two answers an item, and its desk."""
    out = tmp_path / "run"
    with pytest.raises(Waiting):
        go_on(out, overlap=2)
    with open_desk(out) as desk:
        yield out, desk


def test_a_run_waits_for_as_many_people_as_it_wants_and_learns_from_what_each_saw(
    waiting: tuple[Path, SqlDesk],
) -> None:
    out, desk = waiting
    anna, ben, carl = (desk.add_person(name, by="test").id for name in ("anna", "ben", "carl"))
    for _ in range(6):
        for person in (anna, ben, carl):
            rate_all(desk, person)
        try:
            report = go_on(out, overlap=2)
            break
        except Waiting as error:
            assert (
                "answers are in" in str(error) and "rrm annotate" in str(error) and "rrm run people.toml" in str(error)
            )
    with open_store(out, "read") as store:
        requests = {request.id: request for request in store.load(Request)}
        rated = [Rated(requests[each.request], each) for each in store.load(Feedback)]
    assert report.ratings == len(rated) > 0
    raters = defaultdict(set)
    for given in desk.answers():
        raters[given.item].add(given.person)
    assert {len(each) for each in raters.values()} == {2}
    # everybody preferred the longer text, in whatever order it was shown: so the record must say so as it was shown
    compared = [each for each in rated if isinstance(each.feedback.answer, Comparison)]
    for each in compared:
        lengths = [len(shown.text) for shown in each.request.shown]
        assert lengths[each.feedback.answer.better] == max(lengths)  # type: ignore[union-attr, call-overload, index]
    shown_as_asked = [each.request.shown == requests[item.item].shown for each, item in pairs(compared, desk)]
    assert 0 < sum(shown_as_asked) < len(shown_as_asked)
    assert {each.feedback.rater for each in rated} <= {anna, ben, carl}
    assert {each.request.guideline for each in rated} == {"v0"}


def test_what_a_run_reads_of_its_desk_is_read_again_where_the_connection_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []

    def losing(name: str) -> Callable[..., Any]:
        real = getattr(SqlDesk, name)

        def read(*arguments: Any) -> Any:
            if name not in lost:
                lost.append(name)
                raise UnreachableError("the connection to the database was lost")
            return real(*arguments)

        return read

    for name in ("settings", "placed", "progress"):
        monkeypatch.setattr(SqlDesk, name, losing(name))
    with open_store(tmp_path) as store:
        people = People(store, tmp_path, settings(), Folders(), waits=True)
        people.append([])
        assert people.answers(["nobody's"]) == {}
        assert people.standing() == "0 of 0 answers are in"
        people.close()
    assert sorted(lost) == ["placed", "progress", "settings"]


def test_an_assistant_whose_lease_is_gone_goes_on_and_ends_at_the_third_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submit, calls = SqlDesk.submit, list[str]()

    def losing(desk: SqlDesk, *arguments: Any, **named: Any) -> Any:
        calls.append("asked")
        if len(calls) in lost:
            raise ConflictError("the lease of this item had run out")
        return submit(desk, *arguments, **named)

    monkeypatch.setattr(SqlDesk, "submit", losing)
    rater = SimpleNamespace(rate=lambda request, seed: Feedback(request.id, "judge", Label(True)))
    with desk_in(tmp_path, items_of(["label"], each=6)) as desk:
        lost = [1, 2, 4]
        assert rate_items(desk, "judge", rater, limit=3)["answers"] == 3
        assert caplog.messages == ["an answer of judge was not taken: the lease of this item had run out"] * 3
        lost = [7, 8, 9]
        with pytest.raises(ConflictError, match="had run out"):
            rate_items(desk, "judge", rater)
        assert len(calls) == 9


def pairs(rated: list[Rated], desk: SqlDesk) -> list[tuple[Rated, Any]]:
    """Each rated row beside the answer at the desk that it came from."""
    given = {(each.person, each.node, each.kind, each.seconds): each for each in desk.answers()}
    return [
        (row, given[(row.feedback.rater, row.request.node, row.request.kind, row.feedback.seconds)]) for row in rated
    ]


def test_an_admin_closes_a_level_early_and_the_run_goes_on_with_what_there_is(waiting: tuple[Path, SqlDesk]) -> None:
    out, desk = waiting
    anna = desk.add_person("anna", by="test").id
    done = rate_all(desk, anna, most=7)
    with pytest.raises(Waiting):
        go_on(out, overlap=2)
    desk.freeze(Place(), "test")
    with pytest.raises(Waiting, match="level 1"):
        go_on(out, overlap=2)
    with open_store(out, "read") as store:
        assert len(store.load(Feedback)) == done
    with pytest.raises(ConflictError):
        desk.reopen(Place(), "test")
    with pytest.raises(ConflictError):
        desk.undo(anna)


def test_a_level_that_only_an_admin_may_close_is_not_closed_by_the_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Waiting):
        go_on(out, auto_freeze=False)
    with open_desk(out) as desk:
        rate_all(desk, desk.add_person("anna", by="test").id)
        with pytest.raises(Waiting, match="level 0"):
            go_on(out, auto_freeze=False)
        desk.freeze(Place(), "test")
        with pytest.raises(Waiting, match="level 1"):
            go_on(out, auto_freeze=False)


def test_the_settings_of_the_run_file_are_taken_once_and_then_the_admins_stand(tmp_path: Path) -> None:
    out, guide = tmp_path / "run", tmp_path / "guide.md"
    guide.write_text("# Read the source first")
    with pytest.raises(Waiting):
        go_on(out, overlap=3, guidelines=str(guide))
    with open_desk(out) as desk:
        assert desk.settings().overlap == 3
        assert desk.guideline().text == "# Read the source first"
        desk.change_settings({"overlap": 2}, "test")
        with pytest.raises(Waiting):
            go_on(out, overlap=3, guidelines=str(guide))
        assert desk.settings().overlap == 2
        assert desk.guideline().version == 1


def test_guidelines_are_found_beside_the_run_file_and_read_without_their_mark(tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text("# Read the source first", encoding="utf-8-sig")
    with pytest.raises(Waiting):
        rrm.run(replace(settings(guidelines="guide.md"), folder=tmp_path), tmp_path / "run", quiet=True)
    with open_desk(tmp_path / "run") as desk:
        assert desk.guideline().text == "# Read the source first"
    with pytest.raises(InputError, match=r"gone\.md: no such file; looked in .* \(beside the run file\)"):
        rrm.run(replace(settings(guidelines="gone.md"), folder=tmp_path), tmp_path / "other", quiet=True)


def test_an_argument_that_no_desk_knows_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'overlapp'"):
        go_on(tmp_path / "run", overlapp=3)
    with pytest.raises(ConfigError, match="overlap"):
        go_on(tmp_path / "other", overlap="three")


def test_nobody_is_asked_to_read_whole_books_unless_the_run_file_says_so() -> None:
    assert Parts(settings()).flat is False
    assert Parts(rrm.run_file(deepcopy(SMALL) | {"flat": True, "rater": {"plugin": "people"}})).flat is True
    assert Parts(rrm.run_file(SMALL)).flat is True


def test_several_people_are_told_apart_by_the_fit_unless_the_run_file_says_otherwise(tmp_path: Path) -> None:
    def reliability(run: RunFile) -> bool:
        learner = Parts(run).learner
        assert isinstance(learner, ByCriterion) and isinstance(learner.learner, Frozen)
        return learner.learner.config.reliability

    assert reliability(settings()) is True
    assert reliability(rrm.run_file(SMALL)) is False
    told = deepcopy(SMALL) | {"rater": {"plugin": "people"}, "reward": {"arguments": {"reliability": False}}}
    assert reliability(rrm.run_file(told)) is False


def test_frozen_heads_in_a_sum_tell_people_apart_too() -> None:
    def frozen(**arguments: Any) -> Frozen:
        reward = {"plugin": "rrm.reward.blend:Blend", "arguments": arguments}
        learner = Parts(rrm.run_file(deepcopy(SMALL) | {"rater": {"plugin": "people"}, "reward": reward})).learner
        assert isinstance(learner, ByCriterion) and isinstance(learner.learner, Blend)
        first = learner.learner.learners[0]
        assert isinstance(first, Frozen)
        return first

    assert frozen(backbone="tiny").config.reliability is True
    assert frozen(backbone="tiny", reliability=False).config.reliability is False
    others = ["rrm.reward.frozen:Frozen", {"plugin": "rrm.reward.frozen:Frozen", "arguments": {"members": 8}}]
    assert frozen(learners=others).config.reliability is False


def test_status_and_resume_work_from_the_folder_alone(waiting: tuple[Path, SqlDesk]) -> None:
    out, desk = waiting
    before = look.status(out)["waiting_for"]
    assert list(before) == ["level 0"]
    done = rate_all(desk, desk.add_person("anna", by="test").id)
    assert look.status(out)["waiting_for"]["level 0"] == before["level 0"] - done == done
    again = CliRunner().invoke(app, ["resume", str(out)])
    assert isinstance(again.exception, Waiting) and f"rrm resume {out}" in str(again.exception)


def test_an_assistant_among_the_raters_practises_rates_and_is_told_apart(waiting: tuple[Path, SqlDesk]) -> None:
    out, desk = waiting
    quality = "quality=tasks.synthetic_book:perceived_quality"
    arguments = ["assist", str(out), "machine", "--plugin", "rrm.raters.simulated:SimulatedRaters", "--set", quality]
    told = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["answers"] == sum(each.items for each in desk.progress())
    assert {each.person for each in desk.answers()} == {found["id"]}
    assert [each.kind for each in desk.persons()] == ["assistant"]


def test_answers_of_a_rater_who_fails_checks_count_for_less(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Waiting):
        go_on(out, overlap=2, gold_every=3, attention_every=0)
    with open_store(out, "read") as store:  # checks look like work, or they are not handed out
        like = next(request for request in store.load(Request) if request.kind == "label")
    with open_desk(out, random=Random(0)) as desk:
        requests = [replace(like, node=f"check-{at}", shown=(Shown("check", "anything"),)) for at in range(6)]
        desk.add_items([Item(each, "gold", expected=Label(True)) for each in requests])
        careful, careless = (desk.add_person(name, by="test").id for name in ("careful", "careless"))
        rate_all(desk, careful, says=lambda lease: Label(True) if lease.first.purpose == "gold" else says(lease))
        rate_all(desk, careless, says=lambda lease: Label(False) if lease.first.purpose == "gold" else says(lease))
        assert {given.right for given in desk.answers(person=careful)} == {None, True}
        failed = [given.right for given in desk.answers(person=careless)].count(False)
        with pytest.raises(Waiting, match="level 1"):
            go_on(out, overlap=2, gold_every=3, attention_every=0)
    with open_store(out, "read") as store:
        feedback = store.load(Feedback)
    assert {each.confidence for each in feedback if each.rater == careful} == {None}
    assert {each.confidence for each in feedback if each.rater == careless} == {attentiveness(0, failed)}
    assert not [each for each in feedback if each.request in {request.id for request in requests}]


def people_in_rounds(out: Path, run: RunFile, raters: int = 1) -> tuple[Report, SqlDesk, list[int]]:
    """Rate a run to its end; return its report, its desk, and the rounds that it waited in."""

    def on() -> Report:
        return rrm.run(run, out, again="rrm run people.toml", quiet=True)

    with pytest.raises(Waiting):
        on()
    desk, rounds = open_desk(out), [0]
    persons = [desk.add_person(f"rater {number}", by="test").id for number in range(raters)]
    while True:
        assert sum(rate_all(desk, person) for person in persons) > 0, "the run waits, and nobody can answer anything"
        try:
            return on(), desk, rounds
        except Waiting:
            (open_,) = {each.place for each in desk.progress() if not each.frozen}
            rounds.append(open_.round)


def asked_about(request: Request) -> tuple[str, str, str, frozenset[str]]:
    return request.node, request.kind, request.view.id, frozenset(shown.text for shown in request.shown)


@pytest.mark.parametrize(("overlap", "raters"), [pytest.param(1, 1, marks=pytest.mark.slow), (2, 2)])
def test_as_many_raters_as_answer_a_question_rate_two_rounds_and_none_meets_a_question_twice(
    tmp_path: Path, overlap: int, raters: int
) -> None:
    run = replace(settings(overlap=overlap), rounds=2)
    report, desk, rounds = people_in_rounds(tmp_path / "run", run, raters)
    with desk:
        progress, given, frozen = desk.progress(), list(desk.answers()), desk.frozen()
    assert rounds == sorted(rounds) and set(rounds) == {0, 1}
    assert {each.place.round for each in progress} == {0, 1}
    assert frozen == {each.place for each in progress}
    assert all(each.answers == each.wanted == overlap * each.items for each in progress)
    assert len({(each.item, each.person) for each in given}) == len(given) == report.ratings
    with open_store(tmp_path / "run", "read") as store:
        feedback = store.load(Feedback)
        asked = {request.id: request for request in store.load(Request)}
    assert {asked[each.request].place for each in feedback} == frozen
    met = [(each.person, asked_about(asked[each.item])) for each in given]
    assert len(set(met)) == len(met)
    assert {asked[each.item].copy for each in given} == {0}
    assert look.status(tmp_path / "run")["waiting_for"] == {}
    assert len(report.rounds) == 2


def test_a_round_with_nothing_new_to_ask_says_so_and_waits_for_nobody(tmp_path: Path) -> None:
    table = deepcopy(SMALL) | {"compose": MEAN}
    table["train"]["arguments"] |= {"count": 2}
    table["rater"] = {"plugin": "people", "per_node": {"label": 9}}
    run = replace(rrm.run_file(table), rounds=3)
    report, desk, _ = people_in_rounds(tmp_path / "run", run)
    with desk:
        leaves = {each.place.round: each.items for each in desk.progress() if each.place.level == 0}
        asked = [desk.item(each.item).request for each in desk.answers()]
    nodes = {each.node for each in asked if each.place == Place()}
    assert set(leaves) == {0}  # every leaf's outputs were labelled in round 1, and no leaf has changed since
    assert len({asked_about(each) for each in asked}) == len(asked) == report.ratings
    told = [each for each in report.warnings if "questions were put" in each]
    for number in (2, 3):
        assert any(each.startswith(f"round {number}, level 0: 0 of {9 * len(nodes)} questions") for each in told), told


def test_what_nobody_answered_before_a_level_was_closed_is_laid_again(tmp_path: Path) -> None:
    table = deepcopy(SMALL) | {"compose": MEAN}
    table["train"]["arguments"] |= {"count": 2}
    table["rater"] = {"plugin": "people", "per_node": {"label": 9}}
    out, run = tmp_path / "run", replace(rrm.run_file(table), rounds=2)
    with pytest.raises(Waiting):
        rrm.run(run, out, quiet=True)
    with open_desk(out) as desk:
        anna = desk.add_person("anna", by="test").id
        (first,) = (each.items for each in desk.progress())
        rate_all(desk, anna, most=5)
        desk.freeze(Place(), "test")
        while Place(1) not in {each.place for each in desk.progress()}:
            with pytest.raises(Waiting):
                rrm.run(run, out, quiet=True)
            if Place(1) not in {each.place for each in desk.progress()}:
                assert rate_all(desk, anna) > 0
        (again,) = (each.items for each in desk.progress() if each.place == Place(1))
        assert again == first - 5
        assert rate_all(desk, anna) == again


# ---- through the station ----


@pytest.fixture
def station(waiting: tuple[Path, SqlDesk]) -> Iterator[tuple[Path, SqlDesk, httpx.Client]]:
    """The same run, with its station served and an admin logged in by the link that was printed."""
    out, desk = waiting
    process = subprocess.Popen(
        [sys.executable, "-m", "rrm", "annotate", str(out), "--port", "0", "--link"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    said = "".join(process.stdout.readline() for _ in range(3))
    address, token = re.findall(r"(http://\S+)/join#(\S+)", said)[0]
    with httpx.Client(base_url=address, headers={"Origin": address}, timeout=30) as client:
        assert client.post("/api/join", json={"token": token}).status_code == 200
        yield out, desk, client
    process.kill()
    process.wait()


@pytest.mark.slow
def test_an_admin_freezes_levels_and_trains_until_the_run_has_ended(
    station: tuple[Path, SqlDesk, httpx.Client],
) -> None:
    out, desk, client = station
    raters = [desk.add_person(name, by="test").id for name in ("anna", "ben")]
    for level in range(4):
        for rater in raters:
            rate_all(desk, rater)
        assert client.post(f"/api/admin/places/0/answer/{level}/freeze", json={}).status_code == 200
        assert client.post("/api/admin/train", json={}).status_code == 200
        deadline = time.monotonic() + 120
        while (status := client.get("/api/admin/run").json())["state"] == "running" or (
            status["state"] == "waiting" and level + 1 not in {each.place.level for each in desk.progress()}
        ):
            assert time.monotonic() < deadline, status
            time.sleep(0.2)
        if status["state"] == "finished":
            break
    report = look.finished(out)
    assert report.ratings == sum(each.answers for each in desk.progress()) > 0
    assert [each.n_train > 0 for each in report.levels] == [True] * len(report.levels)
    assert client.post("/api/admin/places/0/answer/0/reopen", json={}).status_code == 409


def test_questions_of_a_groups_levels_go_to_its_raters(tmp_path: Path) -> None:
    groups = {"experts": {"levels": [0], "overlap": 2}}
    with pytest.raises(Waiting):
        go_on(tmp_path, practice_items=0, groups=groups)
    with open_desk(tmp_path) as desk:
        one, other = desk.add_person("Anna", by="test").id, desk.add_person("Zoe", group="experts", by="test").id
        assert desk.claim(one) is None
        lease = desk.claim(other)
        assert lease is not None
        item = desk.item(lease.first.request.id)
        assert (item.group, item.wanted) == ("experts", 2)
