// Interactive learning curves. Bundled with Vega into assets/charts.js, which defines `vegaEmbed`.
const MOST = 12; // curves that can be distinguished at a time
const LIGHT = ["#0b62a8", "#c2570c", "#0d7a4f", "#a3246e", "#6a4fb3", "#846800", "#0e7480", "#b3261e", "#4d5b66", "#567a12", "#c23b82", "#2f3e9e"];
const DARK = ["#6cb2f0", "#f5a262", "#5fd39a", "#f08cc4", "#b9a3f5", "#e3c34d", "#5fd0da", "#ff938a", "#b4c0cb", "#b5d36b", "#ff9ed0", "#94a3ff"];
const dark = matchMedia("(prefers-color-scheme: dark)");

function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

function choice(label, options) {
  const select = element("select");
  for (const [value, words] of options) select.append(element("option", { value, textContent: words }));
  return { select, whole: element("label", {}, label, select) };
}

function explore(box) {
  const study = JSON.parse(document.getElementById(box.dataset.curves).textContent);
  const quantity = choice("quantity", [["loss", "loss"], ["accuracy", "accuracy"]]);
  const part = choice("images", [["validation", "validation"], ["train", "training"], ["both", "both"]]);
  const across = choice("horizontal axis", [["epochs", "epochs"], ["steps", "optimizer steps"]]);
  const scale = choice("vertical scale", [["linear", "linear"], ["log", "logarithmic"]]);
  const controls = element("div", { className: "controls" }, ...[quantity, part, across, scale].map((each) => each.whole));
  across.select.name = "across";

  const axes = study.axes.map((axis) => {
    const boxes = axis.values.map((value) => element("input", { type: "checkbox", value, checked: axis.first.includes(value) }));
    const labels = boxes.map((each) => element("label", {}, each, each.value));
    const group = element("fieldset", {}, element("legend", { textContent: axis.name }), element("div", {}, ...labels));
    return { boxes, group };
  });
  const choices = element("div", { className: "choices" }, ...axes.map((axis) => axis.group));
  const status = element("p", { className: "soft", role: "status" });
  // for screen readers, the box has a name and the table has the values; parts of the drawing are hidden
  const canvas = element("div", { className: "canvas", ariaHidden: "true" });
  const plot = element("div", { className: "plot", role: "img" }, canvas);
  const slider = element("input", { type: "range", min: 0 });
  const reading = element("label", { className: "reading" }, "Read the curves at", slider);
  const caption = element("caption");
  const heads = ["curve", "epoch", "mean", "lowest to highest", "seeds"].map((name) => element("th", { scope: "col", textContent: name }));
  if (study.header) heads[0].append(element("small", { textContent: ` (${study.header})` }));
  const body = element("tbody");
  const table = element("table", {}, caption, element("thead", {}, element("tr", {}, ...heads)), body);
  box.append(controls, choices, status, plot, reading, element("div", { className: "wide", tabIndex: 0, role: "group", ariaLabel: "Values of the curves" }, table));
  box.hidden = false;

  let view = null; // Vega's
  let lines = []; // drawn lines: label, part, colour, xs, mean, low, high, seeds
  let last = 1; // right end of the horizontal axis
  let drawn = 0; // number of drawings: a slow one must not replace a newer one

  function selected() {
    const wanted = axes.map((axis) => new Set(axis.boxes.filter((each) => each.checked).map((each) => each.value)));
    return study.cells.filter((cell) => cell.values.every((value, i) => wanted[i].has(value)));
  }

  // a number as short as in the table above
  function formatted(value) {
    if (value === null || value === undefined) return "–";
    return quantity.select.value === "accuracy" ? `${(100 * value).toFixed(2)} %` : value.toPrecision(4);
  }

  function gather() {
    const cells = selected();
    const shown = cells.slice(0, MOST);
    const steps = across.select.value === "steps";
    const parts = part.select.value === "both" ? ["validation", "train"] : [part.select.value];
    const palette = dark.matches ? DARK : LIGHT;
    lines = shown.flatMap((cell, i) => parts.map((of) => {
      const [mean, low, high] = cell[`${of}_${quantity.select.value}`];
      const xs = mean.map((_, epoch) => (epoch + 1) * (steps ? cell.steps : 1));
      return { label: cell.label, part: of, colour: palette[i], xs, mean, low, high, seeds: cell.seeds, pace: steps ? cell.steps : 1 };
    }));
    last = Math.max(1, ...lines.map((line) => line.xs[line.xs.length - 1]));
    const cut = cells.length > MOST ? `; the first ${MOST} are drawn, select fewer to see others` : "";
    status.textContent = cells.length ? `${cells.length} of ${study.cells.length} cells selected${cut}.` : "No cell has these values: select others.";
  }

  async function draw() {
    const drawing = ++drawn;
    gather();
    const log = scale.select.value === "log";
    const title = `${part.select.value === "both" ? "training and validation" : part.select.selectedOptions[0].textContent} ${quantity.select.value}`;
    const values = lines.flatMap((line) => line.xs.map((x, i) => (
      { label: line.label, part: line.part, x, mean: line.mean[i], low: line.low[i], high: line.high[i] })
    )).filter((row) => row.mean !== null && (!log || row.low > 0));
    plot.hidden = values.length === 0;
    if (plot.hidden) {
      view = null;
      read(last);
      return;
    }
    const look = getComputedStyle(document.body);
    const [ink, soft, rule] = ["--ink", "--soft", "--line"].map((name) => look.getPropertyValue(name).trim());
    const spec = structuredClone(study.drawing);
    const colours = Object.fromEntries(lines.map((line) => [line.label, line.colour]));
    const [bands, means, mark] = spec.layer;
    for (const layer of [bands, means]) {
      layer.encoding.color.scale = { domain: Object.keys(colours), range: Object.values(colours) };
      layer.encoding.y.scale = log ? { type: "log", nice: false } : { zero: false };
      layer.encoding.y.axis = quantity.select.value === "accuracy" ? { format: ".0%", title } : { title };
      layer.encoding.x.title = across.select.selectedOptions[0].textContent;
      layer.encoding.x.scale = { domain: [0, last], nice: false };
    }
    mark.mark.color = soft;
    spec.datasets = { curves: values, at: [] };
    plot.setAttribute("aria-label", `Line chart: ${title} by ${across.select.selectedOptions[0].textContent} of ${lines.length} curves. The table below has their values.`);
    const embedded = await vegaEmbed(canvas, spec, {
      mode: "vega-lite", actions: false, renderer: "svg",
      config: {
        background: null, font: look.fontFamily, view: { stroke: null },
        axis: { labelColor: soft, titleColor: ink, gridColor: rule, domainColor: soft, tickColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, titlePadding: 8 },
      },
    });
    if (drawing !== drawn) return;
    view = embedded.view;
    view.addEventListener("mousemove", (event) => {
      const [left] = view.origin();
      const x = view.scale("x").invert(event.offsetX - left);
      if (x >= 0 && x <= last) read(x);
    });
    plot.dataset.across = across.select.value; // marks this drawing as complete
    const step = Math.min(...lines.map((line) => line.pace), last);
    const position = slider.max > 0 ? slider.value / slider.max : 1;
    Object.assign(slider, { step, min: step, max: last });
    read(Number.isFinite(position) ? position * last : last);
  }

  // fills the table with the values of each line at x, and moves the rule there
  function read(x) {
    slider.value = x;
    const unit = across.select.value === "steps" ? "step" : "epoch";
    const at = Math.min(last, Math.max(Number(slider.min), Math.round(x)));
    caption.replaceChildren(element("span", { textContent: `At ${unit} ${at.toLocaleString("en")}: mean over seeds, lowest and highest.` }));
    slider.setAttribute("aria-valuetext", `${unit} ${at}`);
    body.replaceChildren(...lines.map((line) => {
      const i = Math.min(line.xs.length, Math.max(1, Math.round(at / line.pace))) - 1;
      const over = at > line.xs[line.xs.length - 1] + line.pace / 2; // its training had ended
      const swatch = element("span", { className: line.part === "train" && part.select.value === "both" ? "swatch dashed" : "swatch" });
      swatch.style.borderTopColor = line.colour;
      const name = element("th", { scope: "row" }, swatch, part.select.value === "both" ? `${line.label}, ${line.part === "train" ? "training" : "validation"}` : line.label);
      const cells = over ? ["ended", "–", "–", "–"] : [i + 1, formatted(line.mean[i]), `${formatted(line.low[i])} to ${formatted(line.high[i])}`, line.seeds[i]];
      return element("tr", {}, name, ...cells.map((text) => element("td", { textContent: text })));
    }));
    view?.data("at", [{ x: at }]).run();
  }

  quantity.select.value = "loss";
  controls.addEventListener("input", draw);
  choices.addEventListener("input", draw);
  slider.addEventListener("input", () => read(Number(slider.value)));
  dark.addEventListener("change", draw);
  draw();
}

for (const box of document.querySelectorAll("[data-curves]")) explore(box);
