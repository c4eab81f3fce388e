// The moment that is shown, and how it moves on: play, pause, slider, speed and keys. Tells listeners; draws nothing.
const player = { cycle: 0, playing: false, rate: 0 };
const listeners = [];
let drawn = 0; // of the last frame, its time
let asked = 0;

const STEP = 2 ** 0.5;
player.rate = Math.max(NEAR / 1.5, film.cycles / 60); // cycles a second

function changed() {
  if (!asked) asked = requestAnimationFrame(frame);
}

function frame(now) {
  asked = 0;
  if (player.playing) {
    player.cycle += (Math.min(now - drawn, 100) / 1000) * player.rate;
    if (player.cycle >= film.cycles) [player.cycle, player.playing] = [film.cycles, false];
    changed();
  }
  drawn = now;
  for (const listener of listeners) listener();
}

function seek(cycle) {
  player.cycle = Math.min(Math.max(cycle, 0), film.cycles);
  changed();
}

function play(wanted = !player.playing) {
  if (wanted && player.cycle >= film.cycles) player.cycle = 0;
  player.playing = wanted;
  drawn = performance.now();
  if (!wanted) remember();
  changed();
}

function faster(steps) {
  player.rate = Math.min(Math.max(player.rate * STEP ** steps, 50), film.cycles);
  changed();
}

// The longest stay at the stage that sets the initiation interval.
function slowest() {
  const there = stays.filter(({ place }) => film.slowest.includes(place));
  return there.reduce((best, stay) => (stay.end - stay.start > best.end - best.start ? stay : best));
}

// Tells what the controls show.
{
  const slider = document.getElementById("slider");
  const [button, now, speed] = ["play", "now", "speed"].map((id) => document.getElementById(id));
  slider.max = film.cycles;
  slider.addEventListener("input", () => seek(Number(slider.value)));
  slider.addEventListener("change", () => remember());
  button.addEventListener("click", () => play());
  document.getElementById("slower").addEventListener("click", () => faster(-2));
  document.getElementById("faster").addEventListener("click", () => faster(2));
  document.getElementById("slowest").addEventListener("click", () => {
    seek(slowest().start);
    remember();
  });

  listeners.push(() => {
    slider.value = player.cycle;
    slider.setAttribute("aria-valuetext", `cycle ${spelled(player.cycle)}, ${called(turnAt(player.cycle))}`);
    button.textContent = player.playing ? "❚❚" : "►";
    button.ariaLabel = player.playing ? "Pause" : "Play";
    now.textContent = `cycle ${spelled(player.cycle)} of ${spelled(film.cycles)} · ${seconds(player.cycle)}`;
    speed.textContent = `${spelled(player.rate)} cycles a second, slowed ${spelled(film.clockHz / player.rate)} times`;
  });

  const keys = {
    " ": () => play(),
    k: () => play(),
    ArrowRight: (event) => seek(event.shiftKey ? player.cycle + film.cycles / 50 : edge(player.cycle, true)),
    ArrowLeft: (event) => seek(event.shiftKey ? player.cycle - film.cycles / 50 : edge(player.cycle, false)),
    n: () => seek(stayFrom(player.cycle, true).start),
    p: () => seek(stayFrom(player.cycle, false).start),
    s: () => seek(slowest().start),
    Home: () => seek(0),
    End: () => seek(film.cycles),
    "+": () => faster(2),
    "=": () => faster(2),
    "-": () => faster(-2),
  };
  document.addEventListener("keydown", (event) => {
    const taken = event.target.closest?.("[role=tab], button, input, th") && event.key !== "k";
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    if (taken && !"+=-".includes(event.key)) return;
    event.preventDefault();
    keys[event.key](event);
  });
}
