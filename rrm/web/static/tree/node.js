// Everything about one node, as the server tells it: what it read, its outputs, who judged them, where they came from.
import { el, flat, number, refusal, seconds, when } from "../common.js";
import { claimsList } from "./claims.js";
import { STATE_ICONS, STATE_WORDS, intervalBar, levelName, scoreText } from "./parts.js";

// characters of a long text that are shown before "show all"
const FIRST = { output: 1500, source: 900, input: 350, prompt: 900 };

/** What every piece of the page needs: the node, where it stands, what was searched for, and what links call.
 *  @typedef {{data: Tree.NodeData, tree: string, outline: import("./rows.js").Outline, needle: string,
 *    follow: () => void, leave: () => void, calls: (after: number) => Promise<Tree.Calls>,
 *    claims: (output: string) => Promise<Tree.ClaimList>}} Draw */

/** Draw a node. `needle` is what was searched for; `follow()` is told of a click on a link to another node,
 *  `leave()` brings the reader back to the tree, `calls(after)` fetches some of the node's model calls and
 *  `claims(output)` what the sentences of an output rest on.
 *  @param {Tree.NodeData} data @param {Omit<Draw, "data">} viewer
 *  @returns {(Node | string)[]} */
export function nodePage(data, { tree, outline, needle, follow, leave, calls, claims }) {
  const draw = { tree, outline, needle, follow, leave, calls, claims, data };
  return flat([
    heading(draw),
    problems(draw),
    reading(draw),
    outputs(draw),
    judged(draw),
    modelCalls(draw),
    provenance(draw),
  ]);
}

// ---- the top ----

/** @param {Draw} draw */
function heading(draw) {
  const { outline, data, needle } = draw;
  const state = outline.stateOf(data.node);
  const path = [];
  for (let up = outline.parent[data.node]; up >= 0; up = outline.parent[up]) path.unshift(up);
  const shown = path.length > 4 ? [path[0], null, ...path.slice(-2)] : path;
  return el("header", { class: "node-head" },
    el("button", { type: "button", class: "button quiet small node-back", onclick: draw.leave }, "↑ Back to the tree"),
    path.length > 0 && el("nav", { "aria-label": "Above this node", class: "node-path small" },
      shown.map((up) => [up === null ? "…" : link(draw, { node: up, id: "", title: levelName(outline, up) }), " › "]),
      el("span", { class: "muted" }, levelName(outline, data.node))),
    el("h2", { id: "node-title", tabindex: "-1" }, el("bdi", {}, marked(data.title || "(no text)", needle))),
    el("p", { class: "row small" },
      el("span", { class: `badge ${state === "failed" ? "bad" : ""}` }, `${STATE_ICONS[state]} ${STATE_WORDS[state]}`),
      el("span", {}, levelName(outline, data.node)),
      el("span", {}, `${data.parts.length || "no"} ${data.parts.length === 1 ? "part" : "parts"}`),
      data.parents.length > 1 && el("span", {}, "part of ", data.parents.map((each, at) => [at ? ", " : "", link(draw, each)])),
      el("code", { class: "muted" }, data.id)));
}

/** @param {Draw} draw */
function problems({ data }) {
  const found = data.failures.map((each) => [`${each.step} failed (${each.error}): `, words(each.cause)]);
  const refused = data.refusals.map((each) => ["A decomposition was refused: ", words(each)]);
  return [...found, ...refused].map((each) => el("p", { class: "alert bad" }, "⚠ ", each));
}

// ---- what the node read ----

/** @param {Draw} draw */
function reading(draw) {
  const { data } = draw;
  const [last, ...earlier] = byRound(data).map(readBy(data));
  const { inputs, context } = last ?? { inputs: [], context: [] };
  const unread = data.parts.filter((part) => !inputs.some((each) => each.id === part.id));
  const piece = source(draw);
  /** @param {Reading[]} found */
  const list = (found) => el("ul", { class: "node-inputs" }, found.map((each) => el("li", {},
    el("p", { class: "small" }, "from ", link(draw, each)), text(each.text, draw, FIRST.input))));
  return section("What it read",
    el("div", { class: "node-task" }, el("p", {}, el("b", {}, "Task: "), words(data.instruction))),
    earlier.length > 0 && el("p", { class: "small muted" }, `In ${roundName(last.round)}:`),
    inputs.length > 0 && list(inputs),
    unread.length > 0 && el("p", { class: "small" }, inputs.length ? "Parts that were not read: " : "Parts: ",
      unread.map((each, at) => [at ? "; " : "", link(draw, each)])),
    context.length > 0 && folded(`Said before it (${context.length})`, list(context)),
    earlier.filter((each) => each.inputs.length + each.context.length).map((each) => {
      const found = [...each.inputs, ...each.context];
      return folded(`Read in ${roundName(each.round)} (${found.length})`, list(found));
    }),
    piece && (data.parts.length ? folded(`Its piece of the source, ${number(piece.length)} characters`, piece.nodes) : piece.nodes),
    !piece && !data.parts.length && el("p", { class: "muted" }, "It is about no piece of a source."));
}

/** Another node's output that was read.
 *  @typedef {Tree.Link & {text: Tree.Cut}} Reading */

/** What outputs of one round were made from, in the order of the parts, and what was said before it.
 *  @param {Tree.NodeData} data */
function readBy(data) {
  /** @param {{round: number | null, outputs: Tree.Output[]}} group */
  return ({ round, outputs }) => {
    const used = new Set(outputs.flatMap((each) => each.inputs));
    const told = new Set(outputs.flatMap((each) => each.context));
    const [inputs, context] = [[...used], [...told].filter((id) => !used.has(id))].map((ids) => ids.map((id) => data.read[id]).filter(Boolean));
    return { round, inputs, context };
  };
}

/** The outputs by the round that proposed them, the last one's first, as they are listed; all in one where a run has one.
 *  @param {Tree.NodeData} data */
function byRound(data) {
  /** @type {{round: number | null, outputs: Tree.Output[]}[]} */
  const groups = [];
  for (const output of data.outputs) {
    const round = data.rounds ? output.round : null;
    const group = groups.find((each) => each.round === round);
    if (group) group.outputs.push(output);
    else groups.push({ round, outputs: [output] });
  }
  return groups;
}

/** @param {number | null} round */
function roundName(round) {
  return round === null ? "no round" : `round ${round + 1}`;
}

/** @param {Draw} draw */
function source(draw) {
  const piece = draw.data.source;
  if (!piece) return null;
  /** @param {number} at */
  const share = (at) => `${((100 * at) / Math.max(1, piece.of)).toFixed(0)} %`;
  const place = `Characters ${number(piece.start)} to ${number(piece.end)} of ${number(piece.of)} (${share(piece.start)} to ${share(piece.end)}) of `;
  return {
    length: piece.end - piece.start,
    nodes: [el("p", { class: "small muted" }, place, el("bdi", {}, piece.title)), text(piece.text, draw, FIRST.source)],
  };
}

// ---- outputs ----

/** @param {Draw} draw */
function outputs(draw) {
  const { data } = draw;
  const left = data.outputs_in_all - data.outputs.length;
  const models = new Map(data.models.map((each) => [each.id, each]));
  return section(`Outputs (${number(data.outputs_in_all)})`,
    !data.outputs.length && el("p", { class: "muted" }, data.open ? "Nobody has decided yet whether to split this task." : "No output yet."),
    byRound(data).map(({ round, outputs: found }, at, groups) => {
      const list = el("ol", { class: "node-outputs" }, found.map((each) => output(each, models, draw)));
      if (groups.length < 2) return list;
      if (!at) return [el("h4", {}, `Round ${(round ?? 0) + 1}`), list];
      const fold = folded(`Of ${roundName(round)} (${found.length}): scores of different rounds are not on one scale`, list);
      fold.toggleAttribute("open", found.some((each) => each.chosen));
      return fold;
    }),
    left > 0 && el("p", { class: "muted" }, `${number(left)} more are on record.`));
}

/** @param {Tree.Output} each @param {Map<string, Tree.Model>} models @param {Draw} draw */
function output(each, models, draw) {
  const { data } = draw;
  /** @type {[string, Tree.Score | null][]} */
  const known = [["Composed", each.composed], ["Own", each.own], ["Flat baseline", each.flat]];
  const scores = known.filter(/** @returns {pair is [string, Tree.Score]} */ (pair) => pair[1] !== null);
  return el("li", { class: each.chosen ? "chosen" : null },
    el("p", { class: "row" },
      el("b", {}, `Output ${each.number}`),
      each.chosen && el("span", { class: "badge good" }, "★ chosen"),
      each.handed_up && el("span", { class: "badge" }, "↑ read by its parent"),
      each.truncated && el("span", { class: "badge warn" }, "cut to the limit")),
    scores.length
      ? el("dl", { class: "node-scores" }, scores.map(([name, score]) => [el("dt", {}, name), el("dd", {}, scored(name, score))]))
      : el("p", { class: "muted small" }, "Not scored."),
    each.text.length ? text(each.text, draw) : el("p", { class: "muted" }, "(empty)"),
    each.traced && claimsOf(each, draw),
    folded("Where it came from", facts([
      ["Policy", code(each.policy)],
      ["Round", data.rounds && each.round !== null ? number(each.round + 1) : null],
      ["Seed", code(each.seed)],
      ["Log-probability", each.log_prob === null ? "not known" : `${each.log_prob.toFixed(3)} nats`],
      ["Made from", madeOf(each.inputs, draw)],
      ["Said before it", madeOf(each.context, draw)],
      ["Reward", each.own ? `${each.own.reward.mean.toFixed(2)} (${each.own.reward.low.toFixed(2)} to ${each.own.reward.high.toFixed(2)}), in logits` : "not scored"],
      ["Scored by", model(each.own, models)],
      ["Flat baseline's model", each.flat && model(each.flat, models)],
      ["Id", code(each.id)],
    ])));
}

/** What the output's sentences rest on, fetched when it is looked at.
 *  @param {Tree.Output} each @param {Draw} draw */
function claimsOf(each, draw) {
  const box = el("div", { class: "node-claims" });
  const fold = folded("What its sentences rest on", box);
  fold.addEventListener("toggle", async () => {
    if (!fold.open || box.childElementCount) return;
    try {
      box.append(claimsList((await draw.claims(each.id)).claims, draw.outline, (to) => link(draw, to)));
    } catch (problem) {
      box.append(el("p", { class: "alert bad" }, refusal(problem).detail));
    }
  });
  return fold;
}

/** @param {string} name @param {Tree.Score} score */
function scored(name, score) {
  const interval = score.low === null ? "" : ` ${scoreText(score.low)} to ${scoreText(score.high)}`;
  const label = `${name} score ${scoreText(score.mean)}${interval && `, 90 % interval${interval}`}`;
  return [intervalBar(score.mean, score.low, score.high, label), " ", el("b", {}, scoreText(score.mean)),
    el("span", { class: "muted small" }, interval && ` (${interval.trim()})`)];
}

/** @param {Tree.Scored | null} score @param {Map<string, Tree.Model>} models */
function model(score, models) {
  const found = score && models.get(score.model);
  if (!score) return null;
  const named = found ? `${found.where}, ${number(found.ratings)} ratings, digest ` : "";
  return [named, code(found?.digest ?? score.model), `, ${score.members} ${score.members === 1 ? "member" : "members"}`];
}

/** @param {string[]} ids @param {Draw} draw */
function madeOf(ids, draw) {
  const { data } = draw;
  if (!ids.length) return null;
  return ids.map((id, at) => [at ? ", " : "", data.read[id] ? link(draw, data.read[id]) : code(id)]);
}

// ---- ratings ----

/** @type {Record<Tree.Judgement["state"], string>} */
const WAYS = {
  recorded: "on record",
  waiting: "waiting to be taken up",
  undone: "taken back by the rater",
  requeued: "taken back by an admin",
  adjudicated: "adjudicated",
  check: "a check, never learned from",
};

/** @param {Draw} draw */
function judged(draw) {
  const { data } = draw;
  const rows = data.requests.flatMap((request) => request.answers.map((answer) => rating(request, answer, draw)));
  const open = data.requests.filter((request) => !request.answers.length);
  const left = data.requests_in_all - data.requests.length;
  return section(`Ratings (${number(rows.length)})`,
    !data.requests_in_all && el("p", { class: "muted" }, "Nothing was asked about its outputs."),
    rows.length > 0 && el("ul", { class: "node-ratings" }, rows),
    open.length > 0 && el("p", { class: "small" }, `${number(open.length)} ${open.length === 1 ? "question waits" : "questions wait"} for an answer: `,
      [...new Set(open.map((request) => request.kind))].join(", "), "."),
    left > 0 && el("p", { class: "muted" }, `${number(left)} more questions are on record.`),
    cost(data.cost));
}

/** @param {Tree.Request} request @param {Tree.Judgement} answer @param {Draw} draw */
function rating(request, answer, draw) {
  const about = [
    draw.data.rounds && `round ${request.round + 1}`,
    request.criterion !== "overall" && `by ${request.criterion}`,
    answer.seconds !== null && `${seconds(answer.seconds)} of active time`,
    answer.confidence !== null && `confidence ${scoreText(answer.confidence)}`,
    answer.at && when(answer.at),
    answer.state !== "recorded" && WAYS[answer.state],
    answer.decision && "an adjudicator's decision",
  ].filter(Boolean);
  const gone = ["undone", "requeued", "adjudicated"].includes(answer.state);
  return el("li", { class: gone ? "gone" : null },
    el("p", {}, el("span", { class: "badge" }, answer.kind), " ", el("bdi", {}, marked(answer.said, draw.needle))),
    answer.text && text(answer.text, draw),
    answer.spans.length > 0 && el("p", { class: "small" }, "on ", quoted(request, answer, draw)),
    el("p", { class: "small muted" }, el("span", { class: "node-rater" }, answer.rater), about.map((each) => ` · ${each}`)));
}

/** The pieces of the output that a critique points at; offsets count characters, not halves of them.
 *  @param {Tree.Request} request @param {Tree.Judgement} answer @param {Draw} draw */
function quoted(request, answer, { data }) {
  const output = data.outputs.find((each) => each.number === request.shown[0]);
  const letters = [...(output?.text.text ?? "")];
  return answer.spans.map(([start, end], at) => [at ? ", " : "", el("q", { dir: "auto" }, letters.slice(start, end).join("") || `${start}–${end}`)]);
}

/** @param {Tree.Cost} cost */
function cost(cost) {
  const time = cost.rater_seconds === null
    ? "no rater's time is on record"
    : `${seconds(cost.rater_seconds)} of raters' time${cost.timed < cost.ratings ? ` (known for ${number(cost.timed)} of them)` : ""}`;
  return el("p", { class: "small" }, el("b", {}, "Cost here: "),
    `${number(cost.outputs)} ${cost.outputs === 1 ? "output" : "outputs"}, ${number(cost.ratings)} ${cost.ratings === 1 ? "rating" : "ratings"} on record, ${time}.`);
}

// ---- model calls: fetched when they are looked at, for their prompts are long ----

/** @param {Draw} draw */
function modelCalls(draw) {
  const sums = draw.data.calls;
  if (!sums.calls) return null;
  const list = el("ol", { class: "node-calls" });
  const more = el("button", { type: "button", class: "button small", onclick: () => fill() }, "Show more");
  /** @type {number | null} */
  let next = 0;
  async function fill() {
    if (next === null) return;
    more.disabled = true;
    try {
      const page = await draw.calls(next);
      list.append(...page.calls.map((each) => modelCall(each, draw)));
      next = page.next;
      more.hidden = next === null;
    } catch (problem) {
      list.append(el("li", { class: "alert bad" }, refusal(problem).detail));
    }
    more.disabled = false;
  }
  const fold = folded(`Model calls (${number(sums.calls)})`, list, more);
  fold.addEventListener("toggle", () => fold.open && !list.childElementCount && fill());
  return section("Model calls", el("p", { class: "small" }, callTotals(sums)), fold);
}

/** @param {Tree.CallSums} sums */
function callTotals(sums) {
  return [
    `${number(sums.calls)} ${sums.calls === 1 ? "call" : "calls"}`,
    sums.cached > 0 && `${number(sums.cached)} from the cache`,
    sums.failed > 0 && `${number(sums.failed)} failed`,
    ...spent(sums),
  ].filter(Boolean).join(", ") + ".";
}

/** @param {Tree.Spent} of */
function spent({ input_tokens: read, output_tokens: written, seconds: took, cost }) {
  return [
    read !== null && `${number(read)} tokens in`,
    written !== null && `${number(written)} out`,
    seconds(took),
    cost !== null && `cost ${number(cost, 6)}`,
  ].filter(Boolean);
}

/** @param {Tree.Call} each @param {Draw} draw */
function modelCall(each, draw) {
  const told = [
    each.about !== draw.data.id && "about a question",
    when(each.at),
    each.attempt > 1 && `attempt ${each.attempt}`,
    ...(each.cached ? ["from the cache"] : spent(each)),
  ].filter(Boolean);
  return el("li", {},
    el("p", { class: "small" },
      el("span", { class: "badge" }, each.asker || "not named"), " ",
      each.error && [el("span", { class: "badge bad" }, "failed"), " "],
      code(each.assistant), el("span", { class: "muted" }, told.map((fact) => ` · ${fact}`))),
    each.error && el("p", { class: "alert bad" }, "⚠ ", words(each.error)),
    each.system.length > 0 && folded("System text", text(each.system, draw, FIRST.prompt)),
    folded("Prompt", text(each.user, draw, FIRST.prompt)),
    each.reply && (each.reply.length ? text(each.reply, draw, FIRST.prompt) : el("p", { class: "muted" }, "(an empty reply)")),
    each.reason && el("p", { class: "small" }, el("b", {}, "Reason: "), words(each.reason)));
}

// ---- provenance ----

/** @param {Draw} draw */
function provenance(draw) {
  const { data } = draw;
  const questions = data.requests.map((request) => el("li", {},
    code(request.id), ` ${request.kind}, ${request.where}, guideline ${request.guideline}${request.copy ? `, asking ${request.copy + 1}` : ""}, showed `,
    request.shown.map((shown) => (shown === null ? "one not listed" : `output ${shown}`)).join(", ") || "nothing",
    request.failures.map((each) => [el("br", {}), "⚠ ", each])));
  return section("The task and where it stands",
    facts([
      ["Limit", `${number(data.max_tokens)} tokens${data.context_tokens ? `, and ${number(data.context_tokens)} of what was said before` : ""}`],
      ["Reads before it", data.before && link(draw, data.before)],
      ["Note", data.note.length ? words(data.note) : null],
      ["Left out", data.skipped.length ? data.skipped.map(([start, end]) => `characters ${number(start)} to ${number(end)}`).join(", ") : null],
      ["Blame", data.blame === null ? null : `the root's score would rise by ${data.blame.toFixed(3)} if this node had lost nothing`],
      ["Depth", number(data.depth)],
    ]),
    questions.length > 0 && folded(`Questions (${number(questions.length)})`, el("ul", { class: "node-questions small" }, questions)),
    data.models.length > 0 && folded(`Models (${data.models.length})`, el("ul", { class: "node-questions small" }, data.models.map((each) =>
      el("li", {}, `${each.where}, fitted on ${number(each.ratings)} ratings, digest `, code(each.digest))))));
}

// ---- pieces ----

/** @param {string} value */
const code = (value) => el("code", {}, value);

/** @param {string} title @param {Ui.Child[]} children */
function section(title, ...children) {
  return el("section", { class: "node-part" }, el("h3", {}, title), children);
}

/** @param {[string, Ui.Child][]} pairs */
function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== false);
  return el("dl", { class: "node-facts small" }, known.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** @param {string} title @param {Ui.Child[]} children */
function folded(title, ...children) {
  return el("details", {}, el("summary", {}, title), children);
}

/** @param {Draw} draw @param {Tree.Link} to */
function link(draw, to) {
  const title = to.title || to.id;
  if (to.node === null) return code(title);
  return el("a", { href: `#${draw.tree}/${to.node}`, onclick: draw.follow }, el("bdi", {}, title));
}

/** A short text that was cut by the server, with how much is missing.
 *  @param {Tree.Cut} cut */
function words(cut) {
  const missing = cut.length - [...cut.text].length;
  return el("bdi", {}, cut.text, missing > 0 && ` … (${number(missing)} characters more)`);
}

/** A text as it is, its beginning first if it is long, with what was searched for marked.
 *  @param {Tree.Cut} cut @param {Draw} draw */
function text(cut, { needle }, first = FIRST.output) {
  const missing = cut.length - [...cut.text].length;
  const box = el("div", { class: "text node-text", dir: "auto" });
  const whole = () => box.replaceChildren(...marked(cut.text, needle));
  const rest = missing > 0 && el("p", { class: "small muted" }, `Cut here; the whole text has ${number(cut.length)} characters.`);
  if (cut.text.length <= first * 1.3) {
    whole();
    return [box, rest];
  }
  box.append(...marked(`${cut.text.slice(0, first)} …`, needle));
  const more = el("button", { type: "button", class: "button small" }, `Show all ${number(cut.length)} characters`);
  more.addEventListener("click", () => {
    whole();
    more.remove();
  });
  return [box, more, rest];
}

/** A text as nodes, with every place where the needle stands in a mark.
 *  @param {string} whole @param {string} needle
 *  @returns {(string | Node)[]} */
export function marked(whole, needle) {
  if (!needle) return [whole];
  const lower = whole.toLowerCase();
  const wanted = needle.toLowerCase();
  if (lower.length !== whole.length) return [whole]; // some letters change their length: places would be wrong
  const nodes = [];
  let at = 0;
  for (let next = lower.indexOf(wanted); next >= 0; next = lower.indexOf(wanted, at)) {
    nodes.push(whole.slice(at, next), el("mark", {}, whole.slice(next, next + wanted.length)));
    at = next + wanted.length;
  }
  return [...nodes, whole.slice(at)];
}
