// The frame around every page: texts by name, theme and font size, logging out.
import { SIZES, THEMES, api, byId, cycle, toast } from "./common.js";
import { words } from "./words.js";

for (const node of document.querySelectorAll("[data-word]")) node.textContent = words[node.dataset.word];
for (const node of document.querySelectorAll("[data-word-label]")) {
  node.setAttribute("aria-label", words[node.dataset.wordLabel]);
}

byId("theme").addEventListener("click", () => toast(words.themes[cycle("theme", THEMES)]));
byId("size").addEventListener("click", () => toast(words.sizes[cycle("size", SIZES)]));

byId("logout")?.addEventListener("click", async () => {
  // A page that still has something to send calls preventDefault.
  if (!document.dispatchEvent(new Event("rrm:leave", { cancelable: true }))) return toast(words.stillUnsent, "bad");
  try {
    await api("POST", "/api/logout");
  } catch (error) {
    if (error.status !== 401) return toast(error.detail, "bad");
  }
  location.assign(document.body.dataset.role === "annotator" ? "/join" : "/login");
});
