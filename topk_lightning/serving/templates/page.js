"use strict";
const form = document.querySelector("form");
const [files, count, coverage] = [form.elements.image, form.elements.k, form.elements.coverage];
const results = document.querySelector(".results");
const said = document.querySelector(".said");
const card = document.querySelector("template");
const maxBytes = Number(document.querySelector("main").dataset.maxBytes);
const AT_A_TIME = 4;
const waiting = [];
let running = 0;

const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1%" : `${(100 * share).toFixed(1)}%`);
const written = (number) => number.toLocaleString("en");
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** One request for one picture; a busy server is asked again when it says so. */
async function ask(file, query) {
  if (file.size > maxBytes) throw new Error(`The file has ${written(file.size)} bytes; at most ${written(maxBytes)} are accepted.`);
  for (;;) {
    const body = new FormData();
    body.append("image", file);
    const response = await fetch(`predict?${query}`, { method: "POST", body }).catch(() => {
      throw new Error("The server does not answer. Is it still running?");
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    if (response.status !== 503) throw new Error(answer.error ?? `The server answered ${response.status}.`);
    await pause(Number(response.headers.get("Retry-After")) || 1);
  }
}

function guess({ class: name, probability }) {
  const line = document.createElement("li");
  const add = (parent, kind) => Object.assign(parent.appendChild(document.createElement("span")), { className: kind });
  add(line, "name").textContent = name;
  add(line, "share").textContent = percent(probability);
  const track = add(line, "track");
  track.setAttribute("aria-hidden", "true");
  const bar = add(track, "bar");
  bar.style.width = "0";
  requestAnimationFrame(() => requestAnimationFrame(() => (bar.style.width = `${100 * probability}%`)));
  return line;
}

const PILES = { accept: "Accepted: nobody needs to look.", list: "Pick the right name from the list.", person: "An expert must look at this picture." };

/** What becomes of the picture, by the plan of the model. */
function review(item, pile) {
  const mark = item.querySelector(".pile");
  mark.hidden = !pile;
  if (pile) { mark.textContent = PILES[pile]; mark.classList.add(pile); }
}

/** The finest class or group that is sure enough, over the best of each level; or the group that a set is. */
function say(item, sure, group) {
  const box = item.querySelector(".sure");
  const answer = sure ?? group;
  box.hidden = !answer;
  if (!answer) return;
  box.querySelector("strong").textContent = answer.level ? answer.name : "Not sure at any level";
  box.querySelector(".of").textContent = answer.level && answer.level !== "class" ? `one ${answer.level}` : "";
  box.querySelector("ol").append(...(sure?.levels ?? []).map(({ level, name, probability }) => {
    const line = document.createElement("li");
    line.textContent = `${level}: ${name}, ${percent(probability)}`;
    return line;
  }));
  box.querySelector("ol").hidden = !sure;
}

/** A list that goes on below its box fades at its end. */
const fade = (list) => list.classList.toggle("more", list.scrollHeight - list.scrollTop - list.clientHeight > 2);

async function show({ file, item, query }) {
  const note = item.querySelector(".note");
  try {
    const { predictions, pile, sure, group } = await ask(file, query);
    review(item, pile);
    say(item, sure, group);
    const guesses = item.querySelector(".guesses");
    guesses.append(...predictions.map(guess));
    guesses.hidden = !predictions.length;
    guesses.addEventListener("scroll", () => fade(guesses), { passive: true });
    new ResizeObserver(() => fade(guesses)).observe(guesses);
    note.remove();
    const share = query.get("coverage");
    if (share) {
      const names = predictions.length === 1 ? "1 name" : `${predictions.length} names`;
      const promise = item.querySelector(".promise");
      promise.textContent = predictions.length ? `${names}: such a list holds the right one in ${Number((100 * share).toPrecision(6))} of 100 pictures` : "No name is likely enough.";
      promise.hidden = false;
    }
    said.textContent = predictions.length ? `${file.name}: ${predictions[0].class}, ${percent(predictions[0].probability)}` : `${file.name}: no name`;
  } catch (error) {
    item.classList.add("failed");
    note.textContent = error.message;
    said.textContent = `${file.name} could not be classified.`;
  }
}

async function work() {
  running += 1;
  while (waiting.length) await show(waiting.shift());
  running -= 1;
}

function take(chosen) {
  if (!chosen.length || !form.reportValidity()) return;
  const items = Array.from(chosen, (file) => {
    const item = card.content.cloneNode(true).firstElementChild;
    const image = item.querySelector("img");
    item.querySelector("h2").textContent = item.querySelector("h2").title = file.name;
    image.alt = file.name;
    image.onload = () => URL.revokeObjectURL(image.src);
    image.onerror = () => image.remove();
    image.src = URL.createObjectURL(file);
    waiting.push({ file, item, query: new URLSearchParams(coverage?.value ? { coverage: coverage.value } : { k: count.value }) });
    return item;
  });
  results.prepend(...items);
  said.textContent = items.length === 1 ? `Looking at ${chosen[0].name} …` : `Looking at ${items.length} pictures …`;
  while (running < AT_A_TIME && waiting.length) work();
}

const choose = () => (count.disabled = Boolean(coverage?.value));
coverage?.addEventListener("change", choose);
choose();
files.addEventListener("change", () => { take(files.files); files.value = ""; });
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take(event.dataTransfer.files);
});
