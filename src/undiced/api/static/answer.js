// One answer: streams it from the server and counts. Knows no page.
import { answerEvents, told } from "./api.js";

const STREAMED = { reasoning_format: "text_parsed", stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } };

// Calls `changed` with the answer at every event; returns it when it has ended. `bodies` are requests for the same
// answer: the next is tried where the context has no room for one. `outcome` is null until the end; `error` says what
// went wrong; `positions` are those of the prompt and the answer. Times are those of performance.now(), in ms.
export async function stream(bodies, signal, changed) {
  const answer = { text: "", thought: "", tokens: 0, positions: 0, began: performance.now(), first: null, last: null, times: null, outcome: null, error: "" };
  try {
    for await (const event of fitting(bodies, signal)) {
      if (event.error) throw new Error(event.error.message);
      take(answer, event);
      changed(answer);
    }
    if (!answer.outcome) throw new Error("The connection ended before the answer was complete.");
  } catch (error) {
    answer.outcome = error.name === "AbortError" ? "stopped" : "failed";
    if (answer.outcome === "failed") answer.error = told(error);
  }
  return answer;
}

async function* fitting(bodies, signal) {
  let refused;
  for (const body of bodies) {
    try {
      return yield* answerEvents({ ...body, ...STREAMED }, signal);
    } catch (error) {
      if (error.code !== "context_length_exceeded") throw error;
      refused = error;
    }
  }
  throw refused;
}

function take(answer, event) {
  const [choice] = event.choices;
  const { content = "", reasoning = "" } = choice?.delta ?? {};
  if (content || reasoning) {
    answer.text += content ?? "";
    answer.thought += reasoning;
    answer.last = performance.now();
    answer.first ??= answer.last;
  }
  answer.tokens = event.usage?.completion_tokens ?? answer.tokens;
  answer.positions = event.usage?.total_tokens ?? answer.positions;
  answer.outcome = choice?.finish_reason ?? answer.outcome;
  answer.times = event.time_info ?? answer.times;
}
