// Asks for the key of a server that wants one.
import { byId } from "./element.js";

// Resolves to the key, or to null where the user gives none; `reason`: why one is wanted.
export function askKey(reason) {
  const dialog = byId("key");
  const field = byId("key-field");
  byId("key-reason").textContent = reason;
  field.value = "";
  dialog.returnValue = "";
  byId("key-cancel").onclick = () => dialog.close();
  dialog.showModal();
  return new Promise((given) => {
    dialog.addEventListener("close", () => given(dialog.returnValue === "given" && field.value ? field.value : null), { once: true });
  });
}
