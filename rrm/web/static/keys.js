// The keyboard: keys that mean the same on every page, key hints on buttons, and who hears a key press.
import { button, el, kept, present } from "./common.js";
import { open } from "./dialogs.js";
import { words } from "./words.js";

/** @typedef {"skip" | "rejectItem" | "flag" | "undo" | "last" | "guidelines" | "wider" | "help" | "write"} Always */

/** Keys that mean the same for every item, and so are no kind's own.
 *  @type {Record<string, Always>} */
export const ALWAYS = {
  s: "skip", r: "rejectItem", f: "flag", u: "undo", l: "last", g: "guidelines", w: "wider", h: "help", "?": "help", e: "write",
};

/** The action of this name in ALWAYS; its label is the word of the same name.
 *  @param {Always} name @param {() => void} press
 *  @returns {Ui.Action} */
export function always(name, press) {
  const [key, ...also] = Object.keys(ALWAYS).filter((each) => ALWAYS[each] === name);
  return { key, also, label: words[name], press };
}

/** @type {Record<string, string>} */
const NAMES = words.keyNames;

/** The keys that somebody chose in the place of ours, by ours.
 *  @type {Record<string, string>} */
const chosen = kept.get("keys") ?? {};

/** The key of ours that a key stands for; "" for one of ours that another was chosen for.
 *  @param {string} pressed */
function meant(pressed) {
  const ours = Object.keys(chosen).find((key) => chosen[key] === pressed);
  return ours ?? (pressed in chosen ? "" : pressed);
}

/** @param {string} key */
const own = (key) => chosen[key] ?? key;

/** @param {string} key */
const hint = (key) => el("kbd", {}, NAMES[own(key)] ?? own(key).replace("Control+", "Ctrl "));

/** A button for an action; its first key stands on it.
 *  @param {Ui.Action} action */
export function keyButton(action) {
  const { key, label, id } = action;
  const shortcuts = [key, ...(action.also ?? [])].map(own).join(" ");
  const attributes = { type: "button", class: `button ${action.class ?? ""}`, id, "aria-keyshortcuts": shortcuts };
  const button = el("button", { ...attributes, onclick: () => action.press() }, hint(key), el("span", {}, label));
  action.button = button;
  return button;
}

/** The button of an action that was drawn.
 *  @param {Ui.Action} action */
export const buttonOf = (action) => present(action.button, `the button of “${action.label}”`);

/** Put another label on the button of an action.
 *  @param {Ui.Action} action @param {string} label */
export function relabel(action, label) {
  present(buttonOf(action).lastChild, "the label of a button").textContent = label;
}

/** The lines of the help: each key and what it does.
 *  @param {Ui.Action[]} actions */
export const keyTable = (actions) =>
  el("dl", { class: "keys" }, actions.map(({ key, also = [], label }) => [
    el("dt", {}, [key, ...also].map(hint)), el("dd", {}, label),
  ]));

/** Let somebody choose other keys for these actions, as far as theirs are single signs.
 *  @param {Ui.Action[]} actions */
export function changeKeys(actions) {
  const fields = actions.filter(({ key }) => key.length === 1).map(({ key, label }) => ({
    key, row: el("label", { class: "check" }, el("input", { class: "key", maxlength: 1, size: 2, value: own(key), "data-key": key }), label),
  }));
  const problem = el("p", { class: "alert bad", role: "alert", hidden: true }, words.keysTwice);
  const form = el("form", {},
    el("p", {}, words.keysLead), fields.map(({ row }) => row), problem,
    el("div", { class: "row" },
      el("button", { type: "submit", class: "button primary" }, words.save), button(words.keysReset, () => keep({}))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const pressed = fields.map(({ key, row }) => [key, present(row.querySelector("input"), "a field").value.trim().toLowerCase() || key]);
    problem.hidden = new Set(pressed.map(([, each]) => each)).size === pressed.length;
    if (problem.hidden) keep({ ...chosen, ...Object.fromEntries(pressed) });
  });
  open(words.keysChange, form);
}

/** @param {Record<string, string>} keys */
function keep(keys) {
  const changed = Object.entries(keys).filter(([ours, other]) => ours !== other);
  kept.set("keys", changed.length ? Object.fromEntries(changed) : null);
  location.reload();
}

/** What stands at a key's place on most keyboards, where the letter that it gives says nothing to us: Cyrillic, Greek,
 *  Hebrew or Arabic letters, full-width ones, those of an input method, and French digits without Shift.
 *  @param {KeyboardEvent} event */
function byPlace({ key, code, shiftKey, ctrlKey, metaKey }) {
  if (ctrlKey || metaKey || /^[a-z0-9]$/i.test(key) || (key.length > 1 && key !== "Process" && key !== "Dead")) return "";
  const [, letter, digit] = /^(?:Key([A-Z])|(?:Digit|Numpad)([0-9]))$/.exec(code) ?? [];
  return letter?.toLowerCase() ?? (shiftKey ? "" : digit ?? "");
}

const FIELDS = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio])";

/** Send key presses to `find(key)`, which returns an action or nothing. Held keys count once; a text field
 *  keeps all keys but Ctrl+Enter and Esc; an open dialog keeps all; a focused button keeps Enter and Space.
 *  @param {(key: string) => Ui.Action | null | undefined} find */
export function listen(find) {
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    const typing = target.matches(FIELDS);
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (typing && event.key === "Escape") return target.blur();
    const sends = control && event.key === "Enter";
    if (event.altKey || ((typing || control) && !sends)) return;
    if (event.key.startsWith("Arrow") && target.closest(".scroll, .consent")) return; // they scroll
    if (target.matches("button, a, summary, input") && ["Enter", " "].includes(event.key) && !sends) return;
    const named = sends ? "Control+Enter" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = find(meant(named)) ?? find(meant(byPlace(event)));
    if (!action || action.button?.disabled) return;
    event.preventDefault();
    if (!event.repeat) action.press();
  });
}
