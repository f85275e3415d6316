// What a lease asks: one question, drawn as its kind is, or several about one view, decided one after another.
import { button, el, flat } from "../common.js";
import { buttonOf, keyButton, relabel } from "../keys.js";
import { cameOf, criticOf, kinds } from "../kinds.js";
import { outputText, plainText } from "../outline.js";
import { letter, words } from "../words.js";

/** One question of a lease, as kinds are drawn: with its own outputs.
 *  @param {Wire.Lease} lease @param {Wire.Question} question @param {Ui.Page} page
 *  @returns {Ui.Item} */
const itemOf = (lease, question, { markdown }) => ({
  ...lease, ...question, markdown,
  outputs: question.outputs.map((place) => lease.outputs[place]),
  letters: lease.questions.length > 1 ? question.outputs.map(letter) : undefined,
});

/** The text of an answer that has one.
 *  @param {Wire.Answer | null | undefined} answer */
export const written = (answer) => (answer && "text" in answer ? answer.text : null);

/** A draft's answer as a page sends it: one that was taken back has its spans and "both bad" beside it.
 *  @param {Wire.Drafted | undefined} draft @param {Wire.Kind} kind of the question
 *  @returns {Wire.Answer | null} */
function asSent(draft, kind) {
  if (!draft?.answer) return null;
  const { answer, detail } = draft;
  const both_bad = detail?.both_bad || ("both_bad" in answer && answer.both_bad);
  if (both_bad) return { kind: kind === "hindsight" ? kind : "comparison", better: null, strength: null, both_bad: true };
  switch (answer.kind) { // the desk's own have more in them than pages send
    case "rating": return { kind: "rating", value: answer.value };
    case "critique": {
      const spans = detail?.source_spans ?? answer.source_spans;
      return { kind: "critique", text: answer.text, spans: answer.spans ?? [], ...(spans && { source_spans: spans }) };
    }
    case "claims": {
      const { unsupported, wrong, missing } = answer;
      const spans = detail?.source_spans ?? answer.source_spans;
      return { kind: "claims", unsupported, wrong, missing, ...(spans && { source_spans: spans }) };
    }
    default: return answer;
  }
}

/** A draft's answer to a question, if the page shows it as it was when the answer was decided.
 *  @param {Wire.Draft | null} draft @param {Wire.Question} question @param {boolean} [written] whether it has no places
 *  @returns {Wire.Drafted | undefined} */
const draftOf = (draft, question, written = false) => draft?.answers?.find(({ item, shown }) =>
  item === question.item && (written || shown === question.shown));

/** The body of an item: its one question, or all of its sheet.
 *  @param {Wire.Lease} lease @param {Ui.Page} page
 *  @returns {Ui.Asked} */
export const asked = (lease, page) => (lease.questions.length > 1 ? several(lease, page) : alone(lease, page));

/** @param {Wire.Lease} lease @param {Ui.Page} page
 *  @returns {Ui.Asked} */
function alone(lease, page) {
  const [question] = lease.questions;
  const item = itemOf(lease, question, page);
  const part = kinds[item.kind](item, { ...page, send: (answer, more = {}) => page.send([{ answer, ...more }]) });
  return {
    title: words.question[item.kind], outputs: part.outputs, bar: part.bar, actions: part.actions,
    area: () => part.area, tokens: (count) => part.tokens?.(count),
    reject: (reason) => page.send([{ answer: { kind: "reject", reason } }]),
    rejects: item.kind !== "reject",
    kept() {
      const answer = part.read();
      const { item: id, shown } = question;
      return { text: written(answer), answers: [{ item: id, shown, answer, confidence: part.confidence?.() ?? null }] };
    },
    restore(draft) {
      // Places as shown mean something only while the same outputs stand in the same order.
      const before = draftOf(draft, question, Boolean(part.area));
      const answer = asSent(before, item.kind);
      const own = !answer || answer.kind === item.kind || item.kind === "reject";
      if (own && (answer || before?.confidence)) part.restore(answer, before?.confidence ?? null);
      return answer && (!own || part.read() === null) ? words.answer(answer) : "";
    },
  };
}

/** What a rater decided, and how long that took beyond the decision before.
 *  @typedef {{answer: Wire.Answer, more: Wire.More}} Decision */

/** @param {Wire.Lease} lease @param {Ui.Page} page
 *  @returns {Ui.Asked} */
function several(lease, page) {
  const items = lease.questions.map((question) => itemOf(lease, question, page));
  /** @type {(Decision | null)[]} */
  const decided = items.map(() => null);
  const spent = items.map(() => 0);
  let before = 0; // active seconds when the last decision was made
  let at = 0; // the question that hears the keys
  const marked = items.some(({ kind }) => kind === "critique" || kind === "claims"); // passages are marked in the text as it stands
  const texts = lease.outputs.map(({ text }) =>
    text ? (marked ? plainText(text) : outputText(text, page.markdown)) : el("p", { class: "muted" }, words.emptyOutput));
  const outputs = texts.map((text, place) =>
    el("section", { class: "card output", "aria-label": words.output(place) }, el("h2", {}, words.output(place)), text,
      cameOf(lease.outputs[place]), criticOf(lease.outputs[place])));
  const parts = items.map((item, place) => kinds[item.kind](item, {
    ...page,
    texts: item.outputs.length === 1 ? [texts[lease.questions[place].outputs[0]]] : [],
    send: (answer, more = {}) => decide(place, { answer, more }),
  }));
  const question = el("h2", { id: "question", tabindex: "-1", class: "question", dir: "auto" });
  const where = el("p", { class: "muted small" });
  const controls = el("div", { class: "stack controls" });
  const steps = items.map((item, place) => button(words.sheet.step(item), () => go(place), "step"));
  const list = el("ol", { class: "steps", "aria-label": words.sheet.steps }, steps.map((step) => el("li", {}, step)));
  /** @type {Ui.Action} */
  const back = { key: "Backspace", also: ["ArrowUp"], label: words.sheet.back, press: () => go(at - 1) };
  /** @type {Ui.Action} */
  const on = { key: "ArrowDown", label: words.sheet.on, press: () => go(at + 1) };
  /** @type {Ui.Action} */
  const send = { key: "Enter", label: "", class: "primary", press: handIn };
  const bar = [
    el("div", { class: "row spread" }, where, el("div", { class: "row" }, keyButton(back), keyButton(on))),
    question, controls, list, el("div", { class: "row" }, keyButton(send)),
  ];
  /** @type {Ui.Action[]} */
  const actions = [];

  /** @param {number} place @param {Decision} decision */
  function decide(place, decision) {
    const now = page.seconds();
    spent[place] += Math.max(0, now - before);
    before = now;
    decided[place] = decision;
    parts[place].restore(decision.answer, decision.more.confidence ?? null);
    const open = decided.findIndex((each, next) => next > place && !each);
    const next = open >= 0 ? open : decided.findIndex((each) => !each);
    page.changed();
    show(next < 0 ? place : next);
    page.drawn();
    (next < 0 ? buttonOf(send) : question).focus({ preventScroll: true });
  }
  /** @param {number} place */
  function go(place) {
    if (place < 0 || place >= items.length) return;
    show(place);
    question.focus({ preventScroll: true });
  }
  /** @param {number} place */
  function show(place) {
    at = place;
    const left = decided.filter((each) => !each).length;
    where.textContent = words.sheet.where(place, items.length);
    question.textContent = words.sheet.question(items[place]);
    controls.replaceChildren(...flat([parts[place].outputs, parts[place].bar]));
    outputs.forEach((card, output) => card.classList.toggle("asked", lease.questions[place].outputs.includes(output)));
    steps.forEach((step, each) => {
      const answer = decided[each]?.answer;
      const said = words.sheet.step(items[each]) + (answer ? `: ${words.answer(answer, items[each].letters)}` : "");
      step.textContent = said;
      step.classList.toggle("done", Boolean(answer));
      if (each === place) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    relabel(send, left ? words.sheet.left(left) : words.sheet.send);
    buttonOf(send).disabled = left > 0;
    buttonOf(back).disabled = place === 0;
    buttonOf(on).disabled = place === items.length - 1;
    actions.splice(0, actions.length, ...parts[place].actions, send, back, on);
  }
  function handIn() {
    if (decided.some((each) => !each)) return page.say(words.sheet.incomplete);
    const rest = Math.max(0, page.seconds() - before);
    spent[spent.length - 1] += rest;
    before += rest;
    return page.send(decided.flatMap((each, place) => (each ? [{ answer: each.answer, ...each.more, seconds: spent[place] }] : [])));
  }
  show(0);
  return {
    title: words.sheet.title(items.length), outputs, bar, actions, rejects: true,
    area: () => parts[at].area, tokens: (count) => parts[at].tokens?.(count),
    reject: (reason) => decide(at, { answer: { kind: "reject", reason }, more: {} }),
    kept() {
      const under = parts[at].read();
      return {
        text: written(under),
        answers: lease.questions.flatMap(({ item, shown }, place) => {
          const [each, of] = [decided[place], { item, shown, spent: spent[place] }];
          if (each) return [{ ...of, answer: each.answer, confidence: each.more.confidence ?? null }];
          return place === at && under ? [{ ...of, answer: under, confidence: null, open: true }] : [];
        }),
      };
    },
    restore(draft) {
      lease.questions.forEach((question, place) => {
        const kept = draftOf(draft, question);
        const answer = asSent(kept, question.kind);
        if (!kept || !answer) return;
        parts[place].restore(answer, kept.confidence);
        if (!kept.open) decided[place] = { answer, more: kept.confidence ? { confidence: kept.confidence } : {} };
        spent[place] = kept.spent ?? 0;
      });
      before = page.seconds();
      const open = decided.findIndex((each) => !each);
      show(open < 0 ? items.length - 1 : open);
      return "";
    },
  };
}
