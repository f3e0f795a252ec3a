// The cases as a table to sort and filter.
const PAGE = narrow.matches ? 10 : 25;
const styleName = (one) => (one.style >= 0 ? DATA.styles[one.style].name : "");
const fields = [
  { name: "#", class: "rank number", text: (row) => String(row + 1), value: (row) => row },
  ...(anyPicture ? [{ name: "", class: "picture" }] : []),
  { name: "Case", class: "case", text: (row) => DATA.cases[row].id },
  ...(DATA.styles.length ? [{ name: "Style", class: "style", text: (row) => styleName(DATA.cases[row]) }] : []),
  ...(DATA.ranked ? [{ name: "Quality", class: "quality-cell", value: (row) => DATA.cases[row].quality }] : []),
  { name: "Loss", class: "number", value: (row) => DATA.cases[row].loss },
  ...(anyPrediction ? [{ name: "Dice", class: "number", value: (row) => DATA.cases[row].picture?.dice ?? null }] : []),
  ...(DATA.cases.some((one) => one.reason)
    ? [{ name: "Reason", class: "reason", text: (row) => DATA.cases[row].reason }]
    : []),
  ...(DATA.folds.length > 1 ? [{ name: "Folds", class: "folds", text: (row) => DATA.cases[row].folds }] : []),
  ...DATA.columns.filter((column) => column.inTable).map((column) => ({
    name: column.name,
    class: column.numbers ? "extra number" : "extra",
    text: (row) => columnText(column, row),
    value: column.numbers ? (row) => column.numbers[row] : undefined,
  })),
];
const haystacks = DATA.cases.map((_, row) =>
  fields.flatMap((field) => (field.text && field.name !== "#" ? [field.text(row).toLowerCase()] : [])).join("\n"),
);
const order = { field: 0, ascending: true };
let shownRows = PAGE;

function fieldText(field, row) {
  return field.text ? field.text(row) : asText(field.value(row));
}

function sortedRows() {
  const words = byId("cases-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const style = byId("cases-style").value;
  const most = Number(byId("cases-quality").value);
  const rows = [...DATA.cases.keys()].filter((row) => {
    const one = DATA.cases[row];
    return (
      words.every((word) => haystacks[row].includes(word)) &&
      (style === "" || one.style === Number(style)) &&
      (most >= 1 || (one.quality !== null && one.quality <= most))
    );
  });
  const field = fields[order.field];
  const key = field.value ?? field.text;
  const isMissing = (value) => value === null || value === "";
  // What is not known stays below, whichever way.
  return rows.sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    if (isMissing(left) || isMissing(right)) return isMissing(left) - isMissing(right) || a - b;
    const difference = typeof left === "number" ? left - right : left.localeCompare(right, "en", { numeric: true });
    return (order.ascending ? difference : -difference) || a - b;
  });
}

function tableCell(field, row) {
  const one = DATA.cases[row];
  if (field.class === "picture") {
    const picture = frame(one.picture);
    if (!one.picture) picture.textContent = "";
    picture.addEventListener("click", () => openCase(row));
    return make("td", { class: "picture" }, picture);
  }
  const text = fieldText(field, row);
  const cell = make("td", { class: text ? field.class : `${field.class} blank` });
  if (field.class === "case") {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => openCase(row));
    cell.append(button);
    return cell;
  }
  if (field.class !== "reason") cell.dataset.name = field.name;
  if (field.class === "style") {
    cell.append(make("span", { class: "key" }, mark(categoryLook(one.style)), text || "none"));
    cell.classList.remove("blank");
  } else if (field.class === "quality-cell" && one.quality !== null) {
    const bar = make("i");
    bar.style.setProperty("--share", one.quality);
    cell.append(make("span", { class: "quality" }, one.quality.toFixed(2), bar));
  } else {
    cell.append(make("span", {}, text));
  }
  return cell;
}

function sortBy(number, ascending) {
  Object.assign(order, { field: number, ascending });
  drawTable();
}

function drawTable() {
  const headings = fields.map((field, number) => {
    const heading = make("th", { scope: "col", class: field.class });
    if (field.class !== "picture") {
      const button = make("button", { type: "button" }, field.name);
      button.addEventListener("click", () => sortBy(number, order.field === number ? !order.ascending : true));
      heading.append(button);
    }
    if (order.field === number) heading.setAttribute("aria-sort", order.ascending ? "ascending" : "descending");
    return heading;
  });
  const table = byId("cases-table");
  table.tHead.replaceChildren(make("tr", {}, ...headings));
  const rows = sortedRows();
  table.tBodies[0].replaceChildren(
    ...rows.slice(0, shownRows).map((row) => make("tr", {}, ...fields.map((field) => tableCell(field, row)))),
  );
  byId("cases-count").textContent =
    rows.length === DATA.cases.length ? count(rows.length, "case") : `${rows.length} of ${count(DATA.cases.length, "case")}`;
  byId("cases-more").hidden = rows.length <= shownRows;
  byId("cases-quality-shown").textContent = Number(byId("cases-quality").value).toFixed(2);
}

function filterTable() {
  shownRows = PAGE;
  drawTable();
}

byId("cases-style").append(option("all", ""), ...DATA.styles.map((style, number) => option(style.name, number)));
if (DATA.cases.some((one) => one.style < 0)) byId("cases-style").append(option("no style", -1));
byId("cases-style-label").hidden = !DATA.styles.length;
byId("cases-quality-label").hidden = !DATA.ranked;
for (const [number, field] of fields.entries()) {
  if (field.class === "picture") continue;
  const name = field.name === "#" ? "worst first" : field.name;
  byId("cases-sort").append(option(field.name === "#" ? name : `${name} ↑`, `${number} up`));
  if (field.name !== "#") byId("cases-sort").append(option(`${name} ↓`, `${number} down`));
}
byId("cases-sort").addEventListener("change", (event) => {
  const [number, direction] = event.target.value.split(" ");
  sortBy(Number(number), direction === "up");
});
for (const id of ["cases-filter", "cases-quality"]) byId(id).addEventListener("input", filterTable);
byId("cases-style").addEventListener("change", filterTable);
byId("cases-more").addEventListener("click", () => {
  shownRows += PAGE;
  drawTable();
});
drawings.push(drawTable);
