// Beside the drawing: what happens at the moment that is shown, and what a core of a region holds and does.
{
  const [nowCard, regionCard] = ["happens", "region"].map((id) => document.getElementById(id));
  const lenses = [...document.querySelectorAll(".lens")];
  let pointed = null; // the place that is pointed at, or was clicked
  let clicked = null;
  let shown = "";
  let told = "";

  function element(tag, name, words) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (words !== undefined) made.textContent = words;
    return made;
  }

  function spot(color) {
    const made = element("i", "spot");
    made.style.background = color;
    return made;
  }

  function doing(deed) {
    const words = element("span", "", `${deed.kind} ${deed.who === BETWEEN ? deed.value : deed.node}`);
    const line = element("p", "deed");
    const over = deed.span ? ` over ${spelled(deed.span)} ${deed.axis === 1 ? "columns" : "rows"}` : "";
    line.append(spot(WHO_PAINT[deed.who]), element("b", "", film.who[deed.who] + over), words);
    return line;
  }

  function tellNow(turn, deeds) {
    const where = film.places[turn.place];
    const head = element("h2", "", `Region ${where.name}`);
    head.append(element("small", "", `wafer ${where.wafer}`));
    const role = element("p", "role");
    role.append(spot(turn.role.paint), called(turn));
    const few = deeds.length ? deeds.map(doing) : [element("p", "deed faint", "nothing: all wait")];
    nowCard.replaceChildren(head, role, ...few);
  }

  function bar(parts, whole) {
    const made = element("div", "bar");
    for (const [size, color, words] of parts) {
      if (!size) continue;
      const one = element("i");
      one.style.width = `${(100 * size) / whole}%`;
      one.style.background = color;
      one.title = words;
      made.append(one);
    }
    return made;
  }

  function share(words, part, whole) {
    const line = element("p", "share");
    line.append(element("span", "", words), element("b", "", `${((100 * part) / (whole || 1)).toFixed(1)}%`));
    return line;
  }

  function moved(words, [count, bytes]) {
    const line = element("p", "share");
    line.append(element("span", "", `${spelled(count)} ${words}`), element("b", "", `${spelled(bytes)} bytes a line`));
    return line;
  }

  function tellRegion(number) {
    const where = film.places[number];
    const [x, y, width, height] = where.cores;
    const head = element("h2", "", `Region ${where.name}`);
    head.append(element("small", "", `${width} x ${height} cores at ${x}, ${y} of wafer ${where.wafer}`));
    const holds = element("p", "", where.holds.join("; "));
    const full = where.fill.reduce((sum, size, part) => sum + (film.parts[part].name === "free" ? 0 : size), 0);
    const parts = where.fill.map((size, part) => {
      const { name, paint: color } = film.parts[part];
      return [size, color === "face" ? "transparent" : color, `${name}: ${spelled(size)} bytes`];
    });
    const list = element("p", "list");
    for (const [part, size] of where.fill.entries()) {
      if (!size) continue;
      const one = element("span");
      const color = film.parts[part].paint;
      one.append(spot(color === "face" ? "var(--face)" : color), `${film.parts[part].name} ${spelled(size)}`);
      list.append(one);
    }
    const slow = film.slowest.includes(number) ? element("p", "alarm", "slowest stage: sets the initiation interval") : "";
    regionCard.replaceChildren(
      head, holds, slow,
      full > where.sram
        ? element("h3", "alarm", `A core would have to hold ${spelled(full)} bytes; it has ${spelled(where.sram)}`)
        : element("h3", "", `A core holds ${spelled(full)} of ${spelled(where.sram)} bytes`),
      bar(parts, Math.max(full, where.sram)), list,
      element("h3", "", `A token takes ${spelled(where.cycles)} cycles here`),
      moved("sums", where.sums),
      moved("multicasts", where.casts),
      share("of the token", where.cycles, film.cycles),
      share("cores at work", where.working, where.cycles),
      share("wires in use", where.wires, where.cycles),
      share("idle while one token passes", film.cycles - where.working, film.cycles),
    );
  }

  function light(turn, deeds) {
    for (const lens of lenses) lens.hidden = !lens.dataset.places.split(" ").includes(String(turn.place));
    const lens = lenses.find((each) => !each.hidden);
    if (!lens) return;
    for (const tree of lens.querySelectorAll(".tree")) {
      const deed = deeds.find((each) => each.tree === Number(tree.dataset.tree) && each.axis >= 0);
      tree.classList.toggle("live", Boolean(deed));
    }
  }

  listeners.push(() => {
    const turn = turnAt(player.cycle);
    const deeds = deedsAt(turn, player.cycle);
    const moment = `${turn.number} ${deeds.map((deed) => streams[turn.stream].indexOf(deed))}`;
    if (moment !== told) {
      told = moment;
      tellNow(turn, deeds);
      light(turn, deeds);
    }
    const wanted = pointed ?? clicked ?? turn.place;
    if (String(wanted) !== shown) tellRegion(wanted);
    shown = String(wanted);
  });

  document.addEventListener("pointerover", (event) => {
    const found = event.target.closest?.("[data-place]");
    pointed = found ? Number(found.dataset.place) : null;
    changed();
  });
  for (const one of document.querySelectorAll("[data-place]")) {
    one.addEventListener("click", () => {
      clicked = Number(one.dataset.place);
      changed();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    clicked = null;
    for (const old of document.querySelectorAll(".chosen")) old.classList.remove("chosen");
    changed();
  });
}
