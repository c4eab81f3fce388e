// Copies a text, over plain http too, where browsers have no navigator.clipboard.

// Whether the text is on the clipboard now.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

// The old way: select the text in a field and copy the selection. The focus goes back to where it was.
function copySelected(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "offscreen";
  field.setAttribute("aria-hidden", "true");
  const home = document.querySelector("dialog[open]") ?? document.body; // outside of an open dialog nothing can be selected
  home.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    focused?.focus({ preventScroll: true });
  }
}
