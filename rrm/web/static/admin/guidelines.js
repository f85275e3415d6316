// The guidelines: editing with a preview, and what changed from version to version.
import { attempt, called, confirmed, fill } from "./parts.js";
import { api, byId, el, findById, number, richText, when } from "../common.js";
import { wordDiff } from "../diff.js";

const AT_ONCE = 10; // versions listed at a time
const now = { version: 0, text: "", timer: 0 };
const texts = new Map([[0, ""]]); // by version
const area = findById("text", HTMLTextAreaElement); // who only looks has none

async function load() {
  await attempt(async () => {
    const latest = await api("GET", "/api/admin/guidelines");
    [now.version, now.text] = [latest.version, latest.text];
    texts.set(latest.version, latest.text);
    byId("version").textContent = latest.version ? `Version ${latest.version} of ${when(latest.at)}` : "Nothing is written yet";
    show(latest.html);
    if (area) {
      area.value = latest.text;
      now.text = area.value; // a text field knows one kind of line end
    }
    changed();
    byId("versions").replaceChildren();
    list(latest.version);
  });
}

/** @param {string} html */
const show = (html) => fill(byId("preview"), html ? richText(html) : el("p", { class: "muted" }, "Nothing is written yet."));

// ---- editing ----

function changed() {
  if (!area) return;
  const different = area.value !== now.text;
  byId("save", HTMLButtonElement).disabled = byId("undo", HTMLButtonElement).disabled = !different;
}

function preview() {
  clearTimeout(now.timer);
  now.timer = setTimeout(() => attempt(async () => show((await api("POST", "/api/admin/guidelines/preview", { text: area?.value })).html)), 250);
}

if (area) {
  area.addEventListener("input", () => {
    changed();
    preview();
  });
  byId("undo").addEventListener("click", () => {
    area.value = now.text;
    changed();
    preview();
    area.focus();
  });
  byId("edit").addEventListener("submit", async (event) => {
    event.preventDefault();
    const yes = await confirmed(`Save as version ${now.version + 1}?`, [
      "Raters see it from their next item on. Who has an item in hand finishes it under the version it was shown with.",
    ], "Save the version");
    if (yes && await attempt(() => api("POST", "/api/admin/guidelines", { text: area.value, based_on: now.version }), "Saved.")) load();
  });
  addEventListener("beforeunload", (event) => area.value !== now.text && event.preventDefault());
}

// ---- versions ----

/** List versions from this one down; what each changed is fetched when it is opened.
 *  @param {number} from */
async function list(from) {
  const numbers = Array.from({ length: Math.min(AT_ONCE, from) }, (_, at) => from - at);
  const versions = await Promise.all(numbers.map((version) => api("GET", `/api/admin/guidelines/${version}`)));
  for (const each of versions) texts.set(each.version, each.text);
  byId("versions").append(...versions.map(line));
  if (!from) byId("versions").append(el("li", { class: "muted" }, "None yet."));
  const left = from - numbers.length;
  fill(byId("older"), left > 0 && el("button", { type: "button", class: "button", onclick: () => attempt(() => list(left)) }, "Older versions"));
}

/** @param {Wire.Guideline} each */
function line(each) {
  const diff = el("div", { class: "diff text", dir: "auto" });
  const details = el("details", {}, el("summary", {}, el("b", {}, `Version ${number(each.version)}`), el("span", { class: "muted small" }, ` ${when(each.at)}, by `, called({ name: each.name, id: each.by }))), diff);
  details.addEventListener("toggle", () => attempt(async () => {
    if (!details.open || diff.hasChildNodes()) return;
    fill(diff, pieces(await textOf(each.version - 1), each.text));
  }));
  return el("li", {}, details);
}

/** @param {number} version */
async function textOf(version) {
  const text = texts.get(version) ?? (await api("GET", `/api/admin/guidelines/${version}`)).text;
  texts.set(version, text);
  return text;
}

/** @param {string} before @param {string} after */
function pieces(before, after) {
  const tags = /** @type {const} */ ({ "=": "span", "-": "del", "+": "ins" });
  const found = wordDiff(before, after);
  return found.some(([op]) => op !== "=") ? found.map(([op, text]) => el(tags[op], {}, text)) : el("span", { class: "muted" }, "Nothing was changed.");
}

load();
