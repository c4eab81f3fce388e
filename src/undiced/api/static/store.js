// Values that the browser keeps over reloads, as JSON under one versioned prefix. Knows nothing of what they mean.
// Private windows may refuse storage, and it may be full; the page works without.

export const PREFIX = "undiced.1.";

// The value under a name, or null where there is none or it can't be read.
export function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

// Keeps a value; false where the browser refuses.
export function write(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function remove(name) {
  try {
    localStorage.removeItem(PREFIX + name);
  } catch { /* then it was never kept */ }
}

// Names of ours that begin with `start`, and how many characters each takes.
export function sizes(start) {
  const found = new Map();
  try {
    for (let at = 0; at < localStorage.length; at++) {
      const key = localStorage.key(at);
      if (key.startsWith(PREFIX + start)) found.set(key.slice(PREFIX.length), key.length + localStorage.getItem(key).length);
    }
  } catch { /* nothing is kept */ }
  return found;
}

// Calls `heard` with the name when another tab changes a value of ours; with null when it removes all.
export function watch(heard) {
  addEventListener("storage", (event) => {
    if (event.key === null || event.key.startsWith(PREFIX)) heard(event.key && event.key.slice(PREFIX.length));
  });
}
