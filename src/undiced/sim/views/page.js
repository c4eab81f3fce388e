"use strict";
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
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
  }

  for (const [at, tab] of tabs.entries()) {
    tab.addEventListener("click", () => {
      show(viewed(tab));
      history.replaceState(null, "", `#${viewed(tab)}`);
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(at + step + tabs.length) % tabs.length];
      next.focus();
      next.click();
    });
  }

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

  const asked = location.hash.slice(1);
  const first = tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
  show(viewed(tabs.find((tab) => viewed(tab) === asked) ?? first));
}
