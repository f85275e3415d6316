// What every page needs: asking the server, making elements, theme and font size, messages, numbers in words.

/** Ask the server; return its JSON. Throws {status, detail, after}: status 0 when it cannot be reached. */
export async function api(method, path, body) {
  const options = { method, credentials: "same-origin", headers: { Accept: "application/json" } };
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body ?? {});
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw { status: 0, detail: "The server cannot be reached." };
  }
  const data = await response.json().catch(() => null);
  if (response.ok) return data;
  const detail = typeof data?.detail === "string" ? data.detail : `The server answered ${response.status}.`;
  throw { status: response.status, detail: sentence(detail), after: Number(response.headers.get("Retry-After")) || 0 };
}

/** Make an element. Attributes: `class`, `on<event>` functions, true for bare ones, null or false left out.
 *  Children: nodes, texts (never read as HTML), lists of them; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A button with a text or other children, and a style such as "primary". */
export const button = (content, onclick, style = "") =>
  el("button", { type: "button", class: `button ${style}`, onclick }, content);

export const byId = (id) => document.getElementById(id);

const ALLOWED = new Set(
  "P H1 H2 H3 H4 H5 H6 UL OL LI STRONG EM B I DEL S CODE PRE BLOCKQUOTE BR HR TABLE THEAD TBODY TR TH TD A".split(" "),
);

/** The server's cleaned HTML (guidelines) as nodes, rebuilt from a short list of tags: a second lock on that door. */
export function richText(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html"); // inert: runs and loads nothing
  const copy = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.nodeType !== Node.ELEMENT_NODE) return null;
    const children = [...node.childNodes].map(copy);
    if (!ALLOWED.has(node.tagName)) return children;
    const link = node.tagName === "A" && /^https?:\/\//i.test(node.getAttribute("href") ?? "");
    const attributes = link ? { href: node.getAttribute("href"), rel: "noopener noreferrer", target: "_blank" } : {};
    return el(node.tagName, attributes, children);
  };
  return [...parsed.body.childNodes].map(copy).flat(Infinity).filter((node) => node !== null);
}

// ---- theme and font size ----

/** What the browser keeps for us; a browser that refuses (full, or forbidden) keeps nothing. */
export const kept = {
  get(name) {
    try {
      return JSON.parse(localStorage.getItem(`rrm.${name}`));
    } catch {
      return null;
    }
  },
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

/** Step `theme` or `size` through its values; return the new one. */
export function cycle(name, values) {
  const root = document.documentElement;
  const next = values[(values.indexOf(root.dataset[name] ?? values[0]) + 1) % values.length];
  root.dataset[name] = next;
  try {
    localStorage.setItem(`rrm.${name}`, next);
  } catch {
    // The choice then lasts until the page is left.
  }
  return next;
}

export const THEMES = ["auto", "light", "dark"];
export const SIZES = ["normal", "large", "larger"];

// ---- messages ----

/** Say something for a few seconds, in the corner and to screen readers; `kind`: "", "good" or "bad". */
export function toast(text, kind = "") {
  const note = el("div", { class: `toast ${kind}` }, text);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 9000 : 4000);
}

/** Call `fn` now and every so many seconds while the page can be seen; return a function that ends it. */
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

/** What the server said, as a sentence: a capital, and a full stop. */
export function sentence(text) {
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

// ---- numbers ----

const unknown = (value) => value === null || value === undefined || Number.isNaN(value);

/** 0.823 as "82 %". */
export const percent = (share, digits = 0) => (unknown(share) ? "–" : `${(100 * share).toFixed(digits)} %`);

/** A number with so many digits after the point, thousands apart; whole numbers stay whole. */
export const number = (value, digits = 2) =>
  unknown(value) ? "–" : value.toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : digits });

/** 5 as "5 s", 95 as "1 min 35 s", 4000 as "1 h 7 min". */
export function seconds(value) {
  if (unknown(value)) return "–";
  const whole = Math.round(value);
  if (whole < 60) return `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

/** Seconds since 1970 as a local date and time. */
export const when = (at) =>
  unknown(at) ? "–" : new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
