// Joining: the invitation's token stands in the fragment, which browsers never send, so no log or Referer has it.
import { api, byId, findById, refusal } from "./common.js";
import { words } from "./words.js";

const STORE = "rrm.invitation"; // for a reload of this tab only
const token = location.hash.slice(1) || sessionStorage.getItem(STORE);
const participant = new URLSearchParams(location.search).get(byId("join").dataset.participant ?? "");

document.title = `${words.joinTitle} – rrm`;
if (token) {
  sessionStorage.setItem(STORE, token);
  history.replaceState(null, "", location.pathname + location.search);
} else {
  noWay(words.joinNoToken, words.joinNoTokenHow);
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

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const box = findById("agreed", HTMLInputElement);
  const agreed = box?.checked ?? false;
  if (box && !agreed) {
    tell(words.joinMustAgree);
    return box.focus();
  }
  const button = byId("start", HTMLButtonElement);
  button.disabled = true;
  try {
    const { next } = await api("POST", "/api/join", { token, agreed, ...(participant && { participant }) });
    sessionStorage.removeItem(STORE);
    location.assign(next);
  } catch (error) {
    button.disabled = false;
    const { status, detail, after } = refusal(error);
    if (status === 0) return tell(words.unreachable);
    if (status === 429) return tell(words.tooOften(after));
    if (![401, 403, 404, 409].includes(status)) return tell(detail);
    sessionStorage.removeItem(STORE);
    noWay(words.joinUsed, words.joinNoTokenHow);
  }
});
