// Where questions are written: a field that grows, Send, Stop.
import { byId } from "./element.js";

export class Composer {
  // `send(text)` says whether it took the text; `stop()` stops the answer.
  constructor(send, stop) {
    Object.assign(this, { input: byId("input"), button: byId("send"), stopper: byId("stop"), send, busy: false });
    byId("form").addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    this.input.addEventListener("input", () => this.grow());
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.stopper.addEventListener("click", stop);
    this.grow();
  }

  get draft() {
    return this.input.value.trim();
  }

  setBusy(busy) {
    const focused = [this.button, this.stopper].includes(document.activeElement);
    this.busy = busy;
    this.button.hidden = busy;
    this.stopper.hidden = !busy;
    if (focused) this.input.focus(); // the button that had the focus is gone
  }

  // A question that got no answer comes back, unless another is being written.
  giveBack(text) {
    this.input.value ||= text;
    this.grow();
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
    this.button.disabled = !this.draft;
  }

  #submit() {
    const text = this.draft;
    if (!text || this.busy || !this.send(text)) return;
    this.input.value = "";
    this.grow();
  }
}
