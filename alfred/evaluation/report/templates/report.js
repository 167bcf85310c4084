"use strict";
const PAPER_PX = 640;

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

function paint(plot, size = {}) {
  const heatmaps = plot.data.flatMap((trace, index) => (trace.type === "heatmap" ? [index] : []));
  const theme = themeOf(plot.layout);
  // Numbers in a heat map stand on the page, not on a white ground as plotly assumes.
  Plotly.update(plot, heatmaps.length ? { "textfont.color": theme["hoverlabel.font.color"] } : {}, { ...theme, ...size });
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
  const restyle = () => plots.forEach(paint);
  restyle();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  // Paper has another width and is never dark; the page is only told before it prints, not what the paper is like.
  window.addEventListener("beforeprint", () => {
    document.documentElement.dataset.print = "";
    plots.forEach((plot) => paint(plot, { autosize: false, width: PAPER_PX }));
  });
  window.addEventListener("afterprint", () => {
    delete document.documentElement.dataset.print;
    plots.forEach((plot) => paint(plot, { autosize: true, width: null }));
  });
  document.documentElement.dataset.figures = plots.length;
}

drawFigures();
