"use strict";
// Nothing on the page needs this script: it tells the values under the pointer, read off the curves themselves.
const WIDTH = 2000, HEIGHT = 1000;
const told = document.createElement("div");
told.className = "told";
told.hidden = true;
document.body.append(told);

function unscale(share, [low, high, kind]) {
  if (kind === "log") return Math.exp(Math.log(low) + share * Math.log(high / low));
  return Number(low) + share * (high - low);
}

function readPoints(path) {
  path.points ??= path.getAttribute("d").split(/[ML]/).filter(Boolean).map((text) => text.split(" ").map(Number));
  return path.points;
}

function findNearest(points, x) {
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle; else high = middle;
  }
  return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
}

function tell(event) {
  const drawing = event.currentTarget, box = drawing.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * WIDTH;
  const [scaleX, scaleY, [form, digits]] = ["x", "y", "as"].map((name) => drawing.dataset[name].split(" "));
  const curves = [...drawing.querySelectorAll("path[data-name]")].filter((path) => path.getClientRects().length);
  if (!curves.length) return;
  told.replaceChildren();
  const head = document.createElement("b"), at = findNearest(readPoints(curves[0]), x)[0];
  head.textContent = new Date(unscale(at / WIDTH, scaleX) * 1000).toISOString().slice(0, 10);
  told.append(head);
  for (const path of curves.reverse()) {
    const [where, down] = findNearest(readPoints(path), x);
    if (Math.abs(where - at) > WIDTH / 50) continue;
    const value = unscale(1 - down / HEIGHT, scaleY), line = document.createElement("span");
    const text = form === "percent" ? `${(100 * value).toFixed(digits)}%` : value.toFixed(digits);
    line.className = path.getAttribute("class").match(/\bc\d+/)[0];
    line.textContent = `${path.dataset.name}  ${text.replace("-", "−")}`;
    told.append(line);
  }
  told.hidden = false;
  const left = event.clientX + 16 + told.offsetWidth > innerWidth ? event.clientX - told.offsetWidth - 16 : event.clientX + 16;
  told.style.left = `${Math.max(left, 4) + scrollX}px`;
  told.style.top = `${event.clientY + scrollY + 12}px`;
}

let count = 0;
for (const drawing of document.querySelectorAll("svg[data-as]")) {
  if (!drawing.dataset.x.endsWith("time")) continue;
  drawing.addEventListener("pointermove", tell);
  drawing.addEventListener("pointerleave", () => { told.hidden = true; });
  count += 1;
}
document.documentElement.dataset.figures = count;
