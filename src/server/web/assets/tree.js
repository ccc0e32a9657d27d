// Choosing a folder of a service in a dialog: a tree that opens below a field (the pattern "tree" of the ARIA authoring practices).

import { changes } from "./app.js";

const dialog = document.querySelector("#dialog");

function fold(opener) {
  opener.closest(".picker").querySelector(".tree-box").hidden = true;
  opener.setAttribute("aria-expanded", "false");
}

dialog.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-tree]");
  if (opener && opener.getAttribute("aria-expanded") === "true") {
    fold(opener);
    event.stopPropagation();
  }
}, true);

// Escape folds the tree; only the next one closes the dialog, and with it what was filled in.
dialog.addEventListener("keydown", (event) => {
  const opener = event.key === "Escape" && event.target.closest(".picker")?.querySelector("[data-tree][aria-expanded=true]");
  if (!opener) return;
  event.preventDefault();
  fold(opener);
  opener.focus();
});

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

function make(button) {
  const picker = button.closest(".picker");
  const field = picker.querySelector("[data-new-folder]");
  const name = field.value.trim();
  const parent = picker.querySelector("[role=treeitem][aria-selected=true]") ?? picker.querySelector("[role=treeitem]");
  if (!name) return field.focus();
  const group = groupOf(parent);
  group.dataset.making = parent.dataset.path ? `${parent.dataset.path}/${name}` : name;
  window.htmx.ajax("POST", button.dataset.make, {
    source: group, target: group, swap: "innerHTML", values: { parent: parent.dataset.path, folder: name }, headers: changes(),
  });
}

// It may be asked for while the members of its parent are still being fetched: whichever answer has it, it is chosen when it is there.
document.addEventListener("htmx:after:swap", (event) => {
  const group = event.detail?.ctx?.target;
  const path = group?.dataset?.making;
  if (!path) return;
  const made = [...group.querySelectorAll("[role=treeitem]")].find((item) => item.dataset.path === path);
  if (!made) return;
  delete group.dataset.making;
  group.closest(".picker").querySelector("[data-new-folder]").value = "";
  group.closest("[role=treeitem]").setAttribute("aria-expanded", "true");
  group.hidden = false;
  choose(made);
});
