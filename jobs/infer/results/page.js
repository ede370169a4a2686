"use strict";
// The rows come by scripts beside the page, as a page that is opened from a disk may load no other files.
const PER_PAGE = 48;
const FILE = 0, OUTCOME = 1, EXPECTED = 2, INTERVAL = 3, REASON = 4, PICTURE = 5, CANDIDATES = 6;
const OUTCOMES = ["predicted", "abstained", "refused"];
const rows = [];
const texts = []; // of each row, what is searched
let chosen = []; // positions of the rows that are shown, in order
let page = 0;

function addRows(first, some) {
  some.forEach((row, number) => {
    rows[first + number] = row;
    const prompts = row[CANDIDATES].map((candidate) => candidate[0]);
    texts[first + number] = [row[FILE], row[REASON], ...prompts].join("\n").toLowerCase();
  });
}

function element(id) {
  return document.getElementById(id);
}

function made(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function choose() {
  const words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const outcome = element("outcome").value;
  const order = element("order").value;
  chosen = [];
  rows.forEach((row, position) => {
    if (outcome !== "" && row[OUTCOME] !== Number(outcome)) return;
    if (words.every((word) => texts[position].includes(word))) chosen.push(position);
  });
  if (order !== "file") {
    const sign = order === "most" ? -1 : 1;
    const value = (position) => rows[position][EXPECTED] ?? sign * Infinity; // those without one come last
    chosen.sort((one, other) => {
      const a = sign * value(one), b = sign * value(other);
      return a === b ? one - other : a - b;
    });
  }
  page = 0;
  show();
}

function show() {
  const pages = Math.max(1, Math.ceil(chosen.length / PER_PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  const first = page * PER_PAGE;
  const here = chosen.slice(first, first + PER_PAGE);
  element("pictures").start = first + 1;
  element("pictures").replaceChildren(...here.map(card));
  const range = here.length ? `${(first + 1).toLocaleString("en")} to ${(first + here.length).toLocaleString("en")} of ` : "";
  element("shown").textContent = `${range}${chosen.length.toLocaleString("en")} ${chosen.length === 1 ? "image" : "images"}`;
  for (const id of ["first", "previous"]) element(id).disabled = page === 0;
  for (const id of ["next", "last"]) element(id).disabled = page === pages - 1;
}

function card(position) {
  const row = rows[position];
  const item = made("li");
  item.append(picture(row, position), made("code", "file", row[FILE]));
  if (row[OUTCOME] === 0) item.append(...answer(row));
  else item.append(made("p", row[OUTCOME] === 2 ? "bad" : "", `${OUTCOMES[row[OUTCOME]]}: ${row[REASON]}`));
  const others = row[OUTCOME] === 0 ? row[CANDIDATES].slice(1) : row[CANDIDATES];
  if (others.length) item.append(candidates(others, row[OUTCOME] === 0 ? "other candidates" : "closest known prompts"));
  return item;
}

function picture(row, position) {
  if (!row[PICTURE]) return made("div", "none", row[OUTCOME] === 2 ? "no picture" : "not kept");
  const image = made("img");
  const number = String(position).padStart(6, "0");
  image.src = `page/pictures/${String(Math.floor(position / 1000)).padStart(3, "0")}/${number}.webp`;
  image.alt = row[FILE];
  image.loading = "lazy";
  return image;
}

function answer(row) {
  const [low, high] = row[INTERVAL] ?? [null, null];
  const range = low === null ? "" : ` (${low.toFixed(2)} to ${high.toFixed(2)})`;
  const value = made("p");
  value.append(made("span", "value", row[EXPECTED].toFixed(3)), `${range} expected`);
  const track = made("span", "track");
  const bar = made("span");
  bar.style.width = `${Math.max(0, 100 * row[EXPECTED])}%`;
  track.append(bar);
  const [prompt, , composed] = row[CANDIDATES][0] ?? ["", 0, 0];
  const text = made("p", "prompt", prompt);
  if (composed) text.append(" ", made("span", "kind", "composed"));
  return [value, track, text];
}

function candidates(some, title) {
  const details = made("details");
  const list = made("ol", "candidates");
  for (const [prompt, cosine, composed] of some) {
    const item = made("li");
    item.append(made("span", "number", cosine.toFixed(3)), " ", made("bdi", "prompt", prompt));
    if (composed) item.append(" ", made("span", "kind", "composed"));
    list.append(item);
  }
  details.append(made("summary", "", `${some.length} ${title}`), list);
  return details;
}

function turn(to) {
  page = to;
  show();
  element("controls").scrollIntoView();
}

element("controls").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["search", "outcome", "order"]) element(id).addEventListener("input", choose);
element("first").addEventListener("click", () => turn(0));
element("previous").addEventListener("click", () => turn(page - 1));
element("next").addEventListener("click", () => turn(page + 1));
element("last").addEventListener("click", () => turn(Infinity));
document.addEventListener("DOMContentLoaded", choose); // when the rows, whose scripts are deferred, are there
