// The conversation that is open: asks, streams, stops, edits, and keeps it. Knows how turns look only by turn.js.
import { stream } from "./answer.js";
import { Conversation } from "./conversation.js";
import { count, figuresOf, speed } from "./figures.js";
import { Frames } from "./frames.js";
import { keep } from "./history.js";
import { requests } from "./room.js";
import { Answer, question } from "./turn.js";

const KEEP_MS = 2000; // how often an answer that streams is kept
const NEAR = 60; // pixels from the end that count as the end
const NO_ROOM = "This browser has no room to keep the conversation; it is lost when the page closes. Export it, or delete older ones.";

export class Chat {
  conversation = new Conversation();
  #views = []; // of the answers
  #stop = null; // of the answer that streams now
  #follow = true; // the end of the log stays in view

  // `log` takes the turns and `scroll` scrolls them. `asked()` is what is asked beside the turns: {members, system,
  // context}. `on` has what the rest of the page does: changed(), busy(yes), failed(message), returned(question),
  // told(status).
  constructor(log, scroll, asked, on) {
    Object.assign(this, { log, scroll, asked, on });
    scroll.addEventListener("scroll", () => { this.#follow = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR; }, { passive: true });
    addEventListener("pagehide", () => { if (this.busy) keep(this.conversation); });
  }

  get busy() {
    return this.#stop !== null;
  }

  // Shows another conversation; an answer that streams is stopped and kept.
  open(conversation) {
    if (this.busy) this.on.busy(false);
    this.stop();
    this.#stop = null;
    this.conversation = conversation;
    this.#draw();
  }

  stop() {
    this.#stop?.abort();
  }

  // `instead`: turns that come back if there is no answer.
  async ask(text, instead = []) {
    if (this.busy) return;
    const conversation = this.conversation;
    this.#views.at(-1)?.settle();
    const turn = conversation.ask(text);
    const view = this.#append(conversation.turns.length - 2);
    const answer = await this.#answer(conversation, turn, view);
    const open = conversation === this.conversation;
    if (!answer.text && (answer.error || instead.length)) this.#giveBack(conversation, open, instead);
    else if (open) view.end(turn.text, turn.figures, true);
    this.#ended(conversation, open, answer, turn);
  }

  // Goes on with the newest answer, which was cut or stopped.
  async goOn() {
    if (this.busy) return;
    const conversation = this.conversation;
    const [turn, view] = [conversation.turns.at(-1), this.#views.at(-1)];
    const before = turn.figures;
    const answer = await this.#answer(conversation, turn, view);
    if (!answer.text && answer.outcome !== "stop") turn.figures = before;
    const open = conversation === this.conversation;
    if (open) view.end(turn.text, turn.figures, true);
    this.#ended(conversation, open, answer, turn);
  }

  again(at) {
    this.#instead(at, null);
  }

  edit(at, text) {
    this.#instead(at, text);
  }

  remove(at) {
    if (this.busy) return;
    this.conversation.forget(at);
    this.#keep(this.conversation);
    this.#draw();
  }

  #instead(at, text) {
    if (this.busy) return;
    const before = this.conversation.rewind(at);
    this.#draw();
    this.ask(text ?? before[0].text, before);
  }

  // Streams into a turn behind the text that it has; returns what came.
  async #answer(conversation, turn, view) {
    const stop = this.#stop = new AbortController();
    const { members, system, context } = this.asked();
    const [text, thought, before] = [turn.text, turn.thought ?? "", turn.figures?.tokens ?? 0];
    const figures = (answer) => figuresOf(answer, { context, before, leftOut: conversation.leftOut });
    turn.figures = null;
    this.on.busy(true);
    view.grow(text, { tokens: before });
    this.#toEnd();
    this.#keep(conversation);
    let [kept, latest] = [performance.now(), null];
    const frames = new Frames(() => {
      view.think(turn.thought ?? "");
      view.grow(turn.text, figures(latest));
      if (this.#follow) this.#toEnd();
    });
    const answer = await stream(requests(conversation, members, system), stop.signal, (now) => {
      latest = now;
      turn.text = text + now.text;
      if (now.thought) turn.thought = thought + now.thought;
      frames.ask();
      if (performance.now() - kept < KEEP_MS) return;
      kept = performance.now();
      keep(conversation);
    });
    frames.stop();
    view.think(turn.thought ?? "");
    if (this.#stop === stop) this.#stop = null;
    turn.figures = figures(answer);
    return answer;
  }

  #ended(conversation, open, answer, turn) {
    this.#keep(conversation);
    if (!open) return;
    this.on.busy(false);
    if (this.#follow) this.#toEnd();
    if (answer.error) this.on.failed(answer.error);
    else this.on.told(`Answer ended: ${count(turn.figures.tokens)}${answer.tokens > 1 ? `, ${speed(turn.figures)} tokens a second` : ""}.`);
  }

  // A question that failed before there was an answer goes back to where it was written.
  #giveBack(conversation, open, instead) {
    const [{ text }] = conversation.rewind(conversation.turns.length - 1);
    conversation.turns.push(...instead);
    if (!open) return;
    this.#draw();
    if (instead[0]?.text !== text) this.on.returned(text);
  }

  #draw() {
    this.log.replaceChildren();
    this.#views = [];
    const { turns } = this.conversation;
    for (let at = 0; at < turns.length; at += 2) {
      const { text, figures } = turns[at + 1];
      this.#append(at).end(text, figures ?? { outcome: "stopped" }, at + 2 === turns.length);
    }
    this.#toEnd();
    this.on.changed();
  }

  // The views of the question at `at` and its answer; returns the latter.
  #append(at) {
    const asked = this.conversation.turns[at];
    const here = () => this.conversation.turns.indexOf(asked);
    const view = new Answer({ again: () => this.again(here()), more: () => this.goOn() });
    const actions = { edit: (text) => this.edit(here(), text), remove: () => this.remove(here()) };
    view.think(this.conversation.turns[at + 1].thought ?? "");
    this.log.append(question(asked.text, actions), view.node);
    this.#views.push(view);
    return view;
  }

  #keep(conversation) {
    if (!keep(conversation)) this.on.failed(NO_ROOM);
    this.on.changed();
  }

  #toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.#follow = true;
  }
}
