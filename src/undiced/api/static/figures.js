// The figures of an answer: how many tokens, how fast, how it ended. Knows no page.
// Figures are {outcome, tokens, tokens_per_second, first_ms, left_out, times}: outcome is stop, length, full (of the
// context), stopped or failed.

// Of an answer that streams or has ended, as answer.js tells it. The server's clock is used once it has told its times,
// the page's clock before. `context` is how many positions there are, `before` how many tokens the answer had when it
// went on, `leftOut` how many of the oldest messages were not sent.
export function figuresOf({ outcome, tokens, positions, began, first, last, times }, { context, before, leftOut }) {
  const seconds = times ? times.completion_time : (last - first) / 1000;
  return {
    outcome: outcome === "length" && positions >= context ? "full" : outcome,
    tokens: before + tokens,
    left_out: leftOut,
    tokens_per_second: tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : null,
    first_ms: first === null ? null : Math.round(first - began),
    times: times && { queue_s: times.queue_time, prompt_s: times.prompt_time, answer_s: times.completion_time },
  };
}

const ENDS = { length: "cut at the limit", full: "the context is full", stopped: "stopped", failed: "failed" };
const OPEN = new Set(["length", "stopped", "failed"]);

// Whether an answer that ended so can go on.
export function goesOn(text, { outcome }) {
  return text !== "" && OPEN.has(outcome);
}

// What is said beside the speed.
export function remarks({ outcome, tokens, first_ms, left_out }) {
  const said = [];
  if (tokens) said.push(count(tokens));
  if (typeof first_ms === "number") said.push(`first token ${first_ms} ms`);
  if (outcome === "stopped" && !tokens) said.push("stopped before the first token");
  else if (outcome in ENDS) said.push(ENDS[outcome]);
  if (left_out) said.push(`no room for the ${left_out} oldest messages, they were left out`);
  return said;
}

export function speed({ tokens_per_second: speed }) {
  if (typeof speed !== "number") return "";
  return speed < 10 ? speed.toFixed(1) : Math.round(speed).toLocaleString("en");
}

export function times({ times }) {
  if (!times) return "";
  const ms = (seconds) => `${Math.round(seconds * 1000)} ms`;
  return `queue ${ms(times.queue_s)}, prompt ${ms(times.prompt_s)}, answer ${ms(times.answer_s)}`;
}

export function count(tokens) {
  return `${tokens.toLocaleString("en")} token${tokens === 1 ? "" : "s"}`;
}
