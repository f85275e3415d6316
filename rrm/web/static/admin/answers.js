// An item as its raters had it, and what each of them said: for settling, and for looking through items.
import { ago, called } from "./parts.js";
import { el, number, percent, seconds } from "../common.js";
import { letter, words } from "../words.js";

/** @param {string} content */
const text = (content) => el("div", { class: "text", dir: "auto" }, content);

/** What stands beside the outputs: instruction, context, passages. Returns the passages' names and texts too.
 *  @param {Wire.Item} item */
export function sourceOf(item) {
  const several = item.passages.length > 1;
  const passages = item.passages.map((passage, place) => ({
    node: text(passage.text), name: words.passage(passage.label, several && place), score: passage.score,
  }));
  /** @param {number | null} score */
  const scored = (score) => (score === null ? "" : `, accepted with probability ${score.toFixed(2)}`);
  const by = words.criterion(item.criterion);
  const node = el("section", { class: "card stack", "aria-label": "Task and source" },
    el("div", {}, el("h2", {}, "Task"), text(item.instruction), by && el("p", { dir: "auto" }, el("strong", {}, by))),
    item.context && el("details", {}, el("summary", {}, "Context"), text(item.context)),
    passages.length > 0 && el("div", { class: "reading", tabindex: "0", role: "region", "aria-label": "Source" },
      passages.map(({ node, score }, place) => el("div", {},
        (several || score !== null) && el("h3", { class: "muted small" },
          `${words.passage(item.passages[place].label, place)}${scored(score)}`),
        node))));
  return { node, passages };
}

/** @param {Wire.Item} item */
export const outputsOf = (item) => el("div", { class: "grid" }, item.outputs.map((output, place) =>
  el("section", { class: "card", "aria-label": words.output(place) }, el("h2", {}, item.outputs.length > 1 ? words.output(place) : words.critique.onOutput),
    output.text ? text(output.text) : el("p", { class: "muted" }, words.emptyOutput))));

/** @type {Record<Wire.AnswerState, [string, string]>} */
const STATES = {
  live: ["good", "counts"], undone: ["", "taken back by the rater"], requeued: ["warn", "taken back by an admin"], adjudicated: ["", "adjudicated"],
};

/** Answers to an item, one card each: who, what, how sure, how long, in which order the outputs stood.
 *  @param {Wire.Item} item @param {Wire.Annotation[]} given */
export const answersTo = (item, given) => el("ol", { class: "answers" }, given.map((each) => el("li", {},
  el("p", {}, called({ name: each.name, id: each.person }), " ",
    el("span", { class: `badge ${STATES[each.state][0]}` }, each.adjudication ? "decision" : STATES[each.state][1]),
    each.right !== null && el("span", { class: `badge ${each.right ? "good" : "bad"}` }, each.right ? "right" : "not as expected")),
  el("p", { class: "said", dir: "auto" }, words.answer(each.answer)),
  marks(item, each.answer),
  el("p", { class: "muted small" }, facts(item, each)))));

/** @param {Wire.Item} item @param {Wire.Annotation} given */
function facts(item, { seconds: active, confidence, order, guideline, at, adjudication }) {
  const letters = order.map(letter).join(" ");
  return [
    active !== null && `${seconds(active)} active · `,
    confidence !== null && `${percent(confidence)} sure · `,
    item.outputs.length > 1 && !adjudication && `saw them in the order ${letters} · `,
    `guidelines version ${number(guideline)} · `,
    ago(at),
  ];
}

/** The passages that a critique or claim marks are about, quoted.
 *  @param {Wire.Item} item @param {Wire.Answer} answer */
function marks(item, answer) {
  if (answer.kind !== "critique" && answer.kind !== "claims") return null;
  const { source_spans = [] } = answer;
  const spans = answer.kind === "claims" ? [...answer.unsupported, ...answer.wrong] : (answer.spans ?? []);
  /** @type {(whole: string, start: number, end: number) => string} */
  const cut = (whole, start, end) => [...whole].slice(start, end).join("");
  const quoted = [
    ...spans.map(([start, end]) => cut(item.outputs[0]?.text ?? "", start, end)),
    ...source_spans.map(([passage, start, end]) => cut(item.passages[passage]?.text ?? "", start, end)),
  ];
  return quoted.length > 0 && el("ul", { class: "list" }, quoted.map((each) => el("li", {}, el("mark", { dir: "auto" }, each))));
}
