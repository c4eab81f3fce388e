// The chat page: keeps the conversation, streams answers from /v1/chat/completions, shows their speed.
// Knows nothing about the server beyond the public API. Text is only ever set as text, never as HTML.
"use strict";

const $ = (id) => document.getElementById(id);
const page = {
  log: $("log"), empty: $("empty"), scroll: $("scroll"), form: $("form"), input: $("input"), send: $("send"), stop: $("stop"),
  model: $("model"), system: $("system"), temperature: $("temperature"), shown: $("temperature-shown"), most: $("max-tokens"),
  alert: $("alert"), settings: $("settings"), toggle: $("settings-toggle"),
};
let messages = [];
let forgotten = 0; // of them, the oldest, which the context has no room for any more
const models = new Map(); // what the server says about each, by its id
let running = null; // the AbortController of the answer that streams now

function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Fenced code, inline code and bold text; everything else stays as it is.
function render(target, text) {
  target.replaceChildren();
  const parts = text.split(/```/);
  parts.forEach((part, at) => {
    if (at % 2) {
      const pre = element("pre");
      pre.append(element("code", "", part.replace(/^[\w+#.-]*\n/, "").replace(/\n$/, "")));
      target.append(pre);
      return;
    }
    // line breaks next to a block are the block's own
    const plain = part.replace(at > 0 ? /^\n+/ : /^/, "").replace(at < parts.length - 1 ? /\n+$/ : /$/, "");
    for (const piece of plain.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/)) {
      if (/^`[^`]+`$/.test(piece)) target.append(element("code", "", piece.slice(1, -1)));
      else if (/^\*\*[^*]+\*\*$/.test(piece)) target.append(element("strong", "", piece.slice(2, -2)));
      else if (piece) target.append(piece);
    }
  });
}

function atBottom() {
  return page.scroll.scrollHeight - page.scroll.scrollTop - page.scroll.clientHeight < 60;
}

function toBottom() {
  page.scroll.scrollTop = page.scroll.scrollHeight;
}

function addTurn(role, text) {
  const turn = element("article", `turn ${role}`);
  turn.setAttribute("aria-label", role === "user" ? "You" : "Model");
  const body = element("div", "text");
  render(body, text);
  turn.append(body);
  page.log.append(turn);
  page.empty.hidden = true;
  toBottom();
  return { turn, body };
}

function complain(message) {
  page.alert.textContent = message;
  page.alert.hidden = !message;
}

function setBusy(busy) {
  page.send.hidden = busy;
  page.stop.hidden = !busy;
  page.log.setAttribute("aria-busy", String(busy));
}

// Server-sent events of one response, as parsed JSON; comments are skipped.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
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

async function explain(response) {
  return (await refusal(response)).message;
}

async function refusal(response) {
  try {
    return (await response.json()).error;
  } catch {
    return { message: `The server answered ${response.status}.` };
  }
}

// What this model is asked for where the settings say nothing; the server alone knows.
function defaults() {
  return models.get(page.model.value)?.chat_defaults ?? {};
}

function body(most) {
  const system = page.system.value.trim();
  const kept = messages.slice(forgotten);
  const asked = {
    ...defaults(),
    model: page.model.value,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...kept],
    temperature: Number(page.temperature.value),
    max_tokens: most,
    stream: true,
  };
  if (kept.at(-1)?.role === "assistant") asked.continue_final_message = true;
  return JSON.stringify(asked);
}

// Tokens that an answer may have: no more than half of the context, so that the newest turns have room.
function limit() {
  const asked = Number(page.most.value) || defaults().max_tokens || -1;
  const context = models.get(page.model.value)?.context_length ?? Infinity;
  return Math.min(asked, Math.floor(context / 2));
}

// Leaves out one more of the oldest turns, but never the newest; says whether there was one.
function forget() {
  const next = messages.findIndex((message, at) => at > forgotten && message.role === "user");
  if (next > 0) forgotten = next;
  return next > 0;
}

// A conversation that has outgrown the context goes on without its oldest turns; at last an answer gets what is left.
async function post(signal) {
  for (let most = limit(); ;) {
    const response = await fetch("v1/chat/completions", { method: "POST", headers: { "content-type": "application/json" }, body: body(most), signal });
    if (response.ok || most < 0 || (await refusal(response.clone())).code !== "context_length_exceeded") return response;
    if (!forget()) most = -1;
  }
}

// Streams one answer into `show`; returns its text, figures and whether it was stopped.
async function stream(show, signal) {
  const began = performance.now();
  const answer = { text: "", first: null, last: null, usage: null, times: null, reason: null, error: null };
  try {
    const before = forgotten;
    const response = await post(signal);
    answer.forgot = forgotten > before;
    if (!response.ok) {
      answer.error = await explain(response);
      return answer;
    }
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      const choice = event.choices[0];
      if (choice?.delta?.content) {
        answer.text += choice.delta.content;
        answer.last = performance.now();
        answer.first ??= answer.last;
        show(answer.text);
      }
      if (choice?.finish_reason) Object.assign(answer, { reason: choice.finish_reason, usage: event.usage, times: event.time_info });
    }
    if (!answer.reason) answer.error = "The connection ended before the answer was complete.";
  } catch (error) {
    if (error.name === "AbortError") answer.reason = "stopped";
    else answer.error = error instanceof TypeError ? "The server can't be reached. Is it still running?" : error.message;
  } finally {
    answer.began = began;
  }
  return answer;
}

function figures(answer) {
  const shown = [];
  const count = answer.usage?.completion_tokens;
  const seconds = answer.times ? answer.times.completion_time : 0;
  if (count > 1 && seconds > 0) shown.push(["strong", `${((count - 1) / seconds).toFixed(0)} tokens/s`]);
  if (answer.first !== null) shown.push(["span", `first token ${Math.round(answer.first - answer.began)} ms`]);
  if (count) shown.push(["span", `${count} token${count === 1 ? "" : "s"}`]);
  if (answer.reason === "length") shown.push(["span", full(answer) ? "the context is full" : "cut at the limit"]);
  if (answer.reason === "stopped") shown.push(["span", "stopped"]);
  return shown;
}

function full(answer) {
  return answer.usage?.total_tokens >= models.get(page.model.value)?.context_length;
}

function showFigures(turn, answer) {
  turn.querySelector(".stats")?.remove();
  const row = element("div", "stats");
  for (const [tag, text] of figures(answer)) row.append(element(tag, "", text));
  if (answer.forgot) row.append(element("span", "forgot", `the context is full: the ${forgotten} oldest messages are left out`));
  if (answer.reason === "length" && answer.text && !full(answer)) {
    const more = element("button", "more", "Continue");
    more.type = "button";
    more.addEventListener("click", () => goOn(turn));
    row.append(more);
  }
  if (answer.text) {
    const copy = element("button", "", "Copy");
    copy.type = "button";
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(answer.text);
      copy.textContent = "Copied";
    });
    row.append(copy);
  }
  if (answer.times) row.title = `queue ${ms(answer.times.queue_time)}, prompt ${ms(answer.times.prompt_time)}, answer ${ms(answer.times.completion_time)}`;
  turn.append(row);
}

function ms(seconds) {
  return `${(seconds * 1000).toFixed(0)} ms`;
}

async function ask(text) {
  complain("");
  for (const button of document.querySelectorAll(".more")) button.remove();
  messages.push({ role: "user", content: text });
  const asked = addTurn("user", text);
  const { turn, body: target } = addTurn("assistant", "");
  const answer = await answered(turn, target, "");
  if (!answer) return;
  if (answer.error && !answer.text) { // give the question back, so that it can be sent again
    messages.pop();
    turn.remove();
    asked.turn.remove();
    page.empty.hidden = messages.length > 0;
    page.input.value = page.input.value || text;
    grow();
  }
  if (answer.text) messages.push({ role: "assistant", content: answer.text });
  else if (!answer.error && answer.reason !== "stopped") target.append(element("span", "quiet", "(no text)"));
  page.input.focus();
}

// Goes on with the last answer where the limit cut it.
async function goOn(turn) {
  if (running) return;
  complain("");
  const last = messages.at(-1);
  const answer = await answered(turn, turn.querySelector(".text"), last.content);
  if (answer?.text) last.content = answer.text;
}

// Streams an answer into a turn behind the text that is there; returns it with all of its text, or null if a new chat
// was started meanwhile.
async function answered(turn, target, before) {
  turn.classList.add("busy");
  const mine = new AbortController();
  running = mine;
  setBusy(true);

  let drawn = true;
  let latest = before;
  const draw = () => {
    const follow = atBottom();
    render(target, latest);
    if (follow) toBottom();
    drawn = true;
  };
  const answer = await stream((now) => {
    latest = before + now;
    if (drawn) requestAnimationFrame(draw);
    drawn = false;
  }, mine.signal);
  if (running !== mine) return null;

  running = null;
  setBusy(false);
  turn.classList.remove("busy");
  const follow = atBottom();
  answer.text = before + answer.text;
  render(target, answer.text);
  if (answer.error) complain(answer.error);
  showFigures(turn, answer);
  if (follow) toBottom();
  return answer;
}

function grow() {
  page.input.style.height = "auto";
  page.input.style.height = `${page.input.scrollHeight}px`;
  page.send.disabled = !page.input.value.trim();
}

function submit() {
  const text = page.input.value.trim();
  if (!text || running) return;
  page.input.value = "";
  grow();
  ask(text);
}

function newChat() {
  running?.abort();
  running = null;
  messages = [];
  forgotten = 0;
  page.log.replaceChildren();
  page.empty.hidden = false;
  setBusy(false);
  complain("");
  page.input.focus();
}

async function loadModels() {
  try {
    const response = await fetch("v1/models");
    if (!response.ok) throw new Error(await explain(response));
    const { data } = await response.json();
    page.model.replaceChildren(...data.map((model) => {
      models.set(model.id, model);
      const option = element("option", "", model.id);
      option.value = model.id;
      return option;
    }));
    showDefaults();
  } catch (error) {
    complain(error instanceof TypeError ? "The server can't be reached. Is it still running?" : error.message);
  }
}

const store = { // private windows may refuse storage; the page works without
  get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* not kept */ } },
};

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

setTheme(store.get("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
page.system.value = store.get("system") || "";
$("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  store.set("theme", theme);
});
page.system.addEventListener("change", () => store.set("system", page.system.value));
function showTemperature() {
  page.shown.value = String(Number(page.temperature.value));
}

function showDefaults() {
  page.temperature.value = defaults().temperature ?? 1;
  page.most.placeholder = defaults().max_tokens ?? "no limit";
  showTemperature();
}

page.temperature.addEventListener("input", showTemperature);
page.model.addEventListener("change", showDefaults);
page.toggle.addEventListener("click", () => {
  page.settings.hidden = !page.settings.hidden;
  page.toggle.setAttribute("aria-expanded", String(!page.settings.hidden));
});
$("clear").addEventListener("click", newChat);
page.stop.addEventListener("click", () => running?.abort());
page.form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
page.input.addEventListener("input", grow);
page.input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
for (const idea of document.querySelectorAll(".idea")) idea.addEventListener("click", () => { if (!running) ask(idea.textContent); });
loadModels();
grow();
