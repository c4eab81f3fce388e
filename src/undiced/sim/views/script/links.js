// What links carried: the choice of a collective and a way, and its heat in every region that is alike. Counts nothing.
let heated = () => {}; // draws the heat of the choice into regions, in the drawing's units
const heatPanel = document.getElementById("view-links");
if (film.heat) {
  const NOW = -1; // the choice of what is at work at the moment that is shown
  const EVERY = film.heat.ways.length - 1; // of links between routers, the busiest; the last way is to the core
  const SHORT = 14; // of a region's plate, in the drawing's units
  const { entries, ways, block, size, ramp, alike } = film.heat;
  const [across, down] = size.map((side) => Math.ceil(side / block));
  const kept = new Map(); // pictures and amounts of choices, once they were shown
  const panel = heatPanel;
  const svg = panel.querySelector(".drawing svg");
  for (const drawn of svg.querySelectorAll(".place g[transform]")) drawn.remove(); // without a script they stand still
  let entry = 0, way = EVERY, working = [];

  const counting = (wavelets) => `${spelled(wavelets)} wavelet${wavelets === 1 ? "" : "s"}`;

  function chooser(name, words) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.append(...words.map(([value, text]) => new Option(text, value)));
    label.append(`${name} `, select);
    return [label, select];
  }

  const told = entries.map(({ name, value }, number) => [number, value ? `${name}: ${value}` : name]);
  const [whichLabel, which] = chooser("Collective", [told[0], [NOW, "what is at work now"], ...told.slice(1)]);
  const links = ways.slice(0, EVERY).map((name, number) => [number, `to the ${name}`]);
  const [wayLabel, wayChoice] = chooser("Links", [[EVERY, "the busiest of each router"], ...links, [EVERY + 1, "to the core"]]);
  const alone = document.createElement("button");
  alone.textContent = "Region alone";
  alone.title = "The region that was simulated, as large as it can be";
  const reading = document.createElement("span");
  reading.className = "reading";
  const choices = document.createElement("div");
  choices.className = "controls choices";
  choices.append(whichLabel, wayLabel, alone, reading);
  panel.querySelector(".note").after(choices);

  function amounts([rows, order]) {
    const lines = rows.map((runs) => {
      const line = [];
      for (let at = 0; at < runs.length; at += 2) for (let n = runs[at + 1]; n; n--) line.push(runs[at]);
      return line;
    });
    const found = [];
    for (let at = 0; at < order.length; at += 2) for (let n = order[at + 1]; n; n--) found.push(...lines[order[at]]);
    return found;
  }

  function counted(entry, way) {
    const { maps } = entries[entry];
    if (way > EVERY) return amounts(maps[EVERY]);
    if (way < EVERY) return amounts(maps[way]);
    const all = maps.slice(0, EVERY).map(amounts);
    return all[0].map((one, at) => Math.max(one, all[1][at], all[2][at], all[3][at]));
  }

  function remembered(key, make) {
    if (!kept.has(key)) kept.set(key, make());
    return kept.get(key);
  }

  function cellsOf(entry, way) {
    return remembered(`${entry} ${way}`, () => {
      const cells = counted(entry, way);
      return { cells, most: cells.reduce((best, one) => Math.max(best, one), 0) };
    });
  }

  const colors = ramp.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));

  // So many cells along a side in one pixel, which is as hot as the hottest of them; what carried nothing is bare.
  function pictured(entry, way, each) {
    return remembered(`${entry} ${way} ${each}`, () => {
      const { cells, most } = cellsOf(entry, way);
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [Math.ceil(across / each), Math.ceil(down / each)];
      const hottest = new Array(canvas.width * canvas.height).fill(0);
      for (const [at, one] of cells.entries()) {
        const to = Math.floor(at / across / each) * canvas.width + Math.floor((at % across) / each);
        if (one > hottest[to]) hottest[to] = one;
      }
      const context = canvas.getContext("2d");
      const image = context.createImageData(canvas.width, canvas.height);
      for (const [at, one] of hottest.entries()) {
        if (!one) continue;
        image.data.set(colors[Math.min(Math.floor((one / most) * ramp.length), ramp.length - 1)], 4 * at);
        image.data[4 * at + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      return canvas;
    });
  }

  function workingNow() {
    const turn = turnAt(player.cycle);
    const deeds = deedsAt(turn, player.cycle);
    return entries.flatMap(({ value, deed: [stream, who] }, number) =>
      stream === turn.stream && deeds.some((deed) => deed.who === who && deed.value === value) ? [number] : [],
    );
  }

  function plate(context, { name, box: [x, y, width, height] }) {
    const high = Math.min(SHORT, height / 3);
    context.font = `${Math.min(11, high * 0.8)}px sans-serif`;
    const words = [`region ${name}`, name].find((each) => context.measureText(each).width + 6 < width);
    if (!words) return;
    const wide = context.measureText(words).width + 6;
    context.fillStyle = paint.paper;
    context.fillRect(x + (width - wide) / 2, y, wide, high);
    context.fillStyle = paint.ink;
    context.textAlign = "center";
    context.fillText(words, x + width / 2, y + high * 0.78);
  }

  heated = (context) => {
    const turn = turnAt(player.cycle);
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = false;
    const pixels = context.getTransform().a; // of a unit
    for (const number of svg.dataset.alone ? [film.heat.place] : alike) {
      const where = film.places[number];
      const [x, y, width, height] = where.box;
      const each = Math.max(Math.ceil(across / (width * pixels)), Math.ceil(down / (height * pixels)), 1);
      const cell = [width / size[0], height / size[1]].map((core) => core * block * each);
      context.save();
      context.beginPath();
      context.rect(x, y, width, height);
      context.clip();
      context.fillStyle = paint.face;
      context.fillRect(x, y, width, height);
      const shown = entry !== NOW ? [entry] : number === turn.place ? working : [];
      for (const one of shown) {
        const image = pictured(one, way, each);
        context.drawImage(image, x, y, image.width * cell[0], image.height * cell[1]);
      }
      context.restore();
      if (!svg.dataset.alone) plate(context, where);
    }
  };

  // The legend tells the scale of what is shown.
  const scale = [...panel.querySelectorAll("[data-scale] text")].at(-1);
  function tell() {
    const shown = entry === NOW ? working : [entry];
    const most = Math.max(0, ...shown.map((one) => cellsOf(one, way).most));
    scale.textContent = shown.length ? counting(most) : "no simulated collective is at work";
    for (const [number, row] of rows.entries()) row.classList.toggle("shown", shown.includes(number));
  }

  const rows = [...panel.querySelectorAll("tbody tr")];
  for (const [number, row] of rows.entries()) {
    row.addEventListener("click", () => {
      which.value = number;
      choose();
    });
  }

  function choose() {
    [entry, way] = [Number(which.value), Number(wayChoice.value)];
    working = workingNow();
    tell();
    changed();
  }
  which.addEventListener("change", choose);
  wayChoice.addEventListener("change", choose);

  const whole = ["width", "height"].map((name) => svg.getAttribute(name));
  alone.setAttribute("aria-pressed", "false");
  alone.addEventListener("click", () => {
    const pressed = alone.getAttribute("aria-pressed") !== "true";
    alone.setAttribute("aria-pressed", String(pressed));
    const [x, y, width, height] = film.places[film.heat.place].box;
    if (pressed) svg.dataset.alone = [x, y, width, height].join(" ");
    else delete svg.dataset.alone;
    const sides = pressed ? [width, height] : whole;
    for (const [side, name] of ["width", "height"].entries()) svg.setAttribute(name, sides[side]);
    svg.style.width = pressed ? `min(100%, calc(var(--room, 70vh) * ${width / height}))` : "";
    rezoom();
    changed();
  });

  // What lies under the pointer.
  svg.parentNode.addEventListener("pointermove", (event) => {
    const screen = svg.getScreenCTM();
    const at = [(event.clientX - screen.e) / screen.a, (event.clientY - screen.f) / screen.d];
    const number = alike.find((one) => {
      const [x, y, width, height] = film.places[one].box;
      return at[0] >= x && at[0] < x + width && at[1] >= y && at[1] < y + height;
    });
    const shown = entry === NOW ? working[0] : entry;
    if (number === undefined || shown === undefined) {
      reading.textContent = "";
      return;
    }
    const { box } = film.places[number];
    const [column, row] = [0, 1].map((side) => Math.floor(((at[side] - box[side]) / box[side + 2]) * size[side]));
    const [left, top] = [column - (column % block), row - (row % block)];
    const cell = cellsOf(shown, way).cells[(top / block) * across + left / block];
    const cores = block > 1 ? `cores ${left}-${Math.min(left + block, size[0]) - 1}, ${top}-${Math.min(top + block, size[1]) - 1}` : `core ${left}, ${top}`;
    reading.textContent = `${cores}: ${counting(cell)}`;
  });
  svg.parentNode.addEventListener("pointerleave", () => {
    reading.textContent = "";
  });

  listeners.push(() => {
    if (entry !== NOW) return;
    const now = workingNow();
    if (String(now) === String(working)) return;
    working = now;
    tell();
  });
  tell();
}
