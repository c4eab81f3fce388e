// What the page shows before the first question: what Undiced is, and how fast this server was so far.
import { measured } from "./api.js";
import { byId } from "./element.js";
import { speed } from "./figures.js";

// Tells the model's name and the speed that the server has measured, once it has.
export async function welcome(model) {
  if (!model) return;
  byId("served").textContent = model;
  try {
    tell(await measured(model));
  } catch { /* without a figure nothing is claimed */ }
}

function tell(found) {
  byId("measured").hidden = found === null;
  byId("unmeasured").hidden = found !== null;
  if (found === null) return;
  byId("measured-speed").textContent = speed(found);
  byId("measured-over").textContent = `measured by this server over ${found.answers.toLocaleString("en")} answer${found.answers === 1 ? "" : "s"}`;
}
