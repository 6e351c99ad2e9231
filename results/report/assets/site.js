// Sorts and filters tables, and makes scrolling boxes accessible by keyboard. Pages are complete without it.
(() => {
  "use strict";

  function element(name, properties = {}, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  }

  // the first text of a cell: a mean, without the interval below it
  const text = (cell) => (cell.firstChild ? cell.firstChild.textContent : "").trim();

  // a number in the format of the tables, 1,234 or −0.5 or < 0.001, with or without a unit; NaN for words
  function number(words) {
    const plain = words.replace(/,(?=\d{3})/g, "").replace("−", "-");
    const match = /^(?:< )?([+-]?[\d.]+(?:e[+-]?\d+)?)(?: ?%| [a-z ]+)?$/i.exec(plain);
    return match ? Number(match[1]) : NaN;
  }

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = element("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => {
          const words = text(row.cells[column]);
          return { row, words, value: number(words) };
        });
        const numeric = 2 * rows.filter((each) => !Number.isNaN(each.value)).length >= rows.filter((each) => each.words).length;
        const sign = down ? -1 : 1;
        rows.sort((one, other) => {
          if (!numeric) return sign * one.words.localeCompare(other.words, "en", { numeric: true });
          const absent = Number.isNaN(one.value) - Number.isNaN(other.value); // last, either way
          return absent || (Number.isNaN(one.value) ? 0 : sign * (one.value - other.value));
        });
        body.append(...rows.map((each) => each.row));
      });
    });
  }

  function filtered(table) {
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells];
    const search = element("input", { type: "search" });
    const count = element("output");
    const selects = [];
    const controls = element("div", { className: "controls" }, element("label", {}, "Filter rows", search));
    heads.forEach((head, column) => {
      if (!head.hasAttribute("data-choose")) return;
      const values = [...new Set(rows.map((row) => text(row.cells[column])))];
      values.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
      if (values.length < 2) return;
      const select = element("select", {}, element("option", { value: "", textContent: "all" }));
      // a value may be empty, so options are identified by their index
      values.forEach((value, index) => select.append(element("option", { value: String(index + 1), textContent: value || "–" })));
      controls.append(element("label", {}, head.textContent.trim(), select));
      selects.push({ select, column, values });
    });
    count.setAttribute("aria-live", "polite");
    controls.append(count);
    function show() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let seen = 0;
      for (const row of rows) {
        const all = row.textContent.toLowerCase();
        const fits = words.every((word) => all.includes(word)) && selects.every(
          ({ select, column, values }) => !select.value || text(row.cells[column]) === values[select.value - 1]);
        row.hidden = !fits;
        seen += fits;
      }
      count.textContent = seen === rows.length ? `${seen} rows` : `${seen} of ${rows.length} rows`;
    }
    controls.addEventListener("input", show);
    show();
    table.closest(".wide").before(controls);
  }

  for (const table of document.querySelectorAll("table[data-filter]")) filtered(table);
  for (const table of document.querySelectorAll("table[data-sort]")) sortable(table);

  // boxes that scroll can be focused and have a name
  function reachable() {
    for (const box of document.querySelectorAll(".wide, pre, figure")) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight + 1;
      if (!scrolls) {
        box.removeAttribute("tabindex");
        continue;
      }
      box.tabIndex = 0;
      const heading = box.closest("section")?.querySelector("h2, h3");
      const name = box.querySelector("caption, figcaption")?.textContent || heading?.textContent || "Scrolls";
      if (box.tagName !== "FIGURE") box.setAttribute("role", "group");
      box.setAttribute("aria-label", name.trim().replace(/\s+/g, " ").slice(0, 80));
    }
  }
  reachable();
  addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);

  // folded figures are printed as well
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details.figures")) folded.open = true;
  });
})();
