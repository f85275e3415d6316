// The settings of the desk, a link for a panel, and the admin's own password.
import { admin, attempt, copyable, fill } from "./parts.js";
import { api, byId, el, findById, refusal, sentence } from "../common.js";

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */

const form = byId("settings");
/** @type {NodeListOf<Field>} */
const named = form.querySelectorAll("input[name], select[name], textarea[name]");
const fields = [...named];
/** Settings by name, as the server has them.
 *  @type {Map<string, string | number | boolean>} */
let saved = new Map();

/** @param {Field} field */
const read = (field) => {
  if (field instanceof HTMLInputElement && field.type === "checkbox") return field.checked;
  return field.type === "number" ? Number(field.value) : field.value;
};

/** @param {Wire.Settings} settings */
function take(settings) {
  saved = new Map(Object.entries(settings));
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

const changes = () => Object.fromEntries(fields.filter((field) => read(field) !== saved.get(field.name)).map((field) => [field.name, read(field)]));

function changed() {
  if (!admin) return;
  const count = Object.keys(changes()).length;
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
    const { detail } = refusal(error);
    byId("said").textContent = sentence(detail);
    fields.find(({ name }) => detail.includes(`setting ${name} `))?.focus();
  }
});

findById("panel")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("panel-name", HTMLInputElement).value.trim();
  const limit = Number(byId("panel-limit", HTMLInputElement).value);
  await attempt(async () => {
    const { link } = await api("POST", "/api/admin/panels", { name, limit });
    fill(byId("panel-link"), el("div", { class: "alert good" }, copyable(`Link for ${name}`, link),
      el("p", { class: "help" }, "Copy it now: it is shown only once, and holds for 30 days. The panel puts each participant's id in the place of the double braces.")));
  });
});

const own = findById("password", HTMLFormElement);
own?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = byId("new-password", HTMLInputElement).value;
  if (await attempt(() => api("POST", "/api/admin/password", { password }), "The password is set.")) own.reset();
});

attempt(async () => take(await api("GET", "/api/admin/settings")));
