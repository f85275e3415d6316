// Looking through the items: filters, pages, and one item with all that was ever answered.
import { answersTo, outputsOf, sourceOf } from "./answers.js";
import { admin, attempt, confirmed, fill, kindName, sortableTable } from "./parts.js";
import { api, byId, el, findById, number, toast } from "../common.js";
import { kinds } from "../kinds.js";
import { words } from "../words.js";

const names = /** @type {Wire.Kind[]} */ (Object.keys(kinds));
byId("kind").append(...names.map((kind) => el("option", { value: kind }, kindName(kind))));

/** @type {Record<Wire.ItemState, string>} */
const STYLES = { open: "", complete: "good", frozen: "good" };
/** @type {Record<Wire.Purpose, string>} */
const PURPOSES = { work: "work", gold: "gold", attention: "attention check", practice: "practice" };
/** Places in order: of two rounds the earlier one first, then by what is judged, then by level.
 *  @param {Wire.Placed} at */
const placeKey = ({ round, subject, level }) => `${String(round).padStart(10, "0")} ${subject} ${String(level).padStart(10, "0")}`;
/** @type {ReturnType<typeof sortableTable<Wire.ItemRow>>} */
const table = sortableTable({
  caption: "Items found", key: (row) => row.id, empty: "No item is like that.",
  columns: [
    { name: "Task", sort: (row) => row.instruction, cell: (row) => [
      el("a", { href: `#${row.id}`, "data-act": "open", dir: "auto" }, row.instruction || "(no instruction)"),
      el("span", { class: "excerpt", dir: "auto" }, row.output)] },
    { name: "Number", number: true, sort: (row) => row.seq, cell: (row) => number(row.seq) },
    { name: "Place", sort: (row) => placeKey(row), cell: (row) => row.where },
    { name: "Kind", sort: (row) => row.kind, cell: (row) => kindName(row.kind) },
    { name: "Purpose", sort: (row) => row.purpose, cell: (row) => PURPOSES[row.purpose] },
    { name: "State", sort: (row) => row.state, cell: (row) => (row.purpose === "work" ? el("span", { class: `badge ${STYLES[row.state]}` }, row.state) : "–") },
    { name: "Answers", number: true, sort: (row) => row.answers, cell: (row) => (row.purpose === "work" ? `${row.answers} of ${row.wanted}` : number(row.answers)) },
    { name: "In hand", number: true, sort: (row) => row.held, cell: (row) => number(row.held) },
    { name: "Node", sort: (row) => row.node, cell: (row) => el("span", { class: "id", title: row.node }, row.node.slice(0, 12)) },
  ],
  sortBy: 1,
});
fill(byId("items"), table.node);

const PAGE = 50; // rows shown before one asks for more
const found = { rows: /** @type {Wire.ItemRow[]} */ ([]), next: /** @type {number | null} */ (null), asked: 0 };

/** Offer the places that there are items at, and keep the one that is chosen.
 *  @param {Wire.Placed[]} places */
function offer(places) {
  const box = byId("place", HTMLSelectElement);
  const chosen = box.value;
  fill(box, el("option", { value: "" }, "any"), places.map((each) => el("option", { value: each.place }, each.where)));
  box.value = chosen;
}

/** Ask for the next items; a text is searched part by part, until a page is full or the end is reached.
 *  @param {number | null} after */
async function search(after = null) {
  const asked = ++found.asked;
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(byId("filters", HTMLFormElement))) if (value !== "") wanted.append(name, String(value));
  const before = after ? found.rows : [];
  /** @type {Wire.ItemRow[]} */
  const rows = [];
  await attempt(async () => {
    do {
      if (after) wanted.set("after", String(after));
      const page = await api("GET", `/api/admin/items?${wanted}`);
      if (asked !== found.asked) return; // a newer search is on its way
      offer(page.places);
      rows.push(...page.items);
      after = page.next;
      [found.rows, found.next] = [[...before, ...rows], after];
      show(after !== null && rows.length < PAGE);
    } while (after !== null && rows.length < PAGE);
  });
}

/** @param {boolean} searching */
function show(searching) {
  const { rows, next } = found;
  table.show(rows);
  const more = searching ? ", searching …" : next !== null ? " shown, there are more" : rows.length === 1 ? " item" : " items";
  byId("count").textContent = `${number(rows.length)}${more}`;
  fill(byId("more"), next !== null && !searching && el("button", { type: "button", class: "button", onclick: () => search(found.next) }, "Show more"));
}

byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
byId("filters").addEventListener("reset", () => setTimeout(() => search()));

findById("want")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = byId("place", HTMLSelectElement).value || null;
  const disputed = byId("want-which", HTMLSelectElement).value === "disputed";
  await attempt(async () => {
    const { items } = await api("POST", "/api/admin/want", { answers: Number(byId("want-answers", HTMLInputElement).value), place, disputed });
    toast(`${number(items)} ${items === 1 ? "item asks" : "items ask"} for more answers now.`, "good");
    search();
  });
});

// ---- one item ----

async function open() {
  const id = decodeURIComponent(location.hash.slice(1));
  byId("list").hidden = Boolean(id);
  byId("one").hidden = !id;
  byId("count").hidden = Boolean(id);
  if (!id) return found.rows.length || search();
  await attempt(async () => draw(await api("GET", `/api/admin/items/${encodeURIComponent(id)}`)));
}

/** @param {Wire.RecordedItem} item */
function draw(item) {
  /** @type {(name: string, value: Ui.Child) => HTMLElement} */
  const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  fill(byId("one"),
    el("p", {}, el("a", { href: "#", class: "button" }, "← All items")),
    el("section", { class: "card" },
      el("h2", { id: "item-title", tabindex: "-1" }, `${kindName(item.kind)}, ${item.where}`),
      el("dl", { class: "facts" },
        fact("Purpose", PURPOSES[item.purpose]), fact("Answers wanted", item.purpose === "work" ? number(item.wanted) : "–"),
        fact("Value", number(item.value)),
        fact("Node", el("a", { href: `/tree#${item.node}`, class: "id" }, item.node)), fact("Item", el("span", { class: "id" }, item.item)),
        admin && item.purpose === "work" && el("div", {}, el("dt", {}, "Retire"), el("dd", {},
          el("button", { type: "button", class: "button", onclick: () => retire(item.item) }, "Ask for no more answers"))),
        item.expected && fact("Known answer", words.answer(item.expected)), item.explanation && fact("Explanation", item.explanation))),
    sourceOf(item).node,
    outputsOf(item),
    el("section", { class: "card", "aria-label": "Answers" }, el("h2", {}, "Answers"),
      item.given.length ? answersTo(item, item.given) : el("p", { class: "muted" }, "Nobody has answered yet.")));
  byId("item-title").focus();
  scrollTo(0, 0);
}

/** @param {string} id */
async function retire(id) {
  const lines = ["Nobody else gets it; the answers that it has stay and count. To ask for more answers brings it back."];
  if (!await confirmed("Retire this item?", lines, "Retire the item", true)) return;
  if (await attempt(() => api("POST", `/api/admin/items/${id}/retire`), "Retired.")) open();
}

addEventListener("hashchange", open);
open();
