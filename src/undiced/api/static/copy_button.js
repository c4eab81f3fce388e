// A button that copies, and says for two seconds whether it did.
import { copy } from "./clipboard.js";
import { button } from "./element.js";

const TOLD_MS = 2000;

// `text` is called when the button is pressed.
export function copyButton(text, attributes = {}) {
  const made = button("Copy", async () => {
    made.textContent = (await copy(text())) ? "Copied" : "Can't copy";
    setTimeout(() => { made.textContent = "Copy"; }, TOLD_MS);
  }, attributes);
  return made;
}
