// How turns look: a question with its buttons, an answer with its figures. What the buttons do is given by who makes them.
import { copyButton } from "./copy_button.js";
import { button, element } from "./element.js";
import { goesOn, remarks, speed, times } from "./figures.js";
import { Markdown } from "./markdown.js";
import { sureButton } from "./sure_button.js";

// `edit(text)` sends another question instead, `remove()` removes the question and its answer.
export function question(text, { edit, remove }) {
  const body = element("div", { class: "text" }, text);
  const actions = element("div", { class: "actions" });
  const turn = element("article", { class: "turn user", "aria-label": "You" }, body, actions);
  actions.append(
    button("Edit", () => body.replaceWith(editor(text, edit, (field) => field.replaceWith(body))), { "aria-label": "Edit the question" }),
    sureButton("Delete", remove, { "aria-label": "Delete the question and its answer" }),
  );
  return turn;
}

function editor(text, send, close) {
  const field = element("textarea", { rows: "3", "aria-label": "Edit the question" });
  const form = element("form", { class: "editor" }, field, element("div", { class: "actions" },
    element("span", {}, "What follows is replaced."), button("Cancel", () => close(form)), element("button", { type: "submit" }, "Send")));
  field.value = text;
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(form);
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) send(field.value.trim());
  });
  queueMicrotask(() => field.focus());
  return form;
}

// The view of one answer.
export class Answer {
  #text = "";
  #markdown;
  #musing = element("div", { class: "musing" });
  #thought = element("details", { class: "thought", hidden: "" }, element("summary", {}, "Thinking"), this.#musing);
  #body = element("div", { class: "text" });
  #speed = element("strong", {}, "–");
  #meter = element("span", { class: "speed" }, this.#speed, " tokens/s");
  #remarks = element("span", { class: "remarks" });
  #actions = element("span", { class: "actions" });
  #row = element("div", { class: "stats" }, this.#meter, this.#remarks, this.#actions);

  // `again()` asks the question again, `more()` goes on with the answer.
  constructor({ again, more }) {
    Object.assign(this, { again, more });
    this.#markdown = new Markdown(this.#body);
    this.node = element("article", { class: "turn assistant busy", "aria-label": "Model" }, this.#thought, this.#body, this.#row);
  }

  // Shows what there is so far.
  grow(text, figures) {
    this.#text = text;
    this.node.classList.add("busy");
    this.#actions.replaceChildren();
    this.#meter.hidden = false;
    this.#markdown.show(text, false);
    this.#tell(figures, text || !this.#thought.hidden ? [] : ["waiting for the first token"]);
  }

  // Shows what was thought before it, folded.
  think(text) {
    this.#musing.textContent = text;
    this.#thought.hidden = !text;
  }

  // Shows the whole answer, and what can be done with it; `last`: it is the newest.
  end(text, figures, last) {
    this.#text = text;
    this.#markdown.show(text, true);
    if (!text && figures.outcome !== "stopped") this.#body.append(element("span", { class: "quiet" }, "(no text)"));
    this.node.classList.remove("busy");
    this.#tell(figures);
    this.#row.title = times(figures);
    this.#meter.hidden = !speed(figures);
    if (last && goesOn(text, figures)) this.#actions.append(button("Continue", this.more, { class: "more", "aria-label": "Go on with the answer" }));
    if (text) this.#actions.append(copyButton(() => this.#text, { "aria-label": "Copy the answer" }));
    this.#actions.append(button("Try again", this.again, { "aria-label": "Answer the question again" }));
  }

  // Another answer is the newest now.
  settle() {
    this.#actions.querySelector(".more")?.remove();
  }

  #tell(figures, more = []) {
    this.#speed.textContent = speed(figures) || "–";
    this.#remarks.textContent = [...more, ...remarks(figures)].join(" · ");
  }
}
