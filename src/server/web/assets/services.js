// Settings > Services: progress as it happens, the tree of folders, passwords that are looked at, and stopping what nobody looks at any more.

import { changes, fill, wordsOf } from "./app.js";

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
  const opener = event.target.closest("[data-tree]");
  if (opener && opener.getAttribute("aria-expanded") === "true") {
    opener.closest(".picker").querySelector(".tree-box").hidden = true;
    opener.setAttribute("aria-expanded", "false");
    event.stopPropagation();
  }
}, true);

// The tree of folders (the pattern "tree" of the ARIA authoring practices).
document.addEventListener("htmx:after:swap", (event) => {
  const box = event.detail?.ctx?.target;
  if (!box?.matches?.(".tree-box") || !box.querySelector(".tree")) return;
  box.hidden = false;
  box.closest(".picker").querySelector("[data-tree]").setAttribute("aria-expanded", "true");
  box.querySelector("[role=treeitem]").focus();
});

const groupOf = (item) => item.querySelector(":scope > [role=group]");
const isOpen = (item) => item.getAttribute("aria-expanded") === "true";

function open(item, is) {
  const group = groupOf(item);
  item.setAttribute("aria-expanded", String(is));
  group.hidden = !is;
  if (is && !group.children.length) group.dispatchEvent(new Event("unfold"));
}

function choose(item) {
  const tree = item.closest(".tree");
  for (const other of tree.querySelectorAll("[aria-selected=true]")) other.setAttribute("aria-selected", "false");
  item.setAttribute("aria-selected", "true");
  const field = item.closest(".picker").querySelector("[name=folder]");
  field.value = `/${item.dataset.path}`;
  field.removeAttribute("aria-invalid");
  stand(item);
}

function stand(item) {
  for (const other of item.closest(".tree").querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
  item.tabIndex = 0;
  item.focus({ preventScroll: true });
  item.querySelector(".row").scrollIntoView({ block: "nearest" });
}

dialog.addEventListener("click", (event) => {
  const item = event.target.closest("[role=treeitem]");
  if (!item || !event.target.closest(".row") || event.target.closest("[role=none]")) return;
  if (event.target.closest(".twig")) return open(item, !isOpen(item));
  choose(item);
  if (!isOpen(item)) open(item, true);
});

dialog.addEventListener("keydown", (event) => {
  if (event.target.matches("[data-new-folder]") && event.key === "Enter") {
    event.preventDefault();
    return make(event.target.closest(".new-folder").querySelector("[data-make]"));
  }
  const item = event.target.closest("[role=treeitem]");
  if (!item || event.target !== item) return;
  const seen = [...item.closest(".tree").querySelectorAll("[role=treeitem]")].filter((one) => one.offsetParent);
  const at = seen.indexOf(item);
  const above = item.parentElement.closest("[role=treeitem]");
  const steps = {
    ArrowDown: () => seen[at + 1] && stand(seen[at + 1]),
    ArrowUp: () => seen[at - 1] && stand(seen[at - 1]),
    Home: () => stand(seen[0]),
    End: () => stand(seen[seen.length - 1]),
    ArrowRight: () => (isOpen(item) ? groupOf(item).querySelector("[role=treeitem]") && stand(groupOf(item).querySelector("[role=treeitem]")) : open(item, true)),
    ArrowLeft: () => (isOpen(item) ? open(item, false) : above && stand(above)),
    Enter: () => choose(item),
    " ": () => choose(item),
  };
  if (!steps[event.key]) return;
  event.preventDefault();
  steps[event.key]();
});

// A new folder in the one that is chosen.
dialog.addEventListener("click", (event) => {
  const button = event.target.closest("[data-make]");
  if (button) make(button);
});

async function make(button) {
  const picker = button.closest(".picker");
  const field = picker.querySelector("[data-new-folder]");
  const name = field.value.trim();
  const parent = picker.querySelector("[role=treeitem][aria-selected=true]") ?? picker.querySelector("[role=treeitem]");
  if (!name) return field.focus();
  const path = parent.dataset.path ? `${parent.dataset.path}/${name}` : name;
  await window.htmx.ajax("POST", button.dataset.make, {
    source: groupOf(parent), target: groupOf(parent), swap: "innerHTML",
    values: { parent: parent.dataset.path, folder: name }, headers: changes(),
  });
  const made = [...groupOf(parent).querySelectorAll("[role=treeitem]")].find((item) => item.dataset.path === path);
  if (!made) return;
  field.value = "";
  parent.setAttribute("aria-expanded", "true");
  groupOf(parent).hidden = false;
  choose(made);
}

// Progress as it happens. What began or ended is shown by the table anew.
const events = new EventSource(new URL("api/v1/events", document.baseURI));
const anew = () => document.body.dispatchEvent(new CustomEvent("services-changed"));
for (const name of ["started", "ended", "missed", "shared"]) events.addEventListener(name, anew);
events.addEventListener("progress", (event) => {
  const { service, files, files_total: total } = JSON.parse(event.data);
  const row = [...document.querySelectorAll("tr[data-service]")].find((one) => one.dataset.service === service);
  const bar = row?.querySelector("[data-progress]");
  if (!bar) return;
  bar.max = Math.max(total, 1);
  bar.value = files;
  row.querySelector("[data-progress-text]").textContent =
    total === 0 ? words.looking : fill(words.done, { files: numbers.format(files), total: numbers.format(total) });
});
window.addEventListener("pagehide", () => events.close());
