// Agreement by place and kind, drawn as dots with their intervals.
import { asOf, attempt, capital, figure, fill, kindName, live, signed, sortableTable } from "./parts.js";
import { api, byId, el, number, seconds } from "../common.js";

live("/api/admin/agreement", ({ computed, places }) => {
  byId("as-of").textContent = asOf(computed);
  fill(byId("agreement"), places.length ? places.map(group) : el("p", { class: "muted" },
    computed ? "There is nothing to compare yet: no item has been rated." : "The figures are being worked out …"));
}, 5);

/** @type {ReturnType<typeof sortableTable<Wire.Day>>} */
const byDay = sortableTable({
  caption: "Rating day by day", key: (row) => row.day, empty: "Nobody has rated yet.",
  columns: [
    { name: "Day", sort: (row) => row.day, cell: (row) => row.day },
    { name: "Answers", number: true, sort: (row) => row.answers, cell: (row) => number(row.answers) },
    { name: "Raters", number: true, sort: (row) => row.raters, cell: (row) => number(row.raters) },
    { name: "Median time", number: true, sort: (row) => row.median_seconds, cell: (row) => seconds(row.median_seconds) },
    { name: "Known answers met", number: true, sort: (row) => row.gold.value, cell: (row) => figure(row.gold, { share: true }) },
    { name: "Pairs that agree", number: true, sort: (row) => row.agreement.value, cell: (row) => figure(row.agreement, { share: true }) },
  ],
  descending: true,
});
fill(byId("days"), byDay.node);
attempt(async () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  byDay.show(await api("GET", `/api/admin/days?zone=${encodeURIComponent(zone)}`));
});

/** @typedef {Wire.Measure & {value: number}} Known  a measure that has a value */

/** @param {Wire.PlaceAgreement} found */
function group(found) {
  const by = found.criterion === "overall" ? "" : `, by ${found.criterion}`;
  const title = `${capital(found.where)}: ${kindName(found.kind).toLowerCase()}${by}`;
  const drawn = found.measures.filter(/** @returns {each is Known} */ (each) => each.value !== null);
  /** @type {[string, Ui.Child][]} */
  const facts = [
    ...found.measures.map(/** @returns {[string, Ui.Child]} */ (each) => [capital(each.name), figure(each)]),
    ["All agree", figure(found.unanimous, { share: true })],
  ];
  return el("section", { class: "card", "aria-label": title },
    el("div", { class: "head" }, el("h2", {}, title),
      el("p", { class: "muted small" }, `${number(found.answers)} answers by ${number(found.raters)} ${found.raters === 1 ? "rater" : "raters"} to ${number(found.items)} items`)),
    el("div", { class: drawn.length ? "shown" : "" }, drawn.length > 0 && plot(title, drawn),
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))))),
    found.note && drawn.length > 0 && el("p", { class: "muted small" }, `${capital(found.note)}.`));
}

// ---- the plot ----

const RIGHT = 18;
const ROW = 34;

/** @param {keyof SVGElementTagNameMap} tag @param {Record<string, string | number>} attributes
 *  @param {(Node | string)[]} children */
const svg = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
};

/** Dots with intervals on a common axis; it reaches below 0 only where something does.
 *  @param {string} title @param {Known[]} measures */
function plot(title, measures) {
  const [WIDE, LEFT] = innerWidth < 640 ? [340, 118] : [640, 150]; // drawn for its size: letters stay as large as others
  const least = Math.min(0, ...measures.map(({ low, value }) => low ?? value));
  const from = Math.max(-1, Math.floor(least * 4) / 4);
  /** @param {number} value */
  const x = (value) => LEFT + ((Math.max(from, value) - from) / (1 - from)) * (WIDE - LEFT - RIGHT);
  const bottom = 10 + ROW * measures.length;
  const said = measures.map(({ name, value }) => `${name} ${signed(value)}`).join(", ");
  return svg("svg", { viewBox: `0 0 ${WIDE} ${bottom + 26}`, class: "plot", role: "img", "aria-label": `${title}: ${said}` },
    ...[0.67, 0.8].map((mark) => svg("line", { x1: x(mark), x2: x(mark), y1: 4, y2: bottom, class: "threshold" })),
    ...ticks(from, WIDE < 640 ? 2 : 4).flatMap((tick) => [
      svg("line", { x1: x(tick), x2: x(tick), y1: 4, y2: bottom, class: tick === 0 ? "zero" : "grid-line" }),
      svg("text", { x: x(tick), y: bottom + 18, class: "faint", "text-anchor": "middle" }, signed(tick).replace(/0$/, "")),
    ]),
    ...measures.flatMap((each, at) => row(each, x, LEFT - 14, 10 + ROW * (at + 0.5))));
}

/** So many ticks to 1, 0 among them.
 *  @param {number} from @param {number} per */
const ticks = (from, per) => Array.from({ length: Math.floor((1 - from) * per) + 1 }, (_, at) => 1 - at / per);

/** @param {Known} measure @param {(value: number) => number} x @param {number} end @param {number} y */
function row({ name, value, low, high }, x, end, y) {
  return [
    svg("text", { x: end, y: y + 4, "text-anchor": "end" }, capital(name)),
    low === null || high === null ? "" : svg("line", { x1: x(low), x2: x(high), y1: y, y2: y, class: "interval" }),
    svg("circle", { cx: x(value), cy: y, r: 6, class: "dot" }),
  ];
}
