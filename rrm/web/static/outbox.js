// Answers on their way: kept on this device until the server has said that it has them.
import { api, kept, refusal } from "./common.js";

/** @typedef {import("./common.js").Refusal} Refusal */

const LONGEST = 30_000; // milliseconds between two tries, at most
/** @param {number} status */
const again = (status) => [0, 408, 425, 429, 502, 503, 504, 500].includes(status);

/** A random idempotency key: the same answer sent twice is recorded once. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

let wake = () => {};
addEventListener("online", () => wake());

/** Try at once what waits for its next turn. */
export const retryNow = () => wake();

/** Ask until the server answers or refuses; `failed(error)` hears of every try that reached nobody.
 *  @template Reply
 *  @param {() => Promise<Reply>} ask @param {(error: Refusal) => void} failed */
export async function insist(ask, failed) {
  for (let wait = 1000; ; wait = Math.min(2 * wait, LONGEST)) {
    try {
      return await ask();
    } catch (caught) {
      const error = refusal(caught);
      if (!again(error.status)) throw error;
      failed(error);
      await /** @type {Promise<void>} */ (new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, Math.max(wait, error.after * 1000));
      }));
    }
  }
}

/** The outbox of one person in this browser; `failed(error)` hears of every try that reached nobody.
 *  @param {string} person @param {(error: Refusal) => void} failed */
export function outbox(person, failed) {
  /** @type {`outbox.${string}`} */
  const name = `outbox.${person}`;
  const waiting = () => kept.get(name) ?? [];
  /** @param {Ui.Entry} entry */
  const forget = (entry) => kept.set(name, waiting().filter(({ key }) => key !== entry.key));

  /** Send an entry until it is taken or refused; returns the reply, throws the Refusal.
   *  After 401 the entry stays, for the same person's next session.
   *  @param {Ui.Entry} entry */
  async function send(entry) {
    if (!waiting().some(({ key }) => key === entry.key)) kept.set(name, [...waiting(), entry]);
    try {
      const reply = await insist(() => api("POST", entry.path, entry.body), failed);
      forget(entry);
      return reply;
    } catch (error) {
      if (refusal(error).status !== 401) forget(entry);
      throw error;
    }
  }

  return { send, waiting };
}
