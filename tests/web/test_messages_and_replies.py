"""Messages to raters, several new people at once, and hours, over HTTP."""

from pathlib import Path

from tests.web.stations import claim, house_in, items_of, submit


def test_announcements_and_replies_reach_those_they_are_for_until_they_are_put_away(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"], 3)) as house:
        ada, anna, ben = house.add("ada", "admin"), house.add("anna"), house.add("ben")
        lease = claim(anna)
        anna.post(f"/api/leases/{lease['id']}/flag", json={"text": "What of names?"})
        [flag] = ada.get("/api/admin/flags").json()
        assert ada.post(f"/api/admin/flags/{flag['number']}/reply", json={"text": "Names count."}).json() == {
            "number": 1
        }
        assert ada.post("/api/admin/messages", json={"text": "No work on <b>Friday</b>."}).json() == {"number": 2}
        assert [each["text"] for each in anna.get("/api/messages").json()] == [
            "Names count.",
            "No work on <b>Friday</b>.",
        ]
        assert [each["number"] for each in ben.get("/api/messages").json()] == [2]
        assert ben.post("/api/messages/1/read", json={}).status_code == 404  # is anna's
        for _ in range(2):
            assert anna.post("/api/messages/1/read", json={}).json() == {}
        assert [each["number"] for each in anna.get("/api/messages").json()] == [2]
        later = house.desk.clock() + 60
        house.desk.clock = lambda: later
        assert house.add("carl").get("/api/messages").json() == []  # came later
        assert [each["flag"] for each in ada.get("/api/admin/messages").json()] == [1, None]
        assert ada.post("/api/admin/flags/9/reply", json={"text": "?"}).status_code == 404
        assert ada.post("/api/admin/messages", json={"text": "  "}).status_code == 422


def test_several_people_are_added_with_their_links_or_none(tmp_path: Path) -> None:
    with house_in(tmp_path) as house:
        ada = house.add("ada", "admin")
        rows = ada.post("/api/admin/raters/several", json={"names": ["Zoë", "Ünal"]}).json()["rows"]
        assert [row["name"] for row in rows] == ["Zoë", "Ünal"]
        for row in rows:
            joined = house.client().post("/api/join", json={"token": row["link"].partition("#")[2]})
            assert joined.json()["name"] == row["name"]
        refused = ada.post("/api/admin/raters/several", json={"names": ["New", "Zoë"]})
        assert refused.status_code == 422
        assert "Zoë" in refused.json()["detail"]
        assert "New" not in {each.name for each in house.desk.persons()}


def test_a_rater_sees_the_own_hours_and_the_admin_everybodys(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"], 2, wanted=2)) as house:
        now = [1_772_400_000.0]  # 2026-03-01, 21:20 UTC
        house.desk.clock = lambda: now[0]
        ada, anna, ben = house.add("ada", "admin"), house.add("anna"), house.add("ben")
        for client, spent in ((anna, 30.0), (ben, 90.0)):
            lease = claim(client)
            now[0] += spent
            submit(client, lease, seconds=spent - 10)
        [mine] = anna.get("/api/hours").json()
        assert (mine["day"], mine["answers"]) == ("2026-03-01", 1)
        assert mine["wall_seconds"] == 30.0
        all_ = {row["name"]: row["wall_seconds"] for row in ada.get("/api/admin/hours").json()}
        assert all_ == {"anna": 30.0, "ben": 90.0}
        assert ada.get("/api/admin/hours?zone=Mars").status_code == 422
        [day] = ada.get("/api/admin/days").json()
        assert (day["day"], day["answers"], day["raters"]) == ("2026-03-01", 2, 2)
        assert day["gold"]["why"] == "no known answer"
