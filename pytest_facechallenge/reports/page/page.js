"use strict";
// Sorting the overview, filtering rules, opening what a link leads to. The page is complete without it.

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numbers = heading.dataset.kind === "number";
      const value = (row) => {
        const cell = row.cells[column];
        return numbers ? parseFloat(cell.dataset.order) : cell.textContent.trim();
      };
      const rows = [...body.rows].sort((one, other) => {
        const [a, b] = [value(one), value(other)];
        if (numbers) {
          // What has no number stays at the end either way.
          if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
          return down ? b - a : a - b;
        }
        return (down ? -1 : 1) * a.localeCompare(b, "en", { numeric: true });
      });
      body.append(...rows);
    });
  });
}

const STATES = [["all", "all"], ["bad", "broken"], ["open", "open"], ["good", "passed"], ["none", "not applicable"]];

for (const filter of document.querySelectorAll(".filter")) {
  const table = filter.nextElementSibling;
  const nothing = table.nextElementSibling;
  const rules = [...table.querySelectorAll("tbody.rule")];
  let state = "all";
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Filter rules";
  search.setAttribute("aria-label", "Filter rules by their text");
  const buttons = document.createElement("div");
  buttons.setAttribute("role", "group");
  buttons.setAttribute("aria-label", "Show rules by their state");
  const apply = () => {
    const words = search.value.toLowerCase();
    let shown = 0;
    for (const rule of rules) {
      const fits = (state === "all" || rule.classList.contains(state)) && rule.textContent.toLowerCase().includes(words);
      rule.hidden = !fits;
      shown += fits;
    }
    nothing.hidden = shown > 0;
    for (const button of buttons.children) {
      button.setAttribute("aria-pressed", String(button.dataset.state === state));
    }
  };
  for (const [name, text] of STATES) {
    const number = name === "all" ? rules.length : rules.filter((rule) => rule.classList.contains(name)).length;
    if (!number) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.state = name;
    button.textContent = `${text} ${number}`;
    button.addEventListener("click", () => {
      state = name;
      apply();
    });
    buttons.append(button);
  }
  search.addEventListener("input", apply);
  filter.append(buttons, search);
  filter.hidden = false;
  apply();
}

function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let node = target; node; node = node.parentElement) {
    if (node.tagName === "DETAILS") node.open = true;
  }
  const inside = target.matches("tbody.rule") && target.querySelector("details");
  if (inside) inside.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", openTarget);
openTarget();

// What is folded away on a screen belongs on paper.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.dataset.folded = "";
    details.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("details[data-folded]")) {
    delete details.dataset.folded;
    details.open = false;
  }
});
