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
  try {
    const { error } = await response.json();
    return error.message;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

function body() {
  const system = page.system.value.trim();
  const asked = {
    model: page.model.value,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
    temperature: Number(page.temperature.value),
    stream: true,
  };
  if (page.most.value) asked.max_tokens = Number(page.most.value);
  return JSON.stringify(asked);
}

// Streams one answer into `show`; returns its text, figures and whether it was stopped.
async function stream(show, signal) {
  const began = performance.now();
  const answer = { text: "", first: null, last: null, usage: null, times: null, reason: null, error: null };
  try {
    const response = await fetch("v1/chat/completions", { method: "POST", headers: { "content-type": "application/json" }, body: body(), signal });
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
  if (answer.reason === "length") shown.push(["span", "cut at the limit"]);
  if (answer.reason === "stopped") shown.push(["span", "stopped"]);
  return shown;
}

function showFigures(turn, answer) {
  const row = element("div", "stats");
  for (const [tag, text] of figures(answer)) row.append(element(tag, "", text));
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
  messages.push({ role: "user", content: text });
  const asked = addTurn("user", text);
  const { turn, body: target } = addTurn("assistant", "");
  turn.classList.add("busy");
  const mine = new AbortController();
  running = mine;
  setBusy(true);

  let drawn = true;
  let latest = "";
  const draw = () => {
    const follow = atBottom();
    render(target, latest);
    if (follow) toBottom();
    drawn = true;
  };
  const answer = await stream((now) => {
    latest = now;
    if (drawn) requestAnimationFrame(draw);
    drawn = false;
  }, mine.signal);
  if (running !== mine) return; // a new chat was started meanwhile

  running = null;
  setBusy(false);
  turn.classList.remove("busy");
  const follow = atBottom();
  render(target, answer.text);
  if (answer.error) {
    complain(answer.error);
    if (!answer.text) { // give the question back, so that it can be sent again
      messages.pop();
      turn.remove();
      asked.turn.remove();
      page.empty.hidden = messages.length > 0;
      page.input.value = page.input.value || text;
      grow();
    }
  }
  if (answer.text) messages.push({ role: "assistant", content: answer.text });
  else if (!answer.error && answer.reason !== "stopped") target.append(element("span", "quiet", "(no text)"));
  if (turn.isConnected) showFigures(turn, answer);
  if (follow) toBottom();
  page.input.focus();
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
      const option = element("option", "", model.id);
      option.value = model.id;
      return option;
    }));
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
  page.shown.value = Number(page.temperature.value).toFixed(1);
}

page.temperature.addEventListener("input", showTemperature);
showTemperature(); // browsers give a reloaded form its old values back
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
