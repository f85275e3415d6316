// What changed between two texts, by words.

const LARGEST = 4_000_000; // cells of the table; beyond it the middle counts as replaced as a whole
/** @param {string} text @returns {string[]} */
const split = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

/** @typedef {"=" | "-" | "+"} Op  kept, removed, added */
/** @typedef {(op: Op, words: string[]) => void} Add */

/** Pieces [op, text] in order: "=" kept, "-" removed, "+" added. Longest common subsequence of the words.
 *  @param {string} before @param {string} after */
export function wordDiff(before, after) {
  const a = split(before);
  const b = split(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  /** @type {[Op, string][]} */
  const pieces = [];
  /** @type {Add} */
  const add = (op, words) => {
    if (!words.length) return;
    const last = pieces.at(-1);
    if (last?.[0] === op) last[1] += words.join("");
    else pieces.push([op, words.join("")]);
  };
  add("=", a.slice(0, start));
  middle(a.slice(start, a.length - end), b.slice(start, b.length - end), add);
  add("=", a.slice(a.length - end));
  return pieces;
}

/** @param {string[]} a @param {string[]} b @param {Add} add */
function middle(a, b, add) {
  const width = b.length + 1;
  if (a.length * b.length > LARGEST) {
    add("-", a);
    return add("+", b);
  }
  const common = new Uint32Array((a.length + 1) * width); // [i, j]: longest common part of a[i:] and b[j:]
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const skip = Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
      common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1 : skip;
    }
  }
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const removing = common[(i + 1) * width + j] >= common[i * width + j + 1];
    if (i < a.length && j < b.length && a[i] === b[j]) {
      add("=", [a[i++]]);
      j += 1;
    } else if (j >= b.length || (i < a.length && removing)) add("-", [a[i++]]);
    else add("+", [b[j++]]);
  }
}
