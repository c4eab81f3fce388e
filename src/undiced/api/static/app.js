// The chat page: puts its parts together.
import { models, told, whenKeyIsWanted } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { byId, element } from "./element.js";
import { find, isConversation } from "./history.js";
import { askKey } from "./key_dialog.js";
import { RequestDialog } from "./request_dialog.js";
import { Settings } from "./settings.js";
import { SettingsPanel } from "./settings_panel.js";
import { Sidebar } from "./sidebar.js";
import { read, watch, write } from "./store.js";
import { startTheme } from "./theme.js";
import { welcome } from "./welcome.js";

const EXAMPLE = "Hello!";

const settings = new Settings();
const panel = new SettingsPanel(settings);
const model = byId("model");
const served = new Map(); // what the server says about each model, by its id
const chat = new Chat(byId("log"), byId("scroll"), asked, {
  changed() {
    const empty = chat.conversation.turns.length === 0;
    if (empty && byId("empty").hidden) welcome(model.value);
    byId("empty").hidden = !empty;
    document.title = empty ? "Undiced" : `${chat.conversation.name} – Undiced`;
    write("open", chat.conversation.id);
    sidebar.draw();
  },
  busy(yes) {
    composer.setBusy(yes);
    byId("log").setAttribute("aria-busy", String(yes));
    if (yes) complain("");
    if (yes) tell("Answering.");
  },
  failed: complain,
  returned: (text) => composer.giveBack(text),
  told: tell,
});

const composer = new Composer(send, () => chat.stop());
const sidebar = new Sidebar(byId("conversations"), chat, { open: show, fresh: () => show(new Conversation()) });
const side = byId("side");
const narrow = matchMedia("(max-width: 60rem)");

new RequestDialog(() => {
  const { members, system } = asked();
  const messages = chat.conversation.messages(system);
  if (composer.draft) messages.push({ role: "user", content: composer.draft });
  else if (messages.at(-1)?.role === "assistant") messages.pop(); // what asked for the last answer
  if (messages.at(-1)?.role !== "user") messages.push({ role: "user", content: EXAMPLE });
  return { ...members, messages };
});

function asked() {
  const context = served.get(model.value)?.context_length ?? Infinity;
  return { members: { model: model.value, ...settings.members(context) }, system: settings.system.trim(), context };
}

function complain(message) {
  byId("alert").textContent = message;
  byId("alert").hidden = !message;
}

function tell(status) {
  byId("status").textContent = status;
}

function send(text) {
  if (chat.busy || !panel.check()) return false;
  chat.ask(text);
  return true;
}

function show(conversation) {
  complain("");
  chat.open(find(conversation.id) ?? conversation);
  if (narrow.matches) openSide(false);
  composer.input.focus();
}

function openSide(yes) {
  side.hidden = !yes;
  byId("shade").hidden = !(yes && narrow.matches);
  byId("side-toggle").setAttribute("aria-expanded", String(yes));
  if (!narrow.matches) write("side", yes);
}

async function loadModels() {
  try {
    for (const one of await models()) {
      served.set(one.id, one);
      model.append(element("option", { value: one.id }, one.id));
    }
    if (served.has(read("model"))) model.value = read("model");
    showModel();
  } catch (error) {
    complain(told(error));
  }
}

function showModel() {
  settings.defaults = served.get(model.value)?.chat_defaults ?? {};
  panel.draw();
  welcome(model.value);
}

startTheme();
whenKeyIsWanted(askKey);
openSide(!narrow.matches && read("side") !== false);
narrow.addEventListener("change", () => openSide(!narrow.matches && read("side") !== false));
byId("side-toggle").addEventListener("click", () => openSide(side.hidden));
byId("shade").addEventListener("click", () => openSide(false));
byId("clear").addEventListener("click", () => show(new Conversation()));
model.addEventListener("change", () => { write("model", model.value); showModel(); });
for (const idea of document.querySelectorAll(".idea")) idea.addEventListener("click", () => send(idea.textContent));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (narrow.matches && !side.hidden) openSide(false);
  else chat.stop();
});
watch((name) => {
  if (!isConversation(name)) return;
  const mine = find(chat.conversation.id);
  if (!chat.busy && mine && mine.updated > chat.conversation.updated) chat.open(mine);
  else sidebar.draw();
});
chat.open(find(read("open")) ?? new Conversation());
loadModels();
