// A tree of any size as an ARIA tree: only the rows that can be seen are in the document.
import { el, present } from "../common.js";
import { intervalBar, levelName, scoreText, STATE_WORDS, STATE_ICONS } from "./parts.js";

const BEYOND = 8; // rows kept above and below the visible ones
const DEEPEST = 12; // levels that are indented; deeper ones say how deep they are

/** The outline's columns with what moving about in it needs: the end of each subtree, depth, place among siblings. */
export class Outline {
  /** @param {Tree.Columns} columns */
  constructor(columns) {
    this.parent = columns.parent;
    this.level = columns.level;
    this.title = columns.title;
    this.states = columns.states;
    this.state = columns.state;
    this.score = columns.score;
    this.low = columns.low;
    this.high = columns.high;
    this.ratings = columns.ratings;
    const size = this.parent.length;
    this.size = size;
    this.depth = new Int32Array(size);
    this.end = new Int32Array(size); // the number after the last node below
    this.place = new Int32Array(size); // among its siblings, from 1
    this.parts = new Int32Array(size); // below the node itself
    for (let node = 0; node < size; node++) {
      const parent = this.parent[node];
      if (parent >= 0) {
        this.depth[node] = this.depth[parent] + 1;
        this.place[node] = ++this.parts[parent];
      } else this.place[node] = 1;
      this.end[node] = node + 1;
    }
    for (let node = size - 1; node > 0; node--) {
      const parent = this.parent[node];
      if (this.end[parent] < this.end[node]) this.end[parent] = this.end[node];
    }
    this.failed = new Set(columns.errors);
    this.undecided = new Set(columns.open);
  }

  /** @param {number} node */
  stateOf(node) {
    return this.states[this.state[node]];
  }

  /** How many siblings a node has, itself among them.
   *  @param {number} node */
  siblings(node) {
    return this.parent[node] < 0 ? 1 : this.parts[this.parent[node]];
  }
}

/** Rows in a scrolling element. `open(node, byKey)` is called when a node is to be read. */
export class Rows {
  /** @type {Outline | null} */
  shown = null;
  /** The nodes that were searched for, and all that is above them; null if all nodes are shown.
   *  @type {{found: Set<number>, above: Set<number>, closed: Set<number>} | null} */
  matches = null;
  /** @type {Set<number>} */
  expanded = new Set();
  /** @type {Map<number, HTMLElement>} */
  drawn = new Map(); // by node
  /** @type {HTMLElement[]} */
  spare = [];
  /** @type {number[]} */
  visible = []; // the nodes that have a row, in order
  row = new Int32Array(); // of each node; -1 without one
  /** @type {number | null} */
  waiting = null;
  typed = { text: "", at: 0 };
  height = 1;
  active = 0;
  opened = -1;

  /** @param {HTMLElement} element @param {(node: number, byKey: boolean) => void} open */
  constructor(element, open) {
    this.element = element;
    this.open = open;
    this.canvas = el("div", { class: "tree-canvas", role: "none" });
    element.replaceChildren(this.canvas);
    element.addEventListener("scroll", () => this.later(), { passive: true });
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.resize()).observe(element);
    new MutationObserver(() => this.resize()).observe(document.documentElement, { attributeFilter: ["data-size"] });
  }

  get outline() {
    return present(this.shown, "the outline");
  }

  /** Show an outline; of the one shown before, what is expanded and active is kept if `same`.
   *  @param {Outline} outline */
  show(outline, same = false) {
    this.shown = outline;
    this.matches = null;
    if (!same) {
      this.expanded = firstLevels(outline);
      this.active = 0;
      this.opened = -1;
      this.element.scrollTop = 0;
    }
    this.arrange();
  }

  /** Show only these nodes and what is above them; null shows all.
   *  @param {number[] | null} nodes */
  filter(nodes) {
    this.matches = nodes && { found: new Set(nodes), above: this.allAbove(nodes), closed: new Set() };
    if (nodes?.length && !this.matches?.found.has(this.active)) this.active = nodes[0];
    this.arrange();
    if (nodes?.length) this.reveal(this.active);
  }

  /** @param {number[]} nodes */
  allAbove(nodes) {
    /** @type {Set<number>} */
    const above = new Set();
    const { parent } = this.outline;
    for (const node of nodes) {
      for (let up = parent[node]; up >= 0 && !above.has(up); up = parent[up]) above.add(up);
    }
    return above;
  }

  // ---- what is shown ----

  /** @param {number} node */
  kept(node) {
    return !this.matches || this.matches.found.has(node) || this.matches.above.has(node);
  }

  /** While searching, everything is open unless closed by hand.
   *  @param {number} node */
  isOpen(node) {
    const { matches } = this;
    return matches ? matches.above.has(node) && !matches.closed.has(node) : this.expanded.has(node);
  }

  /** @param {number} node */
  canOpen(node) {
    return this.matches ? this.matches.above.has(node) : this.outline.parts[node] > 0;
  }

  arrange() {
    const { size, end } = this.outline;
    this.visible = [];
    this.row = new Int32Array(size).fill(-1);
    for (let node = 0; node < size; ) {
      if (!this.kept(node)) {
        node = end[node];
        continue;
      }
      this.row[node] = this.visible.length;
      this.visible.push(node);
      node = this.isOpen(node) ? node + 1 : end[node];
    }
    this.activate(this.nearest(this.active));
    this.resize();
  }

  /** The node itself or the closest one above it that has a row.
   *  @param {number} node */
  nearest(node) {
    while (node > 0 && this.row[node] < 0) node = this.outline.parent[node];
    return Math.max(node, 0);
  }

  resize() {
    if (!this.shown) return;
    this.height = Math.round(2.15 * parseFloat(getComputedStyle(document.documentElement).fontSize));
    this.canvas.style.height = `${this.visible.length * this.height}px`;
    for (const row of this.drawn.values()) row.dataset.stale = "1";
    this.draw();
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - BEYOND);
    const last = Math.min(this.visible.length, Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.height) + BEYOND);
    const wanted = this.visible.slice(first, last);
    const at = this.row[this.active]; // the active row stays, wherever it is, because it may have the focus
    if (at >= 0 && at < first) wanted.unshift(this.active);
    if (at >= last) wanted.push(this.active);
    const set = new Set(wanted);
    for (const [node, row] of this.drawn) {
      if (set.has(node)) continue;
      row.remove();
      this.drawn.delete(node);
      this.spare.push(row);
    }
    // numbers of nodes grow from row to row, so rows that are there are in order and need not be moved
    let next = this.canvas.firstChild;
    for (const node of wanted) {
      let row = this.drawn.get(node);
      if (!row) {
        row = this.spare.pop() ?? el("div", { role: "treeitem", class: "tree-row" });
        this.drawn.set(node, row);
        this.canvas.insertBefore(row, next);
        this.dress(row, node);
      } else {
        next = row.nextSibling;
        if (row.dataset.stale) this.dress(row, node);
      }
      row.style.transform = `translateY(${this.row[node] * this.height}px)`;
    }
  }

  /** @param {HTMLElement} row @param {number} node */
  dress(row, node) {
    const { outline } = this;
    const state = outline.stateOf(node);
    const match = this.matches?.found.has(node) ?? false;
    const depth = outline.depth[node];
    delete row.dataset.stale;
    row.dataset.node = String(node);
    row.id = `row-${node}`;
    row.className = `tree-row ${match ? "match" : this.matches ? "above" : ""} ${this.opened === node ? "opened" : ""}`;
    row.tabIndex = node === this.active ? 0 : -1;
    row.style.height = `${this.height}px`;
    row.style.paddingInlineStart = `${0.3 + Math.min(depth, DEEPEST) * 0.95}rem`;
    const attributes = {
      "aria-level": depth + 1,
      "aria-setsize": outline.siblings(node),
      "aria-posinset": outline.place[node],
      "aria-selected": this.opened === node,
      "aria-label": this.spoken(node, state, match),
    };
    for (const [name, value] of Object.entries(attributes)) row.setAttribute(name, String(value));
    if (this.canOpen(node)) row.setAttribute("aria-expanded", String(this.isOpen(node)));
    else row.removeAttribute("aria-expanded");
    const failed = outline.failed.has(node);
    row.replaceChildren(
      el("span", { class: `twist ${this.canOpen(node) ? (this.isOpen(node) ? "is-open" : "is-closed") : ""}` }),
      el("span", { class: `tree-state state-${state}`, title: STATE_WORDS[state] }, STATE_ICONS[state]),
      depth > DEEPEST ? el("span", { class: "tree-deep" }, `${depth}`) : "",
      el("bdi", { class: "tree-title" }, outline.title[node] || "(no text)"),
      failed ? el("span", { class: "tree-failed", title: "something failed here" }, "⚠ error") : "",
      el("span", { class: "tree-word" }, STATE_WORDS[state]),
      el("span", { class: "tree-level" }, levelName(outline, node)),
      intervalBar(outline.score[node], outline.low[node], outline.high[node]),
      el("span", { class: "tree-score" }, scoreText(outline.score[node])),
    );
  }

  /** @param {number} node @param {Tree.State} state @param {boolean} match */
  spoken(node, state, match) {
    const { outline } = this;
    const score = outline.score[node];
    const interval = outline.low[node] === null ? "" : `, from ${scoreText(outline.low[node])} to ${scoreText(outline.high[node])}`;
    return [
      outline.title[node] || "no text",
      levelName(outline, node),
      STATE_WORDS[state],
      outline.failed.has(node) && "with an error",
      score !== null && `score ${scoreText(score)}${interval}`,
      outline.ratings[node] > 0 && `${outline.ratings[node]} ratings`,
      match && "found",
    ].filter(Boolean).join("; ");
  }

  // ---- moving about ----

  /** @param {number} node */
  activate(node, focus = false) {
    const before = this.drawn.get(this.active);
    if (before) before.tabIndex = -1;
    this.active = node;
    const row = this.drawn.get(node);
    if (row) row.tabIndex = 0;
    if (focus) {
      this.reveal(node);
      this.drawn.get(node)?.focus({ preventScroll: true });
    }
  }

  /** Bring a node's row into view.
   *  @param {number} node */
  reveal(node) {
    const top = this.row[node] * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top - this.height;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top - clientHeight + 2 * this.height;
    this.draw();
  }

  /** Open all that is above a node, so that it has a row; false if the filter hides it.
   *  @param {number} node */
  unfold(node) {
    if (!this.kept(node)) return false;
    for (let up = this.outline.parent[node]; up >= 0; up = this.outline.parent[up]) {
      this.expanded.add(up);
      this.matches?.closed.delete(up);
    }
    this.arrange();
    return true;
  }

  /** Mark a node as the one that is read.
   *  @param {number} node */
  mark(node) {
    this.opened = node;
    this.unfold(node);
    if (this.row[node] >= 0) {
      this.activate(node);
      this.reveal(node);
    }
  }

  /** @param {number} node @param {boolean} open */
  toggle(node, open) {
    if (this.matches && open) this.matches.closed.delete(node);
    else if (this.matches) this.matches.closed.add(node);
    else if (open) this.expanded.add(node);
    else this.expanded.delete(node);
    this.arrange();
  }

  focusActive() {
    this.activate(this.active, true);
  }

  /** @param {Event} event */
  click({ target }) {
    const row = target instanceof Element ? target.closest("[role=treeitem]") : null;
    if (!(row instanceof HTMLElement) || !(target instanceof Element)) return;
    const node = Number(row.dataset.node);
    this.activate(node, true);
    if (target.closest(".twist") && this.canOpen(node)) this.toggle(node, !this.isOpen(node));
    else this.open(node, false);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !this.visible.length) return;
    const node = this.active;
    const at = this.row[node];
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    /** @param {number} place */
    const to = (place) => this.activate(this.visible[Math.min(this.visible.length - 1, Math.max(0, place))], true);
    /** @type {Record<string, () => void>} */
    const moves = {
      ArrowDown: () => to(at + 1),
      ArrowUp: () => to(at - 1),
      PageDown: () => to(at + page),
      PageUp: () => to(at - page),
      Home: () => to(0),
      End: () => to(this.visible.length - 1),
      ArrowRight: () => this.canOpen(node) && (this.isOpen(node) ? to(at + 1) : this.toggle(node, true)),
      ArrowLeft: () => (this.canOpen(node) && this.isOpen(node) ? this.toggle(node, false) : node > 0 && this.activate(this.outline.parent[node], true)),
      Enter: () => this.open(node, true),
      " ": () => this.open(node, false),
      "*": () => this.openSiblings(node),
    };
    if (moves[event.key]) moves[event.key]();
    else if (event.key.length === 1 && event.key !== "/") this.jump(event.key);
    else return;
    event.preventDefault();
    this.drawn.get(this.active)?.focus({ preventScroll: true });
  }

  /** @param {number} node */
  openSiblings(node) {
    const parent = this.outline.parent[node];
    const last = parent < 0 ? 1 : this.outline.end[parent];
    for (let each = parent + 1; each < last; each = this.outline.end[each]) {
      if (this.outline.parts[each]) this.expanded.add(each);
      this.matches?.closed.delete(each);
    }
    this.arrange();
    this.reveal(node);
  }

  /** Go to the next row whose title begins with what is being typed.
   *  @param {string} letter */
  jump(letter) {
    const now = performance.now();
    this.typed = { text: (now - this.typed.at < 700 ? this.typed.text : "") + letter.toLowerCase(), at: now };
    const { text } = this.typed;
    const from = this.row[this.active] + (text.length === 1 ? 1 : 0);
    for (let step = 0; step < this.visible.length; step++) {
      const node = this.visible[(from + step) % this.visible.length];
      if (this.outline.title[node].toLowerCase().startsWith(text)) return this.activate(node, true);
    }
  }
}

/** The nodes to expand at first: level by level from the root, as long as not too many rows come of it.
 *  @param {Outline} outline */
function firstLevels(outline, most = 60) {
  /** @type {Set<number>} */
  const expanded = new Set();
  let rows = 1;
  for (let depth = 0; ; depth++) {
    /** @type {number[]} */
    const here = [];
    for (let node = 0; node < outline.size; node++) if (outline.depth[node] === depth && outline.parts[node]) here.push(node);
    rows += here.reduce((sum, node) => sum + outline.parts[node], 0);
    if (!here.length || (depth > 0 && rows > most)) return expanded;
    here.forEach((node) => expanded.add(node));
  }
}
