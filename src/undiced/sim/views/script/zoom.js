// Which wafers the drawings show: all of them, or the one where the token is, which is followed; or one region alone.
let rezoom; // shows what is wanted now
{
  const button = document.getElementById("follow");
  const drawings = [...document.querySelectorAll("[data-regional] .drawing svg")];
  const whole = new Map(drawings.map((svg) => [svg, svg.getAttribute("viewBox")]));
  let followed = null; // the wafer that is shown alone
  let following = false;

  function show(wafer) {
    if (wafer !== followed) zoom(wafer);
  }

  function zoom(wafer) {
    followed = wafer;
    const found = film.wafers.find(([number]) => number === wafer);
    for (const svg of drawings) {
      if (svg.dataset.alone) svg.setAttribute("viewBox", svg.dataset.alone);
      else if (!found) svg.setAttribute("viewBox", whole.get(svg));
      else svg.setAttribute("viewBox", [found[1] - 8, found[2] - 20, found[3] + 16, found[4] + 28].join(" "));
    }
  }

  rezoom = () => zoom(followed);

  function toggle() {
    following = !following;
    button.setAttribute("aria-pressed", String(following));
    changed();
  }

  listeners.unshift(() => show(following ? film.places[turnAt(player.cycle).place].wafer : null));
  button.hidden = film.wafers.length < 2;
  button.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.key === "z" && !button.hidden && !event.ctrlKey && !event.metaKey) toggle();
  });
}
