// A button for what can't be undone: it asks once more before it does it.
import { button } from "./element.js";

const PATIENCE_MS = 3000;

export function sureButton(label, act, attributes = {}) {
  let sure = false;
  const made = button(label, () => {
    if (sure) return act();
    sure = true;
    made.textContent = "Sure?";
    made.classList.add("sure");
    setTimeout(() => {
      sure = false;
      made.textContent = label;
      made.classList.remove("sure");
    }, PATIENCE_MS);
  }, attributes);
  return made;
}
