"""Recruitment panels: who may join, how much is asked of each, and how it ends; what people agreed to and read."""

import hmac
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Ending, Exit, PanelLinks, PanelRules, Unread, consent_id
from rrm.core.errors import AccessError, ConflictError, InputError
from rrm.queue import SqlDesk
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import answer_all, choosing, claimed, known, raters, submit, work

OUT = PanelRules(2, Exit("DONE", "https://panel.example/done?cc=1"), Exit("OUT", "https://panel.example/out"))


def take_part(desk: SqlDesk, token: str, participant: str, **more: Any) -> str:
    person = desk.who(desk.join(token, participant, **more))
    assert person is not None
    return person.id


def test_a_participant_gives_as_many_answers_as_the_quota_and_leaves_by_the_completion(either_desk: SqlDesk) -> None:
    either_desk.change_settings({"completion_code": "OTHERS"}, "test")
    either_desk.add_items(work(*range(5), wanted=3))
    ann = take_part(either_desk, either_desk.open_panel("Spring", 9, "test", rules=OUT), "5f3c")
    assert either_desk.own_progress(ann).left == 2
    assert either_desk.ending(ann) is None
    assert answer_all(either_desk, ann) == 2
    assert either_desk.own_progress(ann).left == 0
    assert either_desk.ending(ann) == Ending("complete", OUT.completion)
    either_desk.undo(ann)  # what was taken back may be given again, and no more
    assert answer_all(either_desk, ann) == 1
    (bob,) = raters(either_desk, 1)
    assert answer_all(either_desk, bob) == 5  # a quota is the panel's own
    assert either_desk.ending(bob) == Ending("complete", Exit("OTHERS"))


def test_who_does_not_pass_practice_leaves_by_the_screen_out(desk: SqlDesk) -> None:
    desk.change_settings({"practice_items": 2, "practice_pass": 1.0, "practice_tries": 1}, "test")
    desk.add_items([*known("practice", 1, 2), *work(10)])
    token = desk.open_panel("Spring", 9, "test", rules=OUT)
    ann = take_part(desk, token, "5f3c", device="browser-1")
    for _ in range(2):
        lease = claimed(desk, ann)
        submit(desk, lease, choosing(lease, 1))
    assert desk.ending(ann) == Ending("screened_out", OUT.screen_out)
    with pytest.raises(AccessError, match="from this device already"):  # no fresh practice under an invented id
        desk.join(token, "invented", device="browser-1")
    assert take_part(desk, token, "5f3c", device="browser-1") == ann
    assert take_part(desk, token, "9c1b", device="browser-2") != ann


def test_only_ids_on_the_list_join_and_no_record_holds_the_list(desk: SqlDesk, tmp_path: Path) -> None:
    token = desk.open_panel("Spring", 9, "test", rules=PanelRules(allowed=("secret-1", "secret-2")))
    take_part(desk, token, "secret-1")
    with pytest.raises(AccessError, match="not on the panel's list"):
        desk.join(token, "secret-3")
    [panel] = desk.panels()
    assert (panel.admits, panel.joined, panel.places) == ("listed", 1, 9)
    desk.close()
    assert b"secret-2" not in (tmp_path / "run" / "record.db").read_bytes()


def test_a_signed_link_is_good_for_its_own_id_alone(desk: SqlDesk) -> None:
    token = desk.open_panel("Spring", 9, "test", rules=PanelRules(allowed=("a1", "b2"), signed=True))
    proofs = desk.proofs(token, ["a1", "b2"])
    take_part(desk, token, "a1", proof=proofs["a1"])
    for stolen in (None, "", proofs["a1"], hmac.new(token.encode(), b"b2", sha256).hexdigest()[:32]):
        with pytest.raises(AccessError, match="own link"):
            desk.join(token, "b2", proof=stolen)
    take_part(desk, token, "b2", proof=proofs["b2"])
    unsigned = desk.open_panel("Summer", 9, "test")
    with pytest.raises(InputError, match="not signed"):
        desk.proofs(unsigned, ["a1"])


@pytest.mark.parametrize(
    "participant", ["{{%PROLIFIC_PID%}}", "ID", "id", "${e://Field/id}", "[[ID]]", "%ID%", "<id>", "PROLIFIC_PID"]
)
def test_a_blank_that_nobody_filled_in_is_refused(desk: SqlDesk, participant: str) -> None:
    with pytest.raises(InputError, match="was not filled in"):
        desk.join(desk.open_panel("Spring", 5, "test"), participant)


def test_the_blank_of_the_link_itself_is_refused(desk: SqlDesk) -> None:
    links = PanelLinks("https://rate.example/join#token", "PROLIFIC_PID")
    assert links.blank() == "https://rate.example/join?PROLIFIC_PID={{%PROLIFIC_PID%}}#token"
    assert links.signed({"a b&c": "5e"}) == {"a b&c": "https://rate.example/join?PROLIFIC_PID=a+b%26c&proof=5e#token"}


@pytest.mark.parametrize(
    "url",
    [
        *("http://panel.example/", "javascript:alert(1)", "//panel.example", "https://", "https:///x", "/done", "done"),
        *("https://a:b@panel.example/", "https://panel.example/a b", "https://panel.example/\n", "https://x:99999/"),
        *("https://panel.example/ü", 'https://panel.example/"', "data:text/html,x", "https://x/" + "y" * 2_000, " "),
    ],
)
def test_participants_are_sent_to_safe_addresses_only(desk: SqlDesk, url: str) -> None:
    for rules in (PanelRules(completion=Exit(url=url)), PanelRules(screen_out=Exit(url=url))):
        with pytest.raises(InputError, match="https"):
            desk.open_panel("Spring", 5, "test", rules=rules)
    assert desk.panels() == []


@pytest.mark.parametrize(
    "rules",
    [
        *(PanelRules(quota=-1), PanelRules(quota=True), PanelRules(quota=2_000_000), PanelRules(allowed=())),
        *(PanelRules(completion=Exit("two\nlines")), PanelRules(completion=Exit("x" * 101)), PanelRules(allowed=("",))),
    ],
)
def test_rules_that_cannot_be_are_refused(desk: SqlDesk, rules: PanelRules) -> None:
    with pytest.raises(InputError):
        desk.open_panel("Spring", 5, "test", rules=rules)


# ---- consent ----


def test_who_agreed_to_which_text_and_when_is_on_record(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.change_settings({"consent": "We keep your answers."}, "test")
    token = either_desk.open_panel("Spring", 5, "test")
    with pytest.raises(ConflictError, match="changed in the meantime"):
        either_desk.join(token, "5f3c", agreed=consent_id("Another text."))
    assert either_desk.persons() == []
    ann = take_part(either_desk, token, "5f3c", agreed=consent_id("We keep your answers."))
    assert either_desk.unread(ann) == Unread()
    either_desk.change_settings({"consent": "We keep your answers for ten years."}, "test")
    assert either_desk.unread(ann).consent == "We keep your answers for ten years."
    first = clock.now
    clock.now += 5
    for _ in range(2):  # a second time changes nothing
        either_desk.agree(ann, consent_id("We keep your answers for ten years."))
    assert either_desk.unread(ann) == Unread()
    either_desk.forget(ann, "test")
    assert either_desk.consents() == [
        (ann, "We keep your answers.", first),
        (ann, "We keep your answers for ten years.", first + 5),
    ]


# ---- guidelines ----


def test_new_guidelines_are_unread_until_somebody_has_read_them(either_desk: SqlDesk) -> None:
    ann, bob = raters(either_desk, 2)
    assert either_desk.unread(ann) == Unread()
    either_desk.set_guideline("One.", "test")
    assert either_desk.unread(ann).guideline == 0  # a new rater, too, has to see them
    either_desk.acknowledge(ann, 1)
    assert either_desk.unread(ann) == Unread()
    either_desk.set_guideline("Two.", "test")
    assert (either_desk.unread(ann).guideline, either_desk.unread(bob).guideline) == (1, 0)
    either_desk.acknowledge(ann, 2)
    either_desk.acknowledge(ann, 1)  # late, from another tab
    assert either_desk.unread(ann) == Unread()
    with pytest.raises(InputError, match="latest is 2"):
        either_desk.acknowledge(ann, 3)


# ---- states follow what there is ----


def test_nobody_practises_where_there_is_nothing_to_practise(desk: SqlDesk) -> None:
    (ann,) = raters(desk, 1)
    assert desk.person(ann).state == desk.persons()[0].state == "active"
    desk.add_items(known("practice", 1))
    assert desk.person(ann).state == desk.persons()[0].state == "practising"
    desk.change_settings({"practice_items": 0}, "test")
    assert desk.person(ann).state == desk.persons()[0].state == "active"


def test_who_is_paused_while_practising_goes_on_practising(desk: SqlDesk) -> None:
    desk.add_items(known("practice", 1))
    (ann,) = raters(desk, 1)
    desk.set_state(ann, "paused", "test")
    desk.set_state(ann, "paused", "test")
    desk.set_state(ann, "active", "test")
    assert desk.person(ann).state == "practising"
    desk.set_state(ann, "active", "test")  # let in
    assert desk.person(ann).state == "active"


def test_only_ids_of_the_panels_form_join(desk: SqlDesk) -> None:
    token = desk.open_panel("Study", 5, "test", rules=PanelRules(id_pattern="[0-9a-f]{4}"))
    for wrong in ("invented", "12345", "12 4", "ABCD"):
        with pytest.raises(InputError, match="no participant id of this panel"):
            desk.join(token, wrong)
    assert desk.who(desk.join(token, "5f3c")) is not None
    with pytest.raises(InputError, match="no regular expression"):
        desk.open_panel("Study", 5, "test", rules=PanelRules(id_pattern="[0-9"))
    with pytest.raises(InputError, match="'who' is no participant id"):
        desk.open_panel("Study", 5, "test", rules=PanelRules(allowed=("5f3c", "who"), id_pattern="[0-9a-f]{4}"))
