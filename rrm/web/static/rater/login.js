// Logging in with a password.
import { api, byId, refusal } from "../common.js";
import { words } from "../words.js";

document.title = `${words.loginTitle} – rrm`;

const name = byId("name", HTMLInputElement);
const password = byId("password", HTMLInputElement);

/** @param {import("../common.js").Refusal} refused */
function why({ status, detail, after }) {
  if (status === 0) return words.unreachable;
  if (status === 401) return words.loginWrong;
  return status === 429 ? words.tooOften(after) : detail;
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = byId("enter", HTMLButtonElement);
  button.disabled = true;
  try {
    const { next } = await api("POST", "/api/login", {
      name: name.value, password: password.value, keep: byId("keep", HTMLInputElement).checked,
    });
    location.assign(next);
  } catch (error) {
    byId("problem").textContent = why(refusal(error));
    byId("problem").hidden = false;
    password.value = "";
    password.focus();
  }
  button.disabled = false;
});
