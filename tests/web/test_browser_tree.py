"""The tree viewer in a real browser: walked through by keyboard, searched, read; large, deep and hostile trees."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from rrm.core.calls import Call
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.ids import content_id
from rrm.core.task import Source, Span, Task
from rrm.core.values import Critique, Failure, Feedback, Output, Reject
from rrm.queue import SqlDesk, open_desk
from rrm.queue.nodes import open_nodes
from rrm.store.record import open_store
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
)
from tests.web.stations import PLENTY
from tests.web.tree_scenarios import (
    asked,
    chain,
    grown,
    outputs_at,
    proposed_in_rounds,
    ratings,
    recorded,
    scores_of,
    source_of,
    way_down,
)

pytest_plugins = ("tests.web.chromium",)

SOURCE = source_of(1600, title="The Copper Bell")
GRAPH = grown(SOURCE, 60, fan=4)
OUTPUTS = outputs_at(GRAPH, 3)
ORDER = GRAPH.in_order()
LEAF = GRAPH.leaves[0]
TREE = content_id("tree", GRAPH.to_json())


def put(folder: Path, *values: Any) -> None:
    with open_store(folder) as store:
        store.append(values)


def called(about: str, prompt: str, reply: str, reason: str | None = None, error: str | None = None) -> Call:
    """A model call for a node or a request."""
    return Call("rater", about, prompt, prompt, prompt, 0, 1, 1.7e9, 2.0, reply, reason, error, 40, 4)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    request = asked(GRAPH, SOURCE, OUTPUTS[LEAF][0], "critique")
    put(
        folder,
        SOURCE,
        GRAPH,
        *(each for some in OUTPUTS.values() for each in some),
        *scores_of(GRAPH, OUTPUTS),
        *ratings(GRAPH, SOURCE, OUTPUTS, ORDER[::3]),
        *way_down(GRAPH, OUTPUTS, SOURCE),
        request,
        called(LEAF, "Summarise the harbour.", "The harbour it is."),
        called(request.id, "Judge the harbour.", '{"text": "short"}', "It leaves the bell out."),
        Feedback(request.id, "p-ben", Critique("It says zeppelin twice.", ((0, 4),)), 31.0, 0.5),
        Failure(GRAPH.leaves[5], "rate", "ValueError", "the rater's answer made no sense"),
    )
    return folder


@dataclass
class Seat:
    """A station over a record, and the browser that looks at it."""

    desk: SqlDesk
    url: str
    chromium: Any

    @contextmanager
    def page(self, address: str = "/tree", **options: Any) -> Iterator[Any]:
        """The viewer, opened by a new reader; fails if the page did what it must not."""
        with visiting(self.chromium, self.url, **options) as page:
            come_in(page, self.desk, self.url, "reader")
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            yield page
            page.seen.assert_clean(page)


@contextmanager
def seat_at(folder: Path, chromium: Any) -> Iterator[Seat]:
    with ExitStack() as held:
        nodes = held.enter_context(open_nodes(folder))
        desk = held.enter_context(open_desk(folder))
        url = held.enter_context(serving(Station(desk, settings=PLENTY, trees=nodes)))
        yield Seat(desk, url, chromium)


@pytest.fixture(scope="module")
def seat(record: Path, tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Seat]:
    with seat_at(Path(copytree(record, tmp_path_factory.mktemp("seat") / "run")), chromium) as made:
        yield made


def rows(page: Any) -> list[int]:
    """The numbers of the nodes whose rows are in the document, from top to bottom."""
    return [int(each) for each in page.locator(".tree-row").evaluate_all("rows => rows.map(row => row.dataset.node)")]


def active(page: Any) -> int:
    """The node whose row has the focus."""
    return int(page.evaluate("document.activeElement.dataset.node ?? -1"))


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def read(page: Any, number: int) -> None:
    """Wait until a node is open."""
    page.wait_for_selector(f".tree-row.opened[data-node='{number}']")
    page.wait_for_selector("#node .node-part")


def numbers(nodes: Any) -> list[int]:
    return [ORDER.index(node) for node in nodes]


# ---- rows and keys ----


def test_the_tree_opens_with_its_upper_levels_and_the_focus_on_the_root(seat: Seat) -> None:
    with seat.page() as page:
        assert active(page) == 0
        assert set(numbers(GRAPH.children(GRAPH.root))) <= set(rows(page))
        assert rows(page) == sorted(rows(page))
        assert "nodes" in page.inner_text("#about")
        root = page.locator("[role=tree] [role=treeitem]").first
        assert root.get_attribute("aria-level") == "1" and root.get_attribute("aria-expanded") == "true"
        assert f"level {len(GRAPH.levels) - 2}" in page.locator(".tree-row").nth(1).get_attribute("aria-label")


def test_arrow_keys_walk_open_and_close_as_in_any_tree(seat: Seat) -> None:
    first, second = numbers(GRAPH.children(GRAPH.root)[:2])
    inner = numbers(GRAPH.children(GRAPH.children(GRAPH.root)[0]))
    with seat.page() as page:
        press(page, "ArrowDown")
        assert active(page) == first
        if page.locator(f"#row-{first}").get_attribute("aria-expanded") == "true":
            press(page, "ArrowLeft")
        assert page.locator(f"#row-{first}").get_attribute("aria-expanded") == "false"
        press(page, "ArrowDown")
        assert active(page) == second
        press(page, "ArrowUp", "ArrowRight")
        assert page.locator(f"#row-{first}").get_attribute("aria-expanded") == "true"
        press(page, "ArrowRight")
        assert active(page) == inner[0]
        press(page, "ArrowLeft")
        assert active(page) == first
        press(page, "ArrowLeft")
        assert active(page) == first and page.locator(f"#row-{first}").get_attribute("aria-expanded") == "false"
        press(page, "ArrowLeft")
        assert active(page) == 0
        press(page, "End")
        last = active(page)
        assert rows(page)[-1] == last
        press(page, "Home")
        assert active(page) == 0


def test_a_star_opens_all_siblings_and_letters_jump(seat: Seat) -> None:
    with seat.page() as page:
        press(page, "ArrowDown", "*")
        for number in numbers(GRAPH.children(GRAPH.root)):
            if page.locator(f"#row-{number}").count():
                assert page.locator(f"#row-{number}").get_attribute("aria-expanded") == "true"
        press(page, "Home")
        titles = page.locator(".tree-row .tree-title").all_inner_texts()
        letter = titles[3][0].lower()
        press(page, letter)
        landed = page.locator(":focus .tree-title").inner_text()
        assert landed.lower().startswith(letter)


def test_one_row_alone_is_in_the_tab_order(seat: Seat) -> None:
    with seat.page() as page:
        press(page, "ArrowDown", "ArrowDown", "PageDown", "PageUp")
        assert page.locator(".tree-row[tabindex='0']").count() == 1
        assert active(page) >= 0


def test_rows_say_state_level_and_score_to_those_who_cannot_see_them(seat: Seat) -> None:
    with seat.page(f"/tree#{TREE}/{GRAPH.leaves[5]}") as page:
        number = ORDER.index(GRAPH.leaves[5])
        read(page, number)
        label = page.locator(f"#row-{number}").get_attribute("aria-label")
        for word in ("leaf", "chosen", "with an error", "score 0.", "from 0.", "to "):
            assert word in label, label
        assert page.locator(f"#row-{number}").get_attribute("aria-selected") == "true"


# ---- reading a node ----


def test_enter_opens_a_node_and_escape_leads_back(seat: Seat) -> None:
    with seat.page() as page:
        press(page, "ArrowDown", "Enter")
        read(page, 1)
        assert page.evaluate("document.activeElement.id") == "node-title"
        assert page.url.endswith(f"#{TREE}/{ORDER[1]}")
        press(page, "Escape")
        assert active(page) == 1


def test_a_node_shows_outputs_scores_ratings_cost_and_where_they_came_from(seat: Seat) -> None:
    with seat.page(f"/tree#{TREE}/{LEAF}") as page:
        read(page, ORDER.index(LEAF))
        text = page.inner_text("#node")
        span = GRAPH.task(LEAF).span
        assert span and SOURCE.read(span)[:60] in text
        for output in OUTPUTS[LEAF]:
            assert output.text in text
        for words in (
            "is better than",
            "p-anna",
            "13 s of active time",
            "It says zeppelin twice.",
            f"on {OUTPUTS[LEAF][0].text[:4]}",
            "p-ben",
            "confidence 0.50",
            "read by its parent",
            "2 calls, 80 tokens in, 8 out, 4 s.",
        ):
            assert words in text, words
        page.locator("#node .node-outputs summary").first.click()
        text = page.inner_text("#node")
        assert "words" in text and "not known" in text and f"{0:032x}" in text
        assert page.locator("#node svg[role=img]").first.get_attribute("aria-label").startswith("Own score 0.")


def test_a_nodes_model_calls_come_with_prompt_reply_and_reason_once_they_are_opened(seat: Seat) -> None:
    with seat.page(f"/tree#{TREE}/{LEAF}") as page:
        read(page, ORDER.index(LEAF))
        assert page.locator("#node .node-calls > li").count() == 0
        page.get_by_text("Model calls (2)").click()
        page.wait_for_selector("#node .node-calls > li:nth-child(2)")
        first, second = page.locator("#node .node-calls > li").all()
        assert "The harbour it is." in first.inner_text()
        assert "about a question" not in first.inner_text()
        assert "about a question" in second.inner_text()
        assert "Reason: It leaves the bell out." in second.inner_text()
        second.get_by_text("Prompt", exact=True).click()
        assert "Judge the harbour." in second.locator(".node-text").nth(1).inner_text()
        assert not page.get_by_text("Show more").is_visible()
        assert_accessible(page)
        assert_fits(page)


def test_a_node_leads_to_its_parts_and_the_browsers_back_button_returns(seat: Seat) -> None:
    part = GRAPH.children(GRAPH.root)[0]
    with seat.page(f"/tree#{TREE}/{GRAPH.root}") as page:
        read(page, 0)
        assert OUTPUTS[part][0].text in page.inner_text("#node .node-inputs")
        page.locator("#node .node-inputs a").first.click()
        read(page, ORDER.index(part))
        page.go_back()
        read(page, 0)


def test_a_deep_link_opens_what_is_above_the_node_and_a_node_alone_finds_its_tree(seat: Seat) -> None:
    leaf = GRAPH.leaves[-1]
    for address in (f"/tree#{TREE}/{leaf}", f"/tree#{leaf}", f"/tree#{TREE}/{ORDER.index(leaf)}"):
        with seat.page(address) as page:
            read(page, ORDER.index(leaf))
            assert page.locator(f"#row-{ORDER.index(leaf)}").is_visible()


def test_an_address_that_leads_nowhere_says_so(seat: Seat) -> None:
    with seat.page(f"/tree#{TREE}/node-x") as page:
        page.wait_for_selector("#trouble:not([hidden])")
        assert "has no node node-x" in page.inner_text("#trouble")
        assert page.locator(".tree-row").count() > 3
    with seat.page("/tree#tree-x/node-x") as page:
        assert page.locator(".tree-row").count() > 3


def test_a_record_without_trees_says_that_they_will_come(tmp_path: Path, chromium: Any) -> None:
    open_store(tmp_path).close()
    with seat_at(tmp_path, chromium) as seat, seat.page() as page:
        assert "No tree is on record yet" in page.inner_text("#nothing")
        assert_accessible(page)
        assert_fits(page)


# ---- searching ----


def test_a_search_shows_what_was_found_below_what_is_above_it(seat: Seat) -> None:
    number = ORDER.index(LEAF)
    above = []
    node = LEAF
    while parents := GRAPH.parents(node):
        node = parents[0]
        above.append(ORDER.index(node))
    with seat.page() as page:
        press(page, "/")
        assert page.evaluate("document.activeElement.id") == "text"
        page.keyboard.type("ZEPPELIN")
        page.wait_for_selector(f".tree-row.match[data-node='{number}']")
        assert rows(page) == sorted([*above, number])
        assert page.locator(".tree-row.match").count() == 1
        assert page.inner_text("#found") == f"1 of {len(GRAPH)} nodes"
        press(page, "Enter")
        page.wait_for_selector(f".tree-row[data-node='{number}']:focus")
        press(page, "Enter")
        read(page, number)
        assert page.locator("#node mark").all_inner_texts() == ["zeppelin"]
        page.click("#clear")
        page.wait_for_selector(".tree-row.match", state="detached")
        assert page.inner_text("#found") == f"{len(GRAPH)} nodes"
        assert page.locator(f"#row-{number}").count() == 1


def test_conditions_narrow_the_rows_down_and_nothing_found_is_said(seat: Seat) -> None:
    with seat.page() as page:
        page.check("#error")
        number = ORDER.index(GRAPH.leaves[5])
        page.wait_for_selector(f".tree-row.match[data-node='{number}']")
        assert page.locator(".tree-row.match").count() == 1
        page.select_option("#level", "1")
        page.wait_for_selector("#nothing:not([hidden])")
        assert page.inner_text("#found").startswith("0 of ")
        assert page.locator("#tree").is_hidden()
        assert_accessible(page)
        page.uncheck("#error")
        page.wait_for_selector("#tree:not([hidden])")
        assert page.locator(".tree-row.match").count() > 1
        all_of_level = page.inner_text("#found")
        page.fill("#low", "0.5")
        page.wait_for_selector(f"#found:not(:has-text('{all_of_level}'))")
        scores = page.locator(".tree-row.match .tree-score").all_inner_texts()
        assert scores and all(float(each) >= 0.5 for each in scores)


def test_while_searching_branches_can_still_be_closed(seat: Seat) -> None:
    with seat.page() as page:
        page.select_option("#level", "0")
        page.wait_for_selector(".tree-row.match")
        shown = len(rows(page))
        page.locator("#row-0 .twist").click()
        assert rows(page) == [0] and shown > 10
        press(page, "ArrowRight")
        assert len(rows(page)) == shown


# ---- what changes, what is hostile, what is large ----


def test_what_is_recorded_meanwhile_comes_in_and_the_place_is_kept(record: Path, tmp_path: Path, chromium: Any) -> None:
    with seat_at(Path(copytree(record, tmp_path / "run")), chromium) as seat, seat.page() as page:
        press(page, "ArrowDown", "Enter")
        read(page, 1)
        press(page, "Escape")
        put(tmp_path / "run", Failure(ORDER[1], "score", "ValueError", "late trouble"))
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_selector("#row-1 .tree-failed")
        assert active(page) == 1
        page.click(".node-new button")
        page.wait_for_selector("#node .alert.bad")
        assert "late trouble" in page.inner_text("#node")


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "</textarea></select><iframe src=//evil.example>",
    "javascript:alert(1)",
    "{{7*7}} ${7*7}",
    '"><a href="//evil.example" style="position:fixed">',
    "\u202eright to left\u202c \u200bzero\u200b",
    "&lt;b&gt; <style>*{display:none}</style>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
)


def test_texts_that_would_be_code_are_shown_as_texts(tmp_path: Path, chromium: Any) -> None:
    source = Source(HOSTILE[0], " ".join(HOSTILE))
    ends = [0]
    for text in HOSTILE:
        ends.append(min(ends[-1] + len(text) + 1, len(source.text)))
    whole = Task(HOSTILE[3], source.id, Span(0, len(source.text)))
    graph = TaskGraph.start(whole, "by hand", 0)
    pieces = tuple(Task(HOSTILE[1], source.id, Span(*each)) for each in pairwise(ends))
    graph = graph.grow(graph.root, Proposal(pieces, note=HOSTILE[2])).grow_all(lambda *_: Proposal())
    graph = graph.refuse(graph.root, HOSTILE[4])
    values: list[Any] = [source, graph]
    for number, (node, text) in enumerate(zip(graph.leaves, HOSTILE, strict=True)):
        output = Output(node, text, text, number)
        critique, refusal = (asked(graph, source, output, kind) for kind in ("critique", "reject"))
        answers = (Feedback(critique.id, text, Critique(text)), Feedback(refusal.id, text, Reject(text)))
        values += [output, critique, refusal, *answers, Failure(node, text, text, text)]
        values.append(called(node, text, text, text, text))
    put(tmp_path / "run", *values)
    tree = content_id("tree", graph.to_json())
    with seat_at(tmp_path / "run", chromium) as seat, seat.page(f"/tree#{tree}/0") as page:
        read(page, 0)
        for number, text in enumerate(HOSTILE, 1):
            press(page, "Escape", "ArrowDown", "Enter")
            read(page, number)
            for summary in page.locator("#node summary").all():
                summary.click()
            shown = page.evaluate("document.querySelector('#node').textContent")
            assert shown.count(text) >= 5, text
            page.wait_for_selector("#node .node-calls > li")
            called_for = page.evaluate("document.querySelector('#node .node-calls').textContent")
            assert called_for.count(text) == 6, text  # assistant, error, system text, prompt, reply, reason
        page.fill("#text", HOSTILE[1])
        page.wait_for_selector(".tree-row.match[data-node='2']")
        assert page.locator("#node img, #node iframe, #node script, #node style, #tree img").count() == 0


def test_a_chain_of_three_thousand_levels_is_opened_to_its_end(tmp_path: Path, chromium: Any) -> None:
    graph = chain(3000)
    put(tmp_path / "run", graph)
    tree = content_id("tree", graph.to_json())
    with seat_at(tmp_path / "run", chromium) as seat, seat.page(f"/tree#{tree}/2999") as page:
        read(page, 2999)
        assert page.locator("#row-2999").get_attribute("aria-level") == "3000"
        assert len(rows(page)) < 80
        assert_fits(page)


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("dark", NARROW),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in [("light", WIDE), ("light", NARROW), ("dark", WIDE)]),
    ],
)
def test_the_page_fits_is_accessible_and_is_kept_as_a_picture(
    seat: Seat, width: int, scheme: str, pictures: Path
) -> None:
    with seat.page(f"/tree#{TREE}/{LEAF}", width=width, scheme=scheme) as page:
        read(page, ORDER.index(LEAF))
        assert_accessible(page)
        assert_fits(page)
        for summary in page.locator("#node summary").all():
            summary.click()
        assert_accessible(page)
        assert_fits(page)
        picture(page, pictures, f"tree-{scheme}-{width}")
        page.fill("#text", "copper")
        page.wait_for_selector(".tree-row.match")
        assert_accessible(page)
        assert_fits(page)


def test_a_sentence_of_the_root_opens_to_its_chain_and_the_text(seat: Seat, pictures: Path) -> None:
    said, unsaid = (each.text for each in OUTPUTS[GRAPH.root][:2])
    with seat.page(f"/tree#{TREE}/0") as page:
        read(page, 0)
        for text in (said, unsaid):
            output = page.locator(".node-outputs > li", has_text=text)
            output.get_by_text("What its sentences rest on").click()
            output.locator(".node-claims summary", has_text=text).click()
        assert "rests on nothing" in output.locator(".node-claims").inner_text()
        steps = page.locator(".node-outputs > li", has_text=said).locator(".claim-step")
        page.wait_for_selector(".claim-text mark")
        assert steps.count() == GRAPH.height(GRAPH.root) + 1
        below = GRAPH.children(GRAPH.root)[0]
        assert OUTPUTS[below][0].text in steps.first.inner_text()
        quoted = SOURCE.text[: SOURCE.text.index(".") + 1]
        assert steps.last.locator("mark").inner_text() == quoted
        assert SOURCE.text[len(quoted) :][:40].strip() in steps.last.inner_text()  # and what stands behind it
        assert_accessible(page)
        picture(page, pictures, "tree-claims")
        steps.first.locator("a").click()
        read(page, ORDER.index(below))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rounds_stand_apart_the_last_one_open(tmp_path: Path, chromium: Any, pictures: Path, scheme: str) -> None:
    root, [part, *_] = GRAPH.root, GRAPH.children(GRAPH.root)
    old = OUTPUTS[root][:2]
    late = Output(part, "A later word.", "words", 7, OUTPUTS[part][0].inputs)
    new = Output(root, "The latest of all.", "words", 8, (late.id, *old[0].inputs[1:]))
    put(tmp_path / "run", SOURCE, GRAPH, *(each for some in OUTPUTS.values() for each in some), late)
    proposed_in_rounds(tmp_path / "run", GRAPH, [old, [new]])
    with seat_at(tmp_path / "run", chromium) as seat, seat.page(f"/tree#{TREE}/0", scheme=scheme) as page:
        read(page, 0)
        shown = page.locator(".node-outputs > li:visible")
        assert [each.split("\n")[0] for each in shown.all_inner_texts()] == ["Output 1"]
        assert new.text in shown.inner_text() and page.locator("h4", has_text="Round 2").count() == 1
        inputs = page.locator(".node-inputs > li:visible")
        assert inputs.count() == len(GRAPH.children(root)) and late.text in inputs.first.inner_text()
        picture(page, pictures, f"tree-rounds-{scheme}")
        page.get_by_text("Of round 1 (2): scores of different rounds are not on one scale").click()
        assert shown.count() == 3
        page.get_by_text("Read in round 1").click()
        assert inputs.count() == 2 * len(GRAPH.children(root))
        assert_accessible(page)


def test_everything_can_be_reached_with_the_keyboard_on_a_narrow_page(seat: Seat) -> None:
    with seat.page(width=NARROW) as page:
        press(page, "ArrowDown", "Enter")
        read(page, 1)
        assert page.evaluate("document.activeElement.id") == "node-title"
        top = page.evaluate("document.querySelector('#node').getBoundingClientRect().top")
        assert top < 400
        page.locator(".node-back").focus()
        press(page, "Enter")
        assert active(page) == 1


@pytest.mark.slow
def test_ten_thousand_nodes_open_with_a_bounded_number_of_rows(tmp_path: Path, chromium: Any) -> None:
    _, graph = recorded(tmp_path / "run", 8000, words=100_000)
    assert len(graph) >= 10_000
    with seat_at(tmp_path / "run", chromium) as seat, visiting(chromium, seat.url) as page:
        come_in(page, seat.desk, seat.url, "reader")
        page.goto("/tree")
        page.wait_for_selector("body[data-ready]")
        press(page, "ArrowDown")
        assert active(page) == 1
        page.select_option("#level", "0")
        page.wait_for_selector(".tree-row.match")
        for _ in range(20):
            page.evaluate("document.querySelector('#tree').scrollTop += 20_000")
            page.wait_for_timeout(30)
            assert 10 < page.locator(".tree-row").count() < 100
        page.locator(".tree-row[tabindex='0']").focus()
        press(page, "End")
        assert active(page) == len(graph) - 1
        page.seen.assert_clean(page)
