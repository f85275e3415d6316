// Marking passages of a text by mouse or keyboard; offsets are Unicode code points, as the server counts.

import { present } from "./common.js";

/** @param {string} text @param {number} units */
const points = (text, units) => [...text.slice(0, units)].length;
/** @param {string} text @param {number} count */
const units = (text, count) => [...text].slice(0, count).join("").length;
/** The one text that an element holds.
 *  @param {HTMLElement} node */
const textIn = (node) => /** @type {Text} */ (present(node.firstChild, "the text to mark"));

/** A text that can be read word by word with the arrow keys: ← → move, Shift takes more words.
 *  @param {HTMLElement} node */
export function walkable(node) {
  const words = () => [...(node.textContent ?? "").matchAll(/\S+/g)].map((m) => [m.index, m.index + m[0].length]);
  let from = -1;
  let to = -1;
  node.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
    const all = words();
    if (!all.length) return;
    event.preventDefault();
    const step = event.key === "ArrowRight" ? 1 : -1;
    to = Math.max(0, Math.min(all.length - 1, to + step));
    if (!event.shiftKey || from < 0) from = to;
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    const range = document.createRange();
    range.setStart(textIn(node), all[first][0]);
    range.setEnd(textIn(node), all[last][1]);
    const selection = getSelection();
    selection?.removeAllRanges();
    selection?.addRange(range);
    const box = range.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) node.scrollIntoView({ block: "center" });
  });
  return node;
}

/** The selection within one of `nodes` (each holding a single text): {place, start, end, text}, or null.
 *  @param {HTMLElement[]} nodes */
export function selected(nodes) {
  const selection = getSelection();
  if (!selection?.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const place = nodes.findIndex((node) => range.intersectsNode(node) && node.firstChild);
  if (place < 0) return null;
  const inner = textIn(nodes[place]);
  const whole = inner.data;
  let start = range.startContainer === inner ? range.startOffset : 0;
  let end = range.endContainer === inner ? range.endOffset : whole.length;
  while (start < end && /\s/.test(whole[start])) start += 1;
  while (end > start && /\s/.test(whole[end - 1])) end -= 1;
  if (start === end) return null;
  return { place, start: points(whole, start), end: points(whole, end), text: whole.slice(start, end) };
}

/** The text of a span given in code points.
 *  @param {HTMLElement} node @param {Wire.Span} span */
export const spanText = (node, [start, end]) => [...textIn(node).data].slice(start, end).join("");

/** Show spans [node, start, end] as marked, the text untouched; in browsers that cannot, the list of marks tells.
 *  @param {[HTMLElement, number, number][]} spans */
export function highlight(spans) {
  if (!globalThis.CSS?.highlights) return;
  const ranges = spans.map(([node, start, end]) => {
    const range = document.createRange();
    range.setStart(textIn(node), units(textIn(node).data, start));
    range.setEnd(textIn(node), units(textIn(node).data, end));
    return range;
  });
  CSS.highlights.set("mark", new Highlight(...ranges));
}
