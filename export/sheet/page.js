"use strict";
const rows = [...document.querySelectorAll(".row")];
const said = document.getElementById("said");
const search = document.getElementById("search");
const keptOnly = document.getElementById("kept-only");
let playing = null;

const audioOf = (row) => row.querySelector("audio");
const shown = () => rows.filter((row) => !row.hidden);
const nameOf = (row) => row.dataset.name;

function choose(row, focus = true) {
  for (const other of rows) other.tabIndex = other === row ? 0 : -1;
  if (focus) row.focus({ preventScroll: false });
}

function stop(row, back = false) {
  const audio = audioOf(row);
  if (audio) {
    audio.pause();
    if (back) audio.currentTime = 0;
  }
  if (back) delete row.dataset.state;
  else row.dataset.state = "paused";
  row.querySelector("button")?.setAttribute("aria-label", `Play ${nameOf(row)}`);
  if (playing === row) playing = null;
}

function play(row) {
  const audio = audioOf(row);
  if (!audio) {
    said.textContent = `${nameOf(row)} has no audio`;
    return;
  }
  if (playing && playing !== row) stop(playing, true);
  playing = row;
  audio.play().then(() => {
    row.dataset.state = "playing";
    row.querySelector("button").setAttribute("aria-label", `Pause ${nameOf(row)}`);
    said.textContent = `Playing ${nameOf(row)}`;
  }).catch(() => {
    stop(row, true);
    said.textContent = `${nameOf(row)} cannot be played; its file was moved or the browser does not know it`;
  });
}

const toggle = (row) => (playing === row ? (stop(row), (said.textContent = `Paused ${nameOf(row)}`)) : play(row));

function seek(row, fraction) {
  const audio = audioOf(row);
  if (audio && Number.isFinite(audio.duration)) audio.currentTime = fraction * audio.duration;
}

function step(row, by) {
  const there = shown();
  const next = there[Math.min(there.length - 1, Math.max(0, there.indexOf(row) + by))];
  if (!next || next === row) return;
  const on = playing !== null;
  choose(next);
  next.scrollIntoView({ block: "nearest", behavior: "smooth" });
  if (on) play(next);
}

for (const row of rows) {
  const audio = audioOf(row);
  const head = row.querySelector(".head");
  const sound = row.querySelector(".sound");
  row.addEventListener("focus", () => choose(row, false));
  row.querySelector("button")?.addEventListener("click", (event) => {
    event.stopPropagation();
    choose(row);
    toggle(row);
  });
  sound?.addEventListener("click", (event) => {
    const box = sound.getBoundingClientRect();
    const fraction = (event.clientX - box.left) / box.width;
    choose(row);
    if (audio?.readyState) seek(row, fraction);
    else audio?.addEventListener("loadedmetadata", () => seek(row, fraction), { once: true });
    play(row);
  });
  if (audio) {
    audio.addEventListener("timeupdate", () => {
      head.style.left = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
    });
    audio.addEventListener("ended", () => stop(row, true));
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === search) {
    if (event.key === "Escape" || event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      const first = shown()[0];
      if (first) choose(first);
    }
    return;
  }
  const row = document.activeElement?.closest(".row") ?? rows.find((other) => other.tabIndex === 0) ?? rows[0];
  if (event.key === "/") search.focus();
  else if (!row) return;
  else if (event.key === " ") toggle(row);
  else if (event.key === "ArrowDown" || event.key === "j") step(row, 1);
  else if (event.key === "ArrowUp" || event.key === "k") step(row, -1);
  else if (event.key === "Home") step(row, -rows.length);
  else if (event.key === "End") step(row, rows.length);
  else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    const audio = audioOf(row);
    const by = Number(row.dataset.bar) || 1;
    if (audio) audio.currentTime = Math.max(0, audio.currentTime + (event.key === "ArrowRight" ? by : -by));
  } else if (event.key === "Escape" && playing) stop(playing, true);
  else return;
  event.preventDefault();
});

function sift() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.dataset.text;
    row.hidden = !words.every((word) => text.includes(word)) || (keptOnly.checked && row.dataset.kept !== "1");
  }
  const count = shown().length;
  document.getElementById("none").hidden = count > 0;
  said.textContent = `${count} of ${rows.length} shown`;
}
search.addEventListener("input", sift);
keptOnly.addEventListener("change", sift);
