// The texts that raters read, in the language that they chose or their browser asks for.
import { kept } from "./common.js";
import { de } from "./words/de.js";
import { en } from "./words/en.js";

export { digits, letter, ranked } from "./words/shared.js";

/** The languages there are, each under its code. */
export const LANGUAGES = { en, de };

/** Whether this page is for raters: the others are in English. */
export const forRaters = ["work", "join", "login", "refused"].includes(document.body.dataset.page ?? "");

/** The code of the language of this page.
 *  @type {keyof typeof LANGUAGES} */
export const language = forRaters && (kept.get("language") ?? navigator.language.slice(0, 2)) === "de" ? "de" : "en";

export const words = LANGUAGES[language];

/** The word of this name, for pages that name their texts.
 *  @param {string | null} name */
export function named(name) {
  const word = new Map(Object.entries(words)).get(name ?? "");
  return typeof word === "string" ? word : "";
}
