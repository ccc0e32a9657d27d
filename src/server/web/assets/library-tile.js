// One picture of the grid: its element, and what is to be seen and heard of it besides the picture.

import { icon } from "./app.js";
import { counted, date, el, words } from "./library-parts.js";

const SIGNS = { video: "film", raw: "raw", image: "image", vector: "image", sidecar: "file" };

export function newTile() {
  const image = el("img", { alt: "", decoding: "async", draggable: "false" });
  const check = el("span", { class: "check" }, icon("check"));
  return el("a", { class: "tile", role: "option" }, image, el("span", { class: "plain" }), el("span", { class: "badges" }), check);
}

/** Shows what is known of a file. `isBare`: it has no picture. */
export function mark(tile, item, isBare, isSelected) {
  const [, plain, badges] = tile.children;
  tile.hidden = false;
  tile.classList.toggle("bare", isBare);
  tile.setAttribute("aria-selected", isSelected);
  if (isBare) plain.replaceChildren(icon(SIGNS[item.kind]), el("span", {}, item.name));
  const signs = signsOf(item);
  const shown = signs.map(({ sign, text, kind }) => el("span", { class: kind ?? "" }, ...(sign ? [icon(sign)] : []), ...(text ? [text] : [])));
  if (signs.length || badges.firstChild) badges.replaceChildren(...shown);
  const said = [item.name, words[`kind-${item.kind}`], date(item.time, { dateStyle: "medium" }), ...signs.map(({ said }) => said)];
  tile.setAttribute("aria-label", said.filter(Boolean).join(", "));
}

/** How long a video lasts, as players write it: `1:05`. */
function lasting(seconds) {
  if (!seconds) return "";
  const all = Math.max(1, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, String(all % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** The signs on a picture: `{sign, text, said}`. */
function signsOf(item) {
  const all = [];
  const media = (item.others ?? []).filter(({ kind }) => kind !== "sidecar");
  if (item.kind !== "video" && media.some(({ kind }) => kind === "video")) all.push({ sign: "live", said: words["live"] });
  if (item.kind === "raw" || media.some(({ kind }) => kind === "raw")) all.push({ text: "RAW", said: "RAW" });
  if (item.kind === "video") all.push({ sign: "play", text: lasting(item.lasts), said: lasting(item.lasts) });
  if (media.length) all.push({ sign: "copies", text: String(media.length + 1), said: counted("stack", media.length + 1) });
  if (!item.hash) all.push({ sign: "clock", said: words["not-indexed"], kind: "waits" });
  return [...all, ...(item.services ?? [])];
}
