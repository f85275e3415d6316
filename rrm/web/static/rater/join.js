// Joining: the invitation's token stands in the fragment, which browsers never send, so no log or Referer has it.
import { api, byId, findById, refusal } from "../common.js";
import { newKey } from "../outbox.js";
import { words } from "../words.js";

const STORE = "rrm.invitation"; // for a reload of this tab only
const KEY = "rrm.invitation-key"; // with which this tab may ask again, should the reply be lost
const query = new URLSearchParams(location.search);
const participant = query.get(byId("join").dataset.participant ?? "");
const proof = query.get("proof"); // of a signed link
const title = `${words.joinTitle} – rrm`;

/** Take the token out of the address, where anybody could read it; a link pasted into this tab later is taken, too. */
function take() {
  if (location.hash.length > 1) {
    const token = location.hash.slice(1);
    if (sessionStorage.getItem(STORE) !== token) sessionStorage.setItem(KEY, newKey());
    sessionStorage.setItem(STORE, token);
    history.replaceState(null, "", location.pathname + location.search);
  }
  if (sessionStorage.getItem(STORE)) return begin();
  noWay(words.joinNoToken, words.joinNoTokenHow);
}

function begin() {
  document.title = title;
  byId("problem").hidden = true;
  byId("lead").textContent = words.joinLead;
  byId("form").hidden = false;
  byId("elsewhere").hidden = true;
}

/** @param {string} text */
function tell(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = false;
}

/** @param {string} problem @param {string} lead */
function noWay(problem, lead) {
  tell(problem);
  byId("lead").textContent = lead;
  byId("form").hidden = true;
  byId("elsewhere").hidden = false;
}

/** @param {Wire.CameIn} came */
function cameIn({ next, name, choose }) {
  for (const name of [STORE, KEY]) sessionStorage.removeItem(name);
  if (choose === null) return location.assign(next);
  byId("problem").hidden = true;
  byId("form").hidden = true;
  byId("choose").hidden = false;
  byId("title").textContent = words.chooseTitle;
  byId("lead").textContent = words.chooseLead;
  byId("called").textContent = name;
  byId("name", HTMLInputElement).value = name ?? "";
  byId("password-help").textContent = words.chooseHelp(choose);
  byId("password", HTMLInputElement).minLength = choose;
  byId("password").focus();
  byId("later").addEventListener("click", () => location.assign(next));
  byId("choose").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await api("POST", "/api/password", { password: byId("password", HTMLInputElement).value });
      location.assign(next);
    } catch (error) {
      const { status, detail } = refusal(error);
      tell(status === 0 ? words.unreachable : detail);
    }
  });
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const box = findById("agreed", HTMLInputElement);
  const agreed = box ? byId("join").dataset.agreed : null;
  if (box && !box.checked) {
    tell(words.joinMustAgree);
    return box.focus();
  }
  const button = byId("start", HTMLButtonElement);
  const token = sessionStorage.getItem(STORE);
  const key = sessionStorage.getItem(KEY);
  const keep = byId("keep", HTMLInputElement).checked;
  button.disabled = true;
  try {
    cameIn(await api("POST", "/api/join", { token, key, agreed, keep, ...(participant && { participant }), ...(proof && { proof }) }));
  } catch (error) {
    const { status, detail, after } = refusal(error);
    if (status === 0) return tell(words.unreachable);
    if (status === 429) return tell(words.tooOften(after));
    if (participant && status === 401) return tell(detail);
    if (![401, 403, 404].includes(status)) return tell(detail);
    sessionStorage.removeItem(STORE);
    noWay(words.joinUsed, words.joinNoTokenHow);
  } finally {
    button.disabled = false;
  }
});

addEventListener("hashchange", take);
take();
