// The latent map.
const mapPlot = byId("map-plot");

function foundRows() {
  const wanted = byId("map-find").value.trim().toLowerCase();
  return wanted ? new Set([...DATA.cases.keys()].filter((row) => DATA.cases[row].id.toLowerCase().includes(wanted))) : new Set();
}

function mapTraces() {
  const fold = DATA.folds[chosen.fold];
  // The worst cases come first in the data and are put down last, on top.
  const places = [...fold.cases.keys()].filter((place) => isShown(fold.cases[place])).reverse();
  const looks = places.map((place) => lookOf(fold.cases[place]));
  const found = foundRows();
  const hits = places.filter((place) => found.has(fold.cases[place]));
  const at = (list, axis) => list.map((place) => fold.points[place][axis]);
  const many = fold.cases.length > 400;
  return [
    {
      type: "scatter",
      mode: "markers",
      x: at(places, 0),
      y: at(places, 1),
      customdata: places.map((place) => fold.cases[place]),
      marker: {
        color: looks.map((look) => look.colour),
        symbol: looks.map((look) => look.symbol),
        size: many ? 7 : 9,
        opacity: found.size ? 0.35 : 0.9,
        line: { width: 0.7, color: cssColour("card") },
      },
      hoverinfo: "none",
    },
    {
      type: "scatter",
      mode: "markers",
      x: fold.styles.map((style) => style.point[0]),
      y: fold.styles.map((style) => style.point[1]),
      marker: { symbol: "circle-open", size: 17, color: cssColour("text"), line: { width: 1.6 } },
      hoverinfo: "skip",
    },
    {
      type: "scatter",
      mode: "markers",
      x: at(hits, 0),
      y: at(hits, 1),
      customdata: hits.map((place) => fold.cases[place]),
      marker: {
        color: hits.map((place) => lookOf(fold.cases[place]).colour),
        size: 13,
        line: { width: 2.5, color: cssColour("text") },
      },
      hoverinfo: "none",
    },
  ];
}

function styleNames(fold) {
  return fold.styles.map(({ style, point }) => ({
    x: point[0],
    y: point[1],
    text: plain(DATA.styles[style].name),
    showarrow: false,
    yshift: 20,
    bgcolor: cssColour("card"),
    bordercolor: cssColour("line"),
    borderpad: 2,
    opacity: 0.9,
    font: { size: 12, color: cssColour("text") },
  }));
}

function drawMap() {
  drawLegend(byId("map-legend"));
  const fold = DATA.folds[chosen.fold];
  const layout = plotLayout(fold.axes, { uirevision: fold.name, annotations: styleNames(fold) });
  Plotly.react(mapPlot, mapTraces(), layout, PLOT_CONFIG);
}

byId("map-colour").append(...schemes.map((scheme, number) => option(scheme.name, number)));
byId("map-colour").addEventListener("change", (event) => {
  chosen.scheme = schemes[event.target.value];
  chosen.hidden.clear();
  drawAll();
});
byId("map-fold").append(...DATA.folds.map((fold, number) => option(fold.name, number)));
byId("map-fold-label").hidden = DATA.folds.length < 2;
byId("map-fold").addEventListener("change", (event) => {
  chosen.fold = Number(event.target.value);
  drawAll();
});
byId("map-find").addEventListener("input", drawMap);
byId("map-find").addEventListener("keydown", (event) => {
  const found = [...foundRows()];
  if (event.key === "Enter" && found.length) openCase(found[0]);
});
drawings.push(drawMap);
