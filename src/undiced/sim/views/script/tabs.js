// Which view is shown, what is marked in all of them, and how their tables are sorted; what the address remembers.
let remember; // puts view and moment into the address
{
  const tabs = [...document.querySelectorAll("[role=tab]")];

  function viewed(tab) {
    return tab.getAttribute("aria-controls").replace("view-", "");
  }

  function show(name) {
    for (const tab of tabs) {
      const chosen = viewed(tab) === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      panel.hidden = !chosen;
      if (chosen) lieOn(panel);
    }
    fill();
  }

  // Drawings are as high as the window lets them be beside the time line.
  function fill() {
    const drawing = document.querySelector("section:not([hidden]) .drawing");
    const dock = document.querySelector(".dock");
    const above = drawing.getBoundingClientRect().top + scrollY;
    const room = Math.max(innerHeight - above - dock.offsetHeight - 10, 240);
    document.documentElement.style.setProperty("--room", `${room}px`);
    document.documentElement.style.setProperty("--dock", `${dock.offsetHeight}px`);
    changed();
  }
  new ResizeObserver(fill).observe(document.documentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    mix();
    changed();
  });

  remember = () => {
    const name = viewed(tabs.find((tab) => tab.getAttribute("aria-selected") === "true"));
    const at = player.cycle ? `&cycle=${Math.round(player.cycle)}` : "";
    history.replaceState(null, "", `#${name}${at}`);
  };

  for (const [at, tab] of tabs.entries()) {
    tab.addEventListener("click", () => {
      show(viewed(tab));
      remember();
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(at + step + tabs.length) % tabs.length];
      next.focus();
      next.click();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input")) return;
    tabs[Number(event.key) - 1]?.click();
  });

  function value(row, column) {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  }

  function sort(head, column) {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
      return down ? -order : order;
    });
    body.append(...rows);
  }

  for (const head of document.querySelectorAll("th")) {
    head.firstChild.addEventListener("click", () => sort(head, head.cellIndex));
  }

  function choose(place, from) {
    for (const old of document.querySelectorAll(".chosen")) old.classList.remove("chosen");
    for (const one of document.querySelectorAll(`[data-place="${place}"]`)) one.classList.add("chosen");
    if (from.matches(".place")) {
      from.closest("section").querySelector("tr.chosen")?.scrollIntoView({ block: "nearest" });
    }
  }

  for (const one of document.querySelectorAll("[data-place]")) {
    one.addEventListener("click", () => choose(one.dataset.place, one));
  }

  const [asked, ...more] = location.hash.slice(1).split("&");
  const first = tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
  show(viewed(tabs.find((tab) => viewed(tab) === asked) ?? first));
  seek(Number(new URLSearchParams(more.join("&")).get("cycle")) || 0);
}
