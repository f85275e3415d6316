"""A rater's way through the station, in a real browser: from the invitation to the last item, whatever happens."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from rrm.core.annotation import Annotation, Item
from rrm.core.place import Place
from rrm.core.values import KINDS, Comparison, Consequence, Passage, Reject, Request, Shown, View
from rrm.web.station import Station
from tests.web.browser import (
    NARROW,
    WIDE,
    assert_accessible,
    assert_fits,
    come_in,
    picture,
    serving,
    visiting,
    wait_until,
    watch,
)
from tests.web.stations import PLENTY, desk_in

pytest_plugins = ("tests.web.chromium",)

SOURCE = (
    "The lighthouse keeper had not spoken to anybody since the autumn storms. Every morning he climbed the hundred "
    "and twelve steps with the oil can, wiped the salt from the glass, and looked for the supply boat that did not "
    "come.\n\nOn the ninth of January a crate washed up below the rocks. It held tea, a sealed tin of matches, and a "
    "letter that was addressed to his predecessor. He put it on the shelf beside the clock and did not open it for "
    "eleven days."
)
OUTPUTS = (
    "A lonely lighthouse keeper waits for the supply boat. A crate with tea, matches and a letter for his predecessor "
    "washes up; he leaves the letter unopened for eleven days.",
    "The keeper of a lighthouse finds a crate after a storm and reads the letter in it at once, because he hopes that "
    "it is for him.",
    "A crate washes up.",
    "The story tells of a keeper, his many steps, and the salt on the glass. The boat does not come.",
)
GUIDELINE = """# How to judge

Read the **source** first. An output is better when it

- says only what the source says,
- leaves out nothing that matters,
- is short and plain.

If one is *truer* and the other *nicer*, take the truer one.
"""
WRITTEN = ("correction", "demonstration", "critique")
SHOWN = {"comparison": 2, "hindsight": 2, "ranking": 4, "demonstration": 0}
CAME = Consequence(
    "Who reads this alone answers 1 of 2 questions rightly.\nRight: He waits for the ____ – boat.", 0.5, 8, 1
)
WIDER = ("The island had been bought by the state in 1868. ", SOURCE, " In February the ice came.")


def request(kind: str, number: int, level: int = 0) -> Request:
    passages = (Passage(SOURCE),)
    if level:
        passages = tuple(
            Passage(OUTPUTS[i], f"part-{i}", f"o-{i}", score) for i, score in enumerate((0.82, 0.35, 0.61))
        )
    context = "The first chapter ends with the storm." if number % 2 else ""
    view = View(f"Summarise the passage in at most three sentences ({number}).", passages, 60, context)
    came = CAME if kind == "hindsight" else None
    shown = tuple(Shown(f"output-{number}-{i}", OUTPUTS[i], (), came) for i in range(SHOWN.get(kind, 1)))
    return Request(f"node-{number}", "tale", Place(level=level), kind, view, shown)


def practice(number: int) -> Item:
    why = "One output says what happens; the other invents that the letter is read at once."
    return Item(request("comparison", 900 + number), "practice", expected=Comparison(0), explanation=why)


def work(kind: str, number: int, level: int = 0, wanted: int = 1) -> list[Item]:
    return [Item(request(kind, i, level), wanted=wanted) for i in range(number)]


class Scene:
    """A station that is served, and its desk."""

    def __init__(self, desk: Any, url: str, clock: list[float]) -> None:
        self.desk, self.url, self._clock = desk, url, clock

    def answers(self, purpose: str = "work") -> list[Annotation]:
        return [each for each in self.desk.answers() if each.purpose == purpose]

    def live(self) -> list[Annotation]:
        return [each for each in self.answers() if each.state == "live"]


@contextmanager
def scene(folder: Path, items: Sequence[Item], **changes: Any) -> Iterator[Scene]:
    with desk_in(folder / "run", items, gold_every=0, attention_every=0, **changes) as desk:
        desk.set_guideline(GUIDELINE, by="test")
        station = Station(desk, PLENTY, count=lambda text: len(text.split()), wider=lambda _: WIDER)
        with serving(station) as url:
            yield Scene(desk, url, [])


@contextmanager
def rating(scene: Scene, chromium: Any, **options: Any) -> Iterator[Any]:
    """A page of a new rater with the first item on it."""
    with visiting(chromium, scene.url, **options) as page:
        page.person = come_in(page, scene.desk, scene.url)
        page.goto("/work")
        ready(page)
        yield page
        page.seen.assert_clean(page)


def ready(page: Any) -> None:
    """Wait until an item can be answered; what has to be read first is."""
    shown = page.wait_for_selector("#item:not(.busy):not(.fresh) :is(.bar-answer, .notice)")
    if "notice" in shown.get_attribute("class"):
        press(page, "Enter")
        page.wait_for_selector("#item:not(.busy):not(.fresh) .bar-answer")


def item_number(page: Any, number: int) -> None:
    page.wait_for_selector(f"#item:not(.busy):not(.fresh) .item-head span:text-is('Item {number}')")


def heading(page: Any) -> str:
    return str(page.inner_text("#heading"))


def press(page: Any, *keys: str) -> None:
    page.wait_for_selector("#item.fresh", state="detached")  # keys are dead just after an item was drawn
    for key in keys:
        page.keyboard.press(key)


def answer_by_keyboard(page: Any, kind: str) -> None:
    """Answer the item on the page with its keys alone."""
    if kind in WRITTEN:
        press(page, "e", "Control+End")
        page.keyboard.type(" It is quiet.")
        press(page, "Control+Enter")
    else:
        press(
            page,
            *{
                "comparison": "2",
                "hindsight": "2",
                "ranking": "3142",
                "rating": "x5",
                "label": "n",
                "claims": "1",
                "reject": "y",
            }[kind],
        )
        if kind in ("ranking", "claims"):
            press(page, "Enter")


# ---- the whole way ----

EXPECTED = {
    "comparison": {"better": (0, 1), "strength": 0.5},
    "hindsight": {"better": (0, 1), "strength": 0.5},
    "rating": {"value": 5},
    "label": {"good": False},
    "demonstration": {"text": " It is quiet."},
    "critique": {"text": " It is quiet."},
    "correction": {"text": f"{OUTPUTS[0]} It is quiet."},
    "claims": {"unsupported": (((0, len("A lonely lighthouse keeper waits for the supply boat.")),),)},
    "reject": {"good": True},
    "ranking": {},
}


@pytest.mark.parametrize("number", [3, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_new_annotator_goes_from_the_link_through_practice_and_items_to_logging_out_by_keyboard(
    kind: str, number: int, tmp_path: Path, chromium: Any
) -> None:
    items = [practice(0), practice(1), *work(kind, number)]
    with scene(tmp_path, items, practice_items=2, completion_code="RRM-42", consent="We keep your answers.") as at:
        person = at.desk.add_person("Robin", by="test")
        token = at.desk.invite(person.id, "test")
        with visiting(chromium, at.url) as page:
            page.goto(f"/join#{token}")
            assert token not in page.url  # nobody reads it over a shoulder
            page.focus("#agreed")
            press(page, "Space", "Tab", "Tab", "Enter")
            page.wait_for_selector("#choose")
            assert page.inner_text("#called") == "Robin"
            page.keyboard.type("314159")
            press(page, "Enter")
            ready(page)
            for turn in (1, 2):
                assert f"Practice {turn} of 2" in page.inner_text("#banners")
                press(page, "1" if page.inner_text(".output .text").startswith("A lonely") else "7")
                page.wait_for_selector("h1:text-is('Right.')")
                assert "invents that the letter" in page.inner_text(".verdict")
                press(page, "Enter")
            page.wait_for_selector("h1:text-is('Practice passed')")
            press(page, "Enter")
            for turn in range(1, number + 1):
                item_number(page, turn)
                answer_by_keyboard(page, kind)
            page.wait_for_selector("#code")
            assert page.input_value("#code") == "RRM-42"
            press(page, "u")
            item_number(page, number)
            assert len(at.live()) == number - 1
            if kind in WRITTEN:  # what was taken back is there
                press(page, "Control+Enter")
            elif kind in ("ranking", "claims"):
                press(page, "Enter")
            else:
                answer_by_keyboard(page, kind)
            page.wait_for_selector("#code")
            page.focus("#logout")
            press(page, "Enter")
            page.wait_for_url("**/login")
            page.fill("#name", "Robin")  # and in again, without anybody's help
            page.fill("#password", "314159")
            press(page, "Enter")
            page.wait_for_selector("#code")
            page.focus("#logout")
            press(page, "Enter")
            page.wait_for_url("**/login")
            page.goto("/work")
            page.wait_for_url("**/login")
            page.seen.assert_clean(page)
        live = at.live()
        assert len(live) == number and {each.person for each in live} == {person.id}
        assert len({each.item for each in live}) == number
        for each in live:
            for name, value in EXPECTED[kind].items():
                got = getattr(each.answer, name)
                assert got in value if isinstance(value, tuple) else got == value
            assert each.seconds is not None and 0 <= each.seconds <= each.wall_seconds + 0.5
            assert each.confidence == (0.5 if kind == "rating" else None)
        assert [each.right for each in at.answers("practice")] == [True, True]


def test_a_criterion_is_named_before_it_is_judged_by(tmp_path: Path, chromium: Any) -> None:
    asked = replace(request("label", 0), criterion="<b>accuracy</b>")
    with scene(tmp_path, [Item(asked)]) as at, rating(at, chromium) as page:
        assert "Judge by this alone: <b>accuracy</b>" in page.inner_text(".source")
    with scene(tmp_path / "other", work("label", 1)) as at, rating(at, chromium) as page:
        assert "Judge by" not in page.inner_text(".source")


def test_an_ab_decision_takes_one_key(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("comparison", 21)) as at, rating(at, chromium) as page:
        page.evaluate("window.keys = 0; addEventListener('keydown', () => { window.keys += 1; }, true)")
        taken = []
        for turn in range(1, 21):
            item_number(page, turn)
            page.evaluate("window.keys = 0")
            press(page, "1234567ab0"[turn % 10])
            item_number(page, turn + 1)
            taken.append(page.evaluate("window.keys"))
        assert median(taken) <= 1.2
        assert len(at.live()) == 20


def test_each_key_of_a_comparison_means_the_output_that_stood_there(tmp_path: Path, chromium: Any) -> None:
    meanings: dict[str, tuple[str | None, float | None]] = {
        "1": ("A", 1), "2": ("A", 0.5), "3": ("A", 0), "4": (None, None), "5": ("B", 0), "6": ("B", 0.5), "7": ("B", 1),
        "a": ("A", None), "b": ("B", None), "ArrowLeft": ("A", None), "ArrowRight": ("B", None),
    }  # fmt: skip
    with scene(tmp_path, work("comparison", len(meanings) + 1)) as at, rating(at, chromium) as page:
        for number, (key, (better, strength)) in enumerate(meanings.items(), start=1):
            texts = page.locator(".output .text").all_inner_texts()
            press(page, key)
            item_number(page, number + 1)
            given = at.live()[-1]
            assert isinstance(given.answer, Comparison), key
            request = at.desk.item(given.item).request
            chosen = None if given.answer.better is None else request.shown[given.answer.better].text
            assert chosen == (None if better is None else texts["AB".index(better)]), key
            assert given.answer.strength == strength, key


def test_zero_rejects_both_outputs(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("comparison", 2)) as at, rating(at, chromium) as page:
        press(page, "0")
        item_number(page, 2)
        [given] = at.live()
        assert given.answer == Reject("both are bad") and given.detail["both_bad"] is True
        press(page, "u")
        page.wait_for_selector("button[aria-pressed=true]:has-text('Both are bad')")


def test_a_ranking_is_kept_as_it_was_pressed_and_backspace_takes_the_last_back(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("ranking", 2)) as at, rating(at, chromium) as page:
        texts = page.locator(".output .text").all_inner_texts()
        press(page, "2", "Enter")  # Enter sends nothing before every output has its place
        press(page, "4", "Backspace", "1", "4", "3")
        assert page.inner_text(".state") == "Best first: B, A, D, C"
        press(page, "Enter")
        item_number(page, 2)
        [given] = at.live()
        shown = at.desk.item(given.item).request.shown
        assert [shown[place].text for place in given.answer.best_first] == [texts[i] for i in (1, 0, 3, 2)]


def test_outputs_of_a_ranking_can_be_level(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("ranking", 2)) as at, rating(at, chromium) as page:
        texts = page.locator(".output .text").all_inner_texts()
        press(page, "t")  # with what? nothing happens
        press(page, "b", "t", "1", "d", "t", "t", "3")  # digits or letters
        assert page.inner_text(".state") == "Best first: B = A, D, C"
        press(page, "2")  # A is then the first alone
        assert page.inner_text(".state") == "Best first: A, D, C"
        press(page, "t", "2", "Enter")
        item_number(page, 2)
        [given] = at.live()
        shown = at.desk.item(given.item).request.shown
        named = [[texts.index(shown[place].text) for place in group] for group in given.answer.groups]
        assert named == [[0], [3], [2, 1]]
        press(page, "u")
        page.wait_for_selector(".state:text-is('Best first: A, D, C = B')")


def test_marks_on_source_and_output_by_keyboard_count_in_characters(tmp_path: Path, chromium: Any) -> None:
    base = request("critique", 0)
    text = "😀 Fine words 😀 but 🌊 wrong."
    item = Item(replace(base, shown=(Shown("o", text),)))
    with scene(tmp_path, [item, *work("label", 1)]) as at, rating(at, chromium) as page:
        while "wrong or right" not in heading(page):
            press(page, "y")
            page.wait_for_selector("h1:has-text('wrong or right')")
        page.focus(".output .text")
        press(page, "ArrowRight", "ArrowRight", "Shift+ArrowRight", "m")  # emoji, Fine, Fine words
        page.focus(".passage .text")
        press(page, "ArrowRight", "ArrowRight", "m")  # The, lighthouse
        assert page.locator(".marks mark").all_inner_texts() == ["Fine words", "lighthouse"]
        page.focus(".output .text")
        press(page, "ArrowRight", "m")
        page.click(".marks li:has-text('but') button, .marks li:has-text('😀') button")
        press(page, "Control+a")
        page.keyboard.type("Too nice.")
        press(page, "Control+Enter")
        page.wait_for_selector("#item:not(.busy) h1:not(:has-text('wrong or right'))")
        [given] = [each for each in at.live() if each.kind == "critique"]
        assert [text[start:end] for start, end in given.answer.spans] == ["Fine words"]
        assert [SOURCE[start:end] for _, start, end in given.detail["source_spans"]] == ["lighthouse"]


def test_a_passage_selected_with_the_mouse_is_marked_by_the_button(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("critique", 1)) as at, rating(at, chromium) as page:
        page.locator(".output .text").dblclick(position={"x": 30, "y": 10})
        page.click("button:has-text('Mark the selected text')")
        marked = page.locator(".marks mark").all_inner_texts()
        assert len(marked) == 1 and marked[0] in OUTPUTS[0].split()
        page.fill("#area", "Good.")
        page.click("button:has-text('Save')")
        page.wait_for_selector("h1:has-text('All done')")
        [given] = at.live()
        [(start, end)] = given.answer.spans
        assert OUTPUTS[0][start:end] == marked[0]


# ---- the actions that every page has ----


def test_skip_reject_and_flag_ask_for_a_reason_and_keep_it(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 3)) as at, rating(at, chromium) as page:
        press(page, "s")
        page.wait_for_selector("dialog[open]")
        press(page, "y")  # keys of the page behind a dialog are dead
        press(page, "Enter")
        page.wait_for_selector("dialog [role=alert]:visible")
        press(page, "Space", "Enter")
        page.wait_for_selector("dialog", state="detached")
        page.wait_for_selector("#progress:has-text('2 left')")
        [skipped] = at.desk.skips()
        assert skipped.reason == "I do not know enough about this"
        press(page, "f")
        page.keyboard.type("What is short?")
        press(page, "Enter")
        page.wait_for_selector(".toast:has-text('your note was sent')")
        [flag] = at.desk.flags()
        assert flag.text == "What is short?"
        ready(page)
        press(page, "r", "ArrowDown", "Tab")
        page.keyboard.type("no verb")
        press(page, "Enter")
        item_number(page, 2)
        [given] = at.live()
        assert given.answer == Reject("The task makes no sense: no verb")


def test_undo_goes_back_through_the_last_answers_until_the_level_is_frozen(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, [*work("label", 4), *work("rating", 1)]) as at, rating(at, chromium) as page:
        at_first = at.desk.progress()
        for turn in range(1, 4):
            item_number(page, turn)
            press(page, "y" if "Is this" in heading(page) else "6")
        item_number(page, 4)
        assert page.inner_text(".always button:has-text('Undo')").endswith("Undo (3)")
        for left in (3, 2, 1):
            press(page, "u")
            item_number(page, left)
            page.wait_for_selector("button[aria-pressed=true]")
        assert at.live() == [] and at.desk.progress()[0].answers == at_first[0].answers
        assert page.is_disabled(".always button:has-text('Undo')")
        press(page, "y" if "Is this" in heading(page) else "6")
        item_number(page, 2)
        at.desk.freeze(Place(), "test")
        press(page, "u")
        page.wait_for_selector(".toast:has-text('frozen')")
        assert len(at.live()) == 1


def test_the_last_answers_are_listed_by_key_the_latest_first(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, [*work("label", 1), *work("demonstration", 1)]) as at, rating(at, chromium) as page:
        press(page, "l")
        assert "not answered anything yet" in page.inner_text("dialog")
        press(page, "Escape")
        for number in (1, 2):
            item_number(page, number)
            answer_by_keyboard(page, "label" if heading(page).startswith("Is this output") else "demonstration")
        page.wait_for_selector("h1:has-text('All done')")
        press(page, "l")
        page.wait_for_selector("dialog li")
        told = {"label": "Bad", "demonstration": " It is quiet."}
        lines = page.locator("dialog li .text").all_inner_texts()
        assert lines == [told[each.kind] for each in reversed(at.live())]


def test_help_guidelines_and_wider_context_open_by_key_and_close_by_escape(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("comparison", 1)) as at, rating(at, chromium) as page:
        for key in ("h", "?"):
            press(page, key)
            assert "far better" in page.inner_text("dialog")
            press(page, "Escape")
            page.wait_for_selector("dialog", state="detached")
        press(page, "w")
        assert page.inner_text("dialog mark") == SOURCE
        assert "In February the ice came." in page.inner_text("dialog")
        press(page, "Escape")
        shown = page.is_visible("#guidelines")
        assert shown and "says only what the source says" in page.inner_text("#guidelines")
        press(page, "g")
        assert not page.is_visible("#guidelines")
        page.reload()
        ready(page)
        assert not page.is_visible("#guidelines")
        press(page, "g")
        assert page.is_visible("#guidelines")


def test_letters_typed_into_a_text_field_and_held_keys_decide_nothing(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, [*work("demonstration", 1)]) as at, rating(at, chromium) as page:
        press(page, "e")
        page.keyboard.type("surfghw? 1234567890 yn")
        assert page.locator("dialog").count() == 0
        assert page.input_value("#area") == "surfghw? 1234567890 yn"
        press(page, "Escape", "h")
        assert page.locator("dialog").count() == 1
    with scene(tmp_path / "held", work("label", 4)) as at, rating(at, chromium) as page:
        for _ in range(5):
            page.keyboard.down("y")  # repeats, as from a key that is held
        item_number(page, 2)
        page.wait_for_timeout(300)
        assert len(at.live()) == 1


def test_everything_works_with_the_pointer_alone(tmp_path: Path, chromium: Any) -> None:
    items = [work(kind, 1)[0] for kind in KINDS]
    clicks = {
        "Which output": [".output button >> nth=0"],
        "Seeing what": [".output button >> nth=0"],
        "Put the": [*(f".output button >> nth={i}" for i in (2, 0, 1, 3)), ".bar-answer button:has-text('Send')"],
        "How good": ["button:has-text('unsure')", "button:has-text('rather good')"],
        "Is this output": [".bar-answer button:has-text('Good')"],
        "Correct": ["TYPE", ".bar-answer button"],
        "Write": ["TYPE", ".bar-answer button"],
        "What is": ["TYPE", ".bar-answer button:has-text('Save')"],
        "Which claims": [".claim >> nth=1", ".bar-answer button:has-text('Wrong in detail')", ".bar-answer .primary"],
        "Is this item": [".bar-answer button:has-text('Fine')"],
    }
    with scene(tmp_path, items) as at, rating(at, chromium) as page:
        for turn in range(1, len(items) + 1):
            item_number(page, turn)
            for step in next(steps for start, steps in clicks.items() if heading(page).startswith(start)):
                if step == "TYPE":
                    page.fill("#area", "Another text.")
                else:
                    page.click(step)
        page.wait_for_selector("h1:has-text('All done')")
        assert {each.kind for each in at.live()} == set(KINDS)


def test_a_text_beyond_the_budget_is_refused_in_words_and_stays_in_its_field(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("demonstration", 1)) as at, rating(at, chromium) as page:
        page.fill("#area", "word " * 61)
        page.wait_for_selector(".budget.over:has-text('61 of 60 tokens – Longer than allowed.')")
        page.focus("#area")
        press(page, "Control+Enter")
        page.wait_for_selector(".toast:has-text('61 tokens')")
        assert page.input_value("#area") == "word " * 61
        assert page.evaluate("document.activeElement.id") == "area"
        press(page, *["Backspace"] * 5, "Control+Enter")
        page.wait_for_selector("h1:has-text('All done')")
        [given] = at.live()
        assert given.answer.text == "word " * 60


# ---- nothing is lost ----


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_draft_goes_to_the_server_by_itself_and_survives_a_reload(kind: str, tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work(kind, 1)) as at, rating(at, chromium) as page:
        press(page, "e", "Control+End")
        page.keyboard.type("so far", delay=20)
        wait_until(lambda: _draft_holds(at, page.person, "so far"))
        if kind != "critique":
            tokens = len(page.input_value("#area").split())
            page.wait_for_selector(f".budget:text-is('{tokens} of 60 tokens')")  # exact, not "about"
        page.reload()
        ready(page)
        assert page.input_value("#area").endswith("so far")
        page.evaluate("localStorage.clear()")  # as on another device
        page.reload()
        ready(page)
        assert page.input_value("#area").endswith("so far")
        press(page, "e", "Control+End")
        page.keyboard.type(" and on")
        page.reload()  # at once, before the server has it
        ready(page)
        assert page.input_value("#area").endswith("so far and on")


def _draft_holds(at: Scene, person: str, text: str) -> bool:
    lease = at.desk.claim(person)
    return str((lease.draft or {}).get("text", "")).endswith(text)


def test_an_answer_given_offline_is_announced_as_waiting_and_arrives_exactly_once(
    tmp_path: Path, chromium: Any
) -> None:
    with scene(tmp_path, work("label", 3)) as at, rating(at, chromium) as page:
        page.context.set_offline(True)
        press(page, "y")
        page.wait_for_selector("#banner-offline:has-text('1 answer is kept on this device')")
        assert "Saved" not in page.inner_text("#state")
        assert at.live() == []
        press(page, "y", "n")  # nothing more can be given meanwhile
        page.context.set_offline(False)
        item_number(page, 2)
        assert page.locator("#banner-offline").count() == 0
        page.wait_for_timeout(300)
        assert len(at.live()) == 1
        assert (
            page.evaluate("localStorage.getItem(Object.keys(localStorage).find((k) => k.includes('outbox')))") == "[]"
        )


def test_an_answer_whose_acknowledgement_was_lost_is_sent_again_and_recorded_once(
    tmp_path: Path, chromium: Any
) -> None:
    with scene(tmp_path, work("label", 2)) as at, rating(at, chromium) as page:
        lost = []

        def swallow(route: Any) -> None:
            if lost:
                return route.continue_()
            lost.append(route.fetch().status)  # the server has it, the page never hears of it
            return route.abort()

        page.route("**/api/leases/*/answer", swallow)
        press(page, "n")
        item_number(page, 2)
        assert lost == [200] and len(at.answers()) == 1


def test_a_draft_that_comes_after_its_own_answer_does_not_disturb_the_next_item(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("demonstration", 3)) as at, rating(at, chromium) as page:
        late = []

        def wait_for_answer(route: Any) -> None:
            late.append(route)  # held until the answer is on record, and answered before the answer is

        def after_draft(route: Any) -> None:
            answered = route.fetch()
            while late:
                late.pop().continue_()
            page.wait_for_timeout(300)
            route.fulfill(response=answered)

        page.route("**/draft", wait_for_answer)
        page.route("**/answer", after_draft, times=1)
        press(page, "e")
        page.keyboard.type("first")
        with page.expect_request("**/draft"):
            pass
        press(page, "Control+Enter")
        item_number(page, 2)
        page.unroute("**/draft")
        press(page, "e")
        page.keyboard.type("second")
        page.wait_for_timeout(500)
        press(page, "Control+Enter")
        item_number(page, 3)
        assert {each.answer.text for each in at.live()} == {"first", "second"}
        assert page.locator(".toast.bad").count() == 0


def test_an_answer_left_in_the_outbox_by_a_closed_page_is_sent_by_the_next(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 2)) as at, rating(at, chromium) as page:
        page.route("**/api/leases/*/answer", lambda route: route.abort())
        press(page, "n")
        page.wait_for_selector("#banner-offline")
        page.focus("#logout")
        press(page, "Enter")
        page.wait_for_selector(".toast:has-text('not sent yet')")
        assert page.url.endswith("/work")
        page.close()
        again = page.context.new_page()
        watch(again, at.url)
        again.goto("/work")
        item_number(again, 2)
        assert len(at.live()) == 1
        page.seen = again.seen
        again.seen.assert_clean(again)
        page.evaluate = again.evaluate


def test_a_late_answer_is_refused_in_words_and_what_was_written_is_offered_again(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("demonstration", 1), lease_seconds=5.0) as at, rating(at, chromium) as page:
        press(page, "e")
        page.keyboard.type("My words.")
        page.wait_for_timeout(5300)  # and then so long at most for what is sent again, on a slow machine, too
        press(page, "Control+Enter")
        page.wait_for_selector("#banner-conflict:has-text('was not taken')")
        ready(page)
        assert page.input_value("#area") == "My words."
        page.click("#banner-conflict summary")
        assert page.inner_text("#banner-conflict .text") == "My words."
        page.focus("#area")
        press(page, "Control+Enter")
        page.wait_for_selector("h1:has-text('All done')")
        [given] = at.live()
        assert given.answer.text == "My words."


LAYOUTS = [("ф", "KeyA"), ("α", "KeyA"), ("ש", "KeyA"), ("ش", "KeyA"), ("ａ", "KeyA"), ("&", "Digit1"), ("١", "Digit1"),
           ("Process", "KeyA"), ("a", "KeyQ"), ("1", "Numpad1")]  # fmt: skip
SAYING_SOMETHING_ELSE = [("!", "Digit1", 8), ("q", "KeyA", 0), ("ф", "KeyA", 2)]


def test_keys_work_on_every_layout_by_their_letter_or_else_their_place(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("comparison", len(LAYOUTS) + 1)) as at, rating(at, chromium) as page:
        keyboard = page.context.new_cdp_session(page)

        def strike(key: str, code: str, modifiers: int = 0) -> None:
            page.wait_for_selector("#item.fresh", state="detached")
            for kind in ("keyDown", "keyUp"):
                pressed = {"type": kind, "key": key, "code": code, "modifiers": modifiers}
                keyboard.send("Input.dispatchKeyEvent", pressed)

        for turn, (key, code) in enumerate(LAYOUTS):
            strike(key, code)
            item_number(page, turn + 2)
        for key, code, modifiers in SAYING_SOMETHING_ELSE:
            strike(key, code, modifiers)
        page.wait_for_timeout(100)
        assert len(at.live()) == len(LAYOUTS)


def test_a_double_tap_answers_one_item(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 3)) as at, rating(at, chromium) as page:
        for turn, twice in (
            (2, lambda: page.keyboard.press("y")),
            (3, lambda: page.click(".bar-answer button >> nth=0")),
        ):
            twice()
            page.wait_for_selector(f"#item:not(.busy) .item-head span:text-is('Item {turn}')")
            page.evaluate("document.querySelector('.bar-answer button').click()")  # as a second tap that came at once
            page.keyboard.press("y")
            page.wait_for_timeout(150)
            assert len(at.live()) == turn - 1
            item_number(page, turn)


def test_arrows_in_a_text_that_scrolls_answer_nothing(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("comparison", 2)) as at, rating(at, chromium) as page:
        page.focus(".passages .scroll")
        press(page, "ArrowRight", "ArrowLeft", "ArrowDown")
        page.wait_for_timeout(100)
        assert at.live() == []
        page.focus("#heading")
        press(page, "ArrowRight")
        item_number(page, 2)
        assert len(at.live()) == 1


def test_an_undo_whose_reply_was_lost_takes_one_answer_back(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 4)) as at, rating(at, chromium) as page:
        for turn in (2, 3):
            press(page, "y")
            item_number(page, turn)
        lost: list[str] = []

        def lose(route: Any) -> None:
            lost.append(route.request.post_data)
            if len(lost) > 1:
                route.continue_()
            else:
                route.fetch()
                route.abort()

        page.route("**/api/undo", lose)
        press(page, "u")
        item_number(page, 2)
        assert len(lost) == 2 and lost[0] == lost[1] and len(at.live()) == 1


def test_a_page_that_is_left_stores_no_draft_that_was_not_typed_on_it(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("critique", 1)) as at, rating(at, chromium) as page:
        page.fill("#area", "an old text")
        page.wait_for_selector("#state:has-text('Draft saved')")
        with visiting(chromium, at.url) as other:  # another device
            other.context.add_cookies(page.context.cookies())
            other.goto("/work")
            ready(other)
            assert other.input_value("#area") == "an old text"
            page.reload()  # nothing is typed on it any more
            ready(page)
            other.fill("#area", "a newer text")
            other.wait_for_selector("#state:has-text('Draft saved')")
            page.goto("/login")
        page.goto("/work")
        ready(page)
        assert page.input_value("#area") == "a newer text"


def test_two_tabs_show_the_same_item_and_both_go_on_when_one_answers(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("comparison", 3)) as at, rating(at, chromium) as page:
        other = page.context.new_page()
        other.goto("/work")
        item_number(other, 1)
        texts = [tab.locator(".instruction, .output .text").all_inner_texts() for tab in (page, other)]
        assert texts[0] == texts[1]
        press(page, "1")
        item_number(page, 2)
        item_number(other, 2)
        texts = [tab.locator(".instruction, .output .text").all_inner_texts() for tab in (page, other)]
        assert texts[0] == texts[1]
        assert len(at.live()) == 1


def test_the_end_of_a_session_is_told_and_the_answer_waits_for_the_next(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 2)) as at, rating(at, chromium) as page:
        cookie = page.context.cookies()[0]
        page.context.clear_cookies()
        press(page, "y")
        page.wait_for_selector("[role=alert]:has-text('not logged in any more')")
        page.context.add_cookies([cookie])
        page.reload()
        item_number(page, 2)
        assert len(at.live()) == 1


# ---- time ----


def test_active_time_stands_still_while_the_page_is_hidden_or_left_alone(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 3), lease_seconds=7200.0) as at, visiting(chromium, at.url) as page:
        sent: list[float] = []  # what the page measured: the server's own clock has not gone on
        page.on(
            "request",
            lambda request: "/answer" in request.url and sent.append(request.post_data_json["answers"][0]["seconds"]),
        )
        page.clock.install()
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        page.clock.run_for(20_000)
        hide = "(hidden) => { Object.defineProperty(document, 'visibilityState', {value: hidden ? 'hidden' : 'visible',"
        hide += " configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
        page.evaluate(hide, True)
        page.clock.run_for(600_000)
        page.evaluate(hide, False)
        page.mouse.move(50, 50)
        page.mouse.move(60, 60)
        page.clock.run_for(10_000)
        press(page, "y")
        item_number(page, 2)
        page.clock.run_for(101_000)  # who reads does nothing else
        press(page, "y")
        item_number(page, 3)
        page.clock.run_for(900_000)  # in front all the time, but nobody stirs: five minutes of it count
        press(page, "y")
        page.wait_for_selector("h1:has-text('All done')")
        first, second, third = sent
        # the page's clock goes on by itself between the calls above: by seconds on a busy machine
        assert 29.0 <= first <= 60.0
        assert 100.0 <= second <= 140.0
        assert 299.0 <= third <= 340.0


def test_active_time_stands_still_in_a_tab_in_the_background(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 2)) as at, rating(at, chromium) as page:
        page.evaluate("document.hasFocus = () => false; dispatchEvent(new Event('blur'))")
        page.wait_for_timeout(1500)
        page.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")
        press(page, "y")
        item_number(page, 2)
        [given] = at.live()
        assert given.seconds < given.wall_seconds - 1.4


def test_the_lease_is_renewed_while_the_page_is_in_use_and_a_break_is_proposed(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 2)) as at, visiting(chromium, at.url) as page:
        renewed: list[str] = []
        page.on("request", lambda request: renewed.append(request.url) if request.url.endswith("/renew") else None)
        page.clock.install()
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        for _ in range(4):
            page.mouse.move(50, 50)
            page.mouse.move(90, 50)
            page.clock.run_for(30_000)
        assert len(renewed) >= 4
        page.clock.run_for(300_000)
        page.wait_for_timeout(200)
        before = len(renewed)
        page.clock.run_for(600_000)
        assert len(renewed) == before
        for _ in range(46):
            page.mouse.move(50, 50)
            page.mouse.move(90, 50)
            page.clock.run_for(59_000)
        page.wait_for_selector("#banner-break")


# ---- ends, and ways in that lead nowhere ----


def test_the_links_that_do_not_count_say_so(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, []) as at:
        person = at.desk.add_person("Robin", by="test")
        token = at.desk.invite(person.id, "test")
        at.desk.join(token)
        with visiting(chromium, at.url) as page:
            page.goto(f"/join#{token}")
            page.click("#form button")
            page.wait_for_selector("#problem:has-text('used already')")
            assert page.is_hidden("#form") and page.is_visible("#elsewhere")
            fresh = at.desk.invite(person.id, "test")
            page.evaluate("(token) => { location.hash = token; }", fresh)  # as pasted into this tab
            page.wait_for_selector("#form:not([hidden])")
            assert fresh not in page.url and page.is_hidden("#problem")
            page.click("#form button")
            page.click("#later")
            page.wait_for_url("**/work")
        with visiting(chromium, at.url) as page:
            page.goto("/join")
            assert "needs your invitation link" in page.inner_text("#problem")
        with visiting(chromium, at.url) as page:
            page.goto("/login")
            page.fill("#name", "nobody")
            page.fill("#password", "nothing")
            page.keyboard.press("Enter")
            page.wait_for_selector("#problem:has-text('do not fit')")


def test_consent_is_asked_for_and_a_panel_s_participant_is_kept(tmp_path: Path, chromium: Any) -> None:
    changes = {"consent": "We keep your answers.", "participant_parameter": "PANEL_PID"}
    with scene(tmp_path, work("label", 1), **changes) as at:
        token = at.desk.open_panel("spring", 5, "test")
        with visiting(chromium, at.url) as page:
            page.goto(f"/join?PANEL_PID=abc-77#{token}")
            page.click("#form button")
            page.wait_for_selector("#problem:has-text('tick the box')")
            page.check("#agreed")
            page.click("#form button")
            ready(page)
        assert [each.participant for each in at.desk.persons()] == ["abc-77"]


def test_who_does_not_pass_practice_is_told_what_is_left(tmp_path: Path, chromium: Any) -> None:
    items = [*(practice(i) for i in range(4)), *work("label", 1)]
    with scene(tmp_path, items, practice_items=2, practice_tries=2) as at, visiting(chromium, at.url) as page:
        person = at.desk.add_person("Robin", by="test")
        page.goto(f"/join#{at.desk.invite(person.id, 'test')}")
        page.click("#form button")
        page.click("#later")
        for turn in range(4):
            ready(page)
            press(page, "7" if page.inner_text(".output .text").startswith("A lonely") else "1")
            page.wait_for_selector("h1:text-is('Not what was expected.')")
            assert "Expected:" in page.inner_text(".verdict")
            press(page, "Enter")
            if turn == 1:
                page.wait_for_selector("h1:text-is('Not passed this time')")
                assert "1 try left" in page.inner_text("#item")
                press(page, "Enter")
        page.wait_for_selector("#item:has-text('practice items were not passed')")
        assert at.live() == []


# ---- for everybody ----


RARE_SIGHTS = [(WIDE, "light", 0), (WIDE, "dark", 1), (1366, "light", 1), (NARROW, "light", 0)]
SIGHTS = [(NARROW, "dark", 1), *(pytest.param(*each, marks=pytest.mark.slow) for each in RARE_SIGHTS)]


@pytest.mark.parametrize(("width", "scheme", "level"), SIGHTS)
def test_no_kind_s_page_scrolls_sideways_or_shuts_anybody_out(
    width: int, scheme: str, level: int, tmp_path: Path, chromium: Any, pictures: Path
) -> None:
    items = [work(kind, 1, level)[0] for kind in KINDS]
    seen = set()
    with scene(tmp_path, items) as at, rating(at, chromium, width=width, scheme=scheme) as page:
        for number in range(1, len(items) + 1):
            item_number(page, number)
            kind = at.desk.claim(page.person).first.request.kind
            seen.add(kind)
            assert_fits(page)
            assert_accessible(page)
            picture(page, pictures, f"work-{kind}-level{level}-{width}-{scheme}")
            for size in ("large", "larger", "normal"):
                page.click("#size")
                assert page.evaluate("document.documentElement.dataset.size") == size
                assert_fits(page)
            page.evaluate("document.activeElement.blur()")  # the button would take Enter
            answer_by_keyboard(page, kind)
        page.wait_for_selector("h1:has-text('All done')")
    assert seen == set(KINDS)


@pytest.mark.parametrize(("width", "scheme", "level"), SIGHTS)
def test_the_other_screens_fit_and_are_accessible(
    width: int, scheme: str, level: int, tmp_path: Path, chromium: Any, pictures: Path
) -> None:
    consent = "We keep your answers and how long they took.\n\nYou can stop whenever you like."
    settings = {"practice_items": 1, "completion_code": "RRM-42", "consent": consent}
    items = [practice(0), *work("label", 1, level)]
    with scene(tmp_path, items, **settings) as at, visiting(chromium, at.url, width=width, scheme=scheme) as page:

        def look(name: str) -> None:
            assert_fits(page)
            assert_accessible(page)
            picture(page, pictures, f"{name}-{width}-{scheme}")

        page.goto("/login")
        look("login")
        page.goto("/join")
        look("join-without-link")
        person = at.desk.add_person("Robin", by="test")
        page.goto("/login")  # else only the fragment would change
        page.goto(f"/join#{at.desk.invite(person.id, 'test')}")
        look("join")
        page.check("#agreed")
        page.click("#form button")
        page.wait_for_selector("#choose")
        look("choose")
        page.click("#later")
        ready(page)
        look("practice")
        press(page, "1" if page.inner_text(".output .text").startswith("A lonely") else "7")
        page.wait_for_selector(".verdict")
        look("practice-result")
        press(page, "Enter")
        page.wait_for_selector("h1:text-is('Practice passed')")
        look("practice-over")
        press(page, "Enter")
        ready(page)
        for key, name in (("h", "help"), ("w", "wider"), ("r", "reject"), ("f", "flag")):
            press(page, key)
            page.wait_for_selector("dialog[open]")
            look(f"dialog-{name}")
            press(page, "Escape")
        page.context.set_offline(True)
        press(page, "y")
        page.wait_for_selector("#banner-offline")
        look("offline")
        page.context.set_offline(False)
        page.wait_for_selector("h1:has-text('All done')")
        look("done")
        press(page, "l")
        page.wait_for_selector("dialog li")
        look("dialog-last-answers")
        press(page, "Escape")
        page.seen.assert_clean(page)


def test_tab_reaches_every_control_in_the_order_of_the_page_and_the_focus_shows(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("comparison", 1)) as at, rating(at, chromium) as page:
        assert page.evaluate("document.activeElement.id") == "heading"
        controls = page.locator("#item button:not(:disabled), #item [tabindex='0'], #item textarea")
        reached = controls.all_text_contents()
        walked: list[str] = []
        for _ in range(len(reached)):
            press(page, "Tab")
            walked.append(page.evaluate("document.activeElement.textContent"))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert walked == reached


def test_keys_of_the_kinds_never_clash_with_each_other_or_with_those_that_mean_the_same_everywhere(
    tmp_path: Path, chromium: Any
) -> None:
    with scene(tmp_path, work("label", 1)) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        found = page.evaluate("""async () => {
          const base = document.querySelector("script[src*='/frame.js']").src.replace("frame.js", "");
          const [{ kinds }, { ALWAYS }] = await Promise.all([import(base + "kinds.js"), import(base + "keys.js")]);
          const outputs = (kind) => Array(kind === "comparison" || kind === "hindsight" ? 2 : 6).fill({ text: "x" });
          const item = (kind) => ({ outputs: outputs(kind), points: 10, max_tokens: 9 });
          const reject = { key: "r", label: "Reject", press() {} };
          const page = { send() {}, changed() {}, say() {}, passages: [], reject };
          const keys = (kind, make) => make(item(kind), page).actions.flatMap(({ key, also = [] }) => [key, ...also]);
          const all = Object.entries(kinds).map(([kind, make]) => [kind, keys(kind, make)]);
          return { keys: Object.fromEntries(all), always: Object.keys(ALWAYS) };
        }""")
        assert set(found["keys"]) == set(KINDS)
        for kind, keys in found["keys"].items():
            assert len(set(keys)) == len(keys), kind
            assert not set(keys) & set(found["always"]), kind


STATIC = Path(__file__).parents[2] / "rrm" / "web"


def test_every_kind_in_core_has_a_page() -> None:
    script = (STATIC / "static" / "kinds.js").read_text()
    [named] = re.findall(r"^export const kinds = \{ (.*) \};$", script, re.MULTILINE)
    assert set(named.split(", ")) == set(KINDS)


def test_every_text_that_raters_read_stands_in_the_file_of_words() -> None:
    words = (STATIC / "static" / "words" / "en.js").read_text()
    for name in ("rater/join", "rater/login", "refused", "rater/work"):
        template = (STATIC / "templates" / f"{name}.html").read_text()
        bare = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", " ", template, flags=re.DOTALL)
        assert not re.findall(r"[A-Za-z]+", bare), name
        for word in re.findall(r'data-word(?:-label)?="(\w+)"', template):
            assert re.search(rf"^  {word}:", words, re.MULTILINE), word
