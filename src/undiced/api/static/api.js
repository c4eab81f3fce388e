// What the page asks of its server: models, answers as they stream, measured speed; and the key, where one is wanted.
// Knows no element of the page. Addresses are relative, so that a proxy may put the server below a path.
import { read, write } from "./store.js";

export const GONE = "The server can't be reached. Is it still running?";
export const BASE = new URL("v1", document.baseURI).href; // as other programs write it

let key = read("key") ?? "";
let askKey = async () => null;

export const keyed = () => key !== "";

// Says how to ask the user for a key: a function that takes the reason and resolves to one, or to null where the user
// gives none.
export function whenKeyIsWanted(ask) {
  askKey = ask;
}

// A response that is fine. A refusal is thrown as an Error with the server's words. For what is `optional` the user is
// not asked for another key.
async function request(path, init = {}, optional = false) {
  const headers = { ...init.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...init, headers });
  if (response.ok) return response;
  const error = await refusal(response);
  const reason = optional ? "" : wanting(response.status, error);
  const given = reason ? await askKey(reason) : null;
  if (given === null) throw error;
  key = given;
  write("key", key);
  return request(path, init);
}

// Why another key is wanted, in words; nothing where a key would not help.
function wanting(status, error) {
  if (status === 401) return key ? "The server refused that key." : "This server wants a key.";
  return status === 403 && error.code === "permission_denied" ? error.message : "";
}

// An Error with the server's words, and its `code` where it gave one.
async function refusal(response) {
  try {
    const { error } = await response.json();
    return Object.assign(new Error(error.message), { code: error.code });
  } catch {
    return new Error(`The server answered ${response.status}.`);
  }
}

// What went wrong, for people.
export function told(error) {
  return error instanceof TypeError ? GONE : error.message;
}

export async function models() {
  return (await (await request("v1/models")).json()).data;
}

// The events of a chat completion as they come, parsed.
export async function* answerEvents(body, signal) {
  const headers = { "content-type": "application/json" };
  const response = await request("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
  yield* events(response.body);
}

// Server-sent events; comments are skipped.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      if (!block.startsWith("data: ")) continue;
      const data = block.slice(6);
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

// Tokens a second of one answer, as the server has measured them since it started, and over how many answers; or null.
// Few keys may read that.
export async function measured(model) {
  const text = await (await request("metrics", {}, true)).text();
  const figure = (end) => {
    const name = `undiced_time_per_output_token_seconds_${end}{model=${JSON.stringify(model)}} `;
    const line = text.split("\n").find((one) => one.startsWith(name));
    return line === undefined ? 0 : Number(line.slice(name.length));
  };
  const [seconds, answers] = [figure("sum"), figure("count")];
  return seconds > 0 ? { tokens_per_second: answers / seconds, answers } : null;
}
