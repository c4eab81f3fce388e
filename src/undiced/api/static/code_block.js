// A block of code: its language, a copy button, colors. Grows while it streams without being colored anew at each token.
import { copyButton } from "./copy_button.js";
import { element } from "./element.js";
import hljs from "./vendor/highlight.js";

const AT_ONCE = 2000; // characters: up to here coloring costs next to nothing
const GROWTH = 1.25; // longer code is colored again when it has grown by a quarter
const MOST = 200_000; // characters; longer code stays plain

// Builds nodes where highlight.js would write HTML.
class Colors {
  constructor() {
    this.root = document.createDocumentFragment();
    this.open = [this.root];
  }

  addText(text) {
    if (text) this.open.at(-1).append(text);
  }

  openNode(scope) {
    const [first, ...rest] = scope.split(".");
    const names = scope.startsWith("language:") ? [scope.replace(":", "-")] : [`hljs-${first}`, ...rest.map((name) => `${name}_`)];
    const made = element("span", { class: names.join(" ") });
    this.open.at(-1).append(made);
    this.open.push(made);
  }

  closeNode() {
    this.open.pop();
  }

  startScope(scope) {
    this.openNode(scope);
  }

  endScope() {
    this.closeNode();
  }

  __addSublanguage(inner, name) {
    if (name) this.openNode(`language:${name}`);
    this.open.at(-1).append(inner.root);
    if (name) this.closeNode();
  }

  finalize() {}

  toHTML() {
    return "";
  }
}

hljs.configure({ __emitter: Colors });

export class CodeBlock {
  #language;
  #text = "";
  #colored = 0; // characters

  constructor(language) {
    this.#language = hljs.getLanguage(language) ? language : null;
    this.code = element("code");
    const copy = copyButton(() => this.#text, { "aria-label": "Copy the code" });
    const head = element("div", { class: "code-head" }, element("span", {}, language || "text"), copy);
    this.node = element("div", { class: "code" }, head, element("pre", { tabindex: "0" }, this.code));
  }

  // Shows the text; `whole` says that no more will come.
  show(text, whole) {
    const before = this.#text;
    if (text === before && (!whole || this.#colored === text.length)) return;
    this.#text = text;
    const colors = this.#language && text.length <= MOST;
    if (!colors) this.code.replaceChildren(text);
    else if (whole || text.length <= AT_ONCE || text.length > this.#colored * GROWTH) this.#color();
    else if (text.startsWith(before)) this.code.append(text.slice(before.length));
    else this.code.replaceChildren(text);
  }

  #color() {
    const result = hljs.highlight(this.#text, { language: this.#language, ignoreIllegals: true });
    this.code.replaceChildren(result._emitter.root);
    this.#colored = this.#text.length;
  }
}
