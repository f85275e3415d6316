// What the sentences of an output rest on: each opens to its way through the outputs below, down to the source's text.
import { el, number } from "../common.js";
import { levelName, scoreText } from "./parts.js";

// a step is marked that loses so much of the root's score, and a claim that is supported with less probability
const LOSES = 0.01;
const DOUBTFUL = 0.5;

/** @typedef {import("./rows.js").Outline} Outline */

/** @param {Tree.Claim[]} claims @param {Outline} outline @param {(to: Tree.Link) => Node} link */
export function claimsList(claims, outline, link) {
  if (!claims.length) return el("p", { class: "muted" }, "It says nothing.");
  return el("ol", {}, claims.map((claim) => {
    const fold = el("details", {}, el("summary", {}, el("bdi", {}, claim.text), " ", supportOf(claim), worst(claim, outline)));
    if (claim.steps.length) fold.append(el("ul", {}, claim.steps.map((step) => stepOf(step, outline, link))));
    else fold.append(el("p", { class: "small muted" }, claim.lost ? "What it rests on is no longer known." : "It rests on nothing that its author saw."));
    return el("li", {}, fold);
  }));
}

/** @param {Tree.ClaimStep | Tree.QuoteStep} step @param {Outline} outline @param {(to: Tree.Link) => Node} link */
function stepOf(step, outline, link) {
  const kind = `claim-step depth-${Math.min(step.depth, 8)}`;
  if (step.node === null) {
    const place = `the text, characters ${number(step.span[0])} to ${number(step.span[1])}`;
    return el("li", { class: `${kind} claim-text` }, el("span", { class: "small muted" }, place),
      el("blockquote", { dir: "auto" }, step.before && `… ${step.before}`, el("mark", {}, step.text), step.after && `${step.after} …`));
  }
  const level = step.node.node === null ? "elsewhere" : levelName(outline, step.node.node);
  return el("li", { class: kind },
    el("span", { class: "small muted" }, `${level}: `, link(step.node)), " ", losses(step), el("p", {}, el("bdi", {}, step.text)));
}

/** @param {Tree.Claim} claim */
function supportOf({ support, grounded, steps }) {
  if (!grounded && steps.length) return [el("span", { class: "badge bad" }, "does not lead to the text"), " "];
  if (support === null) return grounded ? null : [el("span", { class: "badge bad" }, "rests on nothing"), " "];
  const doubtful = support < DOUBTFUL;
  return [el("span", { class: `badge ${doubtful ? "bad" : ""}` }, `${doubtful ? "doubtful: " : ""}supported ${scoreText(support)}`), " "];
}

/** Which step of the sentence's way loses most, told at the sentence itself.
 *  @param {Tree.Claim} claim @param {Outline} outline */
function worst({ worst: step }, outline) {
  if (!step) return null;
  if (!step.node) {
    return el("span", { class: "badge warn" }, `loses ${scoreText(step.blame)} in each of ${step.steps} steps: it rests on too much to tell which`);
  }
  const { node, title } = step.node;
  const where = node === 0 ? "the root" : node === null ? "a part" : `${levelName(outline, node)}, ${title}`;
  return el("span", { class: "badge warn" }, `loses ${scoreText(step.blame)} at `, el("bdi", {}, where));
}

/** @param {Tree.ClaimFacts} claim */
function losses({ blame }) {
  if (blame === null || blame < LOSES) return null;
  return el("span", { class: "badge warn" }, `loses ${scoreText(blame)}`);
}
