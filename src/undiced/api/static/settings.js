// What a request asks for beside its messages: sampling, the limit, the system prompt. Knows the ranges and keeps what
// the user chose; knows no page. A setting that is not chosen has the default.
import { read, write } from "./store.js";

// `whole`: no fraction is allowed. `low` and `high` are allowed themselves.
export const NUMBERS = {
  temperature: { label: "Temperature", low: 0, high: 2, step: 0.1 },
  top_p: { label: "Top p", low: 0, high: 1, step: 0.05 },
  repetition_penalty: { label: "Repetition penalty", low: 0.01, high: 100, step: 0.05 },
  max_tokens: { label: "Most tokens", low: 1, high: 1_000_000, step: 1, whole: true },
};

export class Settings {
  defaults = {}; // the model's, which the server tells

  constructor() {
    const kept = read("settings") ?? {};
    this.chosen = {};
    for (const name of Object.keys(NUMBERS)) if (typeof kept[name] === "number" && !fault(name, String(kept[name]))) this.chosen[name] = kept[name];
    this.system = typeof kept.system === "string" ? kept.system : "";
  }

  // Takes what the user wrote; returns what is wrong with it, or "".
  choose(name, written) {
    const wrong = fault(name, written);
    if (wrong) return wrong;
    if (written.trim() === "") delete this.chosen[name];
    else this.chosen[name] = Number(written);
    this.#keep();
    return "";
  }

  instruct(system) {
    this.system = system;
    this.#keep();
  }

  reset() {
    this.chosen = {};
    this.instruct("");
  }

  // The members of a request. An answer takes half of the context at most, so that the newest turns have room.
  members(context) {
    const { max_tokens, ...numbers } = this.defaults;
    const greedy = this.chosen.temperature === 0; // the likeliest token: no default bends that
    const members = { ...(greedy ? {} : numbers), max_tokens, ...this.chosen };
    if (members.max_tokens > context / 2) members.max_tokens = Math.floor(context / 2);
    return members;
  }

  #keep() {
    write("settings", { ...this.chosen, system: this.system });
  }
}

// What is wrong with a number as it was written, or "". Nothing written is the default.
export function fault(name, written) {
  const { label, low, high, whole } = NUMBERS[name];
  if (written.trim() === "") return "";
  const value = Number(written);
  const range = `from ${low} to ${high.toLocaleString("en")}`;
  if (!Number.isFinite(value) || value < low || value > high) return `${label} is a number ${range}.`;
  if (whole && !Number.isInteger(value)) return `${label} is a whole number ${range}.`;
  return "";
}
