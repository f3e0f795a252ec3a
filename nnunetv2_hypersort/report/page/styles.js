// A card per style, with cases side by side.
function exampleButton(row, caption) {
  const button = make("button", { type: "button" }, frame(DATA.cases[row].picture), make("small", {}, caption));
  button.setAttribute("aria-label", `Open case ${DATA.cases[row].id}`);
  button.addEventListener("click", () => openCase(row));
  return button;
}

function styleCard(style, code) {
  const heading = make("h3", {}, mark(categoryLook(code)), style.name);
  heading.append(make("span", { class: "size" }, style.fitted ? "fitted to new cases" : count(style.size, "case")));
  const card = make("article", { class: "card style-card" }, heading);
  if (style.description) card.append(make("p", {}, style.description));
  const where = style.folds.map((one) => {
    const size = one.size === null ? "" : `, ${count(one.size, "case")}`;
    return `fold ${one.fold}${one.medoid === null ? "" : `: ${one.medoid}`}${size}`;
  });
  if (where.length) card.append(make("p", { class: "muted folds" }, `Middle case in ${where.join("; ")}`));
  const medoids = new Set(style.folds.map((one) => one.medoid));
  const examples = style.examples.map((row) => {
    const { id } = DATA.cases[row];
    return exampleButton(row, medoids.has(id) ? `${id} (middle)` : id);
  });
  if (examples.length) card.append(make("div", { class: "examples" }, ...examples));
  return card;
}

if (byId("styles")) drawings.push(() => byId("style-cards").replaceChildren(...DATA.styles.map(styleCard)));
