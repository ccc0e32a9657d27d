// The library's page: which folder is open, in which order, and what belongs together of grid, viewer, selection and uploads.

import { icon } from "./app.js";
import { Grid } from "./library-grid.js";
import { Refused, address, ask, counted, date, el, failed, join, size, tell, words } from "./library-parts.js";
import { Scrubber } from "./library-scrubber.js";
import { Selection } from "./library-select.js";
import { Uploads, chosen, dropped } from "./library-upload.js";
import { Viewer } from "./library-viewer.js";
import "./tree.js";

const page = document.querySelector("#library");
const find = (name) => document.querySelector(`#${name}`);
const ORDER = "twinlens-order";

let folder = "";
let items = [];
let turn = 0;
let order = ["date", "oldest", "name"].includes(localStorage.getItem(ORDER)) ? localStorage.getItem(ORDER) : "date";

const selection = new Selection(find("selection"), {
  changed: () => {
    grid?.marks();
    find("all").setAttribute("aria-pressed", String(selection?.isOn && selection.items.size === items.length));
  },
  gone: () => refresh(),
  mayRestore: "restore" in page.dataset,
});
const grid = new Grid(find("grid"), {
  open: (at) => open(at),
  pick: (at, event) => selection.pick(at, event),
  isSelected: (item) => selection.has(item),
  isSelecting: () => selection.isOn,
});
const viewer = new Viewer({
  moved: (at) => history.replaceState({ ...history.state, show: items[at].name }, "", address.folder(folder, items[at].name)),
  closed: (at) => closed(at),
  covers: (is) => grid.hush(is),
  discard: "trash" in page.dataset ? (item) => selection.discard([item]) : undefined,
});
const scrubber = new Scrubber(find("scrubber"), grid);
const uploads = "add" in page.dataset ? new Uploads(find("uploads"), { stored: (path) => path.startsWith(folder ? `${folder}/` : "") && soon() }) : undefined;

/** Where the address says that somebody is. */
function here() {
  const query = new URLSearchParams(location.search);
  return { folder: (query.get("folder") ?? "").replace(/^\/+|\/+$/g, ""), show: query.get("show") };
}

/** A new list: the grid still needs the one that it shows. */
function sorted(all) {
  const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const name = (a, b) => byName.compare(a.name, b.name) || (a.name < b.name ? -1 : 1);
  if (order === "name") return all.toSorted(name);
  const way = order === "date" ? -1 : 1;
  return all.toSorted((a, b) => way * (a.time - b.time) || name(a, b));
}

/** Rows of the columns that the API answers. */
function rows(told) {
  return told.names.map((name, at) => ({
    name,
    kind: told.kinds[at],
    size: told.sizes[at],
    time: told.times[at],
    width: told.widths[at],
    height: told.heights[at],
    lasts: told.lasts[at],
    hash: told.hashes[at],
    others: told.others[at],
  }));
}

/** Fetches a folder and shows it. `keep` leaves people where they are in it. */
async function load(next, { keep = false, top = 0, show } = {}) {
  const mine = ++turn;
  page.setAttribute("aria-busy", "true");
  // What is not looked at any more keeps nobody waiting.
  if (!keep) grid.hush(true);
  let told;
  try {
    told = await ask("GET", address.grid(next));
  } catch (error) {
    if (mine === turn) refused(next, error);
    return;
  } finally {
    if (mine === turn) page.removeAttribute("aria-busy");
  }
  if (mine !== turn) return;
  folder = next;
  items = sorted(rows(told));
  if (!keep) grid.current = 0;
  find("said").replaceChildren();
  head();
  folders(told.folders);
  summary(told);
  selection.of(folder, items);
  grid.show(folder, items, order !== "name");
  grid.hush(viewer.isOpen);
  scrubber.of(order !== "name");
  if (!keep) scrollTo(0, top);
  badges(mine);
  if (viewer.isOpen) viewer.changed(items);
  else if (show) {
    const at = items.findIndex(({ name, others }) => name === show || others?.some((other) => other.name === show));
    if (at >= 0) {
      grid.current = at;
      grid.reveal(at);
      viewer.open(folder, items, at);
    } else tell(words["not-here"].replace("{name}", () => show), { tone: "warning" });
  }
}

/** What the services say of the files; it comes after the pictures. */
async function badges(mine) {
  if (!("services" in page.dataset)) return;
  const byName = new Map(items.map((item) => [item.name, item]));
  let cursor;
  do {
    let told;
    try {
      told = await ask("GET", address.badges(folder, cursor));
    } catch {
      return;
    }
    if (mine !== turn) return;
    for (const { name, services } of told.badges) {
      const item = byName.get(name);
      if (item && services?.length) item.services = signs(services);
    }
    cursor = told.next;
    grid.marks();
  } while (cursor);
}

/** One sign for all services: the one that needs somebody first. */
function signs(services) {
  const names = (states) => [...new Set(services.filter(({ state }) => states.includes(state)).map(({ service }) => service))];
  const [bad, waits, there] = [names(["failed"]), names(["waiting"]), names(["in-step", "shared", "older"])];
  const said = (key, list) => words[key].replace("{services}", () => list.join(", "));
  if (bad.length) return [{ sign: "alert", kind: "bad", said: said("on-failed", bad) }];
  if (waits.length) return [{ sign: "cloud-up", kind: "waits", said: said("on-waiting", waits) }];
  // Equal checksums need no other proof; a size alone is none.
  const isProof = ({ proof, state }) => (proof ? proof !== "size" : state === "in-step");
  const proven = there.every((name) => services.some((one) => one.service === name && isProof(one)));
  const text = there.length > 1 ? String(there.length) : "";
  return there.length ? [{ sign: proven ? "cloud-check" : "cloud", text, kind: "there", said: said("on", there) }] : [];
}

function refused(next, error) {
  folder = next;
  items = [];
  head();
  find("folders").hidden = true;
  find("summary").textContent = "";
  selection.of(folder, items);
  grid.show(folder, items, false);
  grid.hush(false);
  scrubber.of(false);
  if (error instanceof Refused && error.status === 401) return location.reload();
  const isGone = error instanceof Refused && error.status === 404;
  const way = isGone ? el("a", { class: "button", href: address.folder("") }, words["to-library"]) : el("button", { type: "button", class: "button" }, words["again"]);
  if (!isGone) way.addEventListener("click", () => load(next));
  empty(isGone ? "folder" : "alert", isGone ? words["no-folder"] : words["no-answer"], isGone ? words["no-folder-help"] : error.message, way);
}

function empty(name, title, text, ...ways) {
  find("said").replaceChildren(el("div", { class: "empty" }, icon(name), el("h2", {}, title), el("p", {}, text), ...ways));
}

/** The way from the library to the folder. */
function head() {
  const parts = folder ? folder.split("/") : [];
  const name = parts.at(-1) ?? words["library"];
  const ways = parts.map((_, at) => ({ name: at ? parts[at - 1] : words["library"], to: parts.slice(0, at).join("/") }));
  const links = ways.map(({ name, to }) => el("li", {}, el("a", { href: address.folder(to), "data-folder": to }, name), icon("chevron-right")));
  const title = el("h1", { title: name }, name);
  page.querySelector(".crumbs").replaceChildren(...(links.length ? [el("ol", {}, ...links)] : []), title);
  document.title = `${name} · Twinlens`;
}

function folders(all) {
  const section = find("folders");
  section.hidden = !all.length;
  section.replaceChildren(
    ...all.map(({ name, files, size: bytes, cover }) => {
      const to = join(folder, name);
      const art = el("span", { class: "art" }, icon("folder"));
      if (cover) {
        const image = el("img", { alt: "", loading: "lazy", decoding: "async", src: address.picture(cover[0], 320, cover[1]) });
        image.addEventListener("error", () => image.remove());
        art.append(image);
      }
      const count = el("span", { class: "dim number" }, files ? counted("files", files) : words["empty-short"]);
      if (bytes) count.title = size(bytes);
      return el("a", { class: "album", href: address.folder(to), "data-folder": to }, art, el("span", { class: "what" }, el("strong", {}, name), count));
    }),
  );
}

function summary(told) {
  const bytes = items.reduce((sum, item) => sum + item.size, 0);
  find("summary").textContent = items.length ? `${counted("pictures", items.length)} · ${size(bytes)}` : "";
  const times = items.map(({ time }) => time);
  if (order !== "name" && items.length > 1) {
    const [from, to] = [times.at(-1), times[0]].sort((a, b) => a - b).map((time) => date(time, { month: "short", year: "numeric" }));
    find("summary").textContent += ` · ${from === to ? from : `${from} – ${to}`}`;
  }
  find("order").hidden = find("all").hidden = !items.length;
  if (!items.length && !told.folders.length) {
    const ways = uploads ? [el("button", { type: "button", class: "button main" }, icon("upload"), words["upload"])] : [];
    ways[0]?.addEventListener("click", () => find("files").click());
    empty("images", folder ? words["empty-folder"] : words["empty-library"], uploads ? words[matchMedia("(hover: none)").matches ? "empty-touch" : "empty-help"] : words["empty-look"], ...ways);
  }
  if (told.unreadable.length) {
    const list = told.unreadable.slice(0, 20).map(({ path, reason }) => el("li", {}, `${path}: ${reason}`));
    const more = el("details", {}, el("summary", {}, counted("unusable", told.unreadable.length)), el("ul", {}, ...list));
    find("said").append(el("div", { class: "notice warning" }, icon("alert"), el("div", {}, more)));
  }
}

function open(at) {
  history.pushState({ show: items[at].name, top: scrollY, isOurs: true }, "", address.folder(folder, items[at].name));
  viewer.open(folder, items, at);
}

/** The viewer was closed by somebody: back to where it was opened from. */
function closed(at) {
  if (history.state?.isOurs) {
    history.back();
  } else {
    history.replaceState({ top: scrollY }, "", address.folder(folder));
  }
  if (items.length) grid.focus(at);
}

function go(to) {
  history.replaceState({ ...history.state, top: scrollY }, "");
  history.pushState({ top: 0 }, "", address.folder(to));
  selection.clear();
  load(to).then(() => find("main").focus({ preventScroll: true }));
}

const refresh = () => load(folder, { keep: true });

let timer;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, 800);
}

function wire() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => {
    const place = here();
    if (viewer.isOpen && !place.show) {
      const at = viewer.at;
      viewer.shut();
      if (place.folder === folder && items.length) grid.focus(at);
    }
    if (place.folder !== folder) load(place.folder, { top: history.state?.top ?? 0, show: place.show });
    else if (place.show && !viewer.isOpen) {
      const at = items.findIndex(({ name }) => name === place.show);
      if (at >= 0) viewer.open(folder, items, at);
    }
  });
  let settled;
  addEventListener("scroll", () => {
    clearTimeout(settled);
    settled = setTimeout(() => viewer.isOpen || history.replaceState({ ...history.state, top: scrollY }, ""), 250);
  });
  page.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-folder], .empty a[href]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.dataset.folder ?? "");
  });
  find("order").value = order;
  find("order").addEventListener("change", (event) => {
    order = event.target.value;
    localStorage.setItem(ORDER, order);
    items = sorted(items);
    grid.current = 0;
    selection.of(folder, items);
    grid.show(folder, items, order !== "name");
    scrubber.of(order !== "name");
    scrollTo(0, 0);
  });
  find("all").addEventListener("click", () => (selection.items.size === items.length ? selection.clear() : selection.selectAll()));
  document.addEventListener("keydown", keys);
  document.addEventListener("htmx:after:swap", (event) => {
    const form = event.detail?.ctx?.target?.querySelector?.("form.share");
    if (form) selection.intoForm(form);
  });
  document.body.addEventListener("shared", ({ detail }) => {
    tell(detail.text, { action: words["to-activity"], href: "activity/uploads" });
    if (detail.warning) tell(detail.warning, { tone: "warning" });
    selection.clear();
    badges(turn);
  });
  if (uploads) wireUploads();
}

function keys(event) {
  if (document.querySelector("dialog[open]") || event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a" && items.length) {
    event.preventDefault();
    selection.selectAll();
  } else if (event.key === "Escape" && selection.isOn) selection.clear();
  else if (event.key === "Delete" && selection.isOn && "trash" in page.dataset) selection.discard([...selection.items]);
}

function wireUploads() {
  const take = (files) => uploads.add(folder, files).catch(failed);
  for (const [button, input] of [["upload-files", "files"], ["upload-folder", "folder"]]) {
    find(button).addEventListener("click", () => find(input).click());
    find(input).addEventListener("change", (event) => take(chosen(event.target)));
  }
  let depth = 0;
  const isFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files") && !document.querySelector("dialog[open]");
  const over = (step) => (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth = Math.max(0, depth + step);
    find("drop").hidden = !depth;
  };
  addEventListener("dragenter", over(1));
  addEventListener("dragleave", over(-1));
  addEventListener("dragover", (event) => isFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth = 0;
    find("drop").hidden = true;
    dropped(event.dataTransfer).then(take, failed);
  });
}

wire();
const start = here();
load(start.folder, { top: history.state?.top ?? 0, show: start.show });
