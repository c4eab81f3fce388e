// Shows Markdown as elements, and goes on as more of it comes: blocks that are complete are not looked at again, and of
// the others only what has changed is made anew. Nothing is ever parsed as HTML; HTML in an answer is shown as text.
import { allowed } from "./address.js";
import { CodeBlock } from "./code_block.js";
import { element } from "./element.js";
import { outline, pieces } from "./outline.js";

const BREAK = /<br\s*\/?>/i; // the one tag that models need: a table's cell has no other line break
const TICKED = { "[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ " };

export class Markdown {
  #shown = []; // {block, node, inside, code} in the order of the target's children
  #settled = 0; // how many of them are complete
  #offset = 0; // where the text after them begins
  #known = {};
  #anew = false;

  constructor(target) {
    this.target = target;
  }

  // Shows a text that goes on from the one before; `whole` says that no more will come.
  show(text, whole) {
    const plain = text.replace(/\r\n?/g, "\n");
    if (whole) [this.#settled, this.#offset, this.#known] = [0, 0, {}];
    const { tree, open } = outline(plain.slice(this.#offset), this.#known);
    this.#anew = whole && this.#known.references !== undefined; // links may be named before their addresses are
    const settled = this.#shown.slice(0, this.#settled);
    this.#shown = [...settled, ...this.#patch(this.target, this.#shown.slice(this.#settled), tree, whole)];
    if (whole || !open) return;
    this.#settled += tree.length - 2;
    this.#offset += open;
  }

  // Makes `before`, which are children of `parent`, into what `blocks` say.
  #patch(parent, before, blocks, whole) {
    for (const extra of before.slice(blocks.length)) extra.node.remove();
    return blocks.map((block, at) => {
      const old = before[at];
      const kept = old && same(old.block, block) ? old : this.#make(block);
      if (old && kept !== old) old.node.replaceWith(kept.node);
      if (!old) parent.append(kept.node);
      this.#fill(kept, block, whole || at < blocks.length - 1);
      return kept;
    });
  }

  #make(block) {
    const code = block.code && new CodeBlock(block.code.language);
    const inner = code ? null : element(block.tag, block.attributes);
    const node = block.tag === "table" ? element("div", { class: "table", tabindex: "0" }, inner) : code?.node ?? inner;
    return { block: { ...block, content: null }, node, inner, code, inside: [] };
  }

  #fill(kept, block, whole) {
    if (kept.code) kept.code.show(block.code.text, whole);
    else if (block.content !== null && (this.#anew || kept.block.content !== block.content)) {
      kept.inner.replaceChildren(this.#inline(block.content, block.tag === "span"));
    }
    if (block.children.length || kept.inside.length) kept.inside = this.#patch(kept.inner, kept.inside, block.children, whole);
    kept.block = block;
  }

  #inline(content, inItem) {
    const tick = inItem && TICKED[content.slice(0, 4)];
    const root = document.createDocumentFragment();
    if (tick) root.append(tick);
    const open = [root];
    for (const piece of pieces(tick ? content.slice(4) : content, this.#known)) {
      if (piece.nesting < 0) open.pop();
      else if (piece.nesting > 0) {
        const made = opened(piece);
        open.at(-1).append(made);
        open.push(made);
      } else open.at(-1).append(...leaf(piece));
    }
    return root;
  }
}

function same(one, other) {
  return one.tag === other.tag && one.attributes.start === other.attributes.start && one.attributes.class === other.attributes.class
    && one.code?.language === other.code?.language;
}

const MARKS = new Set(["strong", "em", "s"]);

function opened(piece) {
  if (piece.tag === "a") return link(piece.attrGet("href"), piece.attrGet("title"));
  return element(MARKS.has(piece.tag) ? piece.tag : "span");
}

function link(address, title) {
  if (!allowed(address)) return element("span");
  return element("a", { href: address, title, target: "_blank", rel: "noopener noreferrer nofollow" });
}

function leaf(piece) {
  if (piece.type === "softbreak" || piece.type === "hardbreak") return [element("br")];
  if (piece.type === "code_inline") return [element("code", {}, piece.content)];
  if (piece.type === "image") { // never loaded: that would tell another server who reads
    const made = link(piece.attrGet("src"), null);
    made.append(`[image: ${piece.content || piece.attrGet("src")}]`);
    return [made];
  }
  return piece.content.split(BREAK).flatMap((text, at) => at ? [element("br"), text] : [text]);
}
