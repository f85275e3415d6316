// Pieces that the admin's pages share: sortable tables that stay in place while they refresh, questions, estimates.
import { api, byId, el, number, percent, poll, toast } from "./common.js";

export const admin = document.body.dataset.role === "admin";

/** Put nodes in the place of all that an element holds. */
export const fill = (node, ...children) => {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};

// ---- asking the server again and again ----

/** Keep a part of the page up to date: `show(data)` after each answer; what goes wrong stands in `#trouble`. */
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
      if (data.computed === null || data.alerts === null) setTimeout(refresh, 500); // the first figures are on their way
    } catch (error) {
      if (error instanceof Error) throw error;
      if (error.status === 401) return location.assign("/login");
      trouble(error.detail);
    } finally {
      busy = false;
    }
  };
  poll(refresh, seconds);
  return refresh;
}

function trouble(text) {
  const note = byId("trouble");
  note.hidden = !text;
  note.textContent = text ? `${text} What you see may be out of date; the page keeps trying.` : "";
}

/** Do something that may be refused; say so, and return whether it worked. */
export async function attempt(action, done = "") {
  try {
    await action();
  } catch (error) {
    if (error instanceof Error) throw error;
    toast(error.detail, "bad");
    return false;
  }
  if (done) toast(done, "good");
  return true;
}

// ---- questions ----

/** Ask before something that is not easily taken back; true if it is to be done. */
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

const plain = (held) => (typeof held === "number" ? String(held) : held);

/** A table that sorts by its headers. Columns: {name, sort(row), cell(row), number, label}; `key(row)` names a row.
 *
 *  `show(rows)` draws only rows that changed, so that focus and open menus stay where they are. What has no
 *  value to sort by stands last, in either direction. */
export function sortableTable({ caption, columns, key, empty, sortBy = 0, descending = false }) {
  let rows = [];
  let order = { column: sortBy, down: descending };
  const drawn = new Map(); // key -> {text, node}
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

  function by(at) {
    order = { column: at, down: order.column === at ? !order.down : Boolean(columns[at].number) };
    arrange();
  }

  function arrange() {
    choice.value = order.column;
    headers.forEach((header, at) => {
      const state = at !== order.column ? null : order.down ? "descending" : "ascending";
      if (state) header.setAttribute("aria-sort", state);
      else header.removeAttribute("aria-sort");
    });
    const value = columns[order.column].sort;
    const sorted = value ? [...rows].sort((a, b) => compare(value(a), value(b), order.down)) : rows;
    const nodes = sorted.map((row) => drawn.get(key(row)).node);
    // moved only where the order changed: moving a row takes the focus from it
    nodes.forEach((node, at) => body.children[at] !== node && body.insertBefore(node, body.children[at] ?? null));
  }

  function show(found) {
    rows = found;
    const here = new Set(rows.map(key));
    for (const [name, { node }] of drawn) if (!here.has(name)) (node.remove(), drawn.delete(name));
    for (const row of rows) {
      const text = JSON.stringify(row);
      const old = drawn.get(key(row));
      if (old?.text === text) continue;
      const node = line(columns, row);
      const focused = old?.node.contains(document.activeElement) ? document.activeElement.dataset.act : null;
      old?.node.replaceWith(node);
      if (focused) node.querySelector(`[data-act="${focused}"]`)?.focus();
      drawn.set(key(row), { text, node });
    }
    nothing.hidden = rows.length > 0;
    table.hidden = chooser.hidden = !rows.length;
    arrange();
  }

  return { node: el("div", { class: "table-scroll" }, chooser, table, nothing), show };
}

function line(columns, row) {
  return el("tr", {}, columns.map((column, at) => {
    const attributes = { class: column.number ? "num" : null, "data-label": column.name, scope: at ? null : "row" };
    return el(at ? "td" : "th", attributes, plain(column.cell(row)));
  }));
}

function compare(a, b, down) {
  const [none, other] = [a ?? null, b ?? null];
  if (none === null || other === null) return (none === null) - (other === null);
  const first = typeof a === "string" ? a.localeCompare(b) : a - b;
  return down ? -first : first;
}

// ---- figures ----

/** A figure with its interval and how many it is of, or why there is none. */
export function figure(estimate, { share = false } = {}) {
  if (!estimate || estimate.value === null) {
    return el("span", { class: "none" }, estimate?.why || "undefined: nothing to count yet");
  }
  const say = share ? (value) => percent(value) : signed;
  const { low, high, n, why } = estimate;
  const ends = () => (share ? `${(100 * low).toFixed(0)}–${percent(high)}` : `${signed(low)}${low < 0 ? " to " : "–"}${signed(high)}`);
  return withSize(say(estimate.value), low === null ? why : ends(), `n = ${number(n)}`);
}

/** A value in bold with what it rests on, in small print; lines break between the parts only. */
export function withSize(value, ...parts) {
  const small = parts.filter(Boolean).flatMap((part, at, all) => [el("span", {}, at < all.length - 1 ? `${part},` : part), " "]);
  return el("span", { class: "figure" }, el("b", {}, value), " ", el("span", { class: "muted small of" }, small));
}

/** A number with two digits and a true minus sign. */
export const signed = (value) => value.toFixed(2).replace("-", "−");

/** When figures were computed, in words. */
export function asOf(computed) {
  if (!computed) return "The figures are being worked out …";
  const time = new Date(computed.at * 1000).toLocaleTimeString("en-GB");
  return computed.current ? `As of ${time}.` : `As of ${time}; newer figures are being worked out.`;
}

/** How long ago, as "3 min ago". */
export function ago(at) {
  if (at === null || at === undefined) return "–";
  const gone = Math.max(0, Date.now() / 1000 - at);
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => gone >= size) ?? [1, "s"];
  const text = gone < 10 ? "just now" : `${Math.floor(gone / size)} ${unit} ago`;
  return el("time", { datetime: new Date(at * 1000).toISOString(), title: new Date(at * 1000).toLocaleString("en-GB") }, text);
}

/** A person: the name where the viewer may know it, and the pseudonym. */
export const called = (person) =>
  person.name ? [person.name, " ", el("span", { class: "muted small id" }, person.id)] : el("span", { class: "id" }, person.id);

/** A text to copy, with its button. */
export function copyable(label, text) {
  const id = `copy-${Math.random().toString(36).slice(2)}`;
  const field = el("input", { id, readonly: true, value: text, class: "link", onfocus: (event) => event.target.select() });
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

const KIND_NAMES = {
  comparison: "Comparison", ranking: "Ranking", rating: "Rating", label: "Good or bad", correction: "Correction",
  demonstration: "Demonstration", critique: "Critique", reject: "Check for rejection",
};
export const kindName = (kind) => KIND_NAMES[kind] ?? kind;
