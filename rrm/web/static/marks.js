// Marking passages of a text by mouse or keyboard; offsets are Unicode code points, as the server counts.

const points = (text, units) => [...text.slice(0, units)].length;
const units = (text, count) => [...text].slice(0, count).join("").length;

/** A text that can be read word by word with the arrow keys: ← → move, Shift takes more words. */
export function walkable(node) {
  const words = () => [...node.textContent.matchAll(/\S+/g)].map((m) => [m.index, m.index + m[0].length]);
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
    range.setStart(node.firstChild, all[first][0]);
    range.setEnd(node.firstChild, all[last][1]);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    const box = range.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) range.startContainer.parentElement.scrollIntoView({ block: "center" });
  });
  return node;
}

/** The selection within one of `nodes` (each holding a single text): {place, start, end, text}, or null. */
export function selected(nodes) {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const place = nodes.findIndex((node) => range.intersectsNode(node) && node.firstChild);
  if (place < 0) return null;
  const inner = nodes[place].firstChild;
  const whole = inner.data;
  let start = range.startContainer === inner ? range.startOffset : 0;
  let end = range.endContainer === inner ? range.endOffset : whole.length;
  while (start < end && /\s/.test(whole[start])) start += 1;
  while (end > start && /\s/.test(whole[end - 1])) end -= 1;
  if (start === end) return null;
  return { place, start: points(whole, start), end: points(whole, end), text: whole.slice(start, end) };
}

/** The text of a span given in code points. */
export const spanText = (node, [start, end]) => [...node.textContent].slice(start, end).join("");

/** Show spans [node, start, end] as marked, the text untouched; in browsers that cannot, the list of marks tells. */
export function highlight(spans) {
  if (!globalThis.CSS?.highlights) return;
  const ranges = spans.map(([node, start, end]) => {
    const range = document.createRange();
    range.setStart(node.firstChild, units(node.textContent, start));
    range.setEnd(node.firstChild, units(node.textContent, end));
    return range;
  });
  CSS.highlights.set("mark", new Highlight(...ranges));
}
