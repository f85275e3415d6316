// The frame around every page: texts by name, theme and font size, logging out.
import { SIZES, THEMES, api, byId, cycle, findById, kept, refusal, toast } from "./common.js";
import { LANGUAGES, forRaters, language, named, words } from "./words.js";

document.documentElement.lang = language;

for (const node of document.querySelectorAll("[data-word]")) node.textContent = named(node.getAttribute("data-word"));
for (const node of document.querySelectorAll("[data-word-label]")) {
  node.setAttribute("aria-label", named(node.getAttribute("data-word-label")));
}

byId("theme").addEventListener("click", () => toast(words.themes[cycle("theme", THEMES)]));
byId("size").addEventListener("click", () => toast(words.sizes[cycle("size", SIZES)]));

/** What each language calls itself. */
const NAMES = { en: "English", de: "Deutsch" };
if (forRaters) {
  const [other] = /** @type {(keyof typeof LANGUAGES)[]} */ (Object.keys(LANGUAGES)).filter((code) => code !== language);
  byId("language").textContent = NAMES[other];
  byId("language").lang = other;
  byId("language").hidden = false;
  byId("language").addEventListener("click", () => {
    kept.set("language", other);
    location.reload();
  });
}

findById("logout")?.addEventListener("click", async () => {
  // A page that still has something to send calls preventDefault.
  if (!document.dispatchEvent(new Event("rrm:leave", { cancelable: true }))) return toast(words.stillUnsent, "bad");
  try {
    await api("POST", "/api/logout");
  } catch (error) {
    const { status, detail } = refusal(error);
    if (status !== 401) return toast(detail, "bad");
  }
  location.assign("/login");
});
