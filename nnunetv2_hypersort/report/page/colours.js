// By what the cases are coloured: a category with colour and shape, or a number on a scale.
const COLOURS = {
  light: ["#0072b2", "#d55e00", "#00875f", "#b8459a", "#7a51b5", "#a37a00", "#4a9bd1", "#8c564b"],
  dark: ["#5ab4f0", "#ff9248", "#2fd39f", "#f29bc5", "#b794f4", "#f2c94c", "#9adcff", "#d7a48f"],
};
const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "triangle-down", "cross"];
const MARKS = {
  circle: "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10Z",
  diamond: "M6 0L12 6L6 12L0 6Z",
  square: "M1 1H11V11H1Z",
  "triangle-up": "M6 1L12 11H0Z",
  "triangle-down": "M6 11L0 1H12Z",
  cross: "M4 0H8V4H12V8H8V12H4V8H0V4H4Z",
  x: "M2 0L6 4L10 0L12 2L8 6L12 10L10 12L6 8L2 12L0 10L4 6L0 2Z",
};
// Viridis without the end that vanishes on the ground.
const SCALES = {
  light: ["#440154", "#443983", "#31688e", "#21918c", "#35b779", "#90c530", "#c3b800"],
  dark: ["#8a5cb8", "#6a78c0", "#4a90b8", "#35ada6", "#50cf88", "#a8e34f", "#fde725"],
};
const MOST_CATEGORIES = 24;

const theme = () => (dark.matches ? "dark" : "light");

function categoryLook(code) {
  if (code < 0) return { colour: cssColour("muted"), symbol: "x" };
  const colours = COLOURS[theme()];
  const turn = Math.floor(code / colours.length);
  return { colour: colours[code % colours.length], symbol: SYMBOLS[((code % colours.length) + turn) % SYMBOLS.length] };
}

function byCategory(name, categories, codes, missing, column) {
  if (categories.length <= MOST_CATEGORIES) return { name, categories, codes, missing, column };
  // The most frequent ones keep a look of their own.
  const sizes = categories.map((_, code) => codes.filter((other) => other === code).length);
  const kept = [...sizes.keys()].sort((a, b) => sizes[b] - sizes[a]).slice(0, MOST_CATEGORIES - 1);
  const place = new Map(kept.map((code, row) => [code, row]));
  const rest = `${categories.length - kept.length} others`;
  return {
    name,
    categories: [...kept.map((code) => categories[code]), rest],
    codes: codes.map((code) => (code < 0 ? -1 : (place.get(code) ?? kept.length))),
    missing,
    column,
  };
}

function byNumber(name, numbers, column) {
  const known = numbers.filter((value) => value !== null).sort((a, b) => a - b);
  const at = (share) => known[Math.round(share * (known.length - 1))];
  // A few extreme values would leave all others in one colour.
  const [low, high] = [at(0.02), at(0.98)];
  return { name, numbers, column, low, high, below: known[0] < low, above: known.at(-1) > high };
}

function buildSchemes() {
  const list = [];
  const add = (name, numbers, column) => {
    if (numbers.some((value) => value !== null)) list.push(byNumber(name, numbers, column));
  };
  if (DATA.styles.length) {
    const codes = DATA.cases.map((one) => one.style);
    list.push(byCategory("Style", DATA.styles.map((one) => one.name), codes, "no style"));
  }
  add("Quality", DATA.cases.map((one) => one.quality));
  add("Loss", DATA.cases.map((one) => one.loss));
  for (const column of DATA.columns) {
    if (column.numbers) add(column.name, column.numbers, column);
    else list.push(byCategory(column.name, column.categories, column.codes, "not given", column));
  }
  // A training that never visited a case has no loss yet.
  return list.length ? list : [byCategory("Nothing", [], DATA.cases.map(() => -1), "case")];
}

const schemes = buildSchemes();
const chosen = { scheme: schemes[0], hidden: new Set(), fold: 0 };

function scaleColour(share) {
  const stops = SCALES[theme()];
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const left = Math.min(Math.floor(place), stops.length - 2);
  const channel = (text, which) => parseInt(text.slice(1 + 2 * which, 3 + 2 * which), 16);
  const mixed = [0, 1, 2].map((which) => {
    const [from, to] = [channel(stops[left], which), channel(stops[left + 1], which)];
    return Math.round(from + (to - from) * (place - left));
  });
  return `rgb(${mixed.join(",")})`;
}

function lookOf(row) {
  const { numbers, low, high, codes } = chosen.scheme;
  if (!numbers) return categoryLook(codes[row]);
  if (numbers[row] === null) return categoryLook(-1);
  const share = high > low ? (numbers[row] - low) / (high - low) : 0.5;
  return { colour: scaleColour(share), symbol: "circle", share };
}

function isShown(row) {
  return !chosen.scheme.codes || !chosen.hidden.has(chosen.scheme.codes[row]);
}

function mark(look) {
  const path = makeSvg("path", { d: MARKS[look.symbol], fill: look.colour });
  return makeSvg("svg", { viewBox: "0 0 12 12", class: "mark", "aria-hidden": "true" }, path);
}

function drawLegend(place) {
  const scheme = chosen.scheme;
  place.replaceChildren();
  if (scheme.numbers) {
    const gradient = make("span", { class: "gradient" });
    gradient.style.background = `linear-gradient(90deg, ${SCALES[theme()].join(",")})`;
    const [low, high] = [asText(scheme.low), asText(scheme.high)];
    const key = make("span", { class: "key" }, (scheme.below ? "≤ " : "") + low, gradient, (scheme.above ? "≥ " : "") + high);
    place.append(key);
    const drawn = DATA.folds[chosen.fold].cases.map((row) => scheme.numbers[row]);
    if (drawn.includes(null)) place.append(make("span", { class: "key" }, mark(categoryLook(-1)), "unknown"));
    return;
  }
  const drawn = DATA.folds[chosen.fold].cases.map((row) => scheme.codes[row]);
  const entries = scheme.categories.map((name, code) => [name, code]);
  if (drawn.includes(-1)) entries.push([scheme.missing, -1]);
  for (const [name, code] of entries) {
    const number = drawn.filter((other) => other === code).length;
    const button = make("button", { type: "button", title: "Show or hide" }, mark(categoryLook(code)), `${name} (${number})`);
    button.setAttribute("aria-pressed", String(!chosen.hidden.has(code)));
    button.addEventListener("click", () => {
      if (!chosen.hidden.delete(code)) chosen.hidden.add(code);
      drawAll();
    });
    place.append(button);
  }
}
