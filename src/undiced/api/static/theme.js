// Light or dark: what the user chose, else what the system prefers.
import { byId } from "./element.js";
import { read, write } from "./store.js";

const THEMES = ["light", "dark"];

function show(theme) {
  document.documentElement.dataset.theme = theme;
}

export function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const preferred = () => (dark.matches ? "dark" : "light");
  const kept = read("theme");
  show(THEMES.includes(kept) ? kept : preferred());
  dark.addEventListener("change", () => { if (!THEMES.includes(read("theme"))) show(preferred()); });
  byId("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    show(theme);
    write("theme", theme);
  });
}
