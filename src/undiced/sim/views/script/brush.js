// Colors and sharp canvases, shared by what moves. Knows no film.
const WHO_PAINT = ["#2a9d8f", "#8ccfc6", "#7a5cd6", "#d9a02b", "#aa3377"]; // as film.who
const paint = {};

function mix() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "faint", "face", "edge", "alarm"]) paint[name] = style.getPropertyValue(`--${name}`);
}
mix();

// As many pixels as the screen has; returns the context, in the page's pixels.
function sharp(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const wide = Math.round(width * ratio), high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

const widths = new Map();
function wide(context, text) {
  const key = `${context.font} ${text}`;
  if (!widths.has(key)) widths.set(key, context.measureText(text).width);
  return widths.get(key);
}
