// Shows the request of the open conversation as curl and Python.
import { BASE, keyed } from "./api.js";
import { CodeBlock } from "./code_block.js";
import { byId } from "./element.js";
import { curl, python } from "./snippets.js";

const FORMS = { curl: ["bash", curl], python: ["python", python] };

export class RequestDialog {
  #form = "curl";

  // `body()` is the request as the page would send it now.
  constructor(body) {
    this.body = body;
    this.dialog = byId("request");
    this.code = byId("request-code");
    for (const tab of this.dialog.querySelectorAll("[data-form]")) {
      tab.addEventListener("click", () => { this.#form = tab.dataset.form; this.#draw(); });
    }
    byId("request-toggle").addEventListener("click", () => { this.#draw(); this.dialog.showModal(); });
    byId("request-close").addEventListener("click", () => this.dialog.close());
  }

  #draw() {
    for (const tab of this.dialog.querySelectorAll("[data-form]")) tab.setAttribute("aria-pressed", String(tab.dataset.form === this.#form));
    const [language, write] = FORMS[this.#form];
    const block = new CodeBlock(language);
    block.show(write(BASE, this.body(), keyed()), true);
    this.code.replaceChildren(block.node);
  }
}
