// The token's time line: all of it, a row a region, and below it the instructions around the moment that is shown.
{
  const GUTTER = 96, LANE = 13, RULER = 14, BEFORE = 0.4, EDGE = 8; // EDGE: half of the slider's thumb
  const whole = document.getElementById("whole");
  const near = document.getElementById("near");
  const kept = document.createElement("canvas"); // the whole, as long as it stays the same
  let keptFor = "";
  let span = Math.max(NEAR, 1); // cycles that the lanes show

  const lanes = ["layers", ...film.who];

  function ticks(cycles, most) {
    const unit = film.clockHz / 1e6; // cycles a microsecond
    const rough = cycles / unit / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
    const [size, name] = cycles / unit >= 5000 ? [1000, "ms"] : [1, "µs"];
    const words = (at) => Number((at / unit / size).toPrecision(6)).toLocaleString("en-US");
    return { step: step * unit, name: (at) => `${words(at)} ${name}` };
  }

  const across = (cycle, width) => GUTTER + EDGE + (cycle / film.cycles) * (width - GUTTER - 2 * EDGE);

  function drawWhole(context, width, height) {
    const body = height - RULER;
    const row = body / film.places.length;
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = paint.face;
    context.fillRect(GUTTER + EDGE, 0, width - GUTTER - 2 * EDGE, body);
    for (const number of film.slowest) {
      context.globalAlpha = 0.14;
      context.fillStyle = paint.alarm;
      context.fillRect(GUTTER + EDGE, number * row, width - GUTTER - 2 * EDGE, Math.max(row, 1.5));
    }
    context.globalAlpha = 1;
    for (const turn of turns) {
      const x = across(turn.start, width);
      context.fillStyle = turn.role.paint;
      context.fillRect(x, turn.place * row, Math.max(across(turn.end, width) - x, 0.5), Math.max(row - 0.5, 2));
    }
    for (const number of film.slowest) {
      const stay = stays.filter((each) => each.place === number).sort((a, b) => b.end - b.start - a.end + a.start)[0];
      const [x, end] = [across(stay.start, width), across(stay.end, width)];
      context.strokeStyle = paint.alarm;
      context.lineWidth = 1.5;
      context.strokeRect(x - 1, number * row - 1, end - x + 2, Math.max(row, 2) + 2);
    }
    context.fillStyle = paint.faint;
    context.textAlign = "right";
    context.fillText("regions", GUTTER - 6, 11);
    context.fillText("time", GUTTER - 6, height - 3);
    context.textAlign = "center";
    const { step, name } = ticks(film.cycles, Math.max(width / 130, 2));
    for (let at = 0; at <= film.cycles; at += step) {
      const x = across(at, width);
      context.fillRect(x, body, 1, 3);
      const half = wide(context, name(at)) / 2;
      context.fillText(name(at), Math.max(Math.min(x, width - half - 1), GUTTER + half), height - 2);
    }
  }

  function showWhole() {
    const context = sharp(whole);
    const [width, height] = [whole.clientWidth, whole.clientHeight];
    const wanted = `${whole.width} ${whole.height} ${paint.ink}`;
    if (keptFor !== wanted) {
      [kept.width, kept.height, keptFor] = [whole.width, whole.height, wanted];
      const hidden = kept.getContext("2d");
      hidden.setTransform(whole.width / width, 0, 0, whole.height / height, 0, 0);
      drawWhole(hidden, width, height);
    }
    context.clearRect(0, 0, width, height);
    context.drawImage(kept, 0, 0, width, height);
    const x = across(player.cycle, width);
    context.fillStyle = paint.ink;
    context.globalAlpha = 0.1;
    const left = across(Math.max(player.cycle - span * BEFORE, 0), width);
    const right = across(Math.min(player.cycle + span * (1 - BEFORE), film.cycles), width);
    context.fillRect(left, 0, right - left, height - RULER);
    context.globalAlpha = 1;
    context.fillRect(x - 0.75, 0, 1.5, height - RULER);
  }

  // The bars of a lane, and their words as far as the next bar leaves them room.
  function lay(context, lane, bars, width) {
    const y = RULER + lane * LANE;
    for (const { left, right, color } of bars) {
      const from = Math.max(left, GUTTER);
      context.fillStyle = color;
      context.fillRect(from, y + 1, Math.max(Math.min(right, width) - from - 0.6, 0.6), LANE - 2);
    }
    context.fillStyle = [0, 1 + FEW, 1 + CASTS].includes(lane) ? "#000" : "#fff";
    for (const [number, { left, right, words }] of bars.entries()) {
      const from = Math.max(left, GUTTER);
      const room = Math.min(right, width, bars[number + 1]?.left ?? width) - from - 6;
      if (room > 18 && wide(context, words) < room) context.fillText(words, from + 3, y + LANE - 3);
    }
  }

  function showNear() {
    const context = sharp(near);
    const [width, height] = [near.clientWidth, near.clientHeight];
    const scale = (width - GUTTER) / span;
    const first = player.cycle - span * BEFORE;
    const at = (cycle) => GUTTER + (cycle - first) * scale;
    context.clearRect(0, 0, width, height);
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillStyle = paint.face;
    context.fillRect(GUTTER, RULER, width - GUTTER, lanes.length * LANE);
    const bars = lanes.map(() => []);
    const put = (lane, start, end, color, words) => {
      const [left, right] = [at(start), at(end)];
      if (right > GUTTER && left < width) bars[lane].push({ left, right, color, words });
    };
    for (let number = lastFrom(turns, Math.max(first, 0)); number < turns.length; number++) {
      const turn = turns[number];
      if (at(turn.start) > width) break;
      put(0, turn.start, turn.end, turn.role.paint, called(turn));
      for (const { who, start, end, node } of streams[turn.stream]) {
        put(1 + who, turn.start + start, turn.start + end, WHO_PAINT[who], node);
      }
    }
    for (const [lane, found] of bars.entries()) lay(context, lane, found, width);
    context.fillStyle = paint.faint;
    const { step, name } = ticks(span, Math.max(width / 150, 2));
    for (let tick = Math.max(Math.ceil(first / step), 0) * step; at(tick) < width && tick <= film.cycles; tick += step) {
      context.fillRect(at(tick), RULER - 3, 1, 3);
      context.fillText(name(tick), at(tick) + 3, RULER - 4);
    }
    context.textAlign = "right";
    for (const [lane, words] of lanes.entries()) context.fillText(words, GUTTER - 6, RULER + lane * LANE + LANE - 3);
    context.fillStyle = paint.ink;
    context.fillRect(at(player.cycle) - 0.75, RULER, 1.5, lanes.length * LANE);
  }

  listeners.push(showWhole, showNear);

  function grab(canvas, cycleAt) {
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      const [from, before] = [event.offsetX, player.cycle];
      const move = (moved) => seek(cycleAt(moved.offsetX, from, before));
      move(event);
      canvas.onpointermove = move;
      canvas.onpointerup = canvas.onpointercancel = () => {
        canvas.onpointermove = null;
        remember();
      };
    });
  }
  grab(whole, (x) => ((x - GUTTER - EDGE) / (whole.clientWidth - GUTTER - 2 * EDGE)) * film.cycles);
  grab(near, (x, from, before) => before - ((x - from) * span) / (near.clientWidth - GUTTER));
  near.addEventListener("wheel", (event) => {
    event.preventDefault();
    span = Math.min(Math.max(span * 1.0015 ** event.deltaY, 200), film.cycles);
    changed();
  }, { passive: false });
}
