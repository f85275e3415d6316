// One part per kind of feedback: how it is drawn, its keys, the answer on the page, and a draft put back.
//
// Each takes (item, page). `item` is the lease; `page` has send(answer, more), changed(), say(text), `passages`
// (the nodes that hold the source's texts) and `reject` (the action that rejects the item). Each returns
// {outputs, bar, actions, read(), restore(answer, confidence)}; those that are written also tokens(n) and `area`.
import { el } from "./common.js";
import { wordDiff } from "./diff.js";
import { keyButton } from "./keys.js";
import { highlight, selected, spanText, walkable } from "./marks.js";
import { digits, letter, words } from "./words.js";

const LONGEST = 20_000; // characters of a text, as the server takes

// ---- pieces ----

const text = (content) => el("div", { class: "text", dir: "auto" }, content);

const card = (name, content, ...more) =>
  el("section", { class: "card output", "aria-label": name }, el("h2", {}, name), content, more);

const cards = (item, more = () => null) =>
  item.outputs.map((output, place) => card(
    item.outputs.length > 1 ? words.output(place) : words.critique.onOutput,
    output.text ? text(output.text) : el("p", { class: "muted" }, words.emptyOutput),
    more(place),
  ));

const group = (label, actions, style = "") =>
  el("div", { class: `group ${style}`, role: "group", "aria-label": label }, actions.map(keyButton));

function press(actions, chosen) {
  for (const action of actions) action.button.setAttribute("aria-pressed", String(action === chosen));
}

/** One key, one answer: `choices` are actions with their `answer`; sends and goes on. */
function choosing(choices, page) {
  for (const choice of choices) choice.press = () => page.send(choice.answer);
  const same = (a, b) => Object.keys(a).every((name) => (a[name] ?? false) === (b[name] ?? false));
  return {
    actions: choices,
    read: () => null,
    restore: (answer) => press(choices, choices.find((choice) => same(choice.answer, answer))),
  };
}

/** A labelled text field with its length budget, saved with Ctrl+Enter. */
function writing(item, page, { label, value = "", limited = true, why, refuse = () => !area.value.trim() }) {
  const budget = el("p", { class: "budget muted small" });
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
    press: () => (refuse() ? page.say(why) : page.send(part.read())),
  };
  const node = el("div", { class: "field" },
    el("label", { for: "area" }, label, " ", el("kbd", {}, "e")), area,
    el("div", { class: "row" }, budget, el("span", { class: "muted small" }, words.leaveField)));
  const part = {
    node, area, save, tokens: (n) => show(n, true),
    text: () => area.value.toWellFormed?.() ?? area.value, // half of a surrogate pair would be refused as JSON
    put(written) {
      area.value = written;
      guess();
    },
  };
  return part;
}

// ---- the kinds ----

function comparison(item, page) {
  const answer = (better, strength, both_bad = false) => ({ kind: "comparison", better, strength, both_bad });
  const graded = [0, 1].map((better) => words.comparison.strengths(letter(better)).map((label, step) => ({
    key: String(better ? 7 - step : 1 + step), label, answer: answer(better, [1, 0.5, 0][step]),
  })));
  const plain = [0, 1].map((better) => ({
    key: "ab"[better], also: [["ArrowLeft", "ArrowRight"][better]],
    label: words.comparison.plain(letter(better)), answer: answer(better, null), class: "choose",
  }));
  const middle = [
    { key: "4", label: words.comparison.tie, answer: answer(null, null) },
    { key: "0", label: words.comparison.bothBad, answer: answer(null, null, true) },
  ];
  const part = choosing([...plain, ...graded.flat(), ...middle], page);
  return {
    ...part,
    outputs: cards(item, (place) => keyButton(plain[place])),
    bar: el("div", { class: "scale" },
      group(words.output(0), graded[0]), group(words.actions, middle), group(words.output(1), graded[1].reverse())),
  };
}

function ranking(item, page) {
  const order = [];
  const state = el("p", { class: "state", role: "status" });
  const places = digits(item.outputs.length).map((key, place) => ({
    key, label: "", press: () => toggle(place), class: "choose",
  }));
  const back = { key: "Backspace", label: words.ranking.back, press: () => order.length && change(() => order.pop()) };
  const send = {
    key: "Enter", label: words.send, class: "primary",
    press: () => (order.length < places.length ? page.say(words.ranking.incomplete) : page.send(read())),
  };
  const read = () => ({ kind: "ranking", best_first: [...order] });
  const toggle = (place) => change(() => {
    if (order.includes(place)) order.splice(order.indexOf(place), 1);
    else order.push(place);
  });
  function change(step) {
    step();
    draw();
    page.changed();
  }
  function draw() {
    places.forEach(({ button }, place) => {
      const rank = order.indexOf(place);
      button.setAttribute("aria-pressed", String(rank >= 0));
      button.lastChild.textContent = rank >= 0 ? words.ranking.placed(rank) : words.ranking.place(letter(place));
    });
    state.textContent = words.ranking.soFar(order.map(letter));
    back.button.disabled = !order.length;
    send.button.disabled = order.length < places.length;
  }
  const outputs = cards(item, (place) => keyButton(places[place]));
  const bar = [state, group(words.actions, [back, send])];
  draw();
  return {
    outputs, bar, read,
    actions: [...places, back, send],
    restore(answer) {
      order.splice(0, order.length, ...answer.best_first);
      draw();
    },
  };
}

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
      if (answer) press(scale, scale.find(({ value }) => value === answer.value));
    },
  };
}

function label(item, page) {
  const choices = [
    { key: "y", label: words.label.good, answer: { kind: "label", good: true } },
    { key: "n", label: words.label.bad, answer: { kind: "label", good: false } },
  ];
  return { ...choosing(choices, page), outputs: cards(item), bar: group(words.actions, choices, "wrap big") };
}

function correction(item, page) {
  const original = (item.outputs[0]?.text ?? "").replace(/\r\n?/g, "\n"); // as text fields have it
  const reading = { tabindex: "0", role: "group", "aria-label": words.correction.diff };
  const diff = el("div", { class: "text diff scroll", dir: "auto", ...reading });
  const part = writing(item, page, {
    label: words.correction.field, value: original, why: words.correction.mustChange,
    refuse: () => part.area.value === original,
  });
  const tags = { "=": "span", "-": "del", "+": "ins" };
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
    read: part.read = () => ({ kind: "correction", text: part.text() }),
    restore(answer) {
      part.put(answer.text);
      draw();
    },
  };
}

function demonstration(item, page) {
  const part = writing(item, page, { label: words.demonstration.field, why: words.demonstration.empty });
  return {
    ...part, actions: [part.save], bar: group(words.actions, [part.save], "wrap"),
    outputs: [el("section", { class: "card output", "aria-label": words.demonstration.field }, part.node)],
    read: part.read = () => ({ kind: "demonstration", text: part.text() }),
    restore(answer) {
      part.put(answer.text);
    },
  };
}

function critique(item, page) {
  let marks = []; // {node, span}
  const outputs = cards(item);
  const single = outputs.length === 1 ? [outputs[0].querySelector(".text")].filter(Boolean) : []; // several: no spans
  const passages = page.passages.map(({ node }) => node);
  const nodes = [...single, ...passages];
  const names = [...single.map(() => words.critique.onOutput), ...page.passages.map(({ name }) => name)];
  nodes.forEach((node, i) => {
    const reading = { role: "textbox", "aria-readonly": "true", "aria-multiline": "true", tabindex: "0" };
    for (const [name, value] of Object.entries(reading)) node.setAttribute(name, value);
    node.setAttribute("aria-label", words.critique.readable(names[i]));
    walkable(node);
  });
  const list = el("ul", { class: "marks" });
  const part = writing(item, page, { label: words.critique.field, why: words.critique.empty, limited: false });
  const mark = { key: "m", label: words.critique.mark, press: add };
  const bar = group(words.actions, [mark, part.save], "wrap");
  mark.button.addEventListener("mousedown", (event) => event.preventDefault()); // else the selection is gone
  const same = (a) => (b) => a.node === b.node && a.span[0] === b.span[0] && a.span[1] === b.span[1];
  const on = (node) => marks.filter((made) => made.node === node).map(({ span }) => span);

  function add() {
    const found = selected(nodes);
    if (!found) return page.say(words.critique.selectFirst);
    const made = { node: nodes[found.place], span: [found.start, found.end] };
    if (!marks.some(same(made))) change([...marks, made]);
  }
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
    read: part.read = () => ({
      kind: "critique", text: part.text(),
      spans: single.flatMap(on),
      source_spans: passages.flatMap((node, place) => on(node).map((span) => [place, ...span])),
    }),
    restore(answer) {
      part.put(answer.text);
      marks = [
        ...(answer.spans ?? []).map((span) => ({ node: single[0], span })),
        ...(answer.source_spans ?? []).map(([passage, ...span]) => ({ node: passages[passage], span })),
      ].filter(({ node }) => node);
      draw();
    },
  };
}

function reject(item, page) {
  const fine = [{ key: "y", label: words.reject.fine, answer: { kind: "label", good: true } }];
  const bar = group(words.actions, [...fine, page.reject], "wrap big");
  return { ...choosing(fine, page), outputs: cards(item), bar };
}

export const kinds = { comparison, ranking, rating, label, correction, demonstration, critique, reject };
