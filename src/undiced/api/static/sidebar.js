// The list of conversations, with what can be done to the one that is open.
import { download, fileName } from "./download.js";
import { button, element } from "./element.js";
import { all, forget, keep } from "./history.js";
import { sureButton } from "./sure_button.js";

export class Sidebar {
  #naming = false;

  // `chat` is what is open; `open(conversation)` opens another, `fresh()` a new one.
  constructor(list, chat, { open, fresh }) {
    Object.assign(this, { list, chat, open, fresh });
  }

  draw() {
    if (this.#naming) return;
    const kept = all();
    const current = this.chat.conversation;
    const rows = kept.map((one) => this.#row(one, one.id === current.id));
    this.list.replaceChildren(...rows.length ? rows : [element("li", { class: "quiet" }, "Conversations are kept in this browser.")]);
  }

  #row(one, current) {
    const title = button(one.name, () => this.open(one), { class: "title", title: one.name, "aria-current": current ? "true" : null });
    const row = element("li", { class: current ? "current" : null }, title, element("time", { datetime: new Date(one.updated).toISOString() }, when(one.updated)));
    if (current) row.append(this.#actions(one, title));
    return row;
  }

  #actions(one, title) {
    return element("div", { class: "actions" },
      button("Rename", () => this.#rename(title), { "aria-label": "Rename the conversation" }),
      button("Markdown", () => download(fileName(one.name, "md"), "text/markdown", this.chat.conversation.markdown()), { "aria-label": "Export as Markdown" }),
      button("JSON", () => download(fileName(one.name, "json"), "application/json", this.chat.conversation.json()), { "aria-label": "Export as JSON" }),
      sureButton("Delete", () => this.#remove(one), { "aria-label": "Delete the conversation" }));
  }

  #remove(one) {
    forget(one.id);
    this.chat.conversation.turns.length = 0; // so that an answer that still streams does not bring it back
    this.fresh();
  }

  #rename(title) {
    const field = element("input", { class: "title", "aria-label": "Name of the conversation", maxlength: "200" });
    field.value = this.chat.conversation.name;
    title.replaceWith(field);
    this.#naming = true;
    const done = (save) => {
      if (!this.#naming) return;
      this.#naming = false;
      if (save) {
        this.chat.conversation.title = field.value.trim();
        keep(this.chat.conversation);
      }
      this.draw();
    };
    field.addEventListener("blur", () => done(true));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") done(true);
      if (event.key === "Escape") { event.stopPropagation(); done(false); }
    });
    field.select();
  }
}

function when(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, today ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric" });
}
