"""A record on PostgreSQL as its keeper has it: a user who may do no more than it must, and a copy made meanwhile."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect

import rrm
from rrm.api.annotate import station_desk
from rrm.api.assist import rate_items
from rrm.core.annotation import PanelRules, Submission
from rrm.core.errors import StoreError
from rrm.core.values import Comparison, Criticised, Feedback, Request
from rrm.queue import open_desk
from rrm.store import database, open_store
from rrm.web.station import Station
from tests.postgres import ROLE, Server, binaries
from tests.toys import TOYS, on_record
from tests.web.insisting import Rater
from tests.web.live import running
from tests.web.stations import PASSWORD, PLENTY, items_of

DOCS = Path(__file__).parents[2] / "docs" / "scale.md"
FORBIDDEN = (
    "CREATE TABLE {schema}.more (a integer)",
    "CREATE SCHEMA another",
    "DROP TABLE {schema}.draft",
    "TRUNCATE {schema}.draft",
    "ALTER TABLE {schema}.given DISABLE TRIGGER ALL",
    "UPDATE {schema}.given SET key = ''",
    "DELETE FROM {schema}.given",
    "DELETE FROM {schema}.item",
    "DELETE FROM {schema}.person",
    "UPDATE {schema}.alembic_version SET version_num = 'none'",
    "SELECT * FROM {other}.given",
)


def schema_of(folder: Path) -> str:
    return (folder / "record.url").read_text().splitlines()[1]


def grant(server: Server, schema: str, again: bool = False) -> None:
    """Do what docs/scale.md has an administrator do, once, or `again` after an upgrade."""
    [statements] = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)
    if again:
        statements = statements[statements.index("GRANT USAGE ON SCHEMA") :]
    else:
        server.execute(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rrm_work') THEN"
            " DROP OWNED BY rrm_work; DROP ROLE rrm_work; END IF; END $$",
            "shared",
        )
    server.execute(
        statements.replace("rrm_0123456789abcdef", schema).replace("DATABASE ratings", "DATABASE shared"), "shared"
    )


class First:
    """Prefers what is shown first."""

    def rate(self, request: Request, seed: int) -> Feedback:
        return Feedback(request.id, "first", Comparison(0))


@pytest.mark.slow
def test_runs_pages_and_assistants_work_as_a_user_who_may_do_no_more_than_that(
    tmp_path: Path, postgres: str, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = postgres.replace(f"{ROLE}@", ""), tmp_path / "run"
    monkeypatch.setenv("PGUSER", ROLE)
    for each in (folder, tmp_path / "other"):
        open_store(each, url=url).close()
    grant(postgres_server, schema_of(folder))

    monkeypatch.setenv("PGUSER", "rrm_work")
    rrm.run(rrm.run_file(TOYS), folder, quiet=True)
    rrm.run(rrm.run_file(TOYS), tmp_path / "file", quiet=True)
    assert on_record(folder) == on_record(tmp_path / "file")
    with station_desk(folder) as desk:
        desk.add_items(items_of(["comparison"], each=30, wanted=2))
        ada, anna, ben = (
            desk.add_person(name, role, by="test").id
            for name, role in (("ada", "admin"), ("anna", "annotator"), ("ben", "annotator"))
        )
        session = desk.join(desk.invite(anna, "test"))
        with running(Station(desk, PLENTY)) as address:
            rater, stop = Rater("anna", [address], session), threading.Event()
            rater.work(stop)
        assert (rater.failed, len(rater.acknowledged)) == ([], 30)
        assert rate_items(desk, "judge", First(), limit=5)["answers"] == 5
        lease = desk.claim(ben)
        assert lease is not None
        desk.save_draft(ben, lease.id, {"text": "later"})
        desk.flag(ben, lease.id, "odd")
        desk.renew(ben, lease.id)
        desk.skip(ben, lease.id, "odd", "skip-1")
        lease = desk.claim(ben)
        assert lease is not None
        desk.submit(ben, lease.id, [Submission(Comparison(0), lease.first.shown, 1.0)], "key-1")
        desk.undo(ben)
        desk.change_settings({"overlap": 2}, "test")
        desk.change_settings({"overlap": 3}, "test")
        desk.set_guideline("be fair", "test")
        desk.announce("thank you", "test")
        desk.choose_password(ben, PASSWORD)
        desk.log_out(desk.log_in("ben", PASSWORD))
        desk.reset_password(ben, "test")
        panel = desk.open_panel("panel", 5, "test", rules=PanelRules())
        desk.join(panel, "participant-1", device="device")
        desk.want(3, "test")
        place = desk.places()[0]
        desk.freeze(place, "test")
        desk.reopen(place, "test")
        desk.set_state(ben, "paused", "test")
        desk.requeue(ben, "test")
        desk.forget(ben, "test")
        assert ada in {each.id for each in desk.persons()}
    with psycopg.connect(f"{postgres.replace(ROLE, 'rrm_work')}", autocommit=True) as connection:
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.format(schema=schema_of(folder), other=schema_of(tmp_path / "other")))
    with pytest.raises(StoreError, match="the database refuses it to this user; grant the rights on rrm_"):
        open_store(tmp_path / "other")


def test_after_an_upgrade_the_same_rights_are_granted_once_more_and_until_then_it_is_said(
    tmp_path: Path, postgres: str, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder, older = postgres.replace(f"{ROLE}@", ""), tmp_path / "run", tmp_path / "migrations"
    monkeypatch.setenv("PGUSER", ROLE)
    shutil.copytree(database.MIGRATIONS, older)
    for each in (older / "versions").glob("r*.py"):
        if each.name > "r0018":  # which made the table of what critics write
            each.unlink()
    with monkeypatch.context() as before:
        before.setattr(database, "MIGRATIONS", older)
        before.setattr(database, "REVISION", "0017")
        open_store(folder, url=url).close()
    grant(postgres_server, schema_of(folder))
    open_store(folder).close()

    monkeypatch.setenv("PGUSER", "rrm_work")
    wrote = Criticised("output", "critic", "The mill stood.")
    with open_store(folder) as store, pytest.raises(StoreError, match="again after each upgrade"):
        store.append([wrote])
    grant(postgres_server, schema_of(folder), again=True)
    with open_store(folder) as store:
        store.append([wrote])
        assert store.load(Criticised) == [wrote]


def test_pages_that_were_open_before_an_upgrade_go_on_beside_those_of_a_newer_rrm(
    tmp_path: Path, url: str | None, next_version: Callable[..., None]
) -> None:
    with station_desk(tmp_path / "run", url) as before:
        before.add_items(items_of(["comparison"], each=6, wanted=1))
        anna, ben = (before.add_person(name, "annotator", by="test").id for name in ("anna", "ben"))
        next_version()
        with station_desk(tmp_path / "run") as newer:
            with open_store(tmp_path / "run", "read") as seen:
                assert "extra" in inspect(seen._engine).get_table_names()
            for number in range(6):
                desk, person = ((before, anna), (newer, ben))[number % 2]
                lease = desk.claim(person)
                assert lease is not None
                desk.submit(person, lease.id, [Submission(Comparison(0), lease.first.shown, 1.0)], f"key-{number}")
            assert before.claim(anna) is newer.claim(ben) is None
            assert before.progress() == newer.progress()


@pytest.mark.slow
def test_a_copy_made_while_pages_are_open_has_what_was_acknowledged_and_goes_on(
    tmp_path: Path, postgres: str, postgres_server: Server
) -> None:
    programs = binaries()
    assert programs is not None
    here, there = tmp_path / "here", tmp_path / "there"
    with station_desk(here, postgres) as desk, ExitStack() as stack:
        desk.add_items(items_of(["comparison"], each=2_000, wanted=3))
        persons = [desk.add_person(f"rater {number}", by="test") for number in range(4)]
        sessions = [desk.join(desk.invite(each.id, "test")) for each in persons]
        address, stop = stack.enter_context(running(Station(desk, PLENTY))), threading.Event()
        raters = [Rater(f"rater-{number}", [address], each, think=(0.0, 0.02)) for number, each in enumerate(sessions)]
        threads = [threading.Thread(target=each.work, args=(stop,), daemon=True) for each in raters]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while sum(len(each.acknowledged) for each in raters) < 40:
            assert time.monotonic() < until, [each.failed for each in raters]
            time.sleep(0.01)
        before = {id_ for each in raters for id_ in list(each.acknowledged)}
        command = [programs / "pg_dump", f"--schema={schema_of(here)}", postgres]
        dump = subprocess.run(command, capture_output=True, check=True).stdout
        stop.set()
        for thread in threads:
            thread.join()
        after = {id_ for each in raters for id_ in each.acknowledged}
        assert [each.failed for each in raters] == [[]] * 4
    other = postgres_server.url(postgres_server.new_database())
    subprocess.run(
        [programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", other], input=dump, capture_output=True, check=True
    )
    there.mkdir()
    (there / "record.url").write_text(f"{other}\n{schema_of(here)}\n")
    with open_desk(there) as desk:
        copied = {each.id for each in desk.answers()}
        assert before <= copied <= after
        assert len(copied) < len(after)
        with running(Station(desk, PLENTY)) as address:
            rater, stop = Rater("again", [address], sessions[0], think=(0.0, 0.0)), threading.Event()
            work = threading.Thread(target=rater.work, args=(stop,), daemon=True)
            work.start()
            rater.wait_for(10)
            stop.set()
            work.join()
        assert rater.failed == []
        assert copied < {each.id for each in desk.answers()}
