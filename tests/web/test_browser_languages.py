"""The rater's pages in several languages: no word is missing in one, and none says less than another."""

from pathlib import Path
from typing import Any

from tests.web.browser import come_in, visiting
from tests.web.test_browser_annotator import item_number, press, ready, scene, work

pytest_plugins = ["tests.web.chromium"]

COMPARE = """async () => {
  const base = document.querySelector("script[src*='/frame.js']").src.replace("frame.js", "");
  const { LANGUAGES } = await import(base + "words.js");
  const faults = [];
  const marks = ["37", "41", "43"];  // stand for whatever is put into a text
  const filled = (text) => marks.filter((mark) => String(text).includes(mark)).join();
  const compare = (path, one, other) => {
    if (typeof one !== typeof other || Array.isArray(one) !== Array.isArray(other)) return faults.push(path);
    if (typeof one === "function") {
      if (one.length !== other.length) return faults.push(path + "()");
      const others = ["answer", "question", "step", "points", "soFar", "passage", "acceptance", "support", "placed"];
      if (others.includes(path.split(".").pop())) return; // take something else than texts and numbers
      const [said, there] = [one(...marks), other(...marks)];
      if (filled(said) !== filled(there)) faults.push(`${path}: ${said} / ${there}`);
    } else if (Array.isArray(one)) {
      if (one.length !== other.length) faults.push(path);
    } else if (typeof one === "object") {
      if (Object.keys(one).join() !== Object.keys(other).join()) faults.push(path);
      for (const key of Object.keys(one)) if (key in other) compare(`${path}.${key}`, one[key], other[key]);
    } else if (!other.trim()) faults.push(path);
  };
  compare("", LANGUAGES.en, LANGUAGES.de);
  const texts = (words) => Object.values(words).filter((each) => typeof each === "string");
  const same = texts(LANGUAGES.en).filter((text, at) => text === texts(LANGUAGES.de)[at]);
  return { faults, same };
}"""


def test_no_word_is_missing_in_a_language_and_what_is_put_into_texts_is_the_same(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 1)) as at, visiting(chromium, at.url) as page:
        page.goto("/login")
        found = page.evaluate(COMPARE)
        assert found["faults"] == []
        assert found["same"] == ["Name"]  # else somebody forgot to translate


def test_a_rater_changes_the_language_and_it_stays(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 2)) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        assert page.inner_text("#heading") == "Is this output good?"
        page.click("#language")
        page.wait_for_selector("#heading:text-is('Ist dieser Text gut?')")
        assert page.evaluate("document.documentElement.lang") == "de"
        page.reload()
        page.wait_for_selector("#heading:text-is('Ist dieser Text gut?')")
        page.click("#language")
        page.wait_for_selector("#heading:text-is('Is this output good?')")


def test_a_rater_chooses_other_keys_which_then_stand_on_the_buttons(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("label", 2)) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        press(page, "h")
        page.click("button:text-is('Change keys')")
        page.fill("input[data-key='y']", "n")
        page.click("button:text-is('Save')")
        page.wait_for_selector("[role=alert]:has-text('same key')")
        page.fill("input[data-key='n']", "y")
        page.click("button:text-is('Save')")
        page.wait_for_selector("[aria-keyshortcuts='n'] kbd:text-is('n')")
        ready(page)
        assert page.inner_text("[aria-keyshortcuts='n']").split() == ["n", "Good"]
        press(page, "y")
        item_number(page, 2)
        [given] = at.live()
        assert given.answer.good is False
