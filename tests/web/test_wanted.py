"""An admin asks for more answers, or for none, from the page."""

from pathlib import Path

from tests.web.stations import claim, house_in, items_of, submit


def test_an_admin_asks_for_more_answers_and_retires_an_item(tmp_path: Path) -> None:
    with house_in(tmp_path, items_of(["label"], 2)) as house:
        ada, anna = house.add("ada", "admin"), house.add("anna")
        submit(anna, claim(anna))
        assert ada.post("/api/admin/want", json={"answers": 2, "place": "0/answer/0"}).json() == {"items": 2}
        assert ada.post("/api/admin/want", json={"answers": 3, "disputed": True}).json() == {"items": 0}
        for wrong in ({"answers": 0}, {"answers": 2, "place": "somewhere"}):
            assert ada.post("/api/admin/want", json=wrong).status_code == 422
        rows = ada.get("/api/admin/items").json()["items"]
        assert [row["wanted"] for row in rows] == [2, 2]
        item = next(row["id"] for row in rows if row["answers"] == 1)
        assert ada.post(f"/api/admin/items/{item}/retire", json={}).json() == {"items": 1}
        assert ada.get(f"/api/admin/items/{item}").json()["wanted"] == 1
        what = [each["what"] for each in ada.get("/api/admin/audit").json()["entries"]]
        assert what[:3] == ["retire item", "want answers", "want answers"]
