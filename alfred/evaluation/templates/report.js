"use strict";
// plotly.js travels compressed, which makes the file less than half as large; the browser unpacks it.
async function loadLibrary() {
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

// Text, grid and hover colours are the page's own, so that figures follow light, dark and print.
function themeOf(layout) {
  const style = getComputedStyle(document.documentElement);
  const [text, muted, line, card] = ["--text", "--muted", "--line", "--card"].map((n) => style.getPropertyValue(n).trim());
  const theme = {
    "font.color": muted,
    "font.family": getComputedStyle(document.body).fontFamily,
    "hoverlabel.bgcolor": card,
    "hoverlabel.bordercolor": line,
    "hoverlabel.font.color": text,
  };
  for (const axis of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    theme[`${axis}.gridcolor`] = line;
    theme[`${axis}.linecolor`] = line;
    theme[`${axis}.zerolinecolor`] = line;
  }
  return theme;
}

async function drawFigures() {
  await loadLibrary();
  const plots = [];
  for (const source of document.querySelectorAll("script[data-plot]")) {
    const target = document.getElementById(source.dataset.plot);
    const { data, layout } = JSON.parse(source.textContent);
    target.replaceChildren();
    await Plotly.newPlot(target, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    plots.push(target);
  }
  const restyle = () => plots.forEach((plot) => Plotly.relayout(plot, themeOf(plot.layout)));
  restyle();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  const print = window.matchMedia("print");
  print.addEventListener("change", () => {
    restyle();
    plots.forEach((plot) => Plotly.Plots.resize(plot));
  });
  document.documentElement.dataset.figures = plots.length;
}

drawFigures();
