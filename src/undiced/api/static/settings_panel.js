// The settings as fields, each with what is wrong with it beside it.
import { byId, element } from "./element.js";
import { NUMBERS } from "./settings.js";

export class SettingsPanel {
  constructor(settings) {
    this.settings = settings;
    this.panel = byId("settings");
    this.toggle = byId("settings-toggle");
    this.system = byId("system");
    this.fields = new Map(Object.keys(NUMBERS).map((name) => [name, this.#field(name)]));
    byId("numbers").append(...[...this.fields.values()].map(({ row }) => row));
    this.toggle.addEventListener("click", () => this.show(this.panel.hidden));
    this.system.addEventListener("input", () => settings.instruct(this.system.value));
    byId("settings-reset").addEventListener("click", () => { settings.reset(); this.draw(); });
    this.draw();
  }

  show(yes) {
    this.panel.hidden = !yes;
    this.toggle.setAttribute("aria-expanded", String(yes));
  }

  // Writes the settings into the fields.
  draw() {
    this.system.value = this.settings.system;
    for (const [name, { input }] of this.fields) {
      input.value = this.settings.chosen[name] ?? "";
      input.placeholder = this.settings.defaults[name] ?? "";
      this.#judge(name);
    }
  }

  // Whether everything written is allowed; else shows the first field that isn't.
  check() {
    const [wrong] = [...this.fields.values()].filter(({ input }) => input.validationMessage);
    if (!wrong) return true;
    this.show(true);
    wrong.input.focus();
    return false;
  }

  #field(name) {
    const { label, low, high, step } = NUMBERS[name];
    const input = element("input", { id: name, type: "text", inputmode: step === 1 ? "numeric" : "decimal", autocomplete: "off", "aria-describedby": `${name}-fault` });
    const fault = element("span", { id: `${name}-fault`, class: "fault", role: "status" });
    input.addEventListener("input", () => this.#judge(name));
    input.title = `${low} to ${high.toLocaleString("en")}; empty: the default`;
    return { input, fault, row: element("label", { for: name }, label, input, fault) };
  }

  #judge(name) {
    const { input, fault } = this.fields.get(name);
    const wrong = this.settings.choose(name, input.value);
    fault.textContent = wrong;
    input.setCustomValidity(wrong);
    input.setAttribute("aria-invalid", String(wrong !== ""));
  }
}
