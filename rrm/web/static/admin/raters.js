// The raters: how each works, and what can be done about it.
import { admin, ago, asOf, attempt, called, confirmed, copyable, figure, fill, live, signed, sortableTable, withSize } from "./parts.js";
import { api, byId, el, findById, number, percent, present, seconds, toast } from "../common.js";
import { open } from "../dialogs.js";

/** @type {Record<Wire.PersonState, [string, string]>} */
const STATES = {
  practising: ["", "practising"], active: ["good", "active"], paused: ["warn", "paused"], refused: ["bad", "not let in"],
};
/** @param {Wire.PersonState} state */
const badge = (state) => el("span", { class: `badge ${STATES[state][0]}` }, STATES[state][1]);

/** @param {number | null} p */
const small = (p) => (p === null ? "" : p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`);

/** @type {Ui.Column<Wire.Rater>[]} */
const COLUMNS = [
  { name: "Person", sort: (row) => row.name ?? row.id, cell: (row) => el("span", {}, called(row), tags(row)) },
  { name: "State", sort: (row) => row.state, cell: (row) => badge(row.state) },
  { name: "Alerts", number: true, sort: (row) => row.alerts.length, cell: alerts },
  { name: "Done", number: true, sort: (row) => row.done, cell: (row) => number(row.done) },
  { name: "Median time", number: true, title: "median active seconds of an answer", sort: (row) => row.median_seconds, cell: rated((row) => (row.median_seconds === null ? none("undefined: no answer yet") : seconds(row.median_seconds))) },
  { name: "Known answers right", number: true, title: "of silent gold items and attention checks", sort: (row) => row.accuracy.value, cell: rated((row) => figure(row.accuracy, { share: true })) },
  { name: "Agrees with others", number: true, title: "share of pairs with other raters' answers that are equal, and how far that is beyond chance", sort: (row) => row.agreement.value, cell: rated(agreement) },
  { name: "Chose the first shown", number: true, title: "50 % where places are drawn by chance; sorted by the p-value", sort: (row) => row.side.p, cell: rated(side) },
  { name: "Skips", number: true, sort: (row) => row.skip_rate, cell: rated((row) => (row.skip_rate === null ? none("undefined: nothing to skip yet") : withSize(percent(row.skip_rate), `${number(row.skipped)} skipped`))) },
  { name: "Last active", number: true, sort: (row) => row.last, cell: (row) => (row.last === null ? none("never rated") : ago(row.last)) },
  ...(admin ? [{ name: "", cell: (/** @type {Wire.Rater} */ row) => el("button", { type: "button", class: "button", "data-act": "manage", "aria-label": `Manage ${row.name ?? row.id}`, onclick: () => manage(row.id) }, "Manage") }] : []),
];

/** A role other than that of a rater, and that this is no person.
 *  @param {Wire.Rater} row */
function tags(row) {
  const named = [row.role !== "annotator" && row.role, row.kind === "assistant" && "assistant", row.group].filter(Boolean);
  return named.map((name) => [" ", el("span", { class: "badge" }, name)]);
}

/** Figures about rating are left out for those who are not asked to rate and never did.
 *  @param {(row: Wire.Rater) => Ui.Child} cell
 *  @returns {(row: Wire.Rater) => Ui.Child} */
function rated(cell) {
  return (row) => (row.role !== "annotator" && !row.done && !row.skipped ? el("span", { class: "none" }, "does not rate") : cell(row));
}

/** @param {string} text */
const none = (text) => el("span", { class: "none" }, text);

/** @param {Wire.Rater} row */
function alerts(row) {
  if (!row.alerts.length) return none("none");
  return el("ul", { class: "list" }, row.alerts.map((each) => el("li", {}, el("span", { class: "badge warn", title: each.why }, each.name))));
}

/** @param {Wire.Rater} row */
function agreement({ agreement: held }) {
  if (held.value === null) return none(held.why);
  const beyond = held.beyond_chance !== null && `${signed(held.beyond_chance)} beyond chance`;
  return withSize(percent(held.value), beyond, `n = ${number(held.n)}`);
}

/** @param {Wire.Rater} row */
function side({ side: held }) {
  if (held.value === null) return none(held.why);
  return withSize(percent(held.value), small(held.p), `n = ${number(held.n)}`);
}

// ---- the table ----

/** @type {Wire.Rater[]} */
let everybody = [];
const table = sortableTable({
  caption: "Everybody, with how they work", columns: COLUMNS, key: (row) => row.id, empty: "Nobody to show.",
  sortBy: COLUMNS.findIndex(({ name }) => name === "Done"), descending: true,
});
fill(byId("raters"), table.node);

const draw = () => table.show(byId("only-alerts", HTMLInputElement).checked ? everybody.filter((row) => row.alerts.length) : everybody);
byId("only-alerts").addEventListener("change", draw);

const refresh = live("/api/admin/raters", ({ computed, raters }) => {
  byId("as-of").textContent = asOf(computed);
  everybody = raters;
  draw();
  if (location.hash) openNamed();
}, 4);

/** A link from the overview leads to one person. */
function openNamed() {
  const row = everybody.find(({ id }) => id === location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  if (row && admin) manage(row.id);
}

// ---- adding ----

const add = findById("add", HTMLFormElement); // who only looks has none
add?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("name", HTMLInputElement).value.trim();
  await attempt(async () => {
    const { link } = await api("POST", "/api/admin/raters", { name, role: byId("role", HTMLSelectElement).value, group: byId("group", HTMLInputElement).value.trim() });
    add.reset();
    showLink(byId("link"), name, link);
    refresh();
  });
});

/** @param {HTMLElement} place @param {string} name @param {string} link */
function showLink(place, name, link) {
  fill(place, el("div", { class: "alert good" },
    copyable(`Invitation of ${name}`, link),
    el("p", { class: "help" }, "Copy it now: it is shown only once. It works once, within seven days; whoever opens it is this person.")));
  place.querySelector("input")?.focus();
}

const several = findById("several", HTMLFormElement);
several?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const names = byId("names", HTMLTextAreaElement).value.split(/\n/u).map((each) => each.trim()).filter(Boolean);
  await attempt(async () => {
    const { rows } = await api("POST", "/api/admin/raters/several", { names, group: byId("group-of-all", HTMLInputElement).value.trim() });
    several.reset();
    save("links.csv", [["name", "id", "link"], ...rows.map(({ name, id, link }) => [name, id, link])]);
    refresh();
  }, "The links are in links.csv, which was downloaded: they are shown only there.");
});

findById("hours")?.addEventListener("click", () => attempt(async () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const rows = await api("GET", `/api/admin/hours?zone=${encodeURIComponent(zone)}`);
  const columns = /** @type {const} */ (["day", "person", "name", "answers", "practice", "skipped", "active_hours", "wall_hours", "unmeasured"]);
  save("hours.csv", [[...columns], ...rows.map((row) => columns.map((name) => String(row[name] ?? "")))]);
}));

/** Have the browser save rows as CSV for a spreadsheet, which takes no cell for a formula.
 *  @param {string} name @param {string[][]} rows */
function save(name, rows) {
  const cell = (/** @type {string} */ text) => `"${(/^\s*[=+\-@]/u.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const file = new Blob(["\ufeff", ...rows.map((row) => `${row.map(cell).join(",")}\r\n`)], { type: "text/csv" });
  const link = el("a", { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// ---- managing one person ----

/** @param {string} id */
function manage(id) {
  const row = present(everybody.find((each) => each.id === id), `the person ${id}`);
  const name = row.name ?? row.id;
  const link = el("div", { role: "status" });
  const dialog = open(name,
    el("p", { class: "muted" }, el("span", { class: "id" }, row.id), ` · ${row.role} · `, badge(row.state)),
    row.alerts.length > 0 && el("div", { class: "alert warn" }, el("ul", { class: "list" }, row.alerts.map((each) => el("li", {}, el("b", {}, each.name), `: ${each.why}`)))),
    link,
    el("ul", { class: "list" }, actions(row).map(({ label, what, press, danger }) => el("li", { class: "action" },
      el("button", { type: "button", class: `button ${danger ? "danger" : ""}`, onclick: () => press(dialog, link) }, label),
      el("span", { class: "muted small" }, what)))));
}

/** What can be done about a person; `press` gets the dialog, and the place in it for a link.
 *  @typedef {{label: string, what: string, danger?: boolean,
 *    press: (dialog: HTMLDialogElement, link: HTMLElement) => void}} Deed */

/** @param {Wire.Rater} row
 *  @returns {Deed[]} */
function actions(row) {
  const name = row.name ?? row.id;
  /** @type {(label: string, state: Wire.PersonState, what: string) => Deed} */
  const to = (label, state, what) => ({ label, what, press: (dialog) => setState(dialog, row, state, label) });
  /** @type {(Deed | false | "" | null)[]} */
  const deeds = [
    ["active", "practising"].includes(row.state) && row.name && to("Pause", "paused", "Gets no more items until you let the person go on; what was answered stays."),
    row.state === "paused" && row.name && to("Resume", "active", "Gets items again, or goes on practising."),
    ["practising", "refused"].includes(row.state) && to("Let in", "active", "Rates real items at once, without (more) practice."),
    row.done > 0 && { label: "Requeue items", what: "Takes back all answers on levels that are not frozen, so that others rate the items. The answers stay on record.", press: (dialog) => requeue(dialog, row), danger: true },
    row.name && { label: "Change group", what: "Gets the items of another group beside those that are for all; what was answered stays.", press: (dialog) => regroup(dialog, row) },
    row.name && row.kind === "person" && { label: "New link", what: "A new invitation, for another device or a lost one. Earlier links no longer work.", press: (_, link) => invite(row.id, name, link) },
    row.name && row.kind === "person" && { label: "Reset password", what: "For a forgotten password or a lost device: ends all sessions and makes a new link, with which another password can be chosen.", press: (_, link) => reset(row.id, name, link) },
    row.name && { label: "Forget", what: "Erases name, participant id and password for good. The answers stay, under the pseudonym.", press: (dialog) => forget(dialog, row, name), danger: true },
  ];
  return deeds.filter((each) => !!each);
}

/** @param {HTMLDialogElement} dialog @param {Wire.Rater} row @param {Wire.PersonState} state @param {string} label */
async function setState(dialog, row, state, label) {
  if (await attempt(() => api("POST", `/api/admin/raters/${row.id}/state`, { state }), `${label}: ${row.name ?? row.id}.`)) {
    dialog.close();
    refresh();
  }
}

/** @param {HTMLDialogElement} dialog @param {Wire.Rater} row */
function regroup(dialog, row) {
  const field = el("input", { id: "new-group", maxlength: 40, autocomplete: "off", value: row.group });
  const form = el("form", {},
    el("div", { class: "field" }, el("label", { for: "new-group" }, "Group, such as de; empty: none"), field),
    el("button", { type: "submit", class: "button primary" }, "Change the group"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const group = field.value.trim();
    if (!(await attempt(() => api("POST", `/api/admin/raters/${row.id}/group`, { group }), "The group is changed."))) return;
    asked.close();
    dialog.close();
    refresh();
  });
  const asked = open(`Group of ${row.name ?? row.id}`, form);
  field.focus();
}

/** @param {HTMLDialogElement} dialog @param {Wire.Rater} row */
async function requeue(dialog, row) {
  const yes = await confirmed(`Requeue the items of ${row.name ?? row.id}?`, [
    `Up to ${number(row.done)} answers no longer count, and other raters get the items. This cannot be taken back.`,
    "If the person is to stop as well, pause them first.",
  ], "Requeue the items", true);
  if (!yes) return;
  await attempt(async () => {
    const { answers } = await api("POST", `/api/admin/raters/${row.id}/requeue`);
    toast(`${number(answers)} ${answers === 1 ? "answer was" : "answers were"} taken back.`, "good");
    dialog.close();
    refresh();
  });
}

/** @param {string} id @param {string} name @param {HTMLElement} place */
async function invite(id, name, place) {
  await attempt(async () => showLink(place, name, (await api("POST", `/api/admin/raters/${id}/invite`)).link));
}

/** @param {string} id @param {string} name @param {HTMLElement} place */
async function reset(id, name, place) {
  await attempt(async () => showLink(place, name, (await api("POST", `/api/admin/raters/${id}/reset`)).link));
}

/** @param {HTMLDialogElement} dialog @param {Wire.Rater} row @param {string} name */
async function forget(dialog, row, name) {
  const yes = await confirmed(`Forget ${name}?`, [
    "Name, participant id and password are erased, sessions end, and the person gets no more items.",
    `The ${number(row.done)} answers stay on record under ${row.id}. This cannot be taken back.`,
  ], "Forget the person", true);
  if (yes && await attempt(() => api("POST", `/api/admin/raters/${row.id}/forget`), "Forgotten.")) {
    dialog.close();
    refresh();
  }
}
