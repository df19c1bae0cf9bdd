// Keeps an open page up to date. Without it every page can be read, and reloaded.
"use strict";

const live = document.getElementById("live");
const trace = document.getElementById("trace");

// The part that changes, without losing the focus.
function swap(html) {
  const focused = live.contains(document.activeElement) && document.activeElement.getAttribute("href");
  live.innerHTML = html;
  if (focused) live.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}

// Where the next item of the trace goes: the innermost section that has not ended.
function place() {
  let at = trace;
  for (;;) {
    const last = at.lastElementChild;
    if (last?.tagName !== "DETAILS" || last.lastElementChild.className === "section-end" || last.dataset.ended) return at;
    at = last;
  }
}

function append(items) {
  let at = place();
  for (const [kind, html] of items) {
    at.insertAdjacentHTML("beforeend", html);
    if (kind === "open") at = at.lastElementChild;
    if (kind === "close") {
      at.dataset.ended = "true";
      at = at.parentElement;
    }
  }
  return at;
}

function grow({ items, unfinished }) {
  const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 40;
  trace.querySelectorAll(".unfinished").forEach((it) => it.remove());
  const at = append(items);
  if (unfinished.length > 0) {
    const html = unfinished.map(([, html]) => html).join("");
    at.insertAdjacentHTML("beforeend", `<div class="unfinished">${html}</div>`);
  }
  if (atEnd) window.scrollTo(0, document.documentElement.scrollHeight);
}

if (live?.dataset.events) {
  const shown = document.getElementById("shown")?.dataset.shown;
  const events = new EventSource(live.dataset.events + (shown ? `?${shown}` : ""));
  events.addEventListener("swap", (event) => swap(event.data));
  events.addEventListener("trace", (event) => trace && grow(JSON.parse(event.data)));
  events.addEventListener("end", () => events.close());
}

// A link to a line inside a folded section unfolds it.
function unfold() {
  const line = /^#L\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  for (let at = line && line.parentElement; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (line) line.scrollIntoView({ block: "center" });
}
addEventListener("hashchange", unfold);
unfold();
