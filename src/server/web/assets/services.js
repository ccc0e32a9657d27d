// Settings > Services: progress as it happens, passwords that are looked at, and stopping what nobody looks at any more.

import { changes, fill, wordsOf } from "./app.js";
import { follow } from "./live.js";
import "./tree.js";

const words = wordsOf("services");
const dialog = document.querySelector("#dialog");
const numbers = new Intl.NumberFormat(document.documentElement.lang);

// What goes on in the background is stopped when its dialog closes. The address is noted here, because by then the dialog is empty.
let stop = null;
document.addEventListener("htmx:after:swap", (event) => {
  stop = dialog.querySelector("[data-stop]")?.dataset.stop ?? null;
  mark();
  if (event.detail?.ctx?.target?.id === "attempt") bring(dialog.querySelector("#attempt > *"));
});
dialog.addEventListener("close", () => {
  if (dialog.open) return;
  if (stop) fetch(stop, { method: "POST", headers: changes(), keepalive: true });
  stop = null;
});

// The field that a failure is about.
function mark() {
  for (const field of dialog.querySelectorAll("form [data-marked]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("data-marked");
  }
  const failure = dialog.querySelector("#attempt > .attempt");
  if (!failure?.querySelector(".notice")) return;
  const named = failure.dataset.wrong;
  const field = named && dialog.querySelector(`form [name="${named}"]`);
  if (field) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("data-marked", "");
  }
  (field ?? failure.querySelector("input"))?.focus({ preventScroll: true });
  bring(failure);
}

// To where it is seen; from its beginning when it is longer than the dialog.
function bring(part) {
  part?.scrollIntoView({ block: part.offsetHeight > dialog.clientHeight / 2 ? "start" : "nearest" });
}

dialog.addEventListener("click", (event) => {
  const reveal = event.target.closest("[data-reveal]");
  if (reveal) {
    const field = dialog.querySelector(reveal.dataset.reveal);
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    reveal.setAttribute("aria-pressed", String(shown));
  }
});

// Progress as it happens. What began or ended is shown by the table anew.
const anew = () => document.body.dispatchEvent(new CustomEvent("services-changed"));
follow(
  {
    started: anew,
    ended: anew,
    missed: anew,
    shared: anew,
    progress: ({ service, files, files_total: total }) => {
      const row = [...document.querySelectorAll("tr[data-service]")].find((one) => one.dataset.service === service);
      const bar = row?.querySelector("[data-progress]");
      if (!bar) return;
      bar.max = Math.max(total, 1);
      bar.value = files;
      row.querySelector("[data-progress-text]").textContent =
        total === 0 ? words.looking : fill(words.done, { files: numbers.format(files), total: numbers.format(total) });
    },
  },
  anew,
);
