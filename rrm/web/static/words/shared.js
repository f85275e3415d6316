// What the texts of all languages are made with.

/** @param {number} n */
const points = (n) => Array.from({ length: n }, (_, i) => i);

/** @param {number} n @param {string} one @param {string} many */
export const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;

/** @param {number} place */
export const letter = (place) => "ABCDEFGHIJ"[place] ?? `#${place + 1}`;

/** The keys of so many places: 1 to 9, then 0.
 *  @param {number} n */
export const digits = (n) => points(n).map((i) => String((i + 1) % 10));

/** An answer in the words of a language; places as shown.
 *  @param {typeof import("./en.js").en} words @param {Wire.Answer} given @param {string[]} [letters]
 *  @returns {string} */
export function said(words, given, letters = undefined) {
  /** @param {number} place */
  const name = (place) => letters?.[place] ?? letter(place);
  switch (given.kind) {
    case "comparison":
    case "hindsight": return compared(words.comparison, given, name);
    case "ranking": return ranked(given.best_first.map(name), given, " > ");
    case "rating": return `${given.value}`;
    case "label": return given.good ? words.label.good : words.label.bad;
    case "claims": return words.claims.counted(given.unsupported.length, given.wrong.length, given.missing.length);
    case "reject": return `${words.rejectItem}: ${given.reason}`;
    default: return given.text;
  }
}

/** Outputs best first, by their names: those that are level joined by "=", what is behind them by something else.
 *  @param {string[]} names @param {{best_first: number[], tied?: number[]}} given @param {string} behind */
export const ranked = (names, { best_first, tied = [] }, behind) =>
  names.map((name, at) => (at === 0 ? "" : tied.includes(best_first[at]) ? " = " : behind) + name).join("");

/** @param {typeof import("./en.js").en.comparison} words @param {Wire.Comparison} given
 *  @param {(place: number) => string} name */
function compared(words, { better, strength, both_bad }, name) {
  if (both_bad) return words.bothBad;
  if (better === null) return words.tie;
  const step = [1, 0.5, 0].findIndex((graded) => graded === strength);
  return step < 0 ? words.plain(name(better)) : words.strengths(name(better))[step];
}
