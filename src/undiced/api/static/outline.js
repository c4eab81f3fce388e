// Markdown as a tree of plain objects: {tag, attributes, content, code, children}. `content` is the Markdown inside of a
// paragraph, heading or cell, `code` is {language, text}. Knows no element of the page.
import markdownit from "./vendor/markdown-it.js";
import { allowed } from "./address.js";

const DEEPEST = 24; // quotes and lists in each other

const blocks = markdownit({ html: false, breaks: true, linkify: false, maxNesting: DEEPEST });
blocks.core.ruler.disable(["inline", "text_join"]);
const inner = markdownit({ html: false, breaks: true, linkify: true, maxNesting: DEEPEST });
inner.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
for (const parser of [blocks, inner]) parser.validateLink = allowed;

// The blocks of a text, and the position where the last two of them begin: text that is added later changes only those.
// `known` keeps the addresses that links refer to by name.
export function outline(text, known) {
  const tokens = blocks.parse(text, known);
  const starts = tokens.filter((token) => token.level === 0 && token.nesting >= 0).map((token) => token.map[0]);
  return { tree: grow(tokens), open: starts.length > 2 ? lineStart(text, starts.at(-2)) : 0 };
}

// The pieces of a block's content, as markdown-it's tokens.
export function pieces(content, known) {
  return inner.parseInline(content, known)[0].children;
}

function grow(tokens) {
  const root = { children: [] };
  const open = [root];
  for (const token of tokens) {
    const parent = open.at(-1);
    if (token.nesting < 0) open.pop();
    else if (token.type === "inline") parent.content = token.content;
    else {
      const made = block(token);
      parent.children.push(made);
      if (token.nesting > 0) open.push(made);
    }
  }
  return root.children;
}

function block(token) {
  const made = { tag: token.tag, attributes: {}, content: null, code: null, children: [] };
  const start = token.attrGet("start");
  const side = /^text-align:(\w+)$/.exec(token.attrGet("style") ?? "");
  if (start !== null) made.attributes.start = String(start);
  if (side) made.attributes.class = side[1];
  if (/^h[1-6]$/.test(token.tag)) made.tag = `h${Math.min(6, Number(token.tag[1]) + 2)}`; // below the page's own
  if (token.hidden) made.tag = "span"; // the paragraph of a list without space between its items
  if (token.type === "fence" || token.type === "code_block") {
    made.code = { language: token.info.trim().split(/\s/)[0].toLowerCase(), text: token.content.replace(/\n$/, "") };
  }
  return made;
}

function lineStart(text, line) {
  let at = 0;
  for (let seen = 0; seen < line; seen++) at = text.indexOf("\n", at) + 1;
  return at;
}
