// The conversations that the browser keeps: at most 100, and 3 million characters together; the oldest go first.
// Each has an entry of its own, so that two tabs don't overwrite each other. Knows no page.
import { Conversation } from "./conversation.js";
import { read, remove, sizes, write } from "./store.js";

const START = "chat.";
const MOST = 100;
const MOST_CHARS = 3_000_000; // browsers give a site about 5 million

// All conversations, the latest first.
export function all() {
  const kept = [...sizes(START).keys()].map((name) => Conversation.from(read(name)));
  return kept.filter((one) => one !== null).sort((a, b) => b.updated - a.updated);
}

export function find(id) {
  return Conversation.from(read(START + id));
}

// Keeps a conversation; one without turns is not worth it. Returns false where there is no room for it at all.
export function keep(conversation) {
  const { id, title, created, updated, turns } = conversation;
  if (!turns.length) {
    forget(id);
    return true;
  }
  const name = START + id;
  let done = write(name, { id, title, created, updated, turns });
  const size = sizes(START);
  let chars = [...size.values()].reduce((sum, one) => sum + one, 0);
  if (done && size.size <= MOST && chars <= MOST_CHARS) return true; // without reading the others
  const others = all().filter((one) => one.id !== id).reverse();
  while (others.length && (!done || others.length >= MOST || chars > MOST_CHARS)) {
    const oldest = others.shift();
    chars -= size.get(START + oldest.id) ?? 0;
    forget(oldest.id);
    done ||= write(name, { id, title, created, updated, turns });
  }
  return done;
}

export function forget(id) {
  remove(START + id);
}

// Whether a stored name, as `watch` tells it, is a conversation's.
export function isConversation(name) {
  return name === null || name.startsWith(START);
}
