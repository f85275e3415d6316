// One part per kind of feedback: how it is drawn, its keys, the answer on the page, and a draft put back.
//
// Each takes (item, page), a question and what the page does for it (Ui.Page), and returns a Ui.Part. On a sheet, where
// an item has the letters of its outputs, the sheet draws the texts, and a part only what stands beside them.
import { el } from "./common.js";
import { wordDiff } from "./diff.js";
import { buttonOf, keyButton, relabel } from "./keys.js";
import { highlight, selected, spanText, walkable } from "./marks.js";
import { outputText, plainText } from "./outline.js";
import { digits, letter, ranked, words } from "./words.js";

/** The letter of an output of an item.
 *  @param {Ui.Item} item @param {number} place */
const lettered = (item, place) => item.letters?.[place] ?? letter(place);

/** The key of an output's letter; behind D letters have other meanings.
 *  @param {string} name */
const letterKeys = (name) => ("ABCD".includes(name) ? [name.toLowerCase()] : []);

const LONGEST = 20_000; // characters of a text, as the server takes

// ---- pieces ----

/** An action that answers at once.
 *  @typedef {Ui.Action & {answer: Wire.Answer}} Choice */
/** How a kind is drawn.
 *  @typedef {(item: Ui.Item, page: Ui.OfKind) => Ui.Part} Kind */

/** @param {string} name @param {Ui.Child} content @param {Ui.Child[]} more */
const card = (name, content, ...more) =>
  el("section", { class: "card output", "aria-label": name }, el("h2", {}, name), content, more);

/** An output's text; a text in which passages are marked stays as it stands.
 *  @param {Ui.Item} item @param {string} content */
const drawn = (item, content) =>
  item.kind === "critique" || item.kind === "claims" ? plainText(content) : outputText(content, item.markdown);

/** What came of an output, where that is shown, and how often such outcomes are wrong, where that is known.
 *  @param {Wire.Output} output
 *  @returns {Ui.Child} */
export const cameOf = ({ came }) => came && el("div", { class: "came" }, el("h3", {}, words.came.title), plainText(came.text),
  came.checked > 0 && el("p", { class: "muted small" }, words.came.wrong(came.wrong, came.checked)));

/** What a critic wrote about an output, where that is shown.
 *  @param {Wire.Output} output
 *  @returns {Ui.Child} */
export const criticOf = ({ critique }) => critique && el("div", { class: "came" },
  el("h3", {}, words.critic.title), plainText(critique), el("p", { class: "muted small" }, words.critic.wrong));

/** The outputs of an item, each with more below it; of a sheet only that.
 *  @param {Ui.Item} item @param {(place: number) => Ui.Child} more
 *  @returns {HTMLElement[]} */
const cards = (item, more = () => null) => {
  if (item.letters) return [el("div", { class: "group wrap" }, item.outputs.map((_, place) => more(place)))];
  return item.outputs.map((output, place) => card(
    item.outputs.length > 1 ? words.output(place) : words.critique.onOutput,
    output.text ? drawn(item, output.text) : el("p", { class: "muted" }, words.emptyOutput),
    cameOf(output), more(place),
  ));
};

/** @param {string} label @param {Ui.Action[]} actions */
const group = (label, actions, style = "") =>
  el("div", { class: `group ${style}`, role: "group", "aria-label": label }, actions.map(keyButton));

/** @param {Ui.Action[]} actions @param {Ui.Action | undefined} chosen */
function press(actions, chosen) {
  for (const action of actions) buttonOf(action).setAttribute("aria-pressed", String(action === chosen));
}

/** Whether an answer says all that another says; what is not there is as good as null or false.
 *  @param {Wire.Answer} a @param {Wire.Answer} b */
function same(a, b) {
  const said = new Map(Object.entries(b));
  return Object.entries(a).every(([name, value]) => (value ?? false) === (said.get(name) ?? false));
}

/** One key, one answer: pressing it sends the answer.
 *  @param {Ui.OfKind} page @param {string} key @param {string} label @param {Wire.Answer} answer
 *  @param {{also?: string[], class?: string}} [more]
 *  @returns {Choice} */
const choice = (page, key, label, answer, more) => ({ key, label, answer, press: () => page.send(answer), ...more });

/** What is the same for all kinds that are answered with one key.
 *  @param {Choice[]} choices */
const choosing = (choices) => ({
  actions: choices,
  read: () => null,
  /** @param {Wire.Answer | null} answer */
  restore: (answer) => press(choices, choices.find((each) => answer && same(each.answer, answer))),
});

/** A labelled text field with its length budget, saved with Ctrl+Enter. `made(text)` is the answer with this text;
 *  `refuse(text)` tells whether it cannot be sent, and `why` says why not.
 *  @param {Ui.Item} item @param {Ui.OfKind} page
 *  @param {{label: string, value?: string, limited?: boolean, why: string, made: (text: string) => Wire.Answer,
 *    refuse?: (text: string) => boolean}} options */
function writing(item, page, { label, value = "", limited = true, why, made, refuse = (text) => !text.trim() }) {
  const budget = el("p", { class: "budget muted small" });
  /** @param {number} tokens @param {boolean} exact */
  const show = (tokens, exact) => {
    if (!limited) return;
    const over = tokens > item.max_tokens;
    budget.classList.toggle("over", over);
    budget.textContent = words.budget(tokens, item.max_tokens, exact) + (over ? ` – ${words.overBudget}` : "");
  };
  const guess = () => show(Math.round((area.value.match(/\S+/g) ?? []).length * 1.35), false);
  const area = el("textarea", { id: "area", maxlength: LONGEST, dir: "auto", spellcheck: "true" });
  area.value = value;
  area.addEventListener("input", () => {
    guess();
    page.changed();
  });
  guess();
  const save = {
    key: "Control+Enter", label: words.save, class: "primary",
    press: () => (refuse(area.value) ? page.say(why) : page.send(read())),
  };
  // half of a surrogate pair would be refused as JSON
  const read = () => made(area.value.toWellFormed?.() ?? area.value);
  const node = el("div", { class: "field" },
    el("label", { for: "area" }, label, " ", el("kbd", {}, "e")), area,
    el("div", { class: "row" }, budget, el("span", { class: "muted small" }, words.leaveField)));
  return {
    node, area, save, read,
    /** @param {number} n */
    tokens: (n) => show(n, true),
    /** @param {string} written */
    put(written) {
      area.value = written;
      guess();
    },
  };
}

// ---- the kinds ----

/** @type {Kind} */
function comparison(item, page) {
  const kind = item.kind === "hindsight" ? item.kind : "comparison";
  /** @type {(better: number | null, strength: number | null, both_bad?: boolean) => Wire.Comparison} */
  const answer = (better, strength, both_bad = false) => ({ kind, better, strength, both_bad });
  const graded = [0, 1].map((better) => words.comparison.strengths(lettered(item, better)).map((label, step) =>
    choice(page, String(better ? 7 - step : 1 + step), label, answer(better, [1, 0.5, 0][step]))));
  const plain = [0, 1].map((better) => {
    const name = lettered(item, better), arrow = ["ArrowLeft", "ArrowRight"][better];
    const keys = [...letterKeys(name), arrow];
    return choice(page, keys[0], words.comparison.plain(name), answer(better, null), { also: keys.slice(1), class: "choose" });
  });
  const middle = [
    choice(page, "4", words.comparison.tie, answer(null, null)),
    choice(page, "0", words.comparison.bothBad, answer(null, null, true)),
  ];
  const chosen = choosing([...plain, ...graded.flat(), ...middle]);
  return {
    ...chosen,
    restore: (given) => chosen.restore(given && "better" in given ? { ...given, kind } : given), // "both bad" names no kind
    outputs: cards(item, (place) => keyButton(plain[place])),
    bar: el("div", { class: "scale" },
      group(words.lettered(lettered(item, 0)), graded[0]), group(words.actions, middle),
      group(words.lettered(lettered(item, 1)), graded[1].reverse())),
  };
}

const hindsight = comparison; // of outputs that show what came of them

/** @type {Kind} */
function ranking(item, page) {
  /** @type {number[]} */
  const order = [];
  /** @type {number[]} */
  let tied = []; // those that are level with the one before them in the order
  let level = false; // the next one is
  const state = el("p", { class: "state", role: "status" });
  const lacks = () => order.length < (item.partial ? 1 : item.outputs.length);
  /** @type {Ui.Action[]} */
  const places = digits(item.outputs.length).map((key, place) => ({
    key, also: letterKeys(lettered(item, place)), label: "", press: () => toggle(place), class: "choose",
  }));
  /** @type {Ui.Action} */
  const back = { key: "Backspace", label: words.ranking.back, press: () => order.length && change(() => take(order.length - 1)) };
  /** @type {Ui.Action} */
  const tie = {
    key: "t", also: ["="], label: words.ranking.level,
    press: () => change(() => (level = !level)),
  };
  /** @type {Ui.Action} */
  const send = {
    key: "Enter", label: words.send, class: "primary",
    press: () => page.send(read()),
  };
  /** @returns {Wire.Ranking} */
  const read = () => ({ kind: "ranking", best_first: [...order], tied: [...tied] });
  /** Take the output at this place of the order out of it; what was level with it is level with the one before.
   *  @param {number} at */
  function take(at) {
    const after = order[at + 1];
    const joins = tied.includes(order[at]); // only then: else the next one becomes the first of its own
    tied = tied.filter((each) => each !== order[at] && (joins || each !== after));
    order.splice(at, 1);
    level = false;
  }
  /** @param {number} place */
  const toggle = (place) => change(() => {
    if (order.includes(place)) take(order.indexOf(place));
    else {
      if (level) tied.push(place);
      order.push(place);
      level = false;
    }
    if (item.letters && order.length === places.length) page.send(read()); // one key a decision
  });
  /** @param {() => void} step */
  function change(step) {
    step();
    draw();
    page.changed();
  }
  function draw() {
    places.forEach((action, place) => {
      const at = order.indexOf(place);
      const rank = order.slice(0, at + 1).filter((each) => !tied.includes(each)).length - 1;
      buttonOf(action).setAttribute("aria-pressed", String(at >= 0));
      relabel(action, at >= 0 ? words.ranking.placed(rank) : words.ranking.place(lettered(item, place)));
    });
    const names = order.map((place) => lettered(item, place));
    state.textContent = words.ranking.soFar(ranked(names, { best_first: order, tied }, ", ") + (level ? " = …" : ""));
    buttonOf(tie).setAttribute("aria-pressed", String(level));
    buttonOf(tie).disabled = !order.length || order.length === places.length;
    buttonOf(back).disabled = !order.length;
    buttonOf(send).disabled = lacks();
  }
  const outputs = cards(item, (place) => keyButton(places[place]));
  const bar = [state, group(words.actions, [tie, back, send], "wrap")];
  draw();
  return {
    outputs, bar, read,
    actions: [...places, tie, back, send],
    restore(answer) {
      if (answer?.kind !== "ranking") return;
      order.splice(0, order.length, ...answer.best_first);
      tied = [...(answer.tied ?? [])];
      level = false;
      draw();
    },
  };
}

/** @type {Kind} */
function rating(item, page) {
  let confidence = 1;
  const levels = [0.25, 0.5, 0.75, 1].map((share, i) => ({
    key: "zxcv"[i], label: words.rating.levels[i], share, press: () => sure(share, true),
  }));
  const scale = words.rating.points(item.points).map((label, i) => ({
    key: digits(item.points)[i], label, value: i + 1,
    press: () => page.send({ kind: "rating", value: i + 1 }, { confidence }),
  }));
  const bar = [
    group(words.rating.scale, scale, "points"),
    el("p", { class: "label" }, words.rating.confidence), group(words.rating.confidence, levels, "wrap"),
  ];
  /** @param {number} share @param {boolean} changed */
  function sure(share, changed) {
    confidence = share;
    press(levels, levels.find((level) => level.share === share));
    if (changed) page.changed();
  }
  sure(1, false);
  return {
    outputs: cards(item), bar, actions: [...scale, ...levels],
    read: () => null,
    confidence: () => confidence,
    restore(answer, was) {
      sure(was ?? 1, false);
      if (answer?.kind === "rating") press(scale, scale.find(({ value }) => value === answer.value));
    },
  };
}

/** @type {Kind} */
function label(item, page) {
  const choices = [
    choice(page, "y", words.label.good, { kind: "label", good: true }),
    choice(page, "n", words.label.bad, { kind: "label", good: false }),
  ];
  return { ...choosing(choices), outputs: cards(item), bar: group(words.actions, choices, "wrap big") };
}

/** @type {Kind} */
function correction(item, page) {
  const original = (item.outputs[0]?.text ?? "").replace(/\r\n?/g, "\n"); // as text fields have it
  const reading = { tabindex: "0", role: "group", "aria-label": words.correction.diff };
  const diff = el("div", { class: "text diff scroll", dir: "auto", ...reading });
  const part = writing(item, page, {
    label: words.correction.field, value: original, why: words.correction.mustChange,
    made: (text) => ({ kind: "correction", text }), refuse: (text) => text === original,
  });
  const tags = /** @type {const} */ ({ "=": "span", "-": "del", "+": "ins" });
  function draw() {
    const pieces = wordDiff(original, part.area.value);
    const shown = pieces.map(([op, piece]) => el(tags[op], {}, piece));
    diff.replaceChildren(...(pieces.some(([op]) => op !== "=") ? shown : [words.correction.unchanged]));
  }
  part.area.addEventListener("input", draw);
  draw();
  return {
    ...part, actions: [part.save], bar: group(words.actions, [part.save], "wrap"),
    outputs: [
      el("section", { class: "card output", "aria-label": words.correction.field }, part.node),
      el("section", { class: "card", "aria-label": words.correction.diff }, el("h2", {}, words.correction.diff), diff),
    ],
    restore(answer) {
      if (answer?.kind !== "correction") return;
      part.put(answer.text);
      draw();
    },
  };
}

/** @type {Kind} */
function demonstration(item, page) {
  const part = writing(item, page, {
    label: words.demonstration.field, why: words.demonstration.empty, made: (text) => ({ kind: "demonstration", text }),
  });
  return {
    ...part, actions: [part.save], bar: group(words.actions, [part.save], "wrap"),
    outputs: [el("section", { class: "card output", "aria-label": words.demonstration.field }, part.node)],
    restore(answer) {
      if (answer?.kind === "demonstration") part.put(answer.text);
    },
  };
}

/** @typedef {{node: HTMLElement, span: Wire.Span}} Mark */

/** @type {(place: number, span: Wire.Span) => Wire.SourceSpan} */
const within = (place, [start, end]) => [place, start, end];

/** Make texts readable word by word, so that passages of them can be marked without a mouse.
 *  @param {HTMLElement[]} nodes @param {string[]} names */
function markable(nodes, names) {
  nodes.forEach((node, i) => {
    const reading = { role: "textbox", "aria-readonly": "true", "aria-multiline": "true", tabindex: "0" };
    for (const [name, value] of Object.entries(reading)) node.setAttribute(name, value);
    node.setAttribute("aria-label", words.critique.readable(names[i]));
    walkable(node);
  });
}

/** A button that acts on what is selected: pressing it leaves the selection as it is.
 *  @param {Ui.Action} action */
const onSelection = (action) => buttonOf(action).addEventListener("mousedown", (event) => event.preventDefault());

/** @type {Kind} */
function critique(item, page) {
  /** @type {Mark[]} */
  let marks = [];
  const outputs = cards(item);
  const shown = outputs.length === 1 ? outputs[0].querySelector(".text") : null; // several: no spans
  const single = page.texts ?? (shown instanceof HTMLElement ? [shown] : []);
  const passages = page.passages.map(({ node }) => node);
  const nodes = [...single, ...passages];
  const names = [...single.map(() => words.critique.onOutput), ...page.passages.map(({ name }) => name)];
  markable(nodes, names);
  const list = el("ul", { class: "marks" });
  const part = writing(item, page, {
    label: words.critique.field, why: words.critique.empty, limited: false,
    made: (text) => ({
      kind: "critique", text,
      spans: single.flatMap(on),
      source_spans: passages.flatMap((node, place) => on(node).map((span) => within(place, span))),
    }),
  });
  /** @type {Ui.Action} */
  const mark = { key: "m", label: words.critique.mark, press: add };
  const bar = group(words.actions, [mark, part.save], "wrap");
  onSelection(mark);
  /** @type {(a: Mark) => (b: Mark) => boolean} */
  const same = (a) => (b) => a.node === b.node && a.span[0] === b.span[0] && a.span[1] === b.span[1];
  /** @param {HTMLElement} node */
  const on = (node) => marks.filter((made) => made.node === node).map(({ span }) => span);


  function add() {
    const found = selected(nodes);
    if (!found) return page.say(words.critique.selectFirst);
    /** @type {Mark} */
    const made = { node: nodes[found.place], span: [found.start, found.end] };
    if (!marks.some(same(made))) change([...marks, made]);
  }
  /** @param {Mark[]} next */
  function change(next) {
    marks = next;
    draw();
    page.changed();
  }
  function draw() {
    highlight(marks.map(({ node, span }) => [node, ...span]));
    const lines = marks.map((made) => {
      const quoted = spanText(made.node, made.span);
      const remove = () => {
        change(marks.filter((other) => other !== made));
        part.area.focus();
      };
      const name = { "aria-label": words.critique.remove(quoted) };
      return el("li", {},
        el("span", { class: "muted small" }, names[nodes.indexOf(made.node)]), el("mark", { dir: "auto" }, quoted),
        el("button", { type: "button", class: "button quiet", ...name, onclick: remove }, "✕"));
    });
    list.replaceChildren(...(lines.length ? lines : [el("li", { class: "muted" }, words.critique.none)]));
  }
  draw();
  return {
    ...part, bar, actions: [mark, part.save],
    outputs: [
      ...outputs,
      el("section", { class: "card", "aria-label": words.critique.field },
        part.node, el("h2", {}, words.critique.marks), list, el("p", { class: "muted small" }, words.critique.howTo)),
    ],
    restore(answer) {
      if (answer?.kind !== "critique") return;
      part.put(answer.text);
      /** @type {Mark[]} */
      const made = [
        ...(answer.spans ?? []).map((span) => ({ node: single[0], span })),
        ...(answer.source_spans ?? []).map((/** @type {Wire.SourceSpan} */ [place, ...span]) => ({ node: passages[place], span })),
      ];
      marks = made.filter(({ node }) => node);
      draw();
    },
  };
}

/** A claim whose probability of support is below this is marked as doubtful: `rrm.core.claims.DOUBTFUL`. */
const DOUBTFUL = 0.8;

/** @type {Kind} */
function claims(item, page) {
  const output = item.outputs[0];
  const letters = [...output.text];
  const found = output.claims ?? [];
  /** @type {("unsupported" | "wrong" | null)[]} */
  const marks = found.map(() => null);
  /** @type {{quote: string, span: Wire.SourceSpan}[]} */
  let missing = [];
  let at = 0;
  const passages = page.passages.map(({ node }) => node);
  markable(passages, page.passages.map(({ name }) => name));
  const lines = found.map(({ span: [start, end], support }, place) => {
    const doubtful = support !== null && support < DOUBTFUL;
    const state = el("span", { class: "badge warn" });
    const said = el("p", { class: "claim", dir: "auto", tabindex: "-1", onclick: () => go(place) }, // no button: Enter sends
      letters.slice(start, end).join(""));
    const row = el("li", { class: doubtful ? "doubtful" : null }, said,
      support !== null && el("span", { class: "muted small" }, words.claims.support(support, doubtful)), state);
    return { row, said, state };
  });
  const list = el("ol", { class: "claims", "aria-label": words.claims.list }, lines.map(({ row }) => row));
  const left = el("ul", { class: "marks" });

  /** @param {"unsupported" | "wrong"} what */
  const mark = (what) => change(() => {
    if (found.length) marks[at] = marks[at] === what ? null : what;
  });
  /** @type {Ui.Action} */
  const back = { key: "k", label: words.claims.before, press: () => go(at - 1) };
  /** @type {Ui.Action} */
  const on = { key: "j", label: words.claims.next, press: () => go(at + 1) };
  /** @type {Ui.Action[]} */
  const marking = [
    { key: "1", label: words.claims.unsupported, press: () => mark("unsupported") },
    { key: "2", label: words.claims.wrong, press: () => mark("wrong") },
    { key: "3", label: words.claims.missing, press: miss },
  ];
  /** @type {Ui.Action} */
  const send = {
    key: item.letters ? "d" : "Enter", label: words.claims.done, class: "primary", press: () => page.send(read()),
  };
  const bar = el("div", { class: "stack" }, group(words.actions, [back, on, ...marking], "wrap"), group(words.send, [send]));
  onSelection(marking[2]);

  /** @param {"unsupported" | "wrong"} what */
  const spans = (what) => found.flatMap(({ span }, place) => (marks[place] === what ? [span] : []));
  /** @returns {Wire.Claims} */
  const read = () => ({
    kind: "claims", unsupported: spans("unsupported"), wrong: spans("wrong"),
    missing: missing.map(({ quote }) => quote), source_spans: missing.map(({ span }) => span),
  });
  /** @param {number} place */
  function go(place) {
    if (place < 0 || place >= found.length) return;
    at = place;
    draw();
    lines[at].said.focus({ preventScroll: true });
    lines[at].row.scrollIntoView({ block: "nearest" });
  }
  function miss() {
    const selection = selected(passages);
    if (!selection) return page.say(words.claims.selectFirst);
    /** @type {Wire.SourceSpan} */
    const span = [selection.place, selection.start, selection.end];
    if (missing.some((each) => String(each.span) === String(span))) return;
    change(() => missing.push({ quote: selection.text, span }));
  }
  /** @param {() => void} step */
  function change(step) {
    step();
    draw();
    page.changed();
  }
  function draw() {
    lines.forEach(({ row, said, state }, place) => {
      const what = marks[place];
      row.classList.toggle("marked", Boolean(what));
      state.textContent = what ? words.claims[what] : "";
      state.hidden = !what;
      if (place === at) said.setAttribute("aria-current", "true");
      else said.removeAttribute("aria-current");
    });
    buttonOf(back).disabled = at === 0;
    buttonOf(on).disabled = at >= found.length - 1;
    for (const action of marking.slice(0, 2)) buttonOf(action).disabled = !found.length;
    highlight(missing.map(({ span: [place, start, end] }) => [passages[place], start, end]));
    left.replaceChildren(...(missing.length ? missing.map((each) => el("li", {},
      el("mark", { dir: "auto" }, each.quote),
      el("button", {
        type: "button", class: "button quiet", "aria-label": words.critique.remove(each.quote),
        onclick: () => change(() => (missing = missing.filter((other) => other !== each))),
      }, "✕"))) : [el("li", { class: "muted" }, words.critique.none)]));
  }
  draw();
  const none = el("p", { class: "muted" }, words.emptyOutput);
  return {
    read, bar, actions: [back, on, ...marking, send],
    outputs: [
      el("section", { class: "card output", "aria-label": words.claims.list }, el("h2", {}, words.claims.list),
        found.length ? list : none, !item.letters && criticOf(output)), // on a sheet it stands below the output
      el("section", { class: "card", "aria-label": words.claims.missing }, el("h2", {}, words.claims.missing), left,
        el("p", { class: "muted small" }, words.claims.howTo)),
    ],
    restore(answer) {
      if (answer?.kind !== "claims") return;
      found.forEach(({ span }, place) => {
        const is = (/** @type {Wire.Span} */ other) => String(other) === String(span);
        marks[place] = answer.unsupported.some(is) ? "unsupported" : answer.wrong.some(is) ? "wrong" : null;
      });
      const stands = answer.source_spans ?? [];
      missing = stands.flatMap((span, place) => (passages[span[0]] ? [{ quote: answer.missing[place], span }] : []));
      draw();
    },
  };
}

/** @type {Kind} */
function reject(item, page) {
  const fine = [choice(page, "y", words.reject.fine, { kind: "label", good: true })];
  const bar = group(words.actions, [...fine, page.reject], "wrap big");
  return { ...choosing(fine), outputs: cards(item), bar };
}

export const kinds = { comparison, hindsight, ranking, rating, label, correction, demonstration, critique, claims, reject };
