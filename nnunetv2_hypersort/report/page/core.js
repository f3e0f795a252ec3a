// What all parts share: the data, elements made without HTML, numbers as text, and drawing again.
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 640px)");
const dark = matchMedia("(prefers-color-scheme: dark)");

// Children that are text become text nodes: no name can become an element.
function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function makeSvg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function option(text, value) {
  return make("option", { value }, text);
}

function asText(number, digits = 3) {
  if (number === null || number === undefined) return "–";
  return Number(number.toPrecision(digits)).toString();
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

// Plotly reads some HTML in its texts.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Drawn again when a choice that several parts share, or light and dark, changes.
const drawings = [];
function drawAll() {
  for (const draw of drawings) draw();
}
dark.addEventListener("change", drawAll);
narrow.addEventListener("change", drawAll);

function plotLayout(axes, more = {}) {
  const axis = (title) => ({
    title: { text: plain(title), font: { size: 12, color: cssColour("muted") }, standoff: 6 },
    gridcolor: cssColour("line"),
    zerolinecolor: cssColour("line"),
    tickfont: { size: 11, color: cssColour("muted") },
    nticks: narrow.matches ? 5 : 9,
  });
  const flat = axes[1] === "";
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: cssColour("text"), size: 13 },
    margin: narrow.matches ? { l: 38, r: 6, t: 8, b: 40 } : { l: 52, r: 12, t: 12, b: 46 },
    xaxis: axis(axes[0]),
    // Distances mean the same in both directions, so they are shown so.
    yaxis: flat ? { visible: false, fixedrange: true } : { ...axis(axes[1]), scaleanchor: "x" },
    hovermode: "closest",
    hoverdistance: 24,
    // A finger that moves over the map scrolls the page.
    dragmode: narrow.matches ? false : "zoom",
    showlegend: false,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: cssColour("muted"), activecolor: cssColour("accent") },
    ...more,
  };
}

// The buttons are listed, as one that Plotly shows else uploads the data to its maker.
const PLOT_CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  plotlyServerURL: "",
};
