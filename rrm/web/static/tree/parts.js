// What rows and the node's page both draw: states in words and signs, scores as bars.
const SVG = "http://www.w3.org/2000/svg";

/** @type {Record<Tree.State, string>} */
export const STATE_WORDS = {
  empty: "no outputs",
  proposed: "proposed",
  rated: "rated",
  scored: "scored",
  chosen: "chosen",
  failed: "failed",
};
/** @type {Record<Tree.State, string>} */
export const STATE_ICONS = { empty: "○", proposed: "◔", rated: "◑", scored: "◕", chosen: "●", failed: "✕" };

/** A node's level in words: the root and the leaves by name.
 *  @param {import("./rows.js").Outline} outline @param {number} node */
export function levelName(outline, node) {
  if (node === 0) return "root";
  return outline.level[node] === 0 ? (outline.undecided.has(node) ? "open" : "leaf") : `level ${outline.level[node]}`;
}

/** @param {number | null} value */
export const scoreText = (value) => (value === null ? "–" : value.toFixed(2));

/** A score between 0 and 1 with its interval, as a small drawing; an empty frame without one.
 *  @param {number | null} mean @param {number | null} low @param {number | null} high */
export function intervalBar(mean, low = null, high = null, label = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar-svg");
  svg.setAttribute("viewBox", "0 0 100 14");
  svg.setAttribute("preserveAspectRatio", "none");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  /** @type {(name: string, x: number, width: number, y: number, height: number) => void} */
  const rect = (name, x, width, y, height) => {
    const part = document.createElementNS(SVG, "rect");
    const values = { class: name, x, y, width: Math.max(width, 0), height };
    for (const [key, value] of Object.entries(values)) part.setAttribute(key, String(value));
    svg.append(part);
  };
  rect("bar-ground", 0, 100, 5, 4);
  /** @param {number} value */
  const inside = (value) => 100 * Math.min(1, Math.max(0, value));
  if (mean === null) return svg;
  if (low !== null && high !== null) rect("bar-range", inside(low), inside(high) - inside(low), 3, 8);
  rect("bar-mean", Math.min(97, Math.max(0, inside(mean) - 1.5)), 3, 0, 14);
  return svg;
}
