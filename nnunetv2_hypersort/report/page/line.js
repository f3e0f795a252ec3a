// One slice along the line from one style to another.
function drawBetween() {
  const line = DATA.lines[byId("between-pair").value];
  const slider = byId("between-place");
  const step = line.steps[slider.value];
  const [first, last] = [line.steps[0], line.steps.at(-1)];
  // On the dark ground of the image the colours for dark do in both themes.
  const ends = [line.start, line.end].map((code) => COLOURS.dark[code % COLOURS.dark.length]);
  byId("between-picture").replaceChildren(
    ...frame(line.picture, [
      { class: "end", d: first.contours, style: `stroke: ${ends[0]}` },
      { class: "end", d: last.contours, style: `stroke: ${ends[1]}` },
      { class: "label", d: byId("between-label").checked ? line.picture.label : "" },
      { class: "casing", d: step.contours },
      { class: "here", d: step.contours },
    ]).childNodes,
  );
  const [start, end] = [line.start, line.end].map((code) => DATA.styles[code].name);
  byId("between-start").textContent = start;
  byId("between-end").textContent = end;
  const here = stroke("at the slider", "#fff");
  here.firstChild.classList.add("cased");
  byId("between-legend").replaceChildren(here, stroke(start, ends[0], true), stroke(end, ends[1], true));
  if (byId("between-label").checked) byId("between-legend").append(stroke("label of the case", "var(--label)"));
  const share = Math.round((100 * slider.value) / slider.max);
  const change = first.volume > 0 ? ` (${signed(100 * (step.volume / first.volume - 1))} % against ${start})` : "";
  byId("between-volume").textContent = `${share} % of the way, ${asText(step.volume)} ml${change}`;
  const held = line.heldOut ? `which fold ${line.fold} did not train on` : `a training case of fold ${line.fold}`;
  byId("between-case").textContent = `Case ${line.case}, slice ${line.picture.slice}, ${held}.`;
  drawBetweenMap(line, step, ends);
}

function signed(value) {
  const rounded = Math.round(value);
  return rounded < 0 ? `−${-rounded}` : `+${rounded}`;
}

function drawBetweenMap(line, step, ends) {
  const fold = DATA.folds.find((one) => one.name === line.fold);
  const at = (axis) => line.steps.map((one) => one.point[axis]);
  const places = [...fold.cases.keys()];
  const traces = [
    {
      x: places.map((place) => fold.points[place][0]),
      y: places.map((place) => fold.points[place][1]),
      customdata: fold.cases,
      mode: "markers",
      marker: { size: 5, color: cssColour("muted"), opacity: 0.45 },
      hoverinfo: "none",
    },
    { x: at(0), y: at(1), mode: "lines", line: { color: cssColour("text"), width: 1.5 }, hoverinfo: "skip" },
    {
      x: [at(0)[0], at(0).at(-1)],
      y: [at(1)[0], at(1).at(-1)],
      mode: "markers",
      marker: { size: 11, color: ends, line: { width: 1.5, color: cssColour("text") } },
      hoverinfo: "skip",
    },
    {
      x: [step.point[0]],
      y: [step.point[1]],
      mode: "markers",
      marker: { size: 15, symbol: "diamond", color: cssColour("accent"), line: { width: 2, color: cssColour("card") } },
      hoverinfo: "skip",
    },
  ];
  Plotly.react(byId("between-plot"), traces.map((trace) => ({ type: "scatter", ...trace })), plotLayout(fold.axes), {
    ...PLOT_CONFIG,
    displayModeBar: false,
  });
}

if (byId("between")) {
  byId("between-pair").append(
    ...DATA.lines.map((line, number) => option(`${DATA.styles[line.start].name} – ${DATA.styles[line.end].name}`, number)),
  );
  byId("between-pair-label").hidden = DATA.lines.length < 2;
  byId("between-place").max = DATA.lines[0].steps.length - 1;
  byId("between-pair").addEventListener("change", drawBetween);
  byId("between-place").addEventListener("input", drawBetween);
  byId("between-label").addEventListener("change", drawBetween);
  drawings.push(drawBetween);
}
