// Activity, live: events of the node say what changed, and the parts of the page that show it are fetched anew.

import { fill, icon, wordsOf } from "./app.js";
import { follow } from "./live.js";

const words = wordsOf("activity");
const lost = document.querySelector("#lost");
const told = document.querySelector("#told");

/** A part is fetched at most so often, in milliseconds. To count the amounts takes longer than to show a part. */
const PACE = 1000;
const SLOW_PACE = { amounts: 5000 };
/** While something goes on its numbers are fetched this often even when no event comes: a transfer that stands still is one too. */
const PULSE = 3000;

// Parts of the page listen to `NAME-changed`.
const due = new Map();
const last = new Map();
function changed(name) {
  if (due.has(name)) return;
  const pace = SLOW_PACE[name] ?? PACE;
  const wait = Math.max(0, pace - (performance.now() - (last.get(name) ?? -pace)));
  due.set(name, setTimeout(() => {
    due.delete(name);
    last.set(name, performance.now());
    document.body.dispatchEvent(new CustomEvent(`${name}-changed`));
  }, wait));
}

/** Only what matters is read out: that something began, ended or failed. */
function tell(text, places) {
  told.textContent = fill(text, places);
}

// What a run that only looks does is told by the page that asked for it.
const looking = new Set();
const heard = {
  progress: () => changed("now"),
  listing: () => changed("now"),
  step: ({ failure }) => {
    changed("now");
    if (failure) ["failures", "amounts"].forEach(changed);
  },
  scanning: () => changed("now"),
  sharing: () => ["now", "uploads"].forEach(changed),
  "shared-file": () => ["now", "uploads"].forEach(changed),
  started: ({ service, trigger }) => {
    ["now", "amounts"].forEach(changed);
    if (trigger === "to see what it would do") looking.add(service);
    else tell(words["began"], { service });
  },
  ended: ({ service, failure }) => {
    ["now", "amounts", "failures"].forEach(changed);
    if (looking.delete(service)) return;
    if (failure) tell(words["failed"], { service, reason: failure });
    else tell(words["ended"], { service });
  },
  shared: ({ service, failure }) => {
    ["now", "amounts", "uploads"].forEach(changed);
    if (failure) tell(words["unsent"], { service, reason: failure });
    else tell(words["sent"], { service });
  },
  missed: () => everything(),
};

function everything() {
  ["now", "amounts", "failures", "uploads"].forEach(changed);
}

follow(heard, () => {
  tell(words["again"], {});
  everything();
});
addEventListener("pageshow", (event) => event.persisted && location.reload());
setInterval(() => {
  if (lost.hidden && !document.hidden && document.querySelector("[data-going]")) changed("now");
}, PULSE);
document.addEventListener("visibilitychange", () => !document.hidden && everything());

// Pictures that cannot be shown: an icon stands for them.
function stand(picture) {
  if (picture.matches?.("img.thumb")) picture.replaceWith(icon("image-off"));
}
document.addEventListener("error", (event) => stand(event.target), true);
for (const picture of document.querySelectorAll("img.thumb")) if (picture.complete && !picture.naturalWidth && picture.currentSrc) stand(picture);

// On a phone the parts do not fit beside one another, the less so when their amounts have come.
function bring() {
  const tab = document.querySelector(".tabs [aria-current]");
  const row = tab?.closest(".tabs");
  if (row) row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
}
bring();
let counted = false;
document.addEventListener("htmx:after:swap", (event) => {
  if (counted || !event.detail?.ctx?.target?.matches?.(".tabs")) return;
  counted = true;
  bring();
});

// What was chosen of the trash.
function count() {
  const chosen = document.querySelector("#chosen");
  if (!chosen) return;
  const number = chosen.querySelectorAll("input[name=what]:checked").length;
  chosen.classList.toggle("some", number > 0);
  chosen.querySelector("#chosen-count").textContent = number ? fill(words["chosen"], { n: number }) : "";
}
document.addEventListener("change", (event) => {
  if (event.target.matches("#chosen input")) count();
  if (event.target.matches("[data-submit]")) event.target.form.submit();
});
document.addEventListener("htmx:after:swap", count);
count();

// After a decision the next one is at hand: the button that had the focus has gone with its conflict.
let decided = false;
document.body.addEventListener("conflicts-changed", () => (decided = true));
document.addEventListener("htmx:after:swap", () => {
  if (!decided || document.activeElement !== document.body) return;
  decided = false;
  document.querySelector(".conflict button:not(:disabled)")?.focus({ preventScroll: true });
});
