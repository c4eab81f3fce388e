// Makes elements of the page. Text is only ever set as text, never parsed as HTML.

// One element: `attributes` are set as given (a null is left out), `children` are nodes or texts.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A button that says `label` and does `act`.
export function button(label, act, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", act);
  return made;
}

export const byId = (id) => document.getElementById(id);
