// Asks for the key of a server that wants one.
import { byId } from "./element.js";

// Resolves to the key, or to null where the user gives none; `refused`: the one before was not right.
export function askKey(refused) {
  const dialog = byId("key");
  const field = byId("key-field");
  byId("key-reason").textContent = refused ? "The server refused that key." : "This server wants a key.";
  field.value = "";
  dialog.returnValue = "";
  byId("key-cancel").onclick = () => dialog.close();
  dialog.showModal();
  return new Promise((given) => {
    dialog.addEventListener("close", () => given(dialog.returnValue === "given" && field.value ? field.value : null), { once: true });
  });
}
