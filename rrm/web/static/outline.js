// An output's text, its Markdown as such; the outline of a decomposition (rrm/core/splits.py) as a list of its parts.
import { el } from "./common.js";
import { markdown } from "./markdown.js";
import { words } from "./words.js";

const HEAD = "part | size | begins at | first sentence | last sentence | about";
const LINE = /^(\d+(?:\.\d+)*) \| (\d+) words(?:, (\d+) parts)? \| ([^|]+) \| ([^|]*) \| ([^|]*) \| ([^|]*)$/u;
const REST = /^not listed: (\d+) parts below these$/u;

/** A text as it stands.
 *  @param {string} content */
export const plainText = (content) => el("div", { class: "text", dir: "auto" }, content);

/** A text, or, where it is an outline of a decomposition, its parts: number, size, first and last sentence, topic.
 *  `formatted` says whether Markdown is shown as such.
 *  @param {string} content @param {boolean} formatted */
export function outputText(content, formatted) {
  const [head, ...lines] = content.split("\n");
  const rest = REST.exec(lines.at(-1) ?? "");
  const rows = (rest ? lines.slice(0, -1) : lines).map((line) => LINE.exec(line));
  if (head !== HEAD || !rows.length || rows.some((row) => !row)) return (formatted && markdown(content)) || plainText(content);
  const parts = rows.flatMap((row) => (row ? [row] : []));
  const largest = Math.max(...parts.map((row) => Number(row[2])));
  return el("div", { class: "text outline", dir: "auto" },
    el("ol", {}, parts.map((row) => part(row, largest))),
    rest && el("p", { class: "muted small" }, words.outline.rest(Number(rest[1]))));
}

/** @param {RegExpExecArray} row @param {number} largest */
function part([, number, size, parts, begins, first, last, about], largest) {
  const depth = Math.min(4, number.split(".").length);
  return el("li", { class: `depth-${depth}` },
    el("div", { class: "row" },
      el("strong", {}, number), el("meter", { min: 0, max: largest, value: Number(size), "aria-hidden": "true" }),
      el("span", { class: "muted small" }, words.outline.size(Number(size), Number(parts ?? 0), begins))),
    el("p", {}, first),
    last !== first && el("p", {}, "… ", last),
    about && el("p", { class: "muted small" }, words.outline.about(about)));
}
