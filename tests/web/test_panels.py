"""A panel's participants over HTTP: from the link to the way out; and what has to be agreed to or read first."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rrm.core.annotation import Exit, PanelRules
from tests.web.stations import House, claim, house_in, items_of, submit

URL = "https://panel.example/done?cc=1"


def take_part(house: House, link: str, **more: Any) -> Any:
    """Open a panel's link in a new browser and join, as the page does."""
    parts = urlsplit(link)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    body: dict[str, Any] = {"token": parts.fragment, "participant": query["participant"], **more}
    if "proof" in query:
        body["proof"] = query["proof"]
    client = house.client()
    return client, client.post("/api/join", json=body)


def test_an_admin_opens_a_panel_with_signed_links_quota_and_exits(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"], 4)) as house:
        ada = house.add("ada", "admin")
        asked = {"name": "Study", "limit": 5, "quota": 2, "completion_url": URL, "screen_out_code": "OUT"}
        made = ada.post("/api/admin/panels", json={**asked, "participants": ["a1", "b2"], "signed": True}).json()
        assert set(made["links"]) == {"a1", "b2"}
        client, joined = take_part(house, made["links"]["a1"])
        assert joined.json() == {"next": "/work", "name": "Study 1", "choose": None}
        stolen, refused = take_part(house, made["links"]["a1"].replace("=a1", "=b2"))
        assert refused.status_code == 401
        assert stolen.get("/api/me").status_code == 401
        for _ in range(2):
            following = submit(client, claim(client)).json()["next"]
        assert following["lease"] is None
        assert following["done"] == {"outcome": "complete", "exit": {"code": "", "url": URL}, "settled": False}
        [panel] = ada.get("/api/admin/panels").json()
        assert (panel["joined"], panel["quota"], panel["admits"]) == (1, 2, "signed")
        assert panel["screen_out"] == {"code": "OUT", "url": ""}
        for wrong in ({"completion_url": "http://panel.example"}, {"signed": True}, {"participants": []}):
            refused = ada.post("/api/admin/panels", json={"name": "Study", "limit": 5, **wrong})
            assert refused.status_code == 422, wrong


def test_an_invented_id_gives_no_fresh_practice_in_the_same_browser(tmp_path: Path) -> None:
    practice = items_of(["comparison"], 1, "practice", expected=None)
    with house_in(tmp_path, [*practice, *items_of(["label"], 2)], practice_items=1) as house:
        token = house.desk.open_panel("Study", 5, "test", rules=PanelRules(screen_out=Exit("OUT")))
        client = house.client()
        assert client.post("/api/join", json={"token": token, "participant": "5f3c"}).status_code == 200
        [person] = house.desk.persons()
        house.desk.set_state(person.id, "refused", "test")
        assert client.post("/api/claim", json={}).json()["done"]["exit"]["code"] == "OUT"
        client.post("/api/logout", json={})
        again = client.post("/api/join", json={"token": token, "participant": "invented"})
        assert again.status_code == 401
        assert "this device" in again.json()["detail"]
        assert client.post("/api/join", json={"token": token, "participant": "5f3c"}).status_code == 200


def test_nobody_practises_under_two_ids_in_one_browser(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"], 2)) as house:
        tokens = [house.desk.open_panel(name, 5, "test") for name in ("First", "Second")]
        client = house.client()
        for participant, token, status in (
            ("5f3c", tokens[0], 200),
            ("invented", tokens[0], 401),
            ("5f3c", tokens[0], 200),
            ("other", tokens[1], 200),  # of another panel
        ):
            assert client.post("/api/join", json={"token": token, "participant": participant}).status_code == status
        assert house.client().post("/api/join", json={"token": tokens[0], "participant": "a1b2"}).status_code == 200


def test_changed_guidelines_come_before_the_next_item_with_what_has_changed(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"], 3)) as house:
        anna = house.add("anna")
        lease = claim(anna)
        house.desk.set_guideline("Be **fair**.", "test")
        following = submit(anna, lease).json()["next"]  # under the version it was shown with
        assert following["lease"] is None
        assert following["done"] is following["reason"] is None
        assert following["asks"]["guideline"] == {
            "version": 1,
            "html": "<p>Be <strong>fair</strong>.</p>\n",
            "text": "Be **fair**.",
            "read": 0,
            "before": "",
        }
        assert anna.post("/api/claim", json={}).json()["lease"] is None  # however often it is asked
        assert anna.post("/api/guidelines/read", json={"version": 2}).status_code == 422
        assert anna.post("/api/guidelines/read", json={"version": 1}).json() == {}
        assert claim(anna)["guideline"] == 1
        house.desk.set_guideline("Be **very** fair.", "test")
        asked = anna.post("/api/claim", json={}).json()["asks"]["guideline"]
        assert (asked["version"], asked["read"], asked["before"]) == (2, 1, "Be **fair**.")


def test_a_changed_consent_text_is_asked_for_again_and_first(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"], 3)) as house:
        anna = house.add("anna")
        house.desk.set_guideline("Be fair.", "test")
        house.desk.change_settings({"consent": "We keep your answers."}, "test")
        asks = anna.post("/api/claim", json={}).json()["asks"]
        assert asks["guideline"] is None
        assert asks["consent"]["text"] == "We keep your answers."
        assert anna.post("/api/consent", json={"agreed": "consent-0"}).status_code == 409
        assert anna.post("/api/consent", json={"agreed": asks["consent"]["id"]}).json() == {}
        assert anna.post("/api/claim", json={}).json()["asks"]["consent"] is None
        rows = house.add("ada", "admin").get("/api/admin/consents").json()
        assert [(row["person"], row["text"]) for row in rows] == [(house.persons["anna"].id, "We keep your answers.")]
