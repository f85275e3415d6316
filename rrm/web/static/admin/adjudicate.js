// Settling: the items on which raters differ, one at a time, decided with the same controls as a rater has.
import { answersTo, sourceOf } from "./answers.js";
import { fill, kindName, live } from "./parts.js";
import { api, byId, el, number, percent, refusal, sentence, toast } from "../common.js";
import { ask } from "../dialogs.js";
import { freshness } from "../fresh.js";
import { keyButton, listen } from "../keys.js";
import { kinds } from "../kinds.js";
import { newKey } from "../outbox.js";
import { words } from "../words.js";

const judge = document.body.dataset.role !== "reader";
const now = {
  queue: /** @type {Wire.Disputed[]} */ ([]),
  total: 0, // of which the queue lists the first
  decided: /** @type {{item: string, row: Wire.Disputed | undefined, at: number, decision: string}[]} */ ([]), // here, the latest last; `row` stood `at` this place of the queue
  item: /** @type {Wire.DisputedItem | null} */ (null),
  actions: /** @type {Ui.Action[]} */ ([]),
  busy: false,
  begun: false,
};
/** The idempotency key of the decision on an item, as it was fetched.
 *  @type {WeakMap<Wire.DisputedItem, string>} */
const keys = new WeakMap();

const dead = freshness(byId("one"));

live("/api/disputed", ({ items: queue, total }) => {
  now.queue = queue;
  now.total = total;
  drawQueue();
  const gone = now.item && !queue.some(({ item }) => item === now.item?.item);
  if (!now.item || (gone && !now.busy)) show(queue[0]?.item);
}, 6);

// ---- the queue ----

function drawQueue() {
  const count = now.total;
  const first = now.queue.length < count ? `; the first ${number(now.queue.length)} are listed` : "";
  byId("as-of").textContent = count ? `${number(count)} ${count === 1 ? "item" : "items"} to settle${first}` : "";
  const focused = document.activeElement?.getAttribute("data-item");
  fill(byId("queue"), now.queue.map((each) => el("li", {}, el("button", {
    type: "button", class: "button", "data-item": each.item, "aria-current": each.item === now.item?.item ? "true" : null, onclick: () => show(each.item),
  }, el("span", {}, kindName(each.kind), el("span", { class: "muted small" }, ` ${each.where}${each.own ? " · you rated it" : ""}`)), el("span", { class: "muted small", title: "disagreement" }, percent(each.disagreement))))));
  const again = focused && byId("queue").querySelector(`[data-item="${CSS.escape(focused)}"]`);
  if (again instanceof HTMLElement) again.focus();
}

/** The item after this one in the queue.
 *  @param {string} id */
const following = (id) => {
  const at = now.queue.findIndex(({ item }) => item === id);
  return now.queue[(at + 1) % now.queue.length]?.item;
};

// ---- one item ----

/** @param {string | undefined} id */
async function show(id) {
  if (!id) {
    now.item = null;
    const back = { key: "u", label: "Take the last decision back", press: undo };
    now.actions = now.decided.length ? [back] : [];
    return fill(byId("one"), el("div", { class: "card" }, el("h2", {}, "Nothing to settle"), now.actions.map(keyButton),
      el("p", { class: "muted" }, "Raters agree wherever an item has all its answers. This page looks again by itself.")));
  }
  try {
    now.item = await api("GET", `/api/disputed/${encodeURIComponent(id)}`);
  } catch (error) {
    return toast(sentence(refusal(error).detail), "bad");
  }
  draw(now.item);
  drawQueue();
}

/** @param {Wire.DisputedItem} item */
function draw(item) {
  const source = sourceOf(item);
  /** @type {Ui.Action} */
  const reject = { key: "r", label: words.rejectItem, press: () => rejectItem(item) };
  /** @type {Ui.Action} */
  const next = { key: "s", label: "Later", press: () => show(following(item.item)) };
  /** @type {Ui.OfKind} */
  const page = { send: (answer, more) => decide(item, answer, more), changed() {}, say: (text) => toast(text, "bad"), passages: source.passages, reject };
  const part = kinds[item.kind](item, page);
  const back = { key: "u", label: "Take the last decision back", press: undo };
  const own = [...(part.actions.includes(reject) ? [] : [reject]), next, ...(now.decided.length ? [back] : [])];
  now.actions = judge ? [...part.actions, ...own] : [];
  const originals = item.given.filter(({ adjudication }) => !adjudication);
  fill(byId("one"),
    el("h2", { id: "item-title", tabindex: "-1" }, `${kindName(item.kind)}, ${item.where}: ${originals.length} answers differ`),
    source.node,
    el("section", { class: "card", "aria-label": "What the raters said" }, el("h3", {}, "What the raters said"), answersTo(item, item.given)),
    el("div", { class: "outputs grid" }, part.outputs),
    judge ? el("section", { class: "card", "aria-label": "Your decision" },
      el("h3", {}, "Your decision"),
      el("p", { class: "muted small" }, "It stands in the place of the raters' answers, which are kept. Letters are the item's own order, not the one that a rater saw."),
      el("div", { class: "stack" }, part.bar, el("div", { class: "row" }, own.map(keyButton)))) : null);
  if (!judge) for (const button of byId("one").querySelectorAll(".outputs button")) button.remove();
  dead.drawn();
  if (now.begun) byId("item-title").focus({ preventScroll: true }); // a new page begins at its top by itself
  now.begun = true;
}

/** @param {Wire.DisputedItem} item */
async function rejectItem(item) {
  const reason = await ask({ title: words.rejectTitle, lead: words.rejectLead, reasons: words.rejectReasons });
  if (reason) decide(item, { kind: "reject", reason });
}

/** @param {Wire.DisputedItem} item @param {Wire.Answer} answer @param {Wire.More} more */
async function decide(item, answer, more = {}) {
  if (now.busy) return;
  now.busy = true;
  const next = following(item.item);
  const key = keys.get(item) ?? newKey();
  keys.set(item, key);
  try {
    const { id } = await api("POST", `/api/disputed/${encodeURIComponent(item.item)}/decide`, { key, answer, detail: more.detail ?? {} });
    const at = now.queue.findIndex((each) => each.item === item.item);
    now.decided.push({ item: item.item, row: now.queue[at], at, decision: id });
    now.total = Math.max(0, now.total - 1);
    toast(`Settled: ${words.answer(answer)}`, "good");
    now.queue = now.queue.filter((each) => each.item !== item.item);
    await show(next === item.item ? now.queue[0]?.item : next);
    scrollTo(0, 0);
  } catch (error) {
    toast(sentence(refusal(error).detail), "bad");
  } finally {
    now.busy = false;
  }
}

/** Take the last decision of this page back, and show its item again. */
async function undo() {
  const last = now.decided.at(-1);
  if (now.busy || !last) return;
  now.busy = true;
  try {
    await api("POST", `/api/disputed/${encodeURIComponent(last.item)}/undo`, { decision: last.decision });
    now.decided.pop();
    now.total += 1;
    // at once: the next look finds the queue as it was before the decision, and then draws nothing
    if (last.row && !now.queue.some(({ item }) => item === last.item)) now.queue.splice(last.at, 0, last.row);
    toast("Taken back: the raters' answers count again.", "good");
    await show(last.item);
  } catch (error) {
    toast(sentence(refusal(error).detail), "bad");
  } finally {
    now.busy = false;
  }
}

listen((key) => dead.fresh() ? null : now.actions.find((action) => [action.key, ...(action.also ?? [])].includes(key)));
