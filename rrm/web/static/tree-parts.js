// What rows and the node's page both draw: states in words and signs, scores as bars.
const SVG = "http://www.w3.org/2000/svg";

export const STATE_WORDS = {
  empty: "no outputs",
  proposed: "proposed",
  rated: "rated",
  scored: "scored",
  chosen: "chosen",
  failed: "failed",
};
export const STATE_ICONS = { empty: "○", proposed: "◔", rated: "◑", scored: "◕", chosen: "●", failed: "✕" };

/** A node's level in words: the root and the leaves by name. */
export function levelName(outline, node) {
  if (node === 0) return "root";
  return outline.level[node] === 0 ? (outline.undecided.has(node) ? "open" : "leaf") : `level ${outline.level[node]}`;
}

export const scoreText = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

/** A score between 0 and 1 with its interval, as a small drawing; an empty frame without one. */
export function intervalBar(mean, low = null, high = null, label = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar-svg");
  svg.setAttribute("viewBox", "0 0 100 14");
  svg.setAttribute("preserveAspectRatio", "none");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  const rect = (name, x, width, y, height) => {
    const part = document.createElementNS(SVG, "rect");
    const values = { class: name, x, y, width: Math.max(width, 0), height };
    for (const [key, value] of Object.entries(values)) part.setAttribute(key, value);
    svg.append(part);
  };
  rect("bar-ground", 0, 100, 5, 4);
  const inside = (value) => 100 * Math.min(1, Math.max(0, value));
  if (mean === null || mean === undefined) return svg;
  if (low !== null && high !== null) rect("bar-range", inside(low), inside(high) - inside(low), 3, 8);
  rect("bar-mean", Math.min(97, Math.max(0, inside(mean) - 1.5)), 3, 0, 14);
  return svg;
}
