// The audit: every change, newest first.
import { attempt, called, fill, sortableTable } from "./parts.js";
import { api, byId, el, number } from "../common.js";

/** @param {number} at */
const exactly = (at) => el("time", { datetime: new Date(at * 1000).toISOString() }, new Date(at * 1000).toLocaleString("en-GB"));

/** @param {string} id @param {string | null} name */
const person = (id, name) => called({ id, name });

/** A value before and after, in one line.
 *  @param {Wire.AuditEntry} entry */
function change({ old, new: now }) {
  /** @type {(value: Wire.Json) => string} */
  const say = (value) => {
    if (typeof value === "string") return value;
    if (value === null || typeof value !== "object" || Array.isArray(value)) return JSON.stringify(value);
    return Object.entries(value).map(([name, held]) => `${name}: ${say(held)}`).join(", ");
  };
  if (old === null && now === null) return el("span", { class: "none" }, "–");
  return el("span", { class: "change", dir: "auto" }, old !== null && [el("del", {}, say(old)), " "], now !== null && el("ins", {}, say(now)));
}

/** @type {ReturnType<typeof sortableTable<Wire.AuditEntry>>} */
const table = sortableTable({
  caption: "Audit entries", key: (row) => String(row.number), empty: "Nothing was done yet.", sortBy: 0, descending: true,
  columns: [
    { name: "When", sort: (row) => row.number, cell: (row) => exactly(row.at) },
    { name: "Who", sort: (row) => row.name ?? row.by, cell: (row) => el("span", {}, person(row.by, row.name)) },
    { name: "What", sort: (row) => row.what, cell: (row) => row.what },
    { name: "On", sort: (row) => row.subject_name ?? row.subject, cell: (row) => el("span", {}, person(row.subject, row.subject_name)) },
    { name: "Before and after", cell: change },
    { name: "Guidelines", number: true, sort: (row) => row.guideline, cell: (row) => number(row.guideline) },
  ],
});
fill(byId("entries"), table.node);

/** @type {Wire.AuditEntry[]} */
let rows = [];

async function load(before = 0) {
  await attempt(async () => {
    const asked = new URLSearchParams({ everyday: String(byId("everyday", HTMLInputElement).checked) });
    if (before) asked.set("before", String(before));
    const { entries, next } = await api("GET", `/api/admin/audit?${asked}`);
    rows = before ? [...rows, ...entries] : entries;
    table.show(rows);
    fill(byId("older"), next !== null && el("button", { type: "button", class: "button", onclick: () => load(next) }, "Older entries"));
  });
}
byId("everyday").addEventListener("change", () => load());
load();
