"""Your own preference data, without a run: rows in, a calibrated reward model out."""

import json
import tempfile
from pathlib import Path

from rrm.backbone.encoder import FrozenEncoder
from rrm.core.values import Group, Passage, View
from rrm.interchange.preferences import read_feedback
from rrm.reward.fit import FitConfig, fit

STORIES = {
    "harbour": "Mara sails at dawn. A storm breaks the mast. Her brother Ilo rows out and brings her home.",
    "orchard": "Old Bren plants forty trees. Frost kills all but one. That one feeds the village for years.",
    "letter": "Tove finds a letter in a wall. It names a thief. The thief turns out to be her grandfather.",
    "bridge": "Two towns build a bridge. They quarrel about its name. A flood takes it before anyone decides.",
}
GOOD = {
    "harbour": "A storm breaks Mara's mast, and her brother Ilo brings her home.",
    "orchard": "Bren plants forty trees; one survives the frost and feeds the village.",
    "letter": "Tove finds a letter that names her grandfather as a thief.",
    "bridge": "A flood takes the bridge while two towns quarrel about its name.",
}
BAD = "It is a story about people, and some things happen in it."


def rows() -> list[dict[str, object]]:
    """What two raters said: what is about the story is better than what could be about any."""
    found: list[dict[str, object]] = []
    for name, story in STORIES.items():
        worse = [BAD, *(text for other, text in GOOD.items() if other != name)]
        about = {"prompt": "Summarise.", "source": story, "source_id": name, "chosen": GOOD[name]}
        found += [{**about, "rejected": each, "annotator": rater} for rater in ("ana", "bo") for each in worse]
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "preferences.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
        reading = read_feedback(file)
    model = fit(reading.rated, FrozenEncoder(device="cpu"), FitConfig(members=8, l2=5.0), seed=0)
    unseen = View(
        "Summarise.", (Passage("Kes breeds a blue rose. A collector steals it. It fades within a day."),), 128
    )
    outputs = ("Kes's blue rose is stolen and fades within a day.", BAD, GOOD["bridge"])
    rewards = model.rewards([Group("rose", 0, unseen, outputs)])[0]
    for text, mean, spread in zip(outputs, rewards.mean(axis=0), rewards.std(axis=0), strict=True):
        print(f"{mean:6.2f} +- {spread:.2f}  {text}")


if __name__ == "__main__":
    main()
