// Drafts: on this device at once, on the server within two seconds.
import { api, kept } from "./common.js";

const SOON = 800; // milliseconds from the first change to the server's copy
const RETRY = 4000;
const OLD = 30 * 24 * 3600 * 1000; // what nobody asked for in a month is dropped from this device

/** One person's drafts; `told({saved, tokens, error})` hears how each save on the server went. */
export function drafts(person, told) {
  const name = (lease) => `draft.${person}.${lease.item}`;
  let waiting = null; // {lease, draft}, not on the server yet
  let timer = null;
  let sending = null;
  drop();

  function drop() {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith("rrm.draft.")) continue;
      if (!((kept.get(key.slice(4))?.at ?? 0) > Date.now() - OLD)) localStorage.removeItem(key);
    }
  }
  function later(wait) {
    timer ??= setTimeout(() => {
      timer = null;
      flush();
    }, wait);
  }

  /** Keep a draft; continuous typing is saved every now and then, not only at its end. */
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
      ({ tokens }) => told({ lease, tokens, text: draft.text }),
      (error) => {
        if (error.status === 0 || error.status >= 429) {
          waiting ??= { lease, draft };
          later(RETRY);
        }
        told({ lease, error });
      },
    );
    await sending;
  }

  /** The newer of this device's and the server's draft, or null; an answer taken back comes from the server alone. */
  function newest(lease) {
    const local = kept.get(name(lease));
    const remote = lease.draft;
    const said = local?.answer || !remote?.answer;
    return local && said && !(remote?.at > local.at) ? local : remote;
  }

  function forget(lease) {
    kept.set(name(lease), null);
    if (waiting?.lease.item === lease.item) waiting = null;
  }

  return { keep, flush, newest, forget };
}
