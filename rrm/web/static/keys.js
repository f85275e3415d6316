// The keyboard: keys that mean the same on every page, key hints on buttons, and who hears a key press.
import { el } from "./common.js";
import { words } from "./words.js";

/** Keys that mean the same for every item, and so are no kind's own. */
export const ALWAYS = {
  s: "skip", r: "rejectItem", f: "flag", u: "undo", l: "last", g: "guidelines", w: "wider", h: "help", "?": "help", e: "write",
};

/** The action of this name in ALWAYS; its label is the word of the same name. */
export function always(name, press) {
  const [key, ...also] = Object.keys(ALWAYS).filter((each) => ALWAYS[each] === name);
  return { key, also, label: words[name], press };
}

const hint = (key) => el("kbd", {}, words.keyNames[key] ?? key.replace("Control+", "Ctrl "));

/** A button for an action {key, also, label, press, class, id}; its first key stands on it. */
export function keyButton(action) {
  const { key, label, id } = action;
  const shortcuts = [key, ...(action.also ?? [])].join(" ");
  const attributes = { type: "button", class: `button ${action.class ?? ""}`, id, "aria-keyshortcuts": shortcuts };
  const button = el("button", { ...attributes, onclick: () => action.press() }, hint(key), el("span", {}, label));
  action.button = button;
  return button;
}

/** The lines of the help: each key and what it does. */
export const keyTable = (actions) =>
  el("dl", { class: "keys" }, actions.map(({ key, also = [], label }) => [
    el("dt", {}, [key, ...also].map(hint)), el("dd", {}, label),
  ]));

const FIELDS = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio])";

/** Send key presses to `find(key)`, which returns an action or nothing. Held keys count once; a text field
 *  keeps all keys but Ctrl+Enter and Esc; an open dialog keeps all; a focused button keeps Enter and Space. */
export function listen(find) {
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    const typing = target.matches(FIELDS);
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (typing && event.key === "Escape") return target.blur();
    const sends = control && event.key === "Enter";
    if (event.altKey || ((typing || control) && !sends)) return;
    if (target.matches("button, a, summary, input") && ["Enter", " "].includes(event.key) && !sends) return;
    const action = find(sends ? "Control+Enter" : event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (!action || action.button?.disabled) return;
    event.preventDefault();
    if (!event.repeat) action.press();
  });
}
