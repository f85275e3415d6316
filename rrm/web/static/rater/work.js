// The page for rating: one item at a time, from claim to answer, and everything around it.
import { activeClock } from "./clock.js";
import {
  api, button, byId, el, findById, flat, kept, poll, present, refusal, richText, seconds, sentence, toast, when,
} from "../common.js";
import { ask, open } from "../dialogs.js";
import { wordDiff } from "../diff.js";
import { drafts } from "./drafts.js";
import { STEP, freshness } from "../fresh.js";
import { always, buttonOf, changeKeys, keyButton, keyTable, listen, relabel } from "../keys.js";
import { insist, newKey, outbox, retryNow } from "../outbox.js";
import { letter, words } from "../words.js";
import { asked, written } from "./sheet.js";

/** @typedef {import("../common.js").Refusal} Refusal */

const HEARTBEAT = 30; // seconds between two renewals of a lease
const IN_USE = 300_000; // milliseconds without a sign of life after which a lease may run out
const LOOK_AGAIN = 30; // seconds between two looks for an item when there was none
const MESSAGES = 60; // seconds between two looks for messages
const SLOW_READER = 2; // words a second
const BREAK = 45 * 60; // seconds of active time after which a break is proposed

const clock = activeClock();
const dead = freshness(byId("item"));
const tabs = new BroadcastChannel("rrm");
const now = {
  me: /** @type {Wire.Me | null} */ (null), // who rates
  lease: /** @type {Wire.Lease | null} */ (null), // the item in hand, null on other screens
  asked: /** @type {Ui.Asked | null} */ (null), // its question or questions, as they are drawn and read
  actions: /** @type {() => Ui.Action[]} */ (() => []), // what keys do on this screen
  focused: /** @type {Element | null} */ (null), // what had the focus before something was sent
  busy: true, // something is on its way to the server
  idle: /** @type {"" | "wait" | "done"} */ (""), // there was nothing to rate when last asked: for now, or at all
  progress: /** @type {Wire.Progress | null} */ (null),
  changed: false, // the answer, on this page since it was drawn
  worked: 0, // active seconds since the last break
};
/** @type {ReturnType<typeof outbox> | null} */
let box = null;
/** @type {ReturnType<typeof drafts> | null} */
let notes = null;
// what there is as soon as it is known who rates
const outgoing = () => present(box, "the outbox");
const ownDrafts = () => present(notes, "the drafts");
const progressNow = () => present(now.progress, "the progress");

// ---- banners, state, focus ----

/** Put up the banner of this name, or take it down when there is nothing to say.
 *  @param {string} name @param {"" | "bad" | "warn"} kind @param {Ui.Child[]} content */
function banner(name, kind, ...content) {
  findById(`banner-${name}`)?.remove();
  if (!content.length) return;
  const role = kind === "bad" ? "alert" : "status";
  byId("banners").append(el("div", { id: `banner-${name}`, class: `alert ${kind}`, role }, content));
}

/** @param {string} name */
const dismiss = (name) => button(words.dismiss, () => banner(name, ""));

/** @param {string} text */
function say(text) {
  byId("state").textContent = text;
}

/** @param {Refusal} [error] */
function offline(error) {
  const waiting = box?.waiting().length ?? 0;
  const detail = waiting ? words.offlineWaiting(waiting) : words.offlineGoOn;
  const text = el("p", {}, el("strong", {}, error?.status ? error.detail : words.offline), " ", now.me ? detail : "");
  banner("offline", "bad", text, button(words.retryNow, retryNow));
  if (waiting) say(words.notSent);
}

function online() {
  if (!findById("banner-offline")) return;
  banner("offline", "");
  toast(words.onlineAgain, "good");
}

/** Ask until the server is there, with the banner up as long as it is not.
 *  @template Reply
 *  @param {() => Promise<Reply>} question */
async function reach(question) {
  const reply = await insist(question, offline);
  online();
  return reply;
}

/** Let nothing more be answered while something is on its way; the focus comes back to where it was.
 *  @param {boolean} busy */
function hold(busy) {
  now.busy = busy;
  if (busy) now.focused = document.activeElement;
  byId("item").inert = busy;
  byId("item").classList.toggle("busy", busy);
  if (!busy && now.focused instanceof HTMLElement) now.focused.focus({ preventScroll: true });
}

/** Put a screen in the item's place and its heading in focus.
 *  @param {Ui.Action[] | (() => Ui.Action[])} actions @param {Ui.Child[]} content */
function screen(actions, ...content) {
  now.actions = typeof actions === "function" ? actions : () => actions;
  now.idle = "";
  byId("item").replaceChildren(...flat(content));
  hold(false);
  byId("heading").focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** @param {string} text */
const heading = (text) => el("h1", { id: "heading", tabindex: "-1" }, text);

/** @param {string} title @param {Ui.Child[]} content */
const plainScreen = (title, ...content) =>
  screen([help], el("div", { class: "card narrow" }, heading(title), content));

// ---- progress ----

/** @param {Wire.Progress} progress @param {Wire.Lease | null} lease */
function drawProgress(progress, lease) {
  now.progress = progress;
  const { done, practising, practice_done, practice_items, median_seconds } = progress;
  const left = progress.left + (lease && !lease.practice ? 1 : 0); // the server counts what still comes
  const [part, whole] = practising ? [practice_done, practice_items] : [done, done + left];
  const text = practising ? words.practiceProgress(part, whole) : words.progress(done, left);
  const time = practising || !median_seconds ? 0 : left * median_seconds;
  const rest = time ? ` · ${words.timeLeft(seconds(roughly(time)))}` : "";
  byId("progress").replaceChildren(
    el("progress", { max: Math.max(whole, 1), value: part, "aria-label": words.progressLabel }),
    el("span", {}, text + rest));
}

/** @param {number} time */
const roughly = (time) => (time < 90 ? Math.ceil(time / 10) * 10 : Math.ceil(time / 60) * 60);

// ---- what there is to do ----

/** Show what a claim or an answer brought: an item, the end, or that there is nothing for now.
 *  @param {Wire.Next} next */
function show(next) {
  const before = now.progress;
  drawProgress(next.progress, next.lease);
  now.lease = null;
  if (before?.practising && next.lease) {
    const { practising, tries_left } = next.progress;
    if (!practising) return drawInterlude(words.practicePassed, words.practicePassedText, next.lease);
    const failed = tries_left < before.tries_left;
    if (failed) return drawInterlude(words.practiceFailed, words.practiceFailedText(tries_left), next.lease);
  }
  if (next.lease) return drawItem(next.lease);
  if (next.asks) return drawAsked(next.asks);
  return next.done ? drawDone(next.done) : drawWait(next.reason);
}

async function claim() {
  if (!now.idle) hold(true);
  try {
    const next = await reach(() => api("POST", "/api/claim"));
    const found = next.lease || next.asks ? "" : next.done ? "done" : "wait";
    if (!found || found !== now.idle) show(next); // else the same again, which would only move the focus
  } catch (caught) {
    const error = refusal(caught);
    if (error.status === 401) return drawSessionOver();
    now.lease = null;
    if (!now.idle) drawWait(error.detail);
  }
}

/** @param {string} title @param {string} text @param {Wire.Lease} lease */
function drawInterlude(title, text, lease) {
  /** @type {Ui.Action} */
  const go = { key: "Enter", label: words.start, class: "primary", press: () => drawItem(lease) };
  plainScreen(title, el("p", {}, text), keyButton(go));
  now.actions().push(go);
}

/** What has to be agreed to or read before the next item.
 *  @param {Wire.Asks} asks */
function drawAsked({ consent, guideline }) {
  banner("practice", "");
  if (consent) {
    const text = el("div", { class: "consent text", tabindex: "0", role: "group", "aria-label": words.consentLabel, dir: "auto" }, consent.text);
    return drawNotice(words.consentTitle, words.consentLead, text, words.consentAgree,
      () => api("POST", "/api/consent", { agreed: consent.id }));
  }
  if (!guideline) return;
  const { version, html, text, read, before } = guideline;
  const body = el("div", { class: "prose notice" }, richText(html));
  const changed = read > 0 && el("details", { open: true }, el("summary", {}, words.guidelineChanges(read)),
    el("div", { class: "text diff", dir: "auto" }, wordDiff(before, text).map(([op, piece]) => (op === "=" ? piece : el(op === "-" ? "del" : "ins", {}, piece)))));
  drawNotice(read > 0 ? words.guidelineNew : words.guidelineFirst, words.guidelineLead(version), [changed, body], words.guidelineRead,
    async () => {
      await api("POST", "/api/guidelines/read", { version });
      await fetchGuidelines();
    });
}

/** @param {string} title @param {string} lead @param {Ui.Child} content @param {string} label
 *  @param {() => Promise<unknown>} taken */
function drawNotice(title, lead, content, label, taken) {
  /** @type {Ui.Action} */
  const go = {
    key: "Enter", label, class: "primary",
    press: async () => {
      hold(true);
      try {
        await reach(taken);
      } catch (caught) {
        const error = refusal(caught);
        if (error.status === 401) return drawSessionOver();
        toast(error.detail, "bad");
      }
      await claim();
    },
  };
  plainScreen(title, el("p", {}, lead), content, keyButton(go));
  now.actions().push(go);
  dead.drawn();
}

/** @param {Wire.Ending} ending */
function drawDone({ outcome, exit: { code, url }, settled }) {
  const look = lookAgain();
  const out = outcome === "screened_out";
  const leave = url && el("p", {}, el("a", { class: "button primary", id: "leave", href: url, rel: "noopener noreferrer" }, words.leave));
  const own = out ? [] : [keyButton(look), keyButton(undo), keyButton(last)];
  plainScreen(out ? words.screenedOutTitle : words.doneTitle,
    el("p", {}, out ? words.screenedOutText : settled ? words.doneSettled : words.doneText), code && completion(code), leave,
    el("p", { class: "muted" }, out ? words.screenedOutMore : words.doneMore),
    el("div", { class: "row" }, own));
  now.actions().push(...(out ? [] : [look, undo, last]));
  now.idle = "done";
}

/** @returns {Ui.Action} */
const lookAgain = () => ({ key: "Enter", label: words.lookAgain, class: "primary", press: claim });

/** @param {string} code */
function completion(code) {
  const field = el("input", { id: "code", readonly: true, value: code, onfocus: () => field.select() });
  const copy = async () => {
    field.select();
    await (navigator.clipboard?.writeText(code) ?? document.execCommand("copy"));
    toast(words.copied, "good");
  };
  return el("div", { class: "field" },
    el("label", { for: "code" }, words.code), el("div", { class: "row" }, field, button(words.copy, copy, "primary")));
}

function drawSessionOver() {
  now.lease = null;
  plainScreen(words.workTitle, el("p", { class: "alert bad", role: "alert" }, words.sessionOver),
    el("a", { class: "button primary", href: "/login" }, words.loginTitle));
}

/** @param {string | null} reason */
function drawWait(reason) {
  const look = lookAgain();
  plainScreen(words.waitTitle,
    el("p", {}, sentence(reason ?? "")), el("p", { class: "muted" }, words.waitText),
    el("div", { class: "row" }, keyButton(look), keyButton(undo), keyButton(last)));
  now.actions().push(look, undo, last);
  now.idle = "wait";
}

// ---- an item ----

/** @param {Ui.Child} content */
const shownText = (content, style = "") => el("div", { class: `text ${style}`, dir: "auto" }, content);

/** @param {string} name @param {Ui.Child[]} content */
const scrolling = (name, ...content) =>
  el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": name }, content);

/** A passage: its card, the node that holds its text, and its name.
 *  @param {Wire.Passage} passage @param {number} place @param {Wire.Passage[]} all */
function drawPassage({ text, label, score = null }, place, all) {
  const meter = score !== null && el("span", { class: "evidence" },
    el("meter", { min: 0, max: 1, value: score, "aria-hidden": "true" }), words.acceptance(score));
  const name = words.passage(label, all.length > 1 && place);
  const head = (all.length > 1 || meter) && el("div", { class: "row passage-head" }, el("h3", {}, name), meter);
  const node = shownText(text);
  return { name, node, card: el("section", { class: "passage", "aria-label": name }, head, scrolling(name, node)) };
}

/** @param {Wire.Lease} lease @param {{card: HTMLElement}[]} passages */
function drawSource(lease, passages) {
  const evidence = lease.passages.some(({ score }) => (score ?? null) !== null);
  const title = el("h2", {}, evidence ? words.evidence : words.passages);
  const by = lease.questions.length > 1 ? "" : words.criterion(lease.questions[0].criterion);
  return el("section", { class: "card source", "aria-label": words.instruction },
    el("h2", {}, words.instruction), shownText(lease.instruction, "instruction"), by && el("p", { dir: "auto" }, el("strong", {}, by)),
    lease.context && [el("h2", {}, words.context), scrolling(words.context, shownText(lease.context))],
    passages.length > 0 && el("div", { class: "row spread" }, title, lease.wider && keyButton(wider)),
    el("div", { class: `passages ${passages.length > 1 ? "several" : ""}` }, passages.map(({ card }) => card)));
}

/** @param {Wire.Lease} lease */
function drawItem(lease) {
  now.lease = lease;
  if (lease.guideline !== now.me?.guideline.version) fetchGuidelines();
  const passages = lease.passages.map(drawPassage);
  const source = drawSource(lease, passages);
  /** @type {Ui.Page} */
  const page = {
    send: submit, changed: keepDraft, say: (text) => toast(text, "bad"), reject, passages,
    seconds: clock.seconds, drawn: () => dead.drawn(STEP), markdown: now.me?.settings.markdown ?? true,
  };
  const body = asked(lease, page);
  now.asked = body;
  const others = body.rejects ? [skip, reject, flag, undo, last] : [skip, flag, undo, last];
  const progress = progressNow();
  const number = lease.practice ? "" : words.itemNumber(progress.done + 1);
  const always = [skip, reject, flag, undo, last, guidelines, help, write, ...(lease.wider ? [wider] : [])];
  screen(() => [...body.actions, ...always],
    el("div", { class: "item-head" },
      el("span", { class: "muted small" }, number), heading(body.title)),
    el("div", { class: "columns" },
      source,
      el("div", { class: "answering" },
        el("section", { class: "outputs scroll", tabindex: "0", role: "group", "aria-label": words.outputs }, body.outputs),
        el("section", { class: "card bar-answer", "aria-label": words.actions }, body.bar))),
    el("section", { class: "always row", "aria-label": words.moreActions }, others.map(keyButton)));
  dead.drawn();
  relabel(undo, words.undoable(progress.undoable));
  buttonOf(undo).disabled = !progress.undoable;
  practiceBanner(lease);
  restore(lease, body);
}

/** @param {Wire.Lease} lease */
function practiceBanner(lease) {
  if (!lease.practice) return banner("practice", "");
  const { practice_done, practice_items } = progressNow();
  const which = el("strong", {}, words.practice(practice_done + 1, practice_items));
  banner("practice", "warn", el("p", {}, which, " ", words.practiceLead));
}

/** @param {Wire.Lease} lease @param {Ui.Asked} body */
function restore(lease, body) {
  const draft = ownDrafts().newest(lease);
  clock.restart(draft?.seconds ?? 0, readingTime(lease));
  now.changed = false;
  const before = body.restore(draft);
  if (before) say(words.before(before));
}

/** Seconds that a slow reader needs for all texts of an item.
 *  @param {Wire.Lease} lease */
function readingTime({ passages, outputs, context }) {
  const words = [...passages, ...outputs, { text: context }].map(({ text }) => text.split(/\s+/u).length);
  return words.reduce((sum, n) => sum + n, 0) / SLOW_READER;
}

function keepDraft() {
  const { lease, asked: body } = now;
  if (!lease || !body) return;
  now.changed = true;
  ownDrafts().keep(lease, {
    at: Date.now(), seconds: clock.seconds(), ...body.kept(),
  });
}

/** @param {import("./drafts.js").Told} told */
function draftTold(told) {
  const { lease, error } = told;
  if (now.busy || lease.id !== now.lease?.id) return; // an answer on its way may end the lease under a draft
  if (error?.status === 409) return expired();
  say(error ? words.draftLocal : words.draftSaved);
  if (!error) online();
  if (error?.status === 0) offline(error);
  if (!told.error && told.tokens !== null && now.asked?.area()?.value === told.text) now.asked.tokens(told.tokens);
}

// ---- sending ----

/** Send the answers to all questions of the lease.
 *  @param {Ui.Sent[]} sent */
async function submit(sent) {
  const { lease } = now;
  if (now.busy || !lease) return;
  const key = newKey();
  const answers = sent.map(({ answer, seconds = clock.seconds(), ...more }, place) => (
    { shown: lease.questions[place].shown, answer, seconds: Math.round(seconds * 100) / 100, ...more }));
  await deliver(lease, { key, path: `/api/leases/${lease.id}/answer`, body: { key, answers } },
    ({ practice, next }) => (practice ? drawPractice(lease, answers, practice, next) : show(next)));
}

/** @param {Wire.Lease} lease @param {Ui.Entry} entry @param {(reply: Wire.Sent) => void} then */
async function deliver(lease, entry, then) {
  hold(true);
  say(words.saving);
  now.worked += clock.seconds();
  try {
    const reply = await outgoing().send(entry);
    ownDrafts().forget(lease);
    tabs.postMessage(lease.item);
    banner("conflict", "");
    online();
    then(reply);
    say(now.lease && !now.lease.practice ? words.itemReady(progressNow().done + 1) : words.saved);
  } catch (error) {
    hold(false);
    refused(refusal(error), lostText(entry));
  }
}

/** The text that was to be sent, as far as there is one.
 *  @param {Ui.Entry} entry */
const lostText = ({ body }) => body.answers?.map(({ answer }) => written(answer)).find(Boolean) ?? null;

/** The server refused what the rater did: the session is over, it came too late, or it does not fit.
 *  @param {Refusal} error @param {string | null} [lost] */
function refused(error, lost = null) {
  say("");
  if (error.status === 401) return drawSessionOver();
  if (![403, 404, 409].includes(error.status)) return toast(error.detail, "bad");
  conflict(error, lost);
  return claim();
}

/** @param {Refusal} error @param {string | null} lost */
function conflict(error, lost) {
  online();
  const said = el("p", {}, el("strong", {}, words.conflictTitle), " ", error.detail);
  const text = lost && el("details", {}, el("summary", {}, words.conflictText), shownText(lost));
  banner("conflict", "bad", said, text, dismiss("conflict"));
}

async function expired() {
  const writing = document.activeElement === now.asked?.area();
  toast(words.expired, "bad");
  await claim();
  if (writing) now.asked?.area()?.focus();
}

/** @param {Wire.Lease} lease @param {{answer: Wire.Answer}[]} answers @param {Wire.PracticeResult[]} results
 *  @param {Wire.Next} next */
function drawPractice(lease, answers, results, next) {
  /** @type {Ui.Action} */
  const go = { key: "Enter", label: words.next, class: "primary", press: () => show(next) };
  const judged = results.filter(({ right }) => right !== null);
  const right = judged.length ? judged.every((each) => each.right) : null;
  const verdict = right === null ? words.practiceNoted : right ? words.practiceRight : words.practiceWrong;
  /** @type {(name: string, given: Wire.Answer | null, letters?: string[]) => Ui.Child} */
  const line = (name, given, letters) =>
    given && el("p", {}, el("strong", {}, name), " ", el("bdi", {}, words.answer(given, letters)));
  const told = results.map(({ expected, explanation }, place) => {
    const question = lease.questions[place], several = results.length > 1;
    const letters = several ? question.outputs.map(letter) : undefined;
    if (several && !expected && !explanation) return null;
    return [
      several && el("h3", {}, words.sheet.step({ ...question, letters })),
      line(words.practiceYours, answers[place].answer, letters), line(words.practiceExpected, expected, letters),
      explanation && shownText(explanation, "explanation"),
    ];
  });
  banner("practice", "");
  now.lease = null;
  const before = progressNow();
  drawProgress({ ...before, practice_done: before.practice_done + 1 }, null);
  screen([go, help],
    el("div", { class: `card verdict ${right === null ? "" : right ? "good" : "bad"}` },
      heading(verdict), told, keyButton(go)),
    el("div", { class: "stack" }, [...document.querySelectorAll("#item .source, #item .outputs")].map(still)));
  dead.drawn();
}

/** What was rated, without its controls.
 *  @param {Element} section */
function still(section) {
  section.querySelectorAll("button, textarea, .field").forEach((node) => node.remove());
  return section;
}

// ---- the actions that every page has ----

const skip = always("skip", async () => {
  const { lease } = now;
  const reason = await ask({ title: words.skipTitle, lead: words.skipLead, reasons: words.skipReasons });
  if (!reason || !lease || now.busy) return;
  const key = newKey();
  await deliver(lease, { key, path: `/api/leases/${lease.id}/skip`, body: { key, reason } }, (reply) => show(reply.next));
});

const reject = always("rejectItem", async () => {
  const reason = await ask({ title: words.rejectTitle, lead: words.rejectLead, reasons: words.rejectReasons });
  if (reason) now.asked?.reject(reason);
});

const flag = always("flag", async () => {
  const { lease } = now;
  const text = await ask({ title: words.flagTitle, lead: words.flagLead });
  if (!text || !lease) return;
  try {
    await reach(() => api("POST", `/api/leases/${lease.id}/flag`, { text }));
    toast(words.flagged, "good");
  } catch (error) {
    toast(refusal(error).detail, "bad");
  }
});

const undo = always("undo", async () => {
  if (now.busy) return;
  hold(true);
  try {
    await ownDrafts().flush();
    const answer = progressNow().last; // named, so that a request sent again takes no second one back
    const { lease } = await reach(() => api("POST", "/api/undo", { answer }));
    ownDrafts().forget(lease);
    drawProgress((await reach(() => api("GET", "/api/me"))).progress, lease);
    drawItem(lease);
    toast(words.undone);
  } catch (caught) {
    hold(false);
    const error = refusal(caught);
    if (error.status === 401) refused(error);
    else toast(error.detail, "bad");
  }
});

const last = always("last", async () => {
  try {
    const answers = await reach(() => api("GET", "/api/history"));
    const lines = answers.map(({ kind, criterion, answer, at }) => el("li", {},
      el("span", { class: "row spread" }, el("strong", {}, words.question[kind], criterion !== "overall" && ` (${criterion})`), el("span", { class: "muted small" }, when(at))),
      scrolling(words.question[kind], shownText(words.answer(answer)))));
    open(words.lastTitle, el("p", {}, lines.length ? words.lastLead : words.lastNone), el("ol", { class: "last" }, lines), await ownHours());
  } catch (error) {
    toast(refusal(error).detail, "bad");
  }
});

/** What the people in charge tell: announcements, and replies to what was flagged. */
async function showMessages() {
  try {
    for (const { number, at, text } of await api("GET", "/api/messages")) {
      const name = `message-${number}`;
      if (findById(`banner-${name}`)) continue;
      const read = async () => {
        await reach(() => api("POST", `/api/messages/${number}/read`));
        banner(name, "");
      };
      banner(name, "", el("p", {}, el("strong", {}, words.message), " ", el("span", { class: "muted small" }, when(at))),
        el("p", { dir: "auto", class: "message" }, text), button(words.dismiss, read));
    }
  } catch (error) {
    refusal(error); // they are asked for again
  }
}

/** The own hours of the last days. */
async function ownHours() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const days = await reach(() => api("GET", `/api/hours?zone=${encodeURIComponent(zone)}`));
  const rows = days.slice(-14).reverse().map((each) => el("tr", {},
    el("td", {}, each.day), el("td", { class: "num" }, each.answers + each.practice),
    el("td", { class: "num" }, seconds(each.active_seconds)), el("td", { class: "num" }, seconds(each.wall_seconds))));
  if (!rows.length) return null;
  return [el("h3", {}, words.hoursTitle), el("table", { class: "table", id: "hours" },
    el("thead", {}, el("tr", {}, words.hoursColumns.map((name) => el("th", {}, name)))), el("tbody", {}, rows))];
}

const guidelines = always("guidelines", () => toggleGuidelines());
const wider = always("wider", async () => {
  const { lease } = now;
  if (!lease) return;
  try {
    const { before, text, after } = await reach(() => api("GET", `/api/leases/${lease.id}/wider`));
    const mark = el("mark", {}, text);
    const dialog = open(words.wider, shownText([before, mark, after], "wide-text"));
    dialog.classList.add("wide");
    mark.scrollIntoView({ block: "center" });
  } catch (error) {
    const { status, detail } = refusal(error);
    toast(status === 404 ? words.widerMissing : detail, "bad");
  }
});
const help = always("help", () => {
  const answering = now.asked && now.lease ? [el("h3", {}, words.helpAnswer), keyTable(now.asked.actions)] : [];
  const others = [skip, reject, flag, undo, last, guidelines, wider, help, write];
  open(words.helpTitle, el("p", {}, words.helpLead), answering, el("h3", {}, words.helpAlways), keyTable(others),
    button(words.keysChange, () => changeKeys([...(now.lease ? (now.asked?.actions ?? []) : []), ...others])));
});
const write = always("write", () => now.asked?.area()?.focus());

// ---- guidelines ----

function toggleGuidelines(shown = byId("guidelines").hidden !== false) {
  byId("guidelines").hidden = !shown;
  byId("desk").classList.toggle("with-guidelines", shown);
  guidelines.button?.setAttribute("aria-expanded", String(shown));
  kept.set("guidelines", shown);
}

/** @param {Wire.ShownGuideline} shown */
function drawGuidelines({ version, html }) {
  const content = html ? richText(html) : [el("p", { class: "muted" }, words.noGuidelines)];
  byId("guidelines").replaceChildren(
    el("div", { class: "row spread" },
      el("h2", {}, words.guidelines), el("span", { class: "muted small" }, words.guidelineVersion(version))),
    el("div", { class: "prose" }, content));
}

async function fetchGuidelines() {
  try {
    now.me = await reach(() => api("GET", "/api/me"));
    drawGuidelines(now.me.guideline);
  } catch (error) {
    toast(refusal(error).detail, "bad");
  }
}

// ---- keeping alive ----

async function heartbeat() {
  const { lease, busy } = now;
  if (!lease || busy || clock.quiet() > IN_USE) return;
  try {
    await api("POST", `/api/leases/${lease.id}/renew`);
    online();
  } catch (caught) {
    const error = refusal(caught);
    if (now.busy || lease.id !== now.lease?.id) return;
    if (error.status === 409) expired();
    else if (error.status === 0) offline(error);
    else if (error.status === 401) refused(error);
  }
}

function proposeBreak() {
  if (now.worked + clock.seconds() < BREAK || findById("banner-break")) return;
  now.worked = -clock.seconds();
  banner("break", "", el("p", {}, el("strong", {}, words.breakTitle), " ", words.breakText), dismiss("break"));
}

// ---- the beginning ----

/** The action of a key: of several the first that can be taken now.
 *  @param {Ui.Action[]} actions @param {string} key */
function find(actions, key) {
  const found = actions.filter((action) => action.key === key || action.also?.includes(key));
  return found.find(({ button }) => !button?.disabled) ?? found[0];
}

/** What an earlier page could not send goes first, so that nothing waits behind a new item. */
async function sendLeftovers() {
  for (const entry of outgoing().waiting()) {
    try {
      await outgoing().send(entry);
    } catch (caught) {
      const error = refusal(caught);
      if (error.status === 401) throw error;
      conflict(error, lostText(entry));
    }
  }
}

async function begin() {
  document.title = `${words.workTitle} – rrm`;
  guidelines.class = help.class = "quiet";
  byId("tools").append(keyButton(guidelines), keyButton(help));
  try {
    now.me = await reach(() => api("GET", "/api/me"));
    box = outbox(now.me.id, offline);
    notes = drafts(now.me.id, draftTold);
    drawGuidelines(now.me.guideline);
    toggleGuidelines(kept.get("guidelines") ?? matchMedia("(min-width: 75rem)").matches);
    await sendLeftovers();
  } catch (caught) {
    const error = refusal(caught);
    if (error.status === 401) return drawSessionOver();
    const again = button(words.tryAgain, () => location.reload(), "primary");
    return plainScreen(words.startFailed, el("p", { class: "alert bad", role: "alert" }, error.detail), again);
  }
  await claim();
  poll(heartbeat, HEARTBEAT);
  poll(showMessages, MESSAGES);
  setInterval(proposeBreak, 10_000);
  poll(() => now.idle && claim(), LOOK_AGAIN);
}

listen((key) => (now.busy || dead.fresh() ? null : find(now.actions(), key)));
document.addEventListener("rrm:leave", (event) => box?.waiting().length && event.preventDefault());
addEventListener("offline", () => offline());
addEventListener("online", () => (now.lease && !now.busy ? heartbeat() : retryNow()));
// what was changed is kept already; on a page where nothing was, another device may have gone on
addEventListener("pagehide", () => now.changed && ownDrafts().flush());
tabs.addEventListener("message", ({ data }) => {
  if (data !== now.lease?.item || now.busy) return;
  toast(words.elsewhere);
  claim();
});
begin();
