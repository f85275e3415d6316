"""Roles by routes: every route is in the table, and lets in exactly whom the table says."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.testclient import TestClient

from rrm.core.annotation import ROLES
from rrm.web.access import Allow, public
from tests.web.routes_table import PAGES, PUBLIC, ROUTES
from tests.web.stations import House, answer_for, claim, new_key, submission_for

WHO = {"anonymous": "", "annotator": "anna", "adjudicator": "jude", "admin": "ada", "reader": "rita"}
CASES = sorted(each for each in ROUTES if each[0] != "MOUNT")
TO_LEASES = sorted((method, path) for method, path in ROUTES if "/leases/{id}" in path)


def routes_of(house: House) -> Iterator[tuple[str, str, Any]]:
    for context in iter_route_contexts(house.app.routes):
        if isinstance(context.original_route, APIRoute):
            for method in context.methods or ():
                yield method, str(context.path), context
        else:
            yield "MOUNT", str(context.path), None


def test_every_route_is_in_the_table_and_every_row_is_a_route(shared: House) -> None:
    assert {(method, path) for method, path, _ in routes_of(shared)} == set(ROUTES)


def test_a_route_that_is_not_in_the_table_is_found(shared: House) -> None:
    def new() -> dict[str, Any]:
        return {}

    before = set(ROUTES)
    shared.app.add_api_route("/api/new", new, methods=["DELETE"])
    try:
        found = {(method, path) for method, path, _ in routes_of(shared)}
        assert found - before == {("DELETE", "/api/new")}
    finally:
        shared.app.router.routes.pop()


def test_every_route_declares_the_roles_of_the_table(shared: House) -> None:
    for method, path, context in routes_of(shared):
        if context is None:
            continue
        calls = [each.call for each in context.dependant.dependencies]
        declared = [set(call.roles) for call in calls if isinstance(call, Allow)]
        if public in calls:
            declared.append({"anonymous", *ROLES})
        assert declared, f"{method} {path} says nothing of roles: add Depends(allow(...)) or Depends(public)"
        assert set.intersection(*declared) == set(ROUTES[method, path]), (method, path)


def filled(path: str) -> str:
    for name, value in {
        "id": "none", "item": "none", "round": "77", "subject": "answer", "level": "77",
        "version": "77", "form": "jsonl", "tree": "none", "node": "none",
    }.items():  # fmt: skip
        path = path.replace("{" + name + "}", value)
    return path


def asked(client: TestClient, method: str, path: str) -> Any:
    return client.request(method, path, **({} if method == "GET" else {"json": {}}))


@pytest.mark.parametrize("role", WHO)
def test_each_route_lets_in_whom_the_table_says_and_nobody_else(house: House, role: str) -> None:
    session = house.session(WHO[role]) if WHO[role] else None
    for method, path in CASES:
        client = house.client(session)
        answered = asked(client, method, filled(path))
        where = (role, method, path, answered.status_code, answered.text[:200])
        if role in ROUTES[method, path]:
            assert answered.status_code not in (403, 405, 500), where
            if ("POST", path) not in {("POST", "/api/join"), ("POST", "/api/login")}:
                assert answered.status_code != 401, where
        elif (method, path) in PAGES:
            assert (answered.status_code, answered.headers["location"]) == (303, home(role)), where
        else:
            assert answered.status_code == (401 if role == "anonymous" else 403), where
        if path == "/api/logout" and session:  # it did what it is for
            session = house.desk.join(house.desk.invite(house.persons[WHO[role]].id, "test"))


def home(role: str) -> str:
    return {"anonymous": "/login", "annotator": "/work", "adjudicator": "/admin/adjudicate"}.get(role, "/admin")


def test_the_table_knows_every_role() -> None:
    assert set(PUBLIC) == {"anonymous", *ROLES} == set(WHO)
    assert {role for roles in ROUTES.values() for role in roles} == set(PUBLIC)


# ---- what is somebody else's ----


def body_for(path: str, lease: dict[str, Any]) -> dict[str, Any]:
    last = path.rpartition("/")[2]
    return {
        "renew": {},
        "draft": {"draft": {"text": "mine now"}},
        "answer": submission_for(lease),
        "skip": {"key": new_key(), "reason": "unclear"},
        "flag": {"text": "odd"},
    }.get(last, {})


@pytest.mark.parametrize("other", ["ben", "jude", "ada"])
def test_nobody_does_anything_with_anothers_lease(house: House, other: str) -> None:
    anna, them = house.clients["anna"], house.clients[other]
    lease = claim(anna)
    anna.put(f"/api/leases/{lease['id']}/draft", json={"draft": {"text": "secret words"}})
    for method, path in TO_LEASES:
        there = path.replace("{id}", lease["id"])
        answered = them.request(method, there, **({} if method == "GET" else {"json": body_for(path, lease)}))
        assert answered.status_code in (403, 404), (method, path, answered.text)
        assert "secret" not in answered.text
    assert claim(anna) == {
        **lease,
        "draft": {"text": "secret words"},
        "expires_in": pytest.approx(lease["expires_in"], abs=30),
    }
    assert house.desk.answer_count() == 0
    assert claim(them)["draft"] is None


def test_everybody_sees_only_the_own_answers(house: House) -> None:
    anna, ben = house.clients["anna"], house.clients["ben"]
    lease = claim(anna)
    anna.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease, answer_for(lease)))
    assert [each["item"] for each in anna.get("/api/history").json()] == [lease["item"]]
    assert ben.get("/api/history").json() == []
    assert ben.get("/api/me").json()["progress"]["done"] == 0
    assert ben.post("/api/undo", json={}).status_code == 409
    assert len(anna.get("/api/history").json()) == 1


def test_a_key_of_somebody_elses_answer_gives_nothing_away(house: House) -> None:
    anna, ben = house.clients["anna"], house.clients["ben"]
    lease = claim(anna)
    sent = submission_for(lease)
    answered = anna.post(f"/api/leases/{lease['id']}/answer", json=sent)
    theirs = ben.post(f"/api/leases/{lease['id']}/answer", json=sent)
    assert theirs.status_code in (403, 404)
    own = claim(ben)
    mine = ben.post(f"/api/leases/{own['id']}/answer", json={**submission_for(own), "key": sent["key"]})
    assert mine.status_code == 200  # keys are each rater's own
    assert mine.json()["id"] != answered.json()["id"]


def test_ids_cannot_be_guessed(house: House) -> None:
    leases = {claim(house.clients[name])["id"] for name in ("anna", "ben", "jude")}
    assert len(leases) == 3
    for id in leases:
        assert len(id.rpartition("-")[2]) >= 20  # hexadecimal digits: 80 bits and more


def test_a_role_that_was_paused_or_refused_is_told_so_and_gets_nothing(house: House) -> None:
    for state in ("paused", "refused"):
        house.desk.set_state(house.persons["anna"].id, state, by="test")
        told = house.clients["anna"].post("/api/claim", json={}).json()
        assert told["lease"] is None
        if state == "paused":
            assert told["done"] is None
            assert "paused" in told["reason"]
        else:
            assert told["done"]["outcome"] == "screened_out"
