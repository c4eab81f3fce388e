// One conversation: its turns, what of them is sent, how they are written to a file. Knows no page and no storage.
// A turn is {role: "user", text} or {role: "assistant", text, figures, thought}; they alternate, a question first.
// `figures` is null while the answer streams; `thought` is what was thought before the text, if anything was.

const TITLE_CHARS = 60;

export class Conversation {
  constructor({ id = newId(), title = "", created = Date.now(), updated = created, turns = [] } = {}) {
    Object.assign(this, { id, title, created, updated, turns, leftOut: 0 });
  }

  // A conversation from what was kept, or null where that is not one.
  static from(kept) {
    const sound = typeof kept?.id === "string" && typeof kept.title === "string" && Array.isArray(kept.turns)
      && Number.isFinite(kept.created) && Number.isFinite(kept.updated)
      && kept.turns.every((turn, at) => typeof turn?.text === "string" && turn.role === (at % 2 ? "assistant" : "user"));
    if (!sound) return null;
    const turns = kept.turns.map(({ role, text, figures, thought }) => role === "user" ? { role, text }
      : { role, text, ...(typeof thought === "string" ? { thought } : {}), figures: typeof figures === "object" && figures !== null ? figures : { outcome: "stopped" } });
    if (turns.length % 2) turns.push({ role: "assistant", text: "", figures: { outcome: "stopped" } });
    return new Conversation({ id: kept.id, title: kept.title, created: kept.created, updated: kept.updated, turns });
  }

  get name() {
    const first = (this.turns[0]?.text ?? "").replace(/\s+/g, " ").trim();
    return this.title || (first.length > TITLE_CHARS ? `${first.slice(0, TITLE_CHARS - 1)}…` : first) || "New chat";
  }

  // Adds a question and the answer that is to come; returns the answer's turn.
  ask(text) {
    const answer = { role: "assistant", text: "", figures: null };
    this.turns.push({ role: "user", text }, answer);
    this.updated = Date.now();
    return answer;
  }

  // Removes the question at `at` and its answer.
  forget(at) {
    this.turns.splice(at - (at % 2), 2);
    this.updated = Date.now();
    this.leftOut = 0;
  }

  // Removes the question at `at` and all that follows; returns those turns.
  rewind(at) {
    this.leftOut = 0;
    return this.turns.splice(at - (at % 2));
  }

  // Sends one more of the oldest questions no longer, nor its answer; says whether there was one beside the newest.
  leaveOut() {
    if (this.leftOut + 2 >= this.turns.length) return false;
    this.leftOut += 2;
    return true;
  }

  // Messages of a request, without the `leftOut` oldest turns. A question that got no answer is not among them, unless
  // its answer is the one to come; an answer that is to go on is the last.
  messages(system = "") {
    const said = system ? [{ role: "system", content: system }] : [];
    for (let at = this.leftOut; at < this.turns.length; at += 2) {
      const [question, answer] = [this.turns[at], this.turns[at + 1]];
      if (answer.text) said.push({ role: "user", content: question.text }, { role: "assistant", content: answer.text });
      else if (answer.figures === null) said.push({ role: "user", content: question.text });
    }
    return said;
  }

  markdown() {
    const parts = this.turns.map((turn) => `## ${turn.role === "user" ? "You" : "Model"}\n\n${turn.text}\n`);
    return [`# ${this.name}\n`, ...parts].join("\n");
  }

  json() {
    return JSON.stringify({ undiced: 1, id: this.id, title: this.name, created: this.created, updated: this.updated, turns: this.turns }, null, 2);
  }
}

// crypto.randomUUID is missing over plain http.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
