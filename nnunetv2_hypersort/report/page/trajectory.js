// Where the latents were during training.
const trainingPlot = byId("training-plot");
const histories = DATA.folds.map((fold) => {
  const bytes = Uint8Array.from(atob(fold.history), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, number) => view.getFloat32(4 * number, true));
});
const SHADES = 6;
let playing = null;

function historyAt(entry, place, axis) {
  const fold = DATA.folds[chosen.fold];
  return histories[chosen.fold][(entry * fold.cases.length + place) * 2 + axis];
}

function shownPlaces() {
  const fold = DATA.folds[chosen.fold];
  return [...fold.cases.keys()].filter((place) => isShown(fold.cases[place])).reverse();
}

// One line per colour with gaps between the cases: a thousand lines of their own would be slow.
function pathTraces(places) {
  const fold = DATA.folds[chosen.fold];
  const groups = new Map();
  for (const place of places) {
    const look = lookOf(fold.cases[place]);
    const shade = look.share === undefined ? null : Math.min(Math.floor(Math.max(look.share, 0) * SHADES), SHADES - 1);
    const colour = shade === null ? look.colour : scaleColour((shade + 0.5) / SHADES);
    if (!groups.has(colour)) groups.set(colour, { x: [], y: [] });
    const group = groups.get(colour);
    for (let entry = 0; entry < fold.historyEpochs.length; entry++) {
      group.x.push(historyAt(entry, place, 0));
      group.y.push(historyAt(entry, place, 1));
    }
    group.x.push(null);
    group.y.push(null);
  }
  const opacity = Math.max(0.12, Math.min(0.5, 20 / places.length));
  return [...groups].map(([color, path]) => ({
    type: "scatter",
    mode: "lines",
    ...path,
    line: { color, width: 1 },
    opacity,
    hoverinfo: "skip",
  }));
}

function trainingPoints(places, entry) {
  return { x: places.map((place) => historyAt(entry, place, 0)), y: places.map((place) => historyAt(entry, place, 1)) };
}

function drawTraining() {
  const fold = DATA.folds[chosen.fold];
  const slider = byId("training-epoch");
  const entries = fold.historyEpochs.length;
  byId("training-fold").textContent = fold.name;
  byId("training-controls").hidden = entries < 2;
  if (!entries) {
    trainingPlot.classList.remove("plot");
    trainingPlot.textContent = "This checkpoint holds no history.";
    return;
  }
  if (Number(slider.max) !== entries - 1 || slider.dataset.fold !== fold.name) {
    slider.max = entries - 1;
    slider.value = entries - 1;
    slider.dataset.fold = fold.name;
  }
  drawLegend(byId("training-legend"));
  const places = shownPlaces();
  const looks = places.map((place) => lookOf(fold.cases[place]));
  const points = {
    type: "scatter",
    mode: "markers",
    ...trainingPoints(places, Number(slider.value)),
    customdata: places.map((place) => fold.cases[place]),
    marker: {
      color: looks.map((look) => look.colour),
      symbol: looks.map((look) => look.symbol),
      size: fold.cases.length > 400 ? 6 : 8,
      line: { width: 0.7, color: cssColour("card") },
    },
    hoverinfo: "none",
  };
  const layout = plotLayout(fold.axes, { uirevision: fold.name });
  Plotly.react(trainingPlot, [...pathTraces(places), points], layout, PLOT_CONFIG);
  showEpoch();
}

function showEpoch() {
  byId("training-shown").textContent = DATA.folds[chosen.fold].historyEpochs[byId("training-epoch").value];
}

function moveTraining() {
  const points = trainingPoints(shownPlaces(), Number(byId("training-epoch").value));
  Plotly.restyle(trainingPlot, { x: [points.x], y: [points.y] }, [trainingPlot.data.length - 1]);
  showEpoch();
}

function stopPlaying() {
  clearInterval(playing);
  playing = null;
  byId("training-play").textContent = "Play";
}

byId("training-epoch").addEventListener("input", () => {
  stopPlaying();
  moveTraining();
});
byId("training-play").addEventListener("click", () => {
  if (playing !== null) return stopPlaying();
  const slider = byId("training-epoch");
  if (slider.value === slider.max) slider.value = 0;
  byId("training-play").textContent = "Pause";
  playing = setInterval(() => {
    slider.value = Number(slider.value) + 1;
    moveTraining();
    if (slider.value === slider.max) stopPlaying();
  }, 120);
  return moveTraining();
});
drawings.push(drawTraining);
