// The tree viewer: chooses a tree, shows its rows, searches them, and opens nodes.
import { api, byId, el, number, poll, present, refusal } from "../common.js";
import { nodePage } from "./node.js";
import { STATE_WORDS } from "./parts.js";
import { Outline, Rows } from "./rows.js";

const NARROW = matchMedia("(max-width: 60rem)");
const FIELDS = ["text", "level", "state", "low", "high", "error"];
const REFRESH_SECONDS = 20;

const rows = new Rows(byId("tree"), (node, byKey) => read(node, byKey));
const which = byId("which", HTMLSelectElement);
const filters = byId("filters", HTMLFormElement);
const here = {
  tree: "",
  version: "",
  outline: /** @type {Outline | null} */ (null),
  data: /** @type {Tree.NodeData | null} */ (null), // the open node
  search: 0, // counts searches, so that a late answer is known
  opening: 0, // counts nodes opened, likewise
  needle: "", // what was searched for
  toPane: false, // bring the reader to the open node
  cutOff: false, // the server could not be reached
};
const outlineNow = () => present(here.outline, "the outline");

// ---- trees ----

async function start() {
  const [tree, node] = fromHash();
  const known = tree.startsWith("tree-") ? ask(outlinePath(tree)).catch(() => null) : null; // beside the list, not after it
  const list = await ask(`/api/trees?brief=true`);
  say("note", [list.note, ...list.failed.map((each) => `${each.title} could not be split (${each.error}): ${each.cause}`)].filter(Boolean).join(" "));
  if (!list.trees.length) return say("nothing", "No tree is on record yet. Trees appear here as soon as a run has split its first source.");
  which.replaceChildren(...groups(list.trees));
  which.disabled = false;
  const wanted = list.trees.find((each) => each.id === tree)?.id ?? (await treeOf(tree)) ?? preferred(list.trees);
  await show(wanted, wanted === tree ? await known : null);
  const asked = wanted === tree ? node : tree.startsWith("node-") ? tree : "";
  here.toPane = NARROW.matches && Boolean(asked);
  if (asked) await open(asked);
  if (!asked || !NARROW.matches) rows.focusActive();
}

/** The tree of a node whose address names no tree.
 *  @param {string} node */
async function treeOf(node) {
  if (!node.startsWith("node-")) return null;
  return (await ask(`/api/trees?brief=true&node=${encodeURIComponent(node)}`)).trees[0]?.id ?? null;
}

/** @param {Tree.About[]} trees */
const preferred = (trees) => (trees.find((each) => each.role === "target") ?? trees[0]).id;

/** @param {Tree.About[]} trees */
function groups(trees) {
  const names = { target: "Targets", train: "Training sources", none: "Trees" };
  return Object.entries(names).map(([role, name]) => {
    const options = trees.filter((each) => (each.role ?? "none") === role).map((each) => el("option", { value: each.id }, named(each)));
    return options.length ? el("optgroup", { label: name }, options) : "";
  });
}

/** @param {Tree.About} tree */
const named = (tree) => `${tree.title || tree.id}${tree.number === null ? "" : `, tree ${tree.number + 1}`}`;

/** @param {string} tree @param {Tree.Columns | null} loaded */
async function show(tree, loaded = null) {
  const columns = loaded ?? (await ask(outlinePath(tree)));
  if (which.value !== tree) which.value = tree;
  const outline = new Outline(columns);
  here.tree = tree;
  here.version = columns.version;
  here.outline = outline;
  here.data = null;
  here.needle = "";
  filters.reset();
  byId("tree").hidden = false;
  count(null);
  rows.show(outline);
  about(columns);
  choices();
}

/** @param {Tree.Columns} columns */
function about({ about, composed, states }) {
  const counts = states.flatMap((state) => about.states[state] ? `${number(about.states[state])} ${STATE_WORDS[state]}` : []);
  const roles = { train: "a training source", target: "a target" };
  byId("about").textContent = [
    `${number(about.nodes)} nodes, ${number(about.height + 1)} levels`,
    about.role && roles[about.role],
    counts.join(", "),
    about.errors && `${number(about.errors)} with errors`,
    composed ? "scores are composed, with 90 % intervals" : "scores are each node's own, with 90 % intervals",
  ].filter(Boolean).join(" · ");
}

function choices() {
  const outline = outlineNow();
  const levels = [...new Set(outline.level)].sort((a, b) => a - b);
  /** @type {(value: string | number, name: string) => HTMLElement} */
  const option = (value, name) => el("option", { value }, name);
  byId("level").replaceChildren(option("", "all"), ...levels.map((level) => option(level, level === 0 ? "0 (leaves)" : `${level}`)));
  byId("state").replaceChildren(option("", "all"), ...outline.states.map((state) => option(state, STATE_WORDS[state])));
}

/** Take in what was recorded since; expanded rows and the open node stay. */
async function refresh() {
  if (!here.outline) return;
  const { tree } = here;
  const columns = await ask(`${outlinePath(tree)}?since=${encodeURIComponent(here.version)}`);
  if (columns.unchanged || tree !== here.tree) return;
  const outline = new Outline(columns);
  here.version = columns.version;
  here.outline = outline;
  rows.show(outline, true);
  about(columns);
  await search();
  if (here.data) byId("node").querySelector(".node-new")?.removeAttribute("hidden");
}

// ---- one node ----

/** Put a node into the address, which opens it and makes it something to go back from.
 *  @param {number} node @param {boolean} byKey */
function read(node, byKey) {
  here.toPane = byKey || NARROW.matches;
  const address = `#${here.tree}/${node}`;
  if (here.data?.node === node) return arrive();
  if (location.hash === address) open(`${node}`);
  else location.hash = address;
}

/** @param {string} name */
async function open(name) {
  const pane = byId("node");
  const { tree } = here;
  const turn = ++here.opening;
  pane.setAttribute("aria-busy", "true");
  try {
    const data = await ask(`/api/trees/${tree}/nodes/${encodeURIComponent(name)}`);
    if (turn !== here.opening || tree !== here.tree) return; // another one was opened meanwhile
    here.data = data;
    history.replaceState(null, "", `#${tree}/${data.id}`);
    draw(data);
    rows.mark(data.node);
    arrive();
  } finally {
    if (turn === here.opening) pane.removeAttribute("aria-busy");
  }
}

/** @param {Tree.NodeData} data */
function draw(data) {
  const again = el("p", { class: "alert node-new", hidden: true }, "More is on record by now. ",
    el("button", { type: "button", class: "button", onclick: () => open(data.id) }, "Show it"));
  const leave = () => rows.focusActive();
  const follow = () => {
    here.toPane = true;
  };
  const { tree, needle } = here;
  /** @param {number} after */
  const calls = (after) => ask(`/api/trees/${tree}/calls/${encodeURIComponent(data.id)}?after=${after}`);
  /** @param {string} output */
  const claims = (output) => ask(`/api/trees/${tree}/claims/${encodeURIComponent(output)}`);
  byId("node").replaceChildren(again, ...nodePage(data, { tree, outline: outlineNow(), needle, leave, follow, calls, claims }));
  byId("node").scrollTop = 0;
}

/** Bring the reader to the open node where that was asked for. */
function arrive() {
  if (here.toPane) byId("node-title").focus({ preventScroll: !NARROW.matches });
  if (here.toPane && NARROW.matches) byId("node").scrollIntoView({ block: "start" });
  here.toPane = false;
}

// ---- search ----

const text = byId("text", HTMLInputElement);
let soon = 0;
for (const id of FIELDS) {
  byId(id).addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(() => guarded(search), id === "text" ? 200 : 0);
  });
}
filters.addEventListener("reset", () => setTimeout(() => guarded(search)));
filters.addEventListener("submit", (event) => event.preventDefault());
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === "ArrowDown") {
    clearTimeout(soon);
    guarded(async () => {
      await search();
      rows.focusActive();
    });
    event.preventDefault();
  } else if (event.key === "Escape") {
    text.value = "";
    guarded(search);
  }
});

/** The conditions that are set, as the search takes them. */
function conditions() {
  const wanted = new URLSearchParams();
  for (const id of FIELDS) {
    const field = byId(id);
    if (field instanceof HTMLInputElement && field.type === "checkbox") {
      if (field.checked) wanted.set(id, "true");
    } else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) {
      if (field.value.trim()) wanted.set(id, field.value.trim());
    }
  }
  return wanted;
}

async function search() {
  if (!here.outline || !filters.checkValidity()) return;
  const wanted = conditions();
  const turn = ++here.search;
  const found = wanted.size ? await ask(`/api/trees/${here.tree}/search?${wanted}`) : null;
  if (turn !== here.search) return; // a later search is under way
  here.needle = wanted.get("text") ?? "";
  rows.filter(found?.nodes ?? null);
  const none = found !== null && !found.nodes.length;
  byId("tree").hidden = none;
  say("nothing", none ? "No node fits. Clear a condition to see more." : "");
  count(found);
  if (here.data) draw(here.data);
}

/** @param {Tree.Found | null} found */
function count(found) {
  const all = `${number(outlineNow().size)} nodes`;
  byId("found").textContent = found ? `${number(found.nodes.length)} of ${all}` : all;
}

// ---- the whole page ----

document.addEventListener("keydown", (event) => {
  const target = event.target instanceof Element ? event.target : document.body;
  const typing = target.closest("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.altKey && !event.metaKey) {
    text.focus();
    text.select();
    event.preventDefault();
  } else if (event.key === "Escape" && byId("node").contains(target)) rows.focusActive();
});
which.addEventListener("change", () => {
  history.pushState(null, "", `#${which.value}`);
  emptyPane();
  guarded(() => show(which.value));
});
addEventListener("hashchange", () => guarded(async () => {
  const [tree, node] = fromHash();
  if (!tree.startsWith("tree-")) return;
  if (tree !== here.tree) {
    emptyPane();
    await show(tree);
  }
  if (node) await open(node);
}));

const pristine = [...byId("node").childNodes].map((child) => child.cloneNode(true));
function emptyPane() {
  byId("node").replaceChildren(...pristine.map((child) => child.cloneNode(true)));
}

function fromHash() {
  const [tree = "", node = ""] = location.hash.slice(1).split("/").map((part) => decodeURIComponent(part));
  return [tree, node];
}

/** @type {(tree: string) => `/api/trees/${string}/outline`} */
const outlinePath = (tree) => `/api/trees/${encodeURIComponent(tree)}/outline`;

/** @template {keyof Wire.Gets & string} Path
 *  @param {Path} path */
async function ask(path) {
  const found = await api("GET", path);
  if (here.cutOff) say("trouble", "");
  here.cutOff = false;
  return found;
}

/** @param {string} id @param {string} text */
function say(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

/** Do something, and say on the page what went wrong, until something else is done.
 *  @param {() => Promise<void>} action */
async function guarded(action) {
  if (action !== refresh) say("trouble", "");
  try {
    await action();
  } catch (error) {
    const { status, detail } = refusal(error);
    if (status === 401) return location.assign("/login");
    here.cutOff = status === 0;
    say("trouble", detail);
  }
}

await guarded(start);
document.body.dataset.ready = "true";
poll(() => guarded(refresh), REFRESH_SECONDS);
