"use strict";
// The table of classes: sorted by its headings, filtered by name and grade. Without this script it is a plain table.
(() => {
  const table = document.getElementById("class-table");
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const names = rows.map((row) => row.cells[0].textContent.toLowerCase());
  const grades = rows.map((row) => row.cells[row.cells.length - 1].textContent.trim());
  const collator = new Intl.Collator("en", { numeric: true });
  const isText = (column) => headings[column].classList.contains("t");

  // Each column is read once; "–" becomes NaN and stands last in both directions.
  const columns = new Map();
  const values = (column) => {
    if (!columns.has(column)) {
      columns.set(column, new Map(rows.map((row) => {
        const text = row.cells[column].textContent.trim();
        return [row, isText(column) ? text : parseFloat(text)];
      })));
    }
    return columns.get(column);
  };

  const sort = (column) => {
    const heading = headings[column];
    const previous = heading.getAttribute("aria-sort");
    const direction = previous === "ascending" ? "descending" : "ascending";
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const value = values(column);
    const empty = (one) => one === "" || Number.isNaN(one);
    const compare = isText(column) ? collator.compare : (one, other) => one - other;
    const order = [...rows].sort((one, other) => {
      const a = value.get(one), b = value.get(other);
      if (empty(a) || empty(b)) return empty(a) - empty(b);
      return sign * compare(a, b);
    });
    const fragment = document.createDocumentFragment();
    order.forEach((row) => fragment.append(row));
    body.append(fragment);
  };

  const text = document.getElementById("class-filter");
  const grade = document.getElementById("grade-filter");
  const count = document.getElementById("class-count");
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !(names[index].includes(wanted) && (grade.value === "" || grades[index] === grade.value));
      shown += !row.hidden;
    });
    const all = rows.length.toLocaleString("en");
    count.textContent = shown === rows.length ? `${all} classes` : `${shown.toLocaleString("en")} of ${all} classes`;
  };

  headings.forEach((heading, column) => heading.firstElementChild.addEventListener("click", () => sort(column)));
  text.addEventListener("input", filter);
  grade.addEventListener("change", filter);
  text.form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
