// Logging in with a password.
import { api, byId } from "./common.js";
import { words } from "./words.js";

document.title = `${words.loginTitle} – rrm`;

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  try {
    const { next } = await api("POST", "/api/login", { name: byId("name").value, password: byId("password").value });
    location.assign(next);
  } catch (error) {
    const said = { 0: words.unreachable, 401: words.loginWrong, 429: words.tooOften(error.after) };
    byId("problem").textContent = said[error.status] ?? error.detail;
    byId("problem").hidden = false;
    byId("password").value = "";
    byId("password").focus();
  }
  button.disabled = false;
});
