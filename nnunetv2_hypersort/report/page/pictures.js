// Slices with contours, what is known of a case, the box that follows the pointer, and a case in large.
function frame(picture, paths) {
  if (!picture) return make("div", { class: "frame empty" }, "no picture");
  const size = { width: picture.width, height: picture.height };
  const svg = makeSvg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, "aria-hidden": "true" });
  svg.append(makeSvg("image", { href: picture.image, preserveAspectRatio: "none", ...size }));
  const drawn = paths ?? [
    { class: "label", d: picture.label },
    { class: "prediction", d: picture.prediction ?? "" },
  ];
  for (const path of drawn) if (path.d) svg.append(makeSvg("path", path));
  return make("div", { class: "frame" }, svg);
}

function stroke(text, colour, isDashed = false) {
  const line = make("span", { class: isDashed ? "stroke dashed" : "stroke", style: `border-color: ${colour}` });
  return make("span", { class: "key" }, line, text);
}

function contourKeys(hasPrediction) {
  const keys = [stroke("label", "var(--label)")];
  if (hasPrediction) keys.push(stroke("prediction in the nearest style", "var(--prediction)"));
  return keys;
}

function aboutCase(row, inFull) {
  const one = DATA.cases[row];
  const list = make("dl", { class: "about" });
  const add = (name, value) => list.append(make("dt", {}, name), make("dd", {}, value));
  if (DATA.styles.length) add("Style", one.style >= 0 ? DATA.styles[one.style].name : "none");
  if (DATA.ranked) add("Quality", asText(one.quality));
  add("Loss", asText(one.loss));
  if (one.picture?.dice !== null && one.picture?.dice !== undefined) add("Dice", asText(one.picture.dice));
  if (inFull) {
    if (one.reason) add("Reason", one.reason);
    if (one.folds) add("Folds", one.folds);
    if (one.picture) add("Slice", String(one.picture.slice));
  }
  for (const column of DATA.columns) {
    const value = columnText(column, row);
    if (value && (inFull || column === chosen.scheme.column)) add(column.name, value);
  }
  return list;
}

function columnText(column, row) {
  if (column.numbers) return column.numbers[row] === null ? "" : asText(column.numbers[row], 5);
  return column.codes[row] < 0 ? "" : column.categories[column.codes[row]];
}

function showHover(row, pointer) {
  const box = byId("hover");
  const one = DATA.cases[row];
  box.replaceChildren(make("h3", {}, one.id));
  if (one.picture) {
    box.append(frame(one.picture), make("div", { class: "legend" }, ...contourKeys(one.picture.prediction !== null)));
  }
  box.append(aboutCase(row, false));
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const gap = 18;
  const beside = pointer.clientX + gap + width < innerWidth ? pointer.clientX + gap : pointer.clientX - gap - width;
  box.style.left = `${Math.max(8, beside)}px`;
  box.style.top = `${Math.min(Math.max(8, pointer.clientY - height / 2), Math.max(8, innerHeight - height - 8))}px`;
}

function hideHover() {
  byId("hover").hidden = true;
}

function openCase(row) {
  hideHover();
  const one = DATA.cases[row];
  const dialog = byId("case-dialog");
  const close = make("button", { type: "button" }, "Close");
  close.addEventListener("click", () => dialog.close());
  const left = make("div", {}, frame(one.picture));
  if (one.picture) {
    left.append(make("div", { class: "legend" }, ...contourKeys(one.picture.prediction !== null)));
  }
  dialog.replaceChildren(
    make("div", { class: "dialog-head" }, make("h2", { id: "case-title" }, one.id), close),
    make("div", { class: "case-grid" }, left, aboutCase(row, true)),
  );
  dialog.showModal();
}

byId("case-dialog").addEventListener("click", (event) => {
  if (event.target === byId("case-dialog")) byId("case-dialog").close();
});

function connectPlot(plot) {
  plot.on("plotly_hover", (event) => {
    const point = event.points.find((one) => one.customdata !== undefined);
    if (point) showHover(point.customdata, event.event);
  });
  plot.on("plotly_unhover", hideHover);
  plot.on("plotly_click", (event) => {
    const point = event.points.find((one) => one.customdata !== undefined);
    if (point) openCase(point.customdata);
  });
}

const anyPrediction = DATA.cases.some((one) => one.picture && one.picture.prediction !== null);
const anyPicture = DATA.cases.some((one) => one.picture);
for (const place of document.querySelectorAll(".legend.contours")) {
  if (anyPicture) place.append(...contourKeys(anyPrediction));
}
