// The settings of the desk, a link for a panel, and the admin's own password.
import { admin, attempt, copyable, fill } from "./parts.js";
import { api, byId, el, findById, refusal, sentence, when } from "../common.js";

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */

const form = byId("settings");
/** @type {NodeListOf<Field>} */
const named = form.querySelectorAll("input[name], select[name], textarea[name]");
const fields = [...named];
/** Settings by name, as the server has them; a table as the text of its field.
 *  @type {Map<string, string | number | boolean>} */
let saved = new Map();

/** @param {Field} field */
const read = (field) => {
  if (field instanceof HTMLInputElement && field.type === "checkbox") return field.checked;
  return field.type === "number" ? Number(field.value) : field.value;
};

/** A table as JSON to be edited, an empty one as nothing.
 *  @param {object} table */
const written = (table) => (Object.keys(table).length ? JSON.stringify(table) : "");

/** @param {Wire.Settings} settings */
function take(settings) {
  saved = new Map(Object.entries(settings).map(([name, value]) => [name, typeof value === "object" ? written(value) : value]));
  show();
}

function show() {
  for (const field of fields) {
    const value = saved.get(field.name);
    if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = value === true;
    else field.value = String(value ?? "");
  }
  changed();
}

const different = () => fields.filter((field) => read(field) !== saved.get(field.name));

/** What the server is sent; a field with a table in it that is no JSON throws a SyntaxError. */
const changes = () => Object.fromEntries(different().map((field) =>
  [field.name, "json" in field.dataset ? JSON.parse(field.value.trim() || "{}") : read(field)]));

function changed() {
  if (!admin) return;
  const count = different().length;
  byId("save", HTMLButtonElement).disabled = byId("undo", HTMLButtonElement).disabled = !count;
  byId("said").textContent = count ? `${count} ${count === 1 ? "setting is" : "settings are"} changed and not saved yet.` : "";
  for (const field of fields) field.classList.toggle("invalid", !field.checkValidity());
}

form.addEventListener("input", changed);
findById("undo")?.addEventListener("click", show);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    take(await api("PUT", "/api/admin/settings", { changes: changes() }));
    byId("said").textContent = "Saved.";
  } catch (error) {
    if (error instanceof SyntaxError) return void (byId("said").textContent = `The groups are no JSON: ${error.message}.`);
    const { detail } = refusal(error);
    byId("said").textContent = sentence(detail);
    fields.find(({ name }) => detail.includes(`setting ${name} `))?.focus();
  }
});

findById("panel")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  /** @param {string} id */
  const text = (id) => byId(id, HTMLInputElement).value.trim();
  const listed = byId("panel-ids", HTMLTextAreaElement).value.split(/\s*[\n,]\s*/u).filter(Boolean);
  const name = text("panel-name");
  const signed = byId("panel-signed", HTMLInputElement).checked;
  await attempt(async () => {
    const { link, links } = await api("POST", "/api/admin/panels", {
      name, limit: Number(text("panel-limit")), quota: Number(text("panel-quota")),
      completion_code: text("panel-code"), completion_url: text("panel-url"),
      screen_out_code: text("panel-out-code"), screen_out_url: text("panel-out-url"),
      participants: listed.length ? listed : null, signed, id_pattern: text("panel-pattern"), group: text("panel-group"),
    });
    const own = Object.entries(links).map(([id, address]) => copyable(id, address));
    fill(byId("panel-link"), el("div", { class: "alert good" },
      own.length ? own : copyable(`Link for ${name}`, link),
      el("p", { class: "help" }, "Copy it now: it is shown only once, and holds for 30 days. ",
        own.length ? "Each participant gets the own link." : "The panel puts each participant's id in the place of the double braces.")));
    showPanels();
  });
});

async function showPanels() {
  const place = findById("panels");
  if (!place) return;
  const panels = await api("GET", "/api/admin/panels");
  fill(place, panels.map(({ name, joined, places, quota, admits, expires, group }) => el("li", {},
    el("b", {}, name), ` · ${group ? `group ${group} · ` : ""}${joined} of ${places} have joined · ${quota ? `${quota} answers each` : "all there is"} · ${admits} · until ${when(expires)}`)));
}
attempt(showPanels);

const own = findById("password", HTMLFormElement);
own?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = byId("new-password", HTMLInputElement).value;
  if (await attempt(() => api("POST", "/api/admin/password", { password }), "The password is set.")) own.reset();
});

attempt(async () => take(await api("GET", "/api/admin/settings")));
