// Pieces that the admin's pages share: sortable tables that stay in place while they refresh, questions, estimates.
import { api, byId, el, flat, number, percent, poll, refusal, toast } from "../common.js";

export const admin = document.body.dataset.role === "admin";

/** Put nodes in the place of all that an element holds.
 *  @param {HTMLElement} node @param {Ui.Child[]} children */
export const fill = (node, ...children) => node.replaceChildren(...flat(children));

/** @param {string} text */
export const capital = (text) => text[0].toUpperCase() + text.slice(1);

// ---- asking the server again and again ----

/** Keep a part of the page up to date: `show(data)` after each answer; what goes wrong stands in `#trouble`.
 *  @template {keyof Wire.Gets & string} Path
 *  @param {Path} path @param {(data: Wire.Gets[Path]) => void} show */
export function live(path, show, seconds = 4) {
  let last = "";
  let busy = false;
  const refresh = async () => {
    if (busy) return;
    busy = true;
    try {
      const data = await api("GET", path);
      trouble(null);
      const text = JSON.stringify(data);
      if (text !== last) show(data); // what did not change is not drawn again: nobody loses the place
      last = text;
      if (lacksFigures(data)) setTimeout(refresh, 500); // the first figures are on their way
    } catch (error) {
      const { status, detail } = refusal(error);
      if (status === 401) return location.assign("/login");
      trouble(detail);
    } finally {
      busy = false;
    }
  };
  poll(refresh, seconds);
  return refresh;
}

/** Whether figures of the data are still being worked out.
 *  @param {object} data */
const lacksFigures = (data) =>
  ("computed" in data && data.computed === null) || ("alerts" in data && data.alerts === null);

/** @param {string | null} text */
function trouble(text) {
  const note = byId("trouble");
  note.hidden = !text;
  note.textContent = text ? `${text} What you see may be out of date; the page keeps trying.` : "";
}

/** Do something that may be refused; say so, and return whether it worked.
 *  @param {() => unknown} action */
export async function attempt(action, done = "") {
  try {
    await action();
  } catch (error) {
    toast(refusal(error).detail, "bad");
    return false;
  }
  if (done) toast(done, "good");
  return true;
}

// ---- questions ----

/** Ask before something that is not easily taken back; true if it is to be done.
 *  @param {string} title @param {string[]} sentences @param {string} verb
 *  @returns {Promise<boolean>} */
export function confirmed(title, sentences, verb, danger = false) {
  return new Promise((answer) => {
    const no = el("button", { type: "button", class: "button", onclick: () => box.close("no") }, "Cancel");
    const yes = el("button", { type: "button", class: `button ${danger ? "danger" : "primary"}`, onclick: () => box.close("yes") }, verb);
    const box = el("dialog", { "aria-labelledby": "question" },
      el("h2", { id: "question" }, title),
      sentences.map((sentence) => el("p", {}, sentence)),
      el("div", { class: "row end" }, no, yes));
    box.addEventListener("close", () => {
      box.remove();
      answer(box.returnValue === "yes");
    });
    document.body.append(box);
    box.returnValue = "no";
    box.showModal();
    (danger ? no : yes).focus();
  });
}

// ---- tables ----

/** A table that sorts by its headers; `key(row)` names a row.
 *
 *  `show(rows)` draws only rows that changed, so that focus and open menus stay where they are. What has no
 *  value to sort by stands last, in either direction.
 *  @template Row
 *  @param {{caption: string, columns: Ui.Column<Row>[], key: (row: Row) => string, empty: string, sortBy?: number,
 *    descending?: boolean}} options */
export function sortableTable({ caption, columns, key, empty, sortBy = 0, descending = false }) {
  /** @type {Row[]} */
  let rows = [];
  let order = { column: sortBy, down: descending };
  /** @type {Map<string, {text: string, node: HTMLElement}>} */
  const drawn = new Map(); // by key
  const body = el("tbody", {});
  const headers = columns.map((column, at) => {
    if (!column.sort) return el("th", { scope: "col", class: column.number ? "num" : null }, column.name);
    const button = el("button", { type: "button", class: "sort", onclick: () => by(at), title: column.title }, column.name);
    return el("th", { scope: "col", class: column.number ? "num" : null }, button);
  });
  const table = el("table", { class: "table cards" }, el("caption", { class: "visually-hidden" }, caption), el("thead", {}, el("tr", {}, headers)), body);
  const nothing = el("p", { class: "muted", hidden: true }, empty);
  const choice = el("select", { onchange: () => by(Number(choice.value)) },
    columns.map((column, at) => column.sort && el("option", { value: at }, column.name)));
  const chooser = el("label", { class: "sort-by" }, "Sort by", choice); // where there is no room for headers

  /** @param {number} at */
  function by(at) {
    order = { column: at, down: order.column === at ? !order.down : Boolean(columns[at].number) };
    arrange();
  }

  function arrange() {
    choice.value = String(order.column);
    headers.forEach((header, at) => {
      const state = at !== order.column ? null : order.down ? "descending" : "ascending";
      if (state) header.setAttribute("aria-sort", state);
      else header.removeAttribute("aria-sort");
    });
    const value = columns[order.column].sort;
    const sorted = value ? [...rows].sort((a, b) => compare(value(a), value(b), order.down)) : rows;
    const nodes = sorted.flatMap((row) => drawn.get(key(row))?.node ?? []);
    // moved only where the order changed: moving a row takes the focus from it
    nodes.forEach((node, at) => body.children[at] !== node && body.insertBefore(node, body.children[at] ?? null));
  }

  /** @param {Row[]} found */
  function show(found) {
    rows = found;
    const here = new Set(rows.map(key));
    for (const [name, { node }] of drawn) {
      if (here.has(name)) continue;
      node.remove();
      drawn.delete(name);
    }
    for (const row of rows) {
      const text = JSON.stringify(row);
      const old = drawn.get(key(row));
      if (old?.text === text) continue;
      const node = line(columns, row);
      const act = old?.node.contains(document.activeElement) ? focusedAct() : null;
      old?.node.replaceWith(node);
      if (act) focusAct(node, act);
      drawn.set(key(row), { text, node });
    }
    nothing.hidden = rows.length > 0;
    table.hidden = chooser.hidden = !rows.length;
    arrange();
  }

  return { node: el("div", { class: "table-scroll" }, chooser, table, nothing), show };
}

/** The `data-act` of what has the focus. */
export const focusedAct = () => document.activeElement?.getAttribute("data-act") ?? null;

/** Give the focus to what has this `data-act` in an element.
 *  @param {HTMLElement} within @param {string} act */
export function focusAct(within, act) {
  const found = within.querySelector(`[data-act="${CSS.escape(act)}"]`);
  if (found instanceof HTMLElement) found.focus();
}

/** @template Row
 *  @param {Ui.Column<Row>[]} columns @param {Row} row */
function line(columns, row) {
  return el("tr", {}, columns.map((column, at) => {
    const attributes = { class: column.number ? "num" : null, "data-label": column.name, scope: at ? null : "row" };
    return el(at ? "td" : "th", attributes, column.cell(row));
  }));
}

/** @param {Ui.Key} a @param {Ui.Key} b @param {boolean} down */
function compare(a, b, down) {
  const [none, other] = [a ?? null, b ?? null];
  if (none === null || other === null) return Number(none === null) - Number(other === null);
  const first = typeof none === "number" && typeof other === "number" ? none - other : String(none).localeCompare(String(other));
  return down ? -first : first;
}

// ---- figures ----

/** A figure with its interval and how many it is of, or why there is none.
 *  @param {Wire.Estimate} estimate */
export function figure(estimate, { share = false } = {}) {
  const { value, low, high, n, why } = estimate;
  if (value === null) return el("span", { class: "none" }, why || "undefined: nothing to count yet");
  const size = `n = ${number(n)}`;
  if (low === null || high === null) return withSize(share ? percent(value) : signed(value), why, size);
  if (share) return withSize(percent(value), `${(100 * low).toFixed(0)}–${percent(high)}`, size);
  return withSize(signed(value), `${signed(low)}${low < 0 ? " to " : "–"}${signed(high)}`, size);
}

/** A value in bold with what it rests on, in small print; lines break between the parts only.
 *  @param {string} value @param {(string | false)[]} parts */
export function withSize(value, ...parts) {
  const small = parts.filter(Boolean).flatMap((part, at, all) => [el("span", {}, at < all.length - 1 ? `${part},` : part), " "]);
  return el("span", { class: "figure" }, el("b", {}, value), " ", el("span", { class: "muted small of" }, small));
}

/** A number with two digits and a true minus sign.
 *  @param {number} value */
export const signed = (value) => value.toFixed(2).replace("-", "−");

/** When figures were computed, in words.
 *  @param {Wire.Computed | null} computed */
export function asOf(computed) {
  if (!computed) return "The figures are being worked out …";
  const time = new Date(computed.at * 1000).toLocaleTimeString("en-GB");
  return computed.current ? `As of ${time}.` : `As of ${time}; newer figures are being worked out.`;
}

/** Units of time in seconds, the longest first.
 *  @type {[number, string][]} */
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** How long ago, as "3 min ago".
 *  @param {number | null} at */
export function ago(at) {
  if (at === null) return "–";
  const gone = Math.max(0, Date.now() / 1000 - at);
  const [size, unit] = UNITS.find(([size]) => gone >= size) ?? [1, "s"];
  const text = gone < 10 ? "just now" : `${Math.floor(gone / size)} ${unit} ago`;
  return el("time", { datetime: new Date(at * 1000).toISOString(), title: new Date(at * 1000).toLocaleString("en-GB") }, text);
}

/** A person: the name where the viewer may know it, and the pseudonym.
 *  @param {{id: string, name: string | null}} person */
export const called = (person) =>
  person.name ? [person.name, " ", el("span", { class: "muted small id" }, person.id)] : el("span", { class: "id" }, person.id);

/** A text to copy, with its button.
 *  @param {string} label @param {string} text */
export function copyable(label, text) {
  const id = `copy-${Math.random().toString(36).slice(2)}`;
  const field = el("input", { id, readonly: true, value: text, class: "link", onfocus: () => field.select() });
  const button = el("button", { type: "button", class: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied.", "good");
    } catch {
      field.select();
      toast("Press Ctrl+C to copy.");
    }
  });
  return el("div", { class: "field" }, el("label", { for: id }, label), el("div", { class: "row full" }, field, button));
}

/** @type {Record<Wire.Kind, string>} */
const KIND_NAMES = {
  comparison: "Comparison", hindsight: "Comparison in hindsight", ranking: "Ranking", rating: "Rating", label: "Good or bad",
  correction: "Correction", demonstration: "Demonstration", critique: "Critique", claims: "Claim marks", reject: "Check for rejection",
};
/** @param {Wire.Kind} kind */
export const kindName = (kind) => KIND_NAMES[kind];
