"""A rater's day through the API: every kind, practice, drafts, taking back, being late, and the end."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Item, Submission
from rrm.core.values import ClaimMarks, Comparison, Correction, Critique, Label, Ranking, Rating, Reject
from rrm.web.station import Station
from tests.web.stations import (
    ALL_KINDS,
    PLENTY,
    SOURCE,
    House,
    answer_for,
    claim,
    desk_in,
    house_in,
    items_of,
    new_key,
    request_of,
    submission_for,
    submit,
)


def given_of(house: House) -> list[Any]:
    return [given for given in house.desk.answers() if given.state == "live"]


def count(text: str) -> int:
    return len(text.split())


def later() -> float:
    """A clock by which every item was at hand for a minute."""
    return time.time() + 60


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[House]:
    """A station that counts words as tokens and knows what stands around the source."""

    def wider(_: str) -> tuple[str, str, str]:
        return "before ", SOURCE, " after"

    with house_in(tmp_path, items_of(ALL_KINDS), {"count": count, "wider": wider, "clock": later}) as house:
        house.add("anna")
        yield house


def test_a_lease_says_all_that_a_page_shows(counting: House) -> None:
    anna = counting.clients["anna"]
    lease = claim(anna)
    assert set(lease) == {
        "id", "item", "practice", "instruction", "context", "passages", "outputs", "questions",
        "points", "guideline", "expires_in", "draft", "wider",
    }  # fmt: skip
    [question] = lease["questions"]
    assert set(question) == {"item", "kind", "criterion", "max_tokens", "answers", "partial", "outputs", "shown"}
    assert question["outputs"] == list(range(len(lease["outputs"])))
    assert lease["passages"] == [{"text": SOURCE, "label": "source", "score": None}]
    assert lease["context"] == "A fable."
    assert (question["max_tokens"], lease["points"], lease["wider"], lease["practice"]) == (0, 7, True, False)
    assert 0 < lease["expires_in"] <= 900
    again = claim(anna)
    assert {**again, "expires_in": 0} == {**lease, "expires_in": 0}


def test_each_kind_is_answered_and_recorded_with_places_in_the_requests_order(counting: House) -> None:
    anna = counting.clients["anna"]
    leases, following = {}, anna.post("/api/claim", json={}).json()
    while (lease := following["lease"]) is not None:
        leases[lease["questions"][0]["kind"]] = lease
        more = {"confidence": 0.75} if lease["questions"][0]["kind"] == "rating" else {}
        answered = submit(anna, lease, **more)
        assert answered.status_code == 200, answered.text
        assert answered.json()["practice"] is None
        following = answered.json()["next"]
    assert set(leases) == set(ALL_KINDS)
    assert following["done"] == {"outcome": "complete", "exit": {"code": "", "url": ""}, "settled": False}
    assert (following["progress"]["done"], following["progress"]["left"]) == (len(ALL_KINDS), 0)
    given = {each.kind: each for each in given_of(counting)}
    for kind in ("comparison", "hindsight", "ranking"):
        texts = [each.text for each in counting.desk.item(given[kind].item).request.shown]
        shown = [each["text"] for each in leases[kind]["outputs"]]
        answer = given[kind].answer
        if isinstance(answer, Comparison):
            assert texts[answer.better] == shown[1]
            assert answer.strength == 0.5
        else:
            assert isinstance(answer, Ranking)
            assert [texts[place] for place in answer.best_first] == shown[::-1]
    assert given["rating"].answer == Rating(5, 7)
    assert given["rating"].confidence == 0.75
    assert given["label"].answer == Label(True)
    assert isinstance(given["correction"].answer, Correction)
    assert given["correction"].detail["diff"]
    assert given["critique"].answer == Critique("too short", ((0, 3),))
    assert given["critique"].detail["source_spans"] == [[0, 4, 7]]
    assert given["claims"].answer == ClaimMarks(((0, 3),), (), ("fox",))
    assert given["claims"].detail["source_spans"] == [[0, 4, 7]]
    assert leases["claims"]["outputs"] == [{"text": "output 0 of 800", "claims": [{"span": [0, 15], "support": None}]}]
    assert given["reject"].answer == Reject("not a summary")
    assert {each.seconds for each in given.values()} == {4.5}


def test_an_answer_is_recorded_by_the_criterion_that_its_page_named(tmp_path: Path) -> None:
    request = replace(request_of("label"), criterion="accuracy")
    with house_in(tmp_path, [Item(request)]) as house:
        anna = house.add("anna")
        lease = claim(anna)
        assert lease["questions"][0]["criterion"] == "accuracy"
        assert submit(anna, lease).status_code == 200
        house.desk.freeze(request.place, "test")
        house.desk.take_up(request.place)
        (rated,) = house.desk.taken([request.id])[request.id]
        assert (rated.request.criterion, rated.feedback.criterion) == ("accuracy", "accuracy")


def test_both_bad_is_a_rejection_that_says_so(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["comparison"])) as house:
        anna = house.add("anna")
        answer = {"kind": "comparison", "better": None, "strength": None, "both_bad": True}
        assert submit(anna, claim(anna), answer).status_code == 200
        (given,) = given_of(house)
        assert given.answer == Reject("both are bad")
        assert given.detail["both_bad"] is True


def test_the_source_is_seen_in_its_wider_context(counting: House) -> None:
    anna = counting.clients["anna"]
    lease = claim(anna)
    answered = anna.get(f"/api/leases/{lease['id']}/wider")
    assert answered.json() == {"before": "before ", "text": SOURCE, "after": " after"}


def test_where_nobody_knows_the_wider_context_that_is_said(house: House) -> None:
    lease = claim(house.clients["anna"])
    assert lease["wider"] is False
    answered = house.clients["anna"].get(f"/api/leases/{lease['id']}/wider")
    assert answered.status_code == 404
    assert "not on record" in answered.json()["detail"]


def test_active_time_is_bounded_by_the_time_since_the_item_was_drawn(tmp_path: Path) -> None:
    now = [1_000_000.0]
    with house_in(tmp_path, items_of(["label"], each=3), {"clock": lambda: now[0]}) as house:
        house.desk.clock = lambda: now[0]
        anna = house.add("anna")
        lease = claim(anna)
        now[0] += 0.5
        assert submit(anna, lease, seconds=600_000.0).status_code == 200
        lease = claim(anna)
        now[0] += 1000.0  # it runs out, and is drawn again by the same person: reading it before counts, too
        lease = claim(anna)
        now[0] += 20.0
        assert submit(anna, lease, seconds=600_000.0).status_code == 200
        lease = claim(anna)
        now[0] += 20.0
        assert submit(anna, lease, seconds=12.5).status_code == 200
        assert [each.seconds for each in given_of(house)] == [0.5, 1020.0, 12.5]


def test_the_newest_typing_wins_whenever_it_arrives(house: House) -> None:
    anna = house.clients["anna"]
    lease = claim(anna)
    for at in (2000, 1000, 1999):
        assert (
            anna.put(f"/api/leases/{lease['id']}/draft", json={"draft": {"text": f"{at}", "at": at}}).status_code == 200
        )
        assert claim(anna)["draft"]["text"] == "2000"
    anna.put(f"/api/leases/{lease['id']}/draft", json={"draft": {"text": "3000", "at": 3000}})
    assert claim(anna)["draft"]["text"] == "3000"


def test_a_draft_is_kept_with_its_tokens_counted_and_comes_back(counting: House) -> None:
    anna = counting.clients["anna"]
    lease = claim(anna)
    draft = {"text": "five words are not many", "at": 1795641555123, "answer": {"kind": "critique", "spans": [[0, 3]]}}
    answered = anna.put(f"/api/leases/{lease['id']}/draft", json={"draft": draft})
    assert answered.json() == {"tokens": 5}
    assert claim(anna)["draft"] == draft
    assert anna.put(f"/api/leases/{lease['id']}/draft", json={"draft": {}}).json() == {"tokens": None}


def test_a_text_beyond_the_budget_is_refused_with_both_numbers(counting: House) -> None:
    anna = counting.clients["anna"]
    while (lease := claim(anna))["questions"][0]["kind"] != "demonstration":
        submit(anna, lease)
    refused = submit(anna, lease, {"kind": "demonstration", "text": "word " * 41})
    assert refused.status_code == 422
    assert "41 tokens" in refused.json()["detail"]
    assert "at most 40" in refused.json()["detail"]
    assert submit(anna, lease, {"kind": "demonstration", "text": "word " * 40}).status_code == 200


def test_an_answer_sent_again_with_its_key_is_the_same_answer(house: House) -> None:
    anna = house.clients["anna"]
    lease = claim(anna)
    body = submission_for(lease)
    first, again = (anna.post(f"/api/leases/{lease['id']}/answer", json=body) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.json()["id"] == again.json()["id"]
    assert len(given_of(house)) == 1
    other = anna.post(f"/api/leases/{lease['id']}/answer", json={**body, "key": new_key()})
    assert other.status_code == 409
    assert len(given_of(house)) == 1


def test_an_answer_to_another_page_than_was_leased_is_a_conflict(house: House) -> None:
    anna = house.clients["anna"]
    lease = claim(anna)
    answered = anna.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease, shown="shown-0"))
    assert answered.status_code == 409
    assert submit(anna, lease).status_code == 200


def test_a_late_answer_is_a_conflict_and_comes_back_as_the_draft(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, start = house.clients["anna"], house.desk.clock()
    lease = claim(anna)
    monkeypatch.setattr(house.desk, "clock", lambda: start + 1000.0)
    answered = submit(anna, lease)
    assert answered.status_code == 409
    assert house.desk.answer_count() == 0
    again = claim(anna)
    assert again["item"] == lease["item"]
    assert again["draft"]["answers"][0]["answer"]["kind"] == answer_for(lease)["kind"]
    assert submit(anna, again).status_code == 200


def test_a_renewed_lease_lasts_longer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, start = house.clients["anna"], house.desk.clock()
    lease = claim(anna)
    monkeypatch.setattr(house.desk, "clock", lambda: start + 600.0)
    renewed = anna.post(f"/api/leases/{lease['id']}/renew", json={})
    assert renewed.json()["expires_in"] == pytest.approx(1500, abs=60)  # by the station's own clock
    monkeypatch.setattr(house.desk, "clock", lambda: start + 1400.0)
    assert submit(anna, lease).status_code == 200


def test_a_skipped_item_does_not_come_back_and_a_flag_is_kept(house: House) -> None:
    anna = house.clients["anna"]
    lease = claim(anna)
    assert anna.post(f"/api/leases/{lease['id']}/flag", json={"text": "unclear"}).json() == {}
    skipped = anna.post(f"/api/leases/{lease['id']}/skip", json={"key": new_key(), "reason": "not my subject"})
    seen = {skipped.json()["next"]["lease"]["item"]}
    while (lease_now := anna.post("/api/claim", json={}).json()["lease"]) is not None:
        seen.add(lease_now["item"])
        submit(anna, lease_now)
    assert lease["item"] not in seen
    assert [(each.item, each.reason) for each in house.desk.skips()] == [(lease["item"], "not my subject")]
    assert [(each.item, each.text) for each in house.desk.flags()] == [(lease["item"], "unclear")]
    for reason in ("", "   "):
        assert anna.post("/api/leases/none/skip", json={"key": new_key(), "reason": reason}).status_code == 422


def test_undo_brings_the_item_back_as_it_was_shown_with_the_answer(house: House) -> None:
    anna = house.clients["anna"]
    assert anna.post("/api/undo", json={}).status_code == 409
    lease = claim(anna)
    submit(anna, lease)
    (entry,) = anna.get("/api/history").json()
    assert (entry["item"], entry["kind"]) == (lease["item"], lease["questions"][0]["kind"])
    back = anna.post("/api/undo", json={}).json()["lease"]
    assert back["item"] == lease["item"]
    assert back["draft"]["answers"][0]["answer"]["kind"] == lease["questions"][0]["kind"]
    assert given_of(house) == []
    assert anna.get("/api/history").json() == []
    assert submit(anna, back).status_code == 200


def test_history_tells_the_last_ten_newest_first_with_letters_as_shown(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["comparison"], each=12)) as house:
        anna = house.add("anna")
        items = []
        for number in range(12):
            lease = claim(anna)
            items.append(lease["item"])
            better = number % 2
            submit(anna, lease, {"kind": "comparison", "better": better, "strength": None, "both_bad": False})
        told = anna.get("/api/history").json()
        assert [each["item"] for each in told] == items[:1:-1]
        assert [each["answer"]["better"] for each in told[:2]] == [1, 0]


def test_an_answer_stays_in_its_raters_history_whatever_is_decided_since(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["comparison"], each=1)) as house:
        anna, dee = house.add("anna"), house.desk.add_person("Dee", "adjudicator", by="test").id
        lease = claim(anna)
        submit(anna, lease)
        before = anna.get("/api/history").json()
        house.desk.adjudicate(dee, lease["item"], Submission(Comparison(1), ""), new_key())
        assert anna.get("/api/history").json() == before != []


# ---- practice and the end ----


@pytest.fixture
def schooled(tmp_path: Path) -> Iterator[House]:
    practice = [
        Item(request_of("comparison", 900 + i), "practice", expected=Comparison(1), explanation=f"why {i}")
        for i in range(2)
    ]
    work = items_of(["label"], each=1, wanted=2)
    changes = {"practice_items": 2, "practice_tries": 1, "completion_code": "DONE-42"}
    with house_in(tmp_path, [*practice, *work], **changes) as house:
        house.add("anna")
        house.add("ben")
        yield house


def practise(house: House, name: str, right: bool) -> dict[str, Any]:
    """Do all practice items, right or wrong; return what the last answer brought."""
    told: dict[str, Any] = {}
    for _ in range(2):
        lease = claim(house.clients[name])
        assert lease["practice"] is True
        texts = [each.text for each in house.desk.item(lease["item"]).request.shown]
        good = [each["text"] for each in lease["outputs"]].index(texts[1])
        better = good if right else 1 - good
        answer = {"kind": "comparison", "better": better, "strength": None, "both_bad": False}
        told = submit(house.clients[name], lease, answer).json()
        [practice] = told["practice"]
        assert practice["right"] is right
        assert practice["expected"]["better"] == good  # as shown, not as recorded
        assert practice["explanation"].startswith("why ")
    return told


def test_practice_is_told_and_those_who_pass_go_on_to_the_end_with_its_code(schooled: House) -> None:
    anna = schooled.clients["anna"]
    assert anna.get("/api/me").json()["state"] == "practising"
    told = practise(schooled, "anna", right=True)
    assert told["next"]["lease"]["practice"] is False
    assert told["next"]["done"] is None
    assert "DONE-42" not in anna.get("/api/me").text
    last = submit(anna, told["next"]["lease"]).json()
    assert last["practice"] is None
    assert last["next"] == {
        "lease": None,
        "progress": last["next"]["progress"],
        "asks": None,
        "done": {"outcome": "complete", "exit": {"code": "DONE-42", "url": ""}, "settled": False},
        "reason": None,
    }
    assert anna.get("/api/history").json()[0]["kind"] == "label"
    assert len(anna.get("/api/history").json()) == 1  # practice is no history


def test_those_who_fail_practice_get_no_items_and_no_code(schooled: House) -> None:
    told = practise(schooled, "ben", right=False)
    assert told["next"]["lease"] is None
    assert told["next"]["done"] == {"outcome": "screened_out", "exit": {"code": "", "url": ""}, "settled": False}
    assert "DONE-42" not in schooled.clients["ben"].get("/api/me").text
    assert "DONE-42" not in schooled.clients["ben"].post("/api/claim", json={}).text


def test_an_item_that_somebody_else_holds_is_waited_for_not_the_end(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"]), completion_code="DONE-42") as house:
        anna, ben = house.add("anna"), house.add("ben")
        lease = claim(anna)
        told = ben.post("/api/claim", json={}).json()
        assert (told["lease"], told["done"]) == (None, None)
        assert "again" in told["reason"]
        assert submit(anna, lease).status_code == 200
        assert ben.post("/api/claim", json={}).json()["done"]["exit"] == {"code": "DONE-42", "url": ""}


def test_me_tells_the_guidelines_as_clean_html(house: House) -> None:
    house.desk.set_guideline("# Rules\n\n<script>alert(1)</script> [x](javascript:alert(1))", by="test")
    me = house.clients["anna"].get("/api/me").json()
    assert (me["name"], me["role"], me["settings"]) == ("anna", "annotator", {"rating_points": 7, "markdown": True})
    assert me["guideline"]["version"] == 1
    assert "<h1>Rules</h1>" in me["guideline"]["html"]
    assert "<script" not in me["guideline"]["html"]
    assert "href" not in me["guideline"]["html"]


def test_text_that_no_utf8_can_say_is_still_shown(tmp_path: Path) -> None:
    """A desk whose texts hold half of a surrogate pair, as a broken source file may."""
    with desk_in(tmp_path, items_of(["label"])) as desk:
        house = House(Station(desk, PLENTY))
        anna = house.add("anna")
        lease = claim(anna)
        broken = replace(desk.lease(house.persons["anna"].id, lease["id"]).first.request.view, context="a\ud800b")

        class Broken:
            def __getattr__(self, name: str) -> Any:
                return getattr(desk, name)

            def claim(self, person: str) -> Any:
                found = desk.claim(person)
                posed = replace(found.first, request=replace(found.first.request, view=broken))
                return replace(found, questions=(posed,))

        odd = House(Station(Broken(), PLENTY))  # type: ignore[arg-type]
        answered = odd.client(house.session("anna")).post("/api/claim", json={})
        assert answered.status_code == 200
        assert answered.json()["lease"]["context"] == "a\ud800b"
