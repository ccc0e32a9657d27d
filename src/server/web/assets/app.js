// What every page needs: dialogs, notices, copying, and words for a node that does not answer. Parts of pages are fetched by htmx.

const dialog = document.querySelector("#dialog");
const notices = document.querySelector("#notices");

/** The texts of an area, as the page brought them: `{name: text}`. */
export function wordsOf(area) {
  const data = document.querySelector(`script[data-words="${area}"]`);
  return data ? JSON.parse(data.textContent) : {};
}

const words = wordsOf("common");

/** Puts something in the places of a text. */
export function fill(text, places) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in places ? places[name] : whole));
}

/** An icon of the set. */
export function icon(name) {
  const first = document.querySelector("svg.icon > use");
  const sheet = first ? first.getAttribute("href").split("#")[0] : "";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.classList.add("icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sheet}#${name}`);
  svg.append(use);
  return svg;
}

/** Says something in passing. Bad news stays until it is dismissed. */
export function say(text, tone = "good") {
  const notice = document.createElement("div");
  notice.className = `notice ${tone}`;
  const body = document.createElement("div");
  body.textContent = text;
  notice.append(icon(tone === "good" ? "check-circle" : "alert"), body);
  show(notice);
}

function show(notice) {
  const close = document.createElement("button");
  close.type = "button";
  close.className = "quiet";
  close.title = words["dismiss"];
  close.setAttribute("aria-label", words["dismiss"]);
  close.append(icon("x"));
  close.addEventListener("click", () => notice.remove());
  notice.append(close);
  // In a dialog that covers the page it would not be seen elsewhere.
  (dialog.open ? dialogNotices() : notices).append(notice);
  if (!notice.classList.contains("bad")) setTimeout(() => notice.remove(), 6000);
}

function dialogNotices() {
  let place = dialog.querySelector(".said");
  if (!place) {
    place = document.createElement("div");
    place.className = "said body";
    place.setAttribute("role", "status");
    dialog.querySelector("header")?.after(place);
  }
  return place;
}

/** The headers of a change that a script asks for. */
export function changes(headers = {}) {
  const inherited = document.body.getAttribute("hx-headers:inherited");
  return { ...JSON.parse(inherited || "{}"), ...headers };
}

// Dialogs: what arrives in the dialog opens it.
document.addEventListener("htmx:after:swap", (event) => {
  const target = event.detail?.ctx?.target;
  if (target !== dialog && target !== "#dialog") return;
  dialog.classList.toggle("wide", Boolean(dialog.querySelector("[data-wide]")));
  if (!dialog.open) dialog.showModal();
  // What was there before may have been looked at further down.
  dialog.scrollTop = 0;
  (dialog.querySelector("[aria-invalid]") ?? dialog.querySelector("[autofocus]") ?? dialog.querySelector("input:not([type=hidden]), select"))?.focus();
});
// The event comes a moment later: the next thing may be in it and open by then.
dialog.addEventListener("close", () => dialog.open || dialog.replaceChildren());
// A click beside the dialog closes it, if it began there: a text that is selected beyond its edge is no such click.
let beganBeside = false;
dialog.addEventListener("pointerdown", (event) => (beganBeside = event.target === dialog && isBeside(event)));
dialog.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]") || (event.target === dialog && beganBeside && isBeside(event))) dialog.close();
});

function isBeside({ clientX: x, clientY: y }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}
document.body.addEventListener("close-dialog", () => dialog.open && dialog.close());
document.body.addEventListener("said", (event) => say(event.detail.value ?? event.detail));

// Refusals that arrived for the notices get a button to dismiss them.
new MutationObserver((changes) => {
  for (const { addedNodes } of changes)
    for (const node of addedNodes) if (node.matches?.(".notice") && !node.querySelector("button")) show(node);
}).observe(notices, { childList: true });

document.addEventListener("htmx:error", (event) => {
  // An answer with an error status brings its own words; this is for none at all.
  if (!event.detail?.ctx?.response) say(words["failed"], "bad");
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await copy(button.dataset.copy);
  say(words["copied"]);
});

// Without https browsers give no clipboard to scripts, but a selection can still be copied.
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  (dialog.open ? dialog : document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
