// The settings of the desk, a link for a panel, and the admin's own password.
import { admin, attempt, copyable, fill } from "./admin-parts.js";
import { api, byId, el, sentence } from "./common.js";

const form = byId("settings");
const fields = [...form.querySelectorAll("[name]")];
let saved = {};

const read = (field) => {
  if (field.type === "checkbox") return field.checked;
  return field.type === "number" ? Number(field.value) : field.value;
};

function show(settings) {
  saved = settings;
  for (const field of fields) {
    if (field.type === "checkbox") field.checked = settings[field.name];
    else field.value = settings[field.name];
  }
  changed();
}

const changes = () => Object.fromEntries(fields.filter((field) => read(field) !== saved[field.name]).map((field) => [field.name, read(field)]));

function changed() {
  if (!admin) return;
  const count = Object.keys(changes()).length;
  byId("save").disabled = byId("undo").disabled = !count;
  byId("said").textContent = count ? `${count} ${count === 1 ? "setting is" : "settings are"} changed and not saved yet.` : "";
  for (const field of fields) field.classList.toggle("invalid", !field.checkValidity());
}

form.addEventListener("input", changed);
byId("undo")?.addEventListener("click", () => show(saved));
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    show(await api("PUT", "/api/admin/settings", { changes: changes() }));
    byId("said").textContent = "Saved.";
  } catch (error) {
    if (error instanceof Error) throw error;
    byId("said").textContent = sentence(error.detail);
    fields.find(({ name }) => error.detail.includes(`setting ${name} `))?.focus();
  }
});

byId("panel")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("panel-name").value.trim();
  await attempt(async () => {
    const { link } = await api("POST", "/api/admin/panels", { name, limit: Number(byId("panel-limit").value) });
    fill(byId("panel-link"), el("div", { class: "alert good" }, copyable(`Link for ${name}`, link),
      el("p", { class: "help" }, "Copy it now: it is shown only once, and holds for 30 days. The panel puts each participant's id in the place of the double braces.")));
  });
});

byId("password")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await attempt(() => api("POST", "/api/admin/password", { password: byId("new-password").value }), "The password is set.")) byId("password").reset();
});

attempt(async () => show(await api("GET", "/api/admin/settings")));
