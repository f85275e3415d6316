// The overview: what is done, who is at it, what needs a look; closing places and starting the run.
import {
  admin, ago, asOf, attempt, called, capital, confirmed, fill, focusAct, focusedAct, kindName, live,
} from "./parts.js";
import { api, byId, el, findById, number, percent, when } from "../common.js";
import { ask } from "../dialogs.js";

/** @param {Wire.PlaceProgress[]} rows @param {"answers" | "wanted" | "items" | "complete" | "held"} name */
const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);

const refresh = live("/api/admin/places", ({ computed, places, at_work, alerts, idle_checks }) => {
  byId("as-of").textContent = asOf(computed);
  drawIdleChecks(idle_checks);
  drawAlerts(alerts);
  drawTiles(places, at_work, alerts);
  drawPlaces(places);
  drawWork(at_work);
}, 3);

/** @param {Wire.RaterAlert[] | null} alerts */
function drawAlerts(alerts) {
  byId("alerts").hidden = !alerts?.length;
  fill(byId("alert-list"), (alerts ?? []).map((each) => el("li", {},
    el("a", { href: `/admin/raters#${each.person}` }, each.name ?? each.person), ` – ${each.alert}: ${each.why}.`)));
}

/** Known answers that no rater gets: they can be hidden in none of the open work.
 *  @param {number} count */
function drawIdleChecks(count) {
  const told = byId("idle-checks");
  told.hidden = count === 0;
  told.textContent = `${many(count, "known answer is", "known answers are")} not handed out: no open item is of their kind and criterion and for their group, with as many outputs, sources and parts, scores and a context or none, so raters could tell them from work. Add known answers to questions like the open ones.`;
}

/** @param {Wire.PlaceProgress[]} places @param {Wire.AtWork[]} working @param {Wire.RaterAlert[] | null} alerts */
function drawTiles(places, working, alerts) {
  const [answers, wanted] = [sum(places, "answers"), sum(places, "wanted")];
  const [items, complete] = [sum(places, "items"), sum(places, "complete")];
  /** @type {(name: string, value: string, more: string | null) => HTMLElement} */
  const tile = (name, value, more) => el("div", {}, el("dt", {}, name), el("dd", {}, value, more && el("small", {}, ` ${more}`)));
  fill(byId("tiles"),
    tile("Answers", number(answers), `of ${number(wanted)}`),
    tile("Done", wanted ? percent(answers / wanted) : "–", null),
    tile("Items complete", number(complete), `of ${number(items)}`),
    tile("At work now", number(working.length), working.length === 1 ? "person" : "people"),
    tile("To look at", alerts ? number(alerts.length) : "…", alerts?.length === 1 ? "alert" : "alerts"));
}

/** @param {Wire.PlaceProgress[]} rows */
function drawPlaces(rows) {
  const focused = focusedAct();
  fill(byId("places"), rows.length ? grouped(rows).map(placeNode) : el("p", { class: "muted" },
    "There are no items yet. They come when a run asks people for ratings, or from a file with “rrm items”."));
  if (focused) focusAct(byId("places"), focused);
}

/** The rows of each place, in order.
 *  @param {Wire.PlaceProgress[]} rows */
function grouped(rows) {
  /** @type {Map<string, Wire.PlaceProgress[]>} */
  const found = new Map();
  for (const row of rows) found.set(row.place, [...(found.get(row.place) ?? []), row]);
  return [...found.values()];
}

/** @param {Wire.PlaceProgress[]} kinds */
function placeNode(kinds) {
  const { place, where } = kinds[0];
  const frozen = kinds.some((row) => row.frozen);
  const complete = kinds.every((row) => row.complete === row.items);
  const badge = frozen ? ["good", "frozen"] : complete ? ["good", "complete"] : ["", "open"];
  return el("section", { class: "level", "aria-label": capital(where) },
    el("div", { class: "head" },
      el("h3", {}, capital(where), el("span", { class: `badge ${badge[0]}` }, badge[1])),
      admin && (frozen ? button(`reopen-${place}`, "Reopen", () => reopen(kinds[0])) : button(`freeze-${place}`, "Freeze …", () => freeze(kinds)))),
    kinds.map((row) => el("div", { class: "kindline" },
      el("span", {}, kindName(row.kind)),
      el("progress", { max: Math.max(1, row.wanted), value: row.answers, "aria-label": `${kindName(row.kind)}, ${where}: answers` }),
      el("span", {}, `${number(row.answers)} of ${number(row.wanted)} answers`),
      el("span", { class: "muted small" }, `${number(row.complete)} of ${number(row.items)} items complete${row.held ? `, ${number(row.held)} in hand` : ""}`))));
}

/** @param {number} count @param {string} one @param {string} more */
const many = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;
/** @param {string} act @param {string} text @param {() => void} press */
const button = (act, text, press) => el("button", { type: "button", class: "button", "data-act": act, onclick: press }, text);

/** @param {Wire.PlaceProgress[]} kinds */
async function freeze(kinds) {
  const { place, where } = kinds[0];
  const missing = sum(kinds, "wanted") - sum(kinds, "answers");
  const held = sum(kinds, "held");
  const yes = await confirmed(`Freeze ${where}?`, [
    `Its ${number(sum(kinds, "answers"))} answers become what the run trains on. Nothing about its items changes any more: no answers, no undo, no settling.`,
    missing > 0 ? `${many(missing, "answer is", "answers are")} still missing and would not come in${held ? `; ${many(held, "item is", "items are")} in somebody's hands` : ""}.` : "Every item has the answers that it wants.",
    "It can be reopened until the run has taken it up.",
  ], `Freeze ${where}`);
  if (yes && await attempt(() => api("POST", `/api/admin/places/${place}/freeze`), `Frozen: ${where}.`)) refresh();
}

/** @param {Wire.Placed} at */
async function reopen({ place, where }) {
  const yes = await confirmed(`Reopen ${where}?`, [
    "Raters get its unfinished items again, and answers can be undone and adjudicated.",
    "This works only as long as the run has not taken it up.",
  ], `Reopen ${where}`);
  if (yes && await attempt(() => api("POST", `/api/admin/places/${place}/reopen`), `Open again: ${where}.`)) refresh();
}

// ---- what is asked next ----

live("/api/admin/asking", ({ standing, gains, next }) => {
  byId("asking").hidden = !standing && !next.some((each) => each.stream);
  fill(byId("asking-says"), standing ? standingWords(standing) : "In the order in which they were chosen; answers change it while the station runs.");
  fill(byId("asking-gains"), gains.length > 1 ? gainsPlot(gains) : null);
  fill(byId("asking-next"), next.map((each) => el("li", {},
    el("div", {}, `${kindName(each.kind)}, ${each.where}`, each.held ? `, ${number(each.held)} in hand` : ""),
    el("div", { class: "muted small" }, each.stream === "random" ? "drawn at random beside the chosen: it comes when its share of the minutes does" : why(each)))));
}, 3);

/** @param {Wire.Valuation} now */
function standingWords(now) {
  const stale = now.behind > 0 ? `${many(now.behind, "change is", "changes are")} newer than this order.` : "Nothing has changed since.";
  const paid = now.minutes > 0 ? ` Answers so far took ${number(now.minutes)} minutes, where ${number(now.predicted)} were expected.` : "";
  const gain = now.stopped
    ? "Asking stopped: the best question left gained less than a minute is worth. Raters are told so, and the run goes on."
    : `The best question adds ${points(now.gain)} points a minute; what it is worth counts what it makes surer, too.`;
  const refit = now.refit ? " What was answered has made most of what was believed unlikely: finish this round of questions, and models are fitted anew." : "";
  return [`What would be chosen now is expected to be accepted in ${percent(now.expected, 1)}. ${gain} Ordered `, ago(now.at), `. ${stale}${paid}${refit}`];
}

/** @param {Wire.NextItem} each */
const why = (each) => {
  const worth = `worth ${points(each.value)} points a minute`;
  return each.chosen === null || Math.abs(each.chosen - each.value) < 1e-9 ? worth : `${worth}, ${points(each.chosen)} when it was chosen`;
};

/** Acceptance in points, small ones with their digits.
 *  @param {number} value */
const points = (value) => (100 * value).toPrecision(2);

/** What would be accepted, against minutes.
 *  @param {[number, number][]} gains */
function gainsPlot(gains) {
  const [wide, high] = [320, 90];
  const [from, until] = [gains[0][0], Math.max(gains[gains.length - 1][0], gains[0][0] + 1e-9)];
  const values = gains.map(([, value]) => value);
  const [low, top] = [Math.min(...values), Math.max(...values)];
  const at = gains.map(([minutes, value]) => `${(wide * (minutes - from)) / (until - from)},${high - (high * (value - low)) / Math.max(top - low, 1e-9)}`);
  const node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const said = `Expected acceptance from ${percent(values[0], 1)} to ${percent(values[values.length - 1], 1)} over ${number(until - from)} minutes`;
  for (const [name, value] of Object.entries({ viewBox: `-4 -4 ${wide + 8} ${high + 8}`, class: "plot", role: "img", "aria-label": said })) node.setAttribute(name, value);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  for (const [name, value] of Object.entries({ points: at.join(" "), fill: "none", stroke: "currentColor", "stroke-width": "2" })) line.setAttribute(name, value);
  node.append(line);
  return el("figure", {}, node, el("figcaption", { class: "muted small" }, `${said}.`));
}

/** @param {Wire.AtWork[]} people */
function drawWork(people) {
  fill(byId("work"), people.length ? people.map((each) => el("li", {},
    el("div", {}, called({ name: each.name, id: each.person })),
    el("div", { class: "muted small" },
      each.item ? ["has an item since ", when(each.since).split(", ").at(-1)] : "between two items",
      each.last ? [", last answer ", ago(each.last)] : ", no answer yet"))) : el("li", { class: "muted" }, "Nobody has been at work in the last ten minutes."));
}

// ---- flags ----

live("/api/admin/flags", (flags) => {
  fill(byId("flags"), flags.length ? flags.map((flag) => el("li", {},
    el("div", { class: "text", dir: "auto" }, flag.text),
    el("div", { class: "muted small" }, called({ name: flag.name, id: flag.person }), " · ", ago(flag.at), " · ",
      el("a", { href: `/admin/items#${flag.item}` }, "the item")),
    admin && el("button", { type: "button", class: "button", onclick: () => reply(flag) }, "Reply"))) : el("li", { class: "muted" }, "No rater has flagged anything."));
}, 10);

/** @param {Wire.Flag} flag */
async function reply(flag) {
  const text = await ask({ title: "Reply", lead: flag.text });
  if (text) await attempt(() => api("POST", `/api/admin/flags/${flag.number}/reply`, { text }), "The rater sees your reply.");
}

findById("announce")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const box = byId("announcement", HTMLTextAreaElement);
  if (await attempt(() => api("POST", "/api/admin/messages", { text: box.value.trim() }), "All raters see it.")) box.value = "";
});

// ---- the run ----

/** @type {Record<Wire.Run["state"], [string, string, string]>} */
const RUN = {
  none: ["", "no run here", "This folder holds items only; answers are collected and can be downloaded."],
  waiting: ["warn", "waiting", "The run waits for answers. Once a level is frozen, start it: it takes the level up, trains on it and goes on."],
  running: ["good", "running", "The run is at work and takes up frozen levels by itself."],
  finished: ["good", "finished", "The run is through; its report is in the run's folder."],
};

const refreshRun = live("/api/admin/run", (run) => {
  const [style, name, says] = RUN[run.state];
  byId("run-state").className = `badge ${style}`;
  byId("run-state").textContent = name;
  byId("run-says").textContent = says;
  const focused = byId("run-buttons").contains(document.activeElement);
  fill(byId("run-buttons"), admin && run.state === "waiting" && el("button", { type: "button", class: "button primary", id: "train", onclick: train }, "Train now"));
  if (focused) findById("train")?.focus();
  fill(byId("run-log"), run.lines.length > 0 && [
    el("p", { class: "small muted", id: "log-title" }, "What it said last"),
    el("pre", { class: "log", tabindex: "0", role: "region", "aria-labelledby": "log-title" }, run.lines.join("\n"))]);
}, 4);

async function train() {
  const yes = await confirmed("Start the run?", [
    "It takes up all levels that are frozen, trains on their answers and goes on until it needs people again.",
    "Training may take minutes to hours; raters can go on working meanwhile.",
  ], "Start the run");
  if (yes && await attempt(() => api("POST", "/api/admin/train"), "The run was started.")) refreshRun();
}

// ---- downloads ----

const FORMS = [
  ["jsonl", "JSON lines", "everything, one answer a line"],
  ["csv", "CSV", "for spreadsheets; safe to open"],
  ["parquet", "Parquet", "for data frames"],
  ["trl", "TRL preference rows", "prompt, chosen, rejected; only what counts"],
];

function drawExports() {
  const asked = new URLSearchParams({ answers: byId("export-all", HTMLInputElement).checked ? "all" : "live" });
  if (findById("export-names", HTMLInputElement)?.checked) asked.set("names", "true");
  fill(byId("exports"), FORMS.map(([form, name, what]) => el("li", {},
    el("a", { href: `/api/admin/export/${form}?${asked}`, download: "" }, name), el("span", { class: "muted small" }, ` – ${what}`))));
}
for (const id of ["export-all", "export-names"]) findById(id)?.addEventListener("change", drawExports);
drawExports();
