// The token's way as data: which run it is in at a cycle, and what is at work then. Draws nothing.
const film = JSON.parse(document.getElementById("film").textContent);
const CORES = 0, FEW = 1, SUMS = 2, CASTS = 3, BETWEEN = 4; // as film.who

const turns = film.turns.map(([place, stream, role, layer, start, cycles]) => ({
  place, stream, role: film.roles[role], layer, start, end: start + cycles,
}));
const streams = film.streams.map((deeds) =>
  deeds.map(([who, kind, node, value, start, end, axis, tree, span, off]) => ({
    who, kind, node, value, start, end, axis, tree, span, off,
  })),
);

// Stretches of the token's time at one place; it may come to one twice.
const stays = [];
for (const [number, turn] of turns.entries()) {
  const last = stays.at(-1);
  if (last && last.place === turn.place) last.end = turn.end;
  else stays.push({ place: turn.place, start: turn.start, end: turn.end });
  turn.stay = stays.length - 1;
  turn.number = number;
}

// Cycles that are seen at once and well: two runs of a layer, the longest ones.
const layered = turns.filter((turn) => turn.layer >= 0);
const runs = (layered.length ? layered : turns).map((turn) => turn.end - turn.start);
const NEAR = Math.min(2.2 * Math.max(...runs), film.cycles);

function lastFrom(list, cycle) {
  let [low, high] = [0, list.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (list[middle].start <= cycle) low = middle;
    else high = middle - 1;
  }
  return low;
}

function turnAt(cycle) {
  return turns[lastFrom(turns, cycle)];
}

function deedsAt(turn, cycle) {
  const at = cycle - turn.start;
  return streams[turn.stream].filter((deed) => deed.start <= at && at < deed.end);
}

// Where something begins or ends, after or before a cycle.
function edge(cycle, forward) {
  const turn = turnAt(forward ? cycle : cycle - 0.2);
  const edges = [turn.start, turn.end];
  for (const deed of streams[turn.stream]) edges.push(turn.start + deed.start, turn.start + deed.end);
  const beyond = edges.filter((at) => (forward ? at > cycle + 0.1 : at < cycle - 0.1));
  if (!beyond.length) return forward ? film.cycles : 0;
  return forward ? Math.min(...beyond) : Math.max(...beyond);
}

function called(turn) {
  return turn.layer < 0 ? turn.role.name : `layer ${turn.layer}: ${turn.role.name}`;
}

const spelled = (value) => Math.round(value).toLocaleString("en-US");

function seconds(cycles) {
  const micro = (cycles / film.clockHz) * 1e6;
  return film.cycles / film.clockHz >= 1e-3 ? `${(micro / 1e3).toFixed(3)} ms` : `${micro.toFixed(1)} µs`;
}

// The next stay of the token at a place, or the one before.
function stayFrom(cycle, forward) {
  const at = turnAt(cycle).stay;
  if (forward) return stays[Math.min(at + 1, stays.length - 1)];
  return stays[cycle > stays[at].start + 1 ? at : Math.max(at - 1, 0)];
}
