// Small forms over the page: a reason or a note, the help, the wider context.
import { button, el } from "./common.js";
import { words } from "./words.js";

/** Open a dialog over the page; it goes away when closed. Esc closes it, and the focus returns to where it was.
 *  @param {string} title @param {Ui.Child[]} content */
export function open(title, ...content) {
  const close = button([el("kbd", {}, words.keyNames.Escape), words.close], () => dialog.close());
  const head = el("div", { class: "dialog-head" }, el("h2", { id: "dialog-title" }, title), close);
  const dialog = el("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() }, head, content);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask for a reason (some to choose from, own words besides) or, without reasons, for a note.
 *  Returns the text, or null when closed.
 *  @param {{title: string, lead: string, reasons?: string[]}} asked
 *  @returns {Promise<string | null>} */
export function ask({ title, lead, reasons = [] }) {
  const note = el("textarea", { id: "note", maxlength: 2000, dir: "auto", rows: 3 });
  const problem = el("p", { class: "alert bad", role: "alert", hidden: true }, words.reasonMissing);
  const choices = reasons.map((reason) =>
    el("label", { class: "check chip" }, el("input", { type: "radio", name: "reason", value: reason }), reason));
  const form = el("form", {},
    el("p", {}, lead),
    reasons.length > 0 && el("fieldset", { class: "chips" }, el("legend", {}, words.reason), choices),
    el("div", { class: "field" }, el("label", { for: "note" }, reasons.length ? words.ownWords : words.note), note),
    problem,
    el("button", { type: "submit", class: "button primary" }, el("kbd", {}, words.keyNames.Enter), words.send));
  const dialog = open(title, form);
  (form.querySelector("input") ?? note).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(null));
    note.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const chosen = new FormData(form).get("reason");
      const text = [chosen, note.value.trim()].filter(Boolean).join(": ");
      problem.hidden = Boolean(text);
      if (!text) return;
      resolve(text);
      dialog.close();
    });
  });
}
