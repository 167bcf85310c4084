"use strict";
const PAUSE_MS = 2000;
const QUIET_PAUSE_MS = 10000;

function showRun(root, told) {
  if (told.state !== root.dataset.state) {
    location.reload(); // it has ended: the page says what came of it
    return 0;
  }
  document.getElementById("count").textContent = `${told.n_done} of ${told.n_pieces}`;
  document.getElementById("updated").textContent = told.updated;
  document.getElementById("pieces").replaceChildren(
    ...told.pieces.map(([name, done, total]) => {
      const [row, label, bar, count] = ["div", "span", "progress", "span"].map((tag) => document.createElement(tag));
      label.textContent = name;
      count.textContent = `${done}/${total}`;
      bar.max = total;
      bar.value = done;
      row.append(label, bar, count);
      return row;
    }),
  );
  const log = document.getElementById("log");
  if (log.textContent !== told.log) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    log.textContent = told.log;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  return PAUSE_MS;
}

function showStates(root, states) {
  for (const cell of root.querySelectorAll("[data-run]")) {
    const state = states[cell.dataset.run] ?? "gone";
    cell.textContent = state;
    cell.className = `state ${state}`;
  }
  return Object.values(states).includes("running") ? PAUSE_MS : QUIET_PAUSE_MS;
}

function showSearch(root, told) {
  for (const cell of root.querySelectorAll("[data-field]")) {
    cell.textContent = told.fields[cell.dataset.field] ?? cell.textContent;
  }
  return told.running ? PAUSE_MS : QUIET_PAUSE_MS;
}

async function follow(root, show) {
  let pause = PAUSE_MS;
  while (pause) {
    await new Promise((resume) => setTimeout(resume, pause));
    if (document.hidden) continue;
    try {
      const answer = await fetch(root.dataset.live, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      pause = show(root, await answer.json());
      document.getElementById("lost").hidden = true;
    } catch {
      document.getElementById("lost").hidden = false;
    }
  }
}

const log = document.getElementById("log");
if (log) log.scrollTop = log.scrollHeight;
for (const root of document.querySelectorAll("[data-live]")) {
  const source = root.dataset.live;
  follow(root, source === "/live/runs" ? showStates : source.startsWith("/live/runs/") ? showRun : showSearch);
}
