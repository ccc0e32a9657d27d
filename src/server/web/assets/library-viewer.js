// One picture at a time, on the whole screen.

import { fill, icon } from "./app.js";
import { hands } from "./library-touch.js";
import { address, el, join, number, sign, words } from "./library-parts.js";

/** What browsers show themselves when somebody looks closely. */
const SHOWABLE = /\.(jpe?g|jpe|jfif|png|apng|gif|webp|avif|bmp)$/i;

export class Viewer {
  /** `moved(at)` and `closed(at)` tell where people are, `covers(is)` whether it covers the page; `discard(item)` asks for the trash. */
  constructor({ moved, closed, covers, discard }) {
    Object.assign(this, { moved, closed, covers, discard });
    this.items = [];
    this.at = -1;
    this.build();
    this.wire();
  }

  build() {
    this.low = el("img", { class: "low", alt: "", draggable: "false" });
    this.high = el("img", { class: "high", alt: "", draggable: "false", decoding: "async" });
    this.plain = el("div", { class: "plain" });
    this.media = el("div", { class: "media" }, this.low, this.high);
    this.stage = el("div", { class: "view" }, this.media, this.plain);
    this.name = el("h2", { id: "viewer-title" });
    this.place = el("span", { class: "number dim" });
    this.live = sign("live", words["play-live"], { hidden: true, "aria-pressed": "false" });
    this.zoom = sign("zoom-in", words["zoom"]);
    this.info = sign("info", words["info"], { "aria-expanded": "false", "aria-controls": "viewer-info" });
    this.download = el("a", { class: "quiet", title: words["download"], "aria-label": words["download"], download: true }, icon("download"));
    this.trash = this.discard ? sign("trash", words["trash"]) : undefined;
    this.close = sign("x", words["close"]);
    const tools = [this.live, this.zoom, this.info, this.download, ...(this.trash ? [this.trash] : []), this.close];
    this.before = sign("chevron-left", words["before"], { class: "quiet turn before" });
    this.after = sign("chevron-right", words["after"], { class: "quiet turn after" });
    this.panel = el("aside", { id: "viewer-info", "aria-label": words["info"], hidden: true, tabindex: "-1" });
    this.dialog = el(
      "dialog",
      { class: "viewer", "aria-labelledby": "viewer-title", tabindex: "-1" },
      el("header", {}, el("div", { class: "what" }, this.name, this.place), ...tools),
      el("div", { class: "room" }, this.stage, this.before, this.after, this.panel),
    );
    document.body.append(this.dialog);
  }

  wire() {
    this.close.addEventListener("click", () => this.leave());
    this.before.addEventListener("click", () => this.turn(-1));
    this.after.addEventListener("click", () => this.turn(1));
    this.info.addEventListener("click", () => this.about(this.panel.hidden));
    this.zoom.addEventListener("click", () => this.hands.toggle());
    this.trash?.addEventListener("click", () => this.discard(this.item));
    this.live.addEventListener("click", () => this.playLive());
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.leave();
    });
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.high.addEventListener("load", () => {
      this.high.classList.add("loaded");
      this.ahead();
    });
    this.high.addEventListener("error", () => this.high.hasAttribute("src") && this.missed());
    this.low.addEventListener("error", () => this.low.removeAttribute("src"));
    this.hands = hands(this.stage, this.media, {
      turn: (step) => this.turn(step),
      leave: () => this.leave(),
      zoomed: (scale) => this.zoomed(scale),
      can: (step) => this.at + step >= 0 && this.at + step < this.items.length,
    });
  }

  get item() {
    return this.items[this.at];
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** Shows an item of a folder. */
  open(folder, items, at) {
    this.folder = folder;
    this.items = items;
    if (!this.isOpen) {
      this.dialog.showModal();
      // Notices below a dialog would be seen by nobody.
      this.dialog.append(document.querySelector("#notices"));
      document.documentElement.classList.add("viewing");
      this.covers(true);
      this.dialog.focus();
    }
    this.show(at);
  }

  /** The folder is another one now: what is shown may have moved, have changed or be gone. */
  changed(items) {
    this.items = items;
    const at = items.findIndex(({ name }) => name === this.shown.name);
    if (!items.length) this.leave();
    else if (at < 0) this.show(Math.min(this.at, items.length - 1));
    else if (items[at].hash !== this.shown.hash) this.show(at);
    else this.stand(at);
  }

  leave() {
    if (this.isOpen) this.shut();
    this.closed(this.at);
  }

  /** Closes it without a word. */
  shut() {
    this.still();
    document.body.append(document.querySelector("#notices"));
    document.documentElement.classList.remove("viewing");
    this.covers(false);
    this.dialog.close();
  }

  turn(step) {
    const next = this.at + step;
    if (next < 0 || next >= this.items.length) return;
    this.show(next);
  }

  /** Ends what plays and loads. */
  still() {
    this.media.querySelector("video")?.remove();
    for (const image of [this.low, this.high]) image.removeAttribute("src");
    this.high.classList.remove("loaded");
    this.live.setAttribute("aria-pressed", "false");
  }

  /** Where the item that is shown stands among the others. */
  stand(at) {
    this.at = at;
    this.shown = this.item;
    this.place.textContent = fill(words["place"], { n: number(at + 1), all: number(this.items.length) });
    this.before.disabled = at === 0;
    this.after.disabled = at === this.items.length - 1;
    this.moved(at);
  }

  show(at) {
    this.still();
    this.stand(at);
    const item = this.item;
    const path = join(this.folder, item.name);
    this.hands.reset();
    this.name.textContent = item.name;
    this.download.href = address.file(path, item.hash);
    this.download.setAttribute("download", item.name);
    this.stage.classList.remove("bare");
    this.plain.replaceChildren(icon(item.kind === "video" ? "film" : "file"), el("p", {}, words["no-picture"]), el("p", { class: "dim" }, words["no-picture-help"]));
    const video = (item.others ?? []).find(({ kind }) => kind === "video");
    this.live.hidden = item.kind === "video" || !video;
    this.zoom.hidden = item.kind === "video";
    if (item.kind === "video") this.play(path, item);
    else if (item.kind === "sidecar") this.bare();
    else {
      this.low.src = address.picture(path, 320, item.hash);
      this.high.alt = item.name;
      this.high.src = address.picture(path, this.side, item.hash);
    }
    if (!this.panel.hidden) this.about(true);
  }

  /** Large enough for the screen. */
  get side() {
    return Math.max(this.stage.clientWidth, this.stage.clientHeight) * devicePixelRatio > 1400 ? 2560 : 1280;
  }

  bare() {
    this.stage.classList.add("bare");
  }

  /** A picture did not come: there is none, or nobody answers. */
  async missed() {
    const item = this.item;
    const answer = await this.told(item);
    if (item !== this.item) return;
    if (!answer) {
      const again = el("button", { type: "button", class: "button" }, words["again"]);
      again.addEventListener("click", () => this.show(this.at));
      this.plain.replaceChildren(icon("cloud-off"), el("p", {}, words["no-answer"]), again);
    }
    this.bare();
  }

  /** What the node says of an item; nothing when it does not answer. Who is signed out leaves. */
  async told(item) {
    const answer = await fetch(address.about(join(this.folder, item.name)), { headers: { "HX-Request": "true" } }).catch(() => undefined);
    if (answer?.headers.has("hx-redirect")) location.reload();
    return answer;
  }

  play(path, item) {
    const video = el("video", { controls: true, autoplay: true, playsinline: true, preload: "metadata", src: address.file(path, item.hash) });
    video.addEventListener("error", () => {
      video.remove();
      this.plain.querySelector("p").textContent = words["no-video"];
      this.bare();
    });
    this.media.append(video);
  }

  /** The moments around a Live Photo. */
  playLive() {
    const playing = this.media.querySelector("video");
    if (playing) {
      playing.remove();
      this.live.setAttribute("aria-pressed", "false");
      return;
    }
    const video = this.item.others.find(({ kind }) => kind === "video");
    this.play(join(this.folder, video.name), {});
    this.live.setAttribute("aria-pressed", "true");
    this.media.querySelector("video").addEventListener("ended", () => this.playLive(), { once: true });
  }

  /** Those beside are fetched before somebody turns to them. */
  ahead() {
    this.next = [1, -1].map((step) => this.items[this.at + step]).filter((item) => item && !["video", "sidecar"].includes(item.kind));
    this.next = this.next.map((item) => {
      const image = new Image();
      image.src = address.picture(join(this.folder, item.name), this.side, item.hash);
      return image;
    });
  }

  /** Who looks closely sees the file itself, where browsers can show it. */
  zoomed(scale) {
    const isIn = scale > 1;
    this.zoom.replaceChildren(icon(isIn ? "zoom-out" : "zoom-in"));
    const item = this.item;
    if (!isIn || item.kind !== "image" || !SHOWABLE.test(item.name)) return;
    const whole = address.file(join(this.folder, item.name), item.hash);
    if (this.high.getAttribute("src") === whole || this.loading === whole) return;
    this.loading = whole;
    const image = new Image();
    image.src = whole;
    const shown = this.at;
    image.decode().then(
      () => this.isOpen && this.at === shown && (this.high.src = whole),
      () => {},
    ).finally(() => (this.loading = undefined));
  }

  async about(isShown) {
    this.panel.hidden = !isShown;
    this.info.setAttribute("aria-expanded", isShown);
    this.dialog.classList.toggle("informed", isShown);
    if (!isShown) return;
    const item = this.item;
    const answer = await this.told(item);
    if (item !== this.item) return;
    if (answer?.ok) this.panel.innerHTML = await answer.text();
    else this.panel.replaceChildren(el("p", {}, words["no-answer"]));
  }

  key(event) {
    if (event.target.closest("video") && [" ", "ArrowLeft", "ArrowRight"].includes(event.key)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const ways = {
      ArrowLeft: () => this.turn(-1),
      ArrowRight: () => this.turn(1),
      Home: () => this.at > 0 && this.show(0),
      End: () => this.at < this.items.length - 1 && this.show(this.items.length - 1),
      i: () => this.about(this.panel.hidden),
      Delete: () => this.discard?.(this.item),
      "+": () => this.hands.toggle(true),
      "-": () => this.hands.toggle(false),
    };
    if (!(event.key in ways)) return;
    event.preventDefault();
    event.stopPropagation();
    ways[event.key]();
  }
}
