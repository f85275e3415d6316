// Markdown as models write it: headings, lists, quotes, fenced code, emphasis, code within lines; all else stays as written.
//
// Nodes are made here and filled with texts alone, so that nothing in a text is ever read as HTML. A text is gone through
// once, whatever stands in it: emphasis of one mark does not nest in itself, and blocks nest no deeper than DEEPEST.
import { el } from "./common.js";

const DEEPEST = 6; // blocks inside blocks
const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))(?![^`]*`)[ \t]*(\S*)/u;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/u;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/u;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])([ \t]+)(?=\S)/u;
const QUOTE = /^ {0,3}> ?/u;
const MARKS = /\\[!-/:-@[-`{-~]|`+|\*{1,3}|_{1,3}/gu;
const HEADINGS = /** @type {const} */ (["h3", "h4", "h5", "h6"]);
/** Emphasis by the length of its mark, from the outside in.
 *  @type {Record<number, ("em" | "strong")[]>} */
const EMPHASIS = { 1: ["em"], 2: ["strong"], 3: ["em", "strong"] };
const FORMATTED = HEADINGS.join() + ",ul,ol,blockquote,hr,pre,code,em";

/** A text with its Markdown as nodes, or null if there is none in it.
 *  @param {string} content */
export function markdown(content) {
  const node = el("div", { class: "text markdown", dir: "auto" }, blocks(content.split(/\r\n?|\n/u), 0));
  return node.querySelector(`${FORMATTED},strong`) ? node : null;
}

/** @typedef {{node: Ui.Child, next: number}} Block */
/** Reads the block that begins at a line, and says at which line the next one does; null if it is no such block.
 *  @typedef {(lines: string[], at: number, depth: number) => Block | null} Reader */

/** @param {string[]} lines @param {number} depth
 *  @returns {Ui.Child[]} */
function blocks(lines, depth) {
  /** @type {Ui.Child[]} */
  const nodes = [];
  for (let at = 0; at < lines.length;) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const { node, next } = begun(lines, at, depth) ?? paragraph(lines, at, depth);
    nodes.push(node);
    at = next;
  }
  return nodes;
}

/** @type {Reader} */
function begun(lines, at, depth) {
  for (const read of depth < DEEPEST ? [fenced, heading, rule, quote, list] : [fenced, heading, rule]) {
    const found = read(lines, at, depth);
    if (found) return found;
  }
  return null;
}

/** @param {string[]} lines @param {number} at @param {number} depth
 *  @returns {Block} */
function paragraph(lines, at, depth) {
  let next = at + 1;
  while (next < lines.length && lines[next].trim() && !interrupts(lines, next, depth)) next += 1;
  return { node: el("p", {}, inline(lines.slice(at, next).join("\n"))), next };
}

/** Whether a block begins at a line that a paragraph might go on with; of numbered lists only one from 1 does.
 *  @param {string[]} lines @param {number} at @param {number} depth */
function interrupts(lines, at, depth) {
  const number = ITEM.exec(lines[at])?.[2].match(/^\d+/u);
  return (!number || Number(number[0]) === 1) && begins(lines[at], depth);
}

/** @param {string} line @param {number} depth */
const begins = (line, depth) =>
  FENCE.test(line) || HEADING.test(line) || RULE.test(line) || (depth < DEEPEST && (QUOTE.test(line) || ITEM.test(line)));

/** @type {Reader} */
function fenced(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open) return null;
  const [, mark, language] = open;
  const closes = (/** @type {string} */ line) => line.trim().length >= mark.length && line.trim().replaceAll(mark[0], "") === "";
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  const label = language ? { "data-language": language } : {};
  // a box that scrolls takes the focus, so that it can be scrolled by keys
  const code = el("pre", { tabindex: "0", dir: "ltr", ...label }, el("code", {}, lines.slice(at + 1, end).join("\n")));
  return { node: code, next: end + 1 };
}

/** @type {Reader} */
function heading(lines, at) {
  const found = HEADING.exec(lines[at]);
  if (!found) return null;
  const tag = HEADINGS[Math.min(found[1].length, HEADINGS.length) - 1]; // above these are the page's own
  return { node: el(tag, {}, inline(found[2].trimEnd().replace(/(?<=[ \t])#+$/u, "").trimEnd())), next: at + 1 };
}

/** @type {Reader} */
const rule = (lines, at) => (RULE.test(lines[at]) ? { node: el("hr"), next: at + 1 } : null);

/** @type {Reader} */
function quote(lines, at, depth) {
  if (!QUOTE.test(lines[at])) return null;
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) next += 1;
  const inside = lines.slice(at, next).map((line) => line.replace(QUOTE, ""));
  return { node: el("blockquote", {}, blocks(inside, depth + 1)), next };
}

/** @type {Reader} */
function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const ends = first[2].at(-1); // a list goes on with the same mark
  const indent = first[1].length;
  const items = [];
  let next = at;
  while (next < lines.length) {
    const mark = ITEM.exec(lines[next]);
    if (!mark || mark[2].at(-1) !== ends || Math.abs(mark[1].length - indent) > 1 || RULE.test(lines[next])) break;
    const width = mark[0].length;
    const inside = [lines[next].slice(width)];
    for (next += 1; next < lines.length && inItem(lines, next, indent, depth); next += 1) {
      inside.push(lines[next].replace(new RegExp(`^ {0,${width}}`, "u"), ""));
    }
    while (inside.at(-1) === "") inside.pop();
    items.push(el("li", {}, inside.some((line) => !line.trim()) ? blocks(inside, depth + 1) : tight(blocks(inside, depth + 1))));
  }
  const number = /^\d+/u.exec(first[2]);
  const node = number ? el("ol", { start: Number(number[0]) }, items) : el("ul", {}, items);
  return { node, next };
}

/** @param {string} line */
const indented = (line) => line.length - line.trimStart().length;

/** Whether a line belongs to the item above it: it is indented, or goes on with its last paragraph, or is blank
 *  before another such line.
 *  @param {string[]} lines @param {number} at @param {number} indent @param {number} depth */
function inItem(lines, at, indent, depth) {
  const line = lines[at];
  if (!line.trim()) {
    const after = lines.slice(at + 1, at + 3).find((each) => each.trim());
    return after !== undefined && indented(after) > indent + 1;
  }
  return indented(line) > indent + 1 || (Boolean(lines[at - 1].trim()) && !begins(line, depth));
}

/** Paragraphs of a list without blank lines stand without paragraphs' margins.
 *  @param {Ui.Child[]} nodes */
const tight = (nodes) => nodes.map((node) => (node instanceof HTMLParagraphElement ? [...node.childNodes] : node));

/** A span that is open: its mark, and what stands in it so far.
 *  @typedef {{mark: string, inside: Ui.Child[]}} Open */

/** Text with emphasis and code.
 *  @param {string} text
 *  @returns {Ui.Child[]} */
function inline(text) {
  /** @type {Open[]} */
  const open = [{ mark: "", inside: [] }];
  const add = (/** @type {Ui.Child} */ child) => open[open.length - 1].inside.push(child);
  const close = () => {
    const { mark, inside } = /** @type {Open} */ (open.pop());
    open[open.length - 1].inside.push(mark, ...inside); // nothing ended it: its mark is text
  };
  const endless = new Set(); // lengths of marks of code that nothing ends from here on
  let from = 0;
  MARKS.lastIndex = 0;
  for (let found = MARKS.exec(text); found; found = MARKS.exec(text)) {
    const [mark] = found;
    const at = found.index;
    const end = at + mark.length;
    if (at > from) add(text.slice(from, at));
    from = end;
    if (mark[0] === "\\") add(mark[1]);
    else if (mark[0] === "`") {
      const stop = endless.has(mark.length) ? -1 : closing(text, end, mark.length);
      if (stop < 0) endless.add(mark.length);
      add(stop < 0 ? mark : el("code", {}, trimmed(text.slice(end, stop))));
      if (stop >= 0) from = MARKS.lastIndex = stop + mark.length;
    } else {
      const before = text[at - 1] ?? " ";
      const after = text[end] ?? " ";
      const inWord = mark[0] === "_" && /[\p{L}\p{N}]/u.test(before) && /[\p{L}\p{N}]/u.test(after);
      const ends = /\S/u.test(before) && before !== mark[0] && !inWord; // a row of marks is a line to write on
      const opened = open.findLastIndex((each) => each.mark === mark);
      if (opened > 0 && ends) {
        while (open.length > opened + 1) close();
        const { inside } = /** @type {Open} */ (open.pop());
        add(EMPHASIS[mark.length].reduceRight((/** @type {Ui.Child} */ within, tag) => el(tag, {}, within), inside));
      } else if (opened < 0 && /\S/u.test(after) && after !== mark[0] && !inWord) open.push({ mark, inside: [] });
      else add(mark);
    }
  }
  add(text.slice(from));
  while (open.length > 1) close();
  return open[0].inside;
}

/** Where the code ends that begins at `from` behind a mark of so many backticks; -1 where it does not.
 *  @param {string} text @param {number} from @param {number} length */
function closing(text, from, length) {
  for (const run of text.slice(from).matchAll(/`+/gu)) if (run[0].length === length) return from + run.index;
  return -1;
}

/** Code as it is meant: the spaces that part it from backticks are no part of it.
 *  @param {string} code */
const trimmed = (code) => (code.startsWith(" ") && code.endsWith(" ") && code.trim() ? code.slice(1, -1) : code);
