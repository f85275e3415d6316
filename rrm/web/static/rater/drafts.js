// Drafts: on this device at once, on the server within two seconds.
import { api, kept, refusal } from "../common.js";

/** How a save on the server went: how many tokens the text has that was saved, or what was refused.
 *  @typedef {{lease: Wire.Lease, text: string | null, tokens: number | null, error: null}
 *    | {lease: Wire.Lease, error: import("../common.js").Refusal}} Told */

const SOON = 800; // milliseconds from the first change to the server's copy
const RETRY = 4000;
const OLD = 30 * 24 * 3600 * 1000; // what nobody asked for in a month is dropped from this device

/** One person's drafts; `told` hears how each save on the server went.
 *  @param {string} person @param {(how: Told) => void} told */
export function drafts(person, told) {
  /** @type {(lease: Wire.Lease) => `draft.${string}`} */
  const name = (lease) => `draft.${person}.${lease.item}`;
  /** @type {{lease: Wire.Lease, draft: Wire.Draft & {at: number}} | null} */
  let waiting = null; // not on the server yet
  /** @type {number | null} */
  let timer = null;
  /** @type {Promise<void> | null} */
  let sending = null;
  drop();

  function drop() {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith("rrm.draft.")) continue;
      const draft = kept.get(`draft.${key.slice("rrm.draft.".length)}`);
      if (!((draft?.at ?? 0) > Date.now() - OLD)) localStorage.removeItem(key);
    }
  }
  /** @param {number} wait */
  function later(wait) {
    timer ??= setTimeout(() => {
      timer = null;
      flush();
    }, wait);
  }

  /** Keep a draft; continuous typing is saved every now and then, not only at its end.
   *  @param {Wire.Lease} lease @param {Wire.Draft & {at: number}} draft */
  function keep(lease, draft) {
    kept.set(name(lease), draft);
    waiting = { lease, draft };
    later(SOON);
  }

  /** Bring what waits to the server now. */
  async function flush() {
    await sending;
    if (!waiting) return;
    const { lease, draft } = waiting;
    waiting = null;
    sending = api("PUT", `/api/leases/${lease.id}/draft`, { draft }).then(
      ({ tokens }) => told({ lease, tokens, text: draft.text ?? null, error: null }),
      (caught) => {
        const error = refusal(caught);
        if (error.status === 0 || error.status >= 429) {
          waiting ??= { lease, draft };
          later(RETRY);
        }
        told({ lease, error });
      },
    );
    await sending;
  }

  /** The newer of this device's and the server's draft, or null; an answer taken back comes from the server alone.
   *  @param {Wire.Lease} lease */
  function newest(lease) {
    const local = kept.get(name(lease));
    const remote = lease.draft;
    const said = local?.answers?.some(({ answer }) => answer) || !remote?.answers?.some(({ answer }) => answer);
    return local && said && !((remote?.at ?? 0) > local.at) ? local : remote;
  }

  /** @param {Wire.Lease} lease */
  function forget(lease) {
    kept.set(name(lease), null);
    if (waiting?.lease.item === lease.item) waiting = null;
  }

  return { keep, flush, newest, forget };
}
