"""What a console and a notebook show of a report: a few lines, and a fragment that nothing can break out of."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from rrm.core.report import (
    Candidate,
    Cost,
    Interval,
    LevelReport,
    Report,
    RoundLevel,
    RoundReport,
    TargetReport,
)

CHOSEN = Candidate("o", "The mill <burns> & falls.", own=0.7, composed=0.625, composed_interval=Interval(0.5, 0.75))
REPORT = Report(
    name="mills",
    train_sources=1,
    target_sources=2,
    nodes_per_level=(9, 3, 1),
    outputs=1200,
    ratings=340,
    composer="mean",
    levels=(
        LevelReport(0, 200, 50, accuracy=0.81, interval=Interval(0.75, 0.86), noise_ceiling=0.9),
        LevelReport(2, 140, 0),
    ),
    flat=LevelReport(2, 90, 30, accuracy=0.55, subject="whole"),
    targets=(TargetReport("a", "A mill", (), CHOSEN, 0), TargetReport("b", "No mill", (), None)),
    cost=Cost(),
    seconds=61.3,
)


class Page(HTMLParser):
    """The elements of a fragment, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_the_text_is_a_few_lines_whatever_the_report_holds() -> None:
    assert repr(REPORT).splitlines() == [
        "<rrm report mills: 1 training source, 2 targets, 1,200 outputs, 340 ratings, 61 s",
        "  accuracy on held-out sources: leaves 0.81, 95 % 0.75 to 0.86; flat baseline 0.55",
        "  A mill: 0.625, 90 % interval 0.50 to 0.75",
        "  No mill: no root output>",
    ]
    many = replace(REPORT, targets=REPORT.targets * 50, settings={"x": "y" * 100_000})
    assert len(repr(many)) < 600 and "and 97 more targets" in repr(many)


def test_the_fragment_shows_levels_and_the_chosen_text_with_its_interval() -> None:
    page = Page(REPORT._repr_html_())
    assert set(page.tags) == {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "blockquote", "bdi", "code"}
    assert page.attributes == [] and page.open == []
    for said in ("0.810", "0.75 to 0.86", "flat baseline", "0.625, 90 % interval 0.50 to 0.75", "1 more in"):
        assert said in page.text
    assert CHOSEN.text in page.text
    assert "round" not in page.text


def test_without_any_accuracy_both_say_that_it_needs_two_training_sources() -> None:
    unknown = replace(REPORT, levels=(LevelReport(0, 200, 0), LevelReport(2, 140, 0)), flat=None)
    assert "  accuracy needs two or more training sources" in repr(unknown).splitlines()
    assert "accuracy on held-out sources needs two or more training sources" in unknown._repr_html_()
    several = replace(unknown, train_sources=2)
    assert "needs two" not in repr(several) + several._repr_html_()


def test_rounds_are_a_table_of_their_own() -> None:
    levels = (RoundLevel(0, gold_mean=0.4, proxy_mean=0.5, kl=0.0), RoundLevel(2, proxy_mean=0.6, kl=0.25))
    rounds = (RoundReport(0, levels), RoundReport(1, levels))
    page = Page(replace(REPORT, rounds=rounds)._repr_html_())
    assert "2 rounds" in page.text
    assert "2 root – 0.600 0.250 –" in " ".join(page.text.split())


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "</bdi><img src=x onerror=alert(1)>", "\u202egnp\x1b[31m"]
)
def test_text_is_shown_as_text(text: str) -> None:
    chosen = replace(CHOSEN, text=text)
    poisoned = replace(REPORT, name=text, targets=(replace(REPORT.targets[0], title=text, chosen=chosen),))
    html = poisoned._repr_html_()
    assert set(Page(html).tags) == set(Page(REPORT._repr_html_()).tags) - {"code"}
    assert not {"\u202e", "\x1b"} & set(html)


def test_a_long_text_is_cut_and_says_so() -> None:
    long = replace(CHOSEN, text="word " * 10_000)
    html = replace(REPORT, targets=(replace(REPORT.targets[0], chosen=long),))._repr_html_()
    assert len(html) < 6000 and "48,000 more characters" in html
