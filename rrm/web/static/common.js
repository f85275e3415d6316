// What every page needs: asking the server, making elements, theme and font size, messages, numbers in words.

/** What the server refused, `detail` a sentence that says why; `status` 0 when it cannot be reached.
 *  `after`: seconds to wait before the next try, as far as the server said. */
export class Refusal extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail, after = 0) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.after = after;
  }
}

/** What was caught, if it is a refusal; anything else is a fault of ours, and is thrown on.
 *  @param {unknown} error */
export function refusal(error) {
  if (error instanceof Refusal) return error;
  throw error;
}

/** Ask the server; return its JSON. Throws a Refusal.
 *  @template {keyof Wire.Replies} Method
 *  @template {keyof Wire.Replies[Method] & string} Path
 *  @param {Method} method @param {Path} path @param {object} [body]
 *  @returns {Promise<Wire.Replies[Method][Path]>} */
export async function api(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, credentials: "same-origin", headers, body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
    });
  } catch {
    throw new Refusal(0, "The server cannot be reached.");
  }
  const data = await response.json().catch(() => null);
  if (response.ok) return data;
  const detail = typeof data?.detail === "string" ? data.detail : `The server answered ${response.status}.`;
  throw new Refusal(response.status, sentence(detail), Number(response.headers.get("Retry-After")) || 0);
}

/** Children as `append` takes them: lists flattened, and null, undefined and false left out.
 *  @param {Ui.Child[]} children
 *  @returns {(Node | string)[]} */
export function flat(children) {
  return children.flatMap((child) => {
    if (Array.isArray(child)) return flat(child);
    if (child === null || child === undefined || child === false) return [];
    return [typeof child === "number" ? String(child) : child];
  });
}

/** Make an element. Attributes: `class`, `on<event>` functions, true for bare ones, null or false left out.
 *  Children: nodes, texts (never read as HTML), lists of them; null and false are left out.
 *  @template {keyof HTMLElementTagNameMap} Tag
 *  @param {Tag} tag @param {Ui.Attributes} [attributes] @param {Ui.Child[]} children */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice("on".length), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...flat(children));
  return node;
}

/** A button with a text or other children, and a style such as "primary".
 *  @param {Ui.Child} content @param {() => void} onclick */
export const button = (content, onclick, style = "") =>
  el("button", { type: "button", class: `button ${style}`, onclick }, content);

/** The element of this id, which must be there, and of this class where one is named.
 *  @template {HTMLElement} [Kind=HTMLElement]
 *  @param {string} id @param {new () => Kind} [kind]
 *  @returns {Kind} */
export function byId(id, kind) {
  return present(findById(id, kind), `the element #${id}`);
}

/** The element of this id; null if the page has none.
 *  @template {HTMLElement} [Kind=HTMLElement]
 *  @param {string} id @param {new () => Kind} [kind]
 *  @returns {Kind | null} */
export function findById(id, kind) {
  const node = document.getElementById(id);
  if (node && kind && !(node instanceof kind)) throw new TypeError(`the element #${id} is no ${kind.name}`);
  return /** @type {Kind | null} */ (node);
}

/** A value that is there by now, whatever its type says; an Error if it is not.
 *  @template Value
 *  @param {Value | null | undefined} value @param {string} what
 *  @returns {Value} */
export function present(value, what) {
  if (value === null || value === undefined) throw new Error(`${what} is missing`);
  return value;
}

const ALLOWED = new Set(
  "P H1 H2 H3 H4 H5 H6 UL OL LI STRONG EM B I DEL S CODE PRE BLOCKQUOTE BR HR TABLE THEAD TBODY TR TH TD A".split(" "),
);

/** The server's cleaned HTML (guidelines) as nodes, rebuilt from a short list of tags: a second lock on that door.
 *  @param {string} html */
export function richText(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html"); // inert: runs and loads nothing
  /** @type {(node: Node) => Ui.Child} */
  const copy = (node) => {
    if (node instanceof Text) return node.data;
    if (!(node instanceof Element)) return null;
    const children = [...node.childNodes].map(copy);
    if (!ALLOWED.has(node.tagName)) return children;
    const link = node.tagName === "A" && /^https?:\/\//i.test(node.getAttribute("href") ?? "");
    const attributes = link ? { href: node.getAttribute("href"), rel: "noopener noreferrer", target: "_blank" } : {};
    return el(/** @type {keyof HTMLElementTagNameMap} */ (node.tagName), attributes, children);
  };
  return flat([...parsed.body.childNodes].map(copy));
}

// ---- theme and font size ----

/** What the browser keeps for us; a browser that refuses (full, or forbidden) keeps nothing. */
export const kept = {
  /** What is kept under a name, null if nothing is; only what was set under it is ever there.
   *  @template {keyof Ui.Kept} Name
   *  @param {Name} name
   *  @returns {Ui.Kept[Name] | null} */
  get(name) {
    try {
      return JSON.parse(localStorage.getItem(`rrm.${name}`) ?? "null");
    } catch {
      return null;
    }
  },
  /** Keep a value, null for none; returns whether the browser did.
   *  @template {keyof Ui.Kept} Name
   *  @param {Name} name @param {Ui.Kept[Name] | null} value */
  set(name, value) {
    try {
      if (value === null) localStorage.removeItem(`rrm.${name}`);
      else localStorage.setItem(`rrm.${name}`, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  },
};

/** Step `theme` or `size` through its values; return the new one.
 *  @template {string} Value
 *  @param {"theme" | "size"} name @param {readonly Value[]} values */
export function cycle(name, values) {
  const root = document.documentElement;
  const now = root.dataset[name] ?? values[0];
  const next = values[(values.findIndex((value) => value === now) + 1) % values.length];
  root.dataset[name] = next;
  try {
    localStorage.setItem(`rrm.${name}`, next);
  } catch {
    // The choice then lasts until the page is left.
  }
  return next;
}

export const THEMES = /** @type {const} */ (["auto", "light", "dark"]);
export const SIZES = /** @type {const} */ (["normal", "large", "larger"]);

// ---- messages ----

/** Say something for a few seconds, in the corner and to screen readers.
 *  @param {string} text @param {"" | "good" | "bad"} kind */
export function toast(text, kind = "") {
  const note = el("div", { class: `toast ${kind}` }, text);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 9000 : 4000);
}

/** Call `fn` now and every so many seconds while the page can be seen; return a function that ends it.
 *  @param {() => void} fn @param {number} seconds */
export function poll(fn, seconds) {
  const run = () => document.visibilityState === "visible" && fn();
  const timer = setInterval(run, seconds * 1000);
  document.addEventListener("visibilitychange", run);
  fn();
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", run);
  };
}

/** What the server said, as a sentence: a capital, and a full stop.
 *  @param {string} text */
export function sentence(text) {
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

// ---- numbers ----

/** @param {number | null | undefined} value @returns {value is null | undefined} */
const unknown = (value) => value === null || value === undefined || Number.isNaN(value);

/** 0.823 as "82 %".
 *  @param {number | null} share */
export const percent = (share, digits = 0) => (unknown(share) ? "–" : `${(100 * share).toFixed(digits)} %`);

/** A number with so many digits after the point, thousands apart; whole numbers stay whole.
 *  @param {number | null} value */
export const number = (value, digits = 2) =>
  unknown(value) ? "–" : value.toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : digits });

/** 5 as "5 s", 95 as "1 min 35 s", 4000 as "1 h 7 min".
 *  @param {number | null} value */
export function seconds(value) {
  if (unknown(value)) return "–";
  const whole = Math.round(value);
  if (whole < 60) return `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

/** Seconds since 1970 as a local date and time.
 *  @param {number | null} at */
export const when = (at) =>
  unknown(at) ? "–" : new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
