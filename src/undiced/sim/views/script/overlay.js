// What moves over the drawings of wafers: the region at work, what its cores and wires do, and the token between regions.
const overlay = document.createElement("canvas");
overlay.className = "overlay";
overlay.ariaHidden = "true";
let under = null; // the drawing that it lies on

function lieOn(panel) {
  under = panel.dataset.regional === undefined ? null : panel.querySelector(".drawing svg");
  if (under) under.parentNode.append(overlay);
  else overlay.remove();
}

{
  const TRAIL = 7; // places that the token was at, at most
  let place = null; // from the drawing's units to the page's pixels
  let dot = 1; // a pixel of the page, in the drawing's units

  function fit() {
    if (!under) return;
    const [screen, box] = [under.getScreenCTM(), overlay.getBoundingClientRect()];
    place = screen && { scale: screen.a, x: screen.e - box.left, y: screen.f - box.top };
  }

  function center([x, y, width, height]) {
    return [x + width / 2, y + height / 2];
  }

  // From one place to another, bent a little, so that what lies between stays visible.
  function bow(from, to) {
    const [[x0, y0], [x1, y1]] = [center(from.box), center(to.box)];
    return { x0, y0, x1, y1, cx: (x0 + x1) / 2 + (y1 - y0) * 0.12, cy: (y0 + y1) / 2 - (x1 - x0) * 0.12 };
  }

  function along({ x0, y0, x1, y1, cx, cy }, at) {
    const back = 1 - at;
    return [
      back * back * x0 + 2 * back * at * cx + at * at * x1,
      back * back * y0 + 2 * back * at * cy + at * at * y1,
    ];
  }

  function stroke(context, path, color, width, alpha) {
    context.globalAlpha = alpha;
    context.strokeStyle = color;
    context.lineWidth = width * dot;
    context.beginPath();
    context.moveTo(path.x0, path.y0);
    context.quadraticCurveTo(path.cx, path.cy, path.x1, path.y1);
    context.stroke();
  }

  function trail(context, stay) {
    for (let number = Math.max(1, stay - TRAIL + 1); number <= stay; number++) {
      const path = bow(film.places[stays[number - 1].place], film.places[stays[number].place]);
      stroke(context, path, paint.ink, 1.4, 0.5 * (1 - (stay - number) / TRAIL));
    }
  }

  function bars(context, [x, y, width, height], alongX, at, toward, color) {
    const tail = 12 * dot * toward; // behind the bar, where it came from
    context.fillStyle = color;
    for (const [alpha, from, size] of [[0.25, at - tail, tail], [0.95, at - dot, 2 * dot]]) {
      const [low, high] = [Math.max(Math.min(from, from + size), 0), Math.max(from, from + size)];
      context.globalAlpha = alpha;
      const end = Math.min(high, alongX ? width : height);
      if (end <= low) continue;
      if (alongX) context.fillRect(x + low, y, end - low, height);
      else context.fillRect(x, y + low, width, end - low);
    }
  }

  // Sums close in on the roots of their tree; what is sent to all spreads from there. Slices follow each other.
  function lines(context, where, deed, progress) {
    const [, , width, height] = where.box;
    const alongX = (deed.axis === 1) !== where.turned;
    const cores = where.cores[alongX ? 2 : 3];
    const length = (alongX ? width : height) * (deed.span / cores);
    const roots = deed.tree >= 0 ? film.trees[deed.tree].roots : [deed.span / 2];
    const slice = Math.min(Math.floor(progress * roots.length), roots.length - 1);
    const part = progress * roots.length - slice;
    const root = ((roots[slice] + 0.5) / deed.span) * length;
    const gone = deed.who === SUMS ? part : 1 - part;
    const inward = deed.who === SUMS ? 1 : -1;
    for (let first = 0; first + deed.span <= cores; first += deed.span) {
      const start = (first / deed.span) * length;
      bars(context, where.box, alongX, start + root * gone, inward, WHO_PAINT[deed.who]);
      bars(context, where.box, alongX, start + length - (length - root) * gone, -inward, WHO_PAINT[deed.who]);
    }
  }

  function comet(context, path, progress) {
    stroke(context, path, WHO_PAINT[BETWEEN], 2.5, 0.7);
    context.fillStyle = WHO_PAINT[BETWEEN];
    for (let back = 6; back >= 0; back--) {
      const [x, y] = along(path, Math.max(progress - back * 0.03, 0));
      context.globalAlpha = 1 - back / 7;
      context.beginPath();
      context.arc(x, y, (5 - back * 0.5) * dot, 0, 7);
      context.fill();
    }
  }

  function glow(context, where, color) {
    const [x, y, width, height] = where.box;
    context.strokeStyle = color;
    for (const [size, alpha] of [[9, 0.16], [6, 0.3], [3, 1]]) {
      context.globalAlpha = alpha;
      context.lineWidth = size * dot;
      context.strokeRect(x, y, width, height);
    }
  }

  function draw(context, turn) {
    const where = film.places[turn.place];
    const hot = heatPanel?.contains(under);
    if (hot) heated(context);
    if (under.dataset.alone) return;
    trail(context, turn.stay);
    glow(context, where, turn.role.paint);
    if (hot) return;
    for (const deed of deedsAt(turn, player.cycle)) {
      const progress = (player.cycle - turn.start - deed.start) / (deed.end - deed.start);
      if (deed.who === CORES || deed.who === FEW) {
        context.globalAlpha = deed.who === CORES ? 0.34 : 0.1;
        context.fillStyle = WHO_PAINT[deed.who];
        context.fillRect(...where.box);
      } else if (deed.axis >= 0) lines(context, where, deed, progress);
      else if (deed.who === BETWEEN) {
        const back = deed.kind === "Return";
        const other = back ? film.places[turns[0].place] : film.places[stays[Math.max(turn.stay - 1, 0)].place];
        if (other !== where) comet(context, back ? bow(where, other) : bow(other, where), progress);
      }
    }
  }

  listeners.push(() => {
    if (!under) return;
    const context = sharp(overlay);
    context.clearRect(0, 0, overlay.clientWidth, overlay.clientHeight);
    fit();
    if (!place) return;
    context.save();
    context.translate(place.x, place.y);
    context.scale(place.scale, place.scale);
    dot = 1 / place.scale;
    draw(context, turnAt(player.cycle));
    context.restore();
  });
}
