// Which addresses a link in an answer may have: absolute ones on the web, and mail.

const ALLOWED = new Set(["http:", "https:", "mailto:"]);

export function allowed(address) {
  try {
    return ALLOWED.has(new URL(address).protocol);
  } catch {
    return false; // relative, or no address at all
  }
}
