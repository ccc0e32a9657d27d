// A strip at the edge with the years of a long folder: a finger or the mouse on it goes there. The keyboard has other ways to the same places.

import { placeAt } from "./library-layout.js";
import { date, el } from "./library-parts.js";

/** Labels are at least so far apart, in pixels. */
const APART = 26;

export class Scrubber {
  constructor(host, grid) {
    this.host = host;
    this.grid = grid;
    this.bubble = el("span", { class: "bubble" });
    this.thumb = el("span", { class: "thumb" });
    this.labels = el("div", {});
    host.append(this.labels, this.thumb, this.bubble);
    grid.host.addEventListener("arranged", () => this.arrange());
    addEventListener("scroll", () => this.follow(), { passive: true });
    addEventListener("resize", () => this.arrange());
    host.addEventListener("pointerdown", (event) => {
      host.setPointerCapture(event.pointerId);
      host.classList.add("held");
      this.to(event);
    });
    host.addEventListener("pointermove", (event) => (host.classList.contains("held") ? this.to(event) : this.say(event)));
    for (const kind of ["pointerup", "pointercancel"]) host.addEventListener(kind, () => host.classList.remove("held"));
  }

  of(isByDate) {
    this.isByDate = isByDate;
    this.arrange();
  }

  arrange() {
    const { height, heads } = this.grid.place;
    this.host.hidden = !this.isByDate || height < innerHeight * 3 || heads.length < 2;
    if (this.host.hidden) return;
    this.length = this.host.clientHeight;
    let last = -Infinity;
    let year;
    const labels = [];
    for (const head of heads) {
      const now = new Date(head.time * 1000).getUTCFullYear();
      if (now === year) continue;
      year = now;
      const top = (head.top / height) * this.length;
      if (top - last < APART || top > this.length - 14) continue;
      last = top;
      const label = el("span", {}, String(now));
      label.style.top = `${top}px`;
      labels.push(label);
    }
    this.labels.replaceChildren(...labels);
    this.follow();
  }

  get part() {
    return Math.min(1, Math.max(0, (scrollY - this.grid.offset) / Math.max(1, this.grid.place.height - innerHeight)));
  }

  follow() {
    if (this.host.hidden) return;
    this.thumb.style.top = `${this.part * this.length}px`;
    this.host.classList.add("moving");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.host.classList.remove("moving"), 900);
    if (this.host.classList.contains("held") || !this.host.matches(":hover")) this.label(this.part);
  }

  /** Where on the strip a pointer is, from 0 to 1. */
  at(event) {
    const box = this.host.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
  }

  label(part) {
    const { heads, height } = this.grid.place;
    const head = heads[placeAt(heads, part * Math.max(0, height - innerHeight) + 60)];
    if (head) this.bubble.textContent = date(head.time, { month: "short", year: "numeric" });
    this.bubble.style.top = `${part * this.length}px`;
  }

  say(event) {
    this.label(this.at(event));
  }

  to(event) {
    const part = this.at(event);
    scrollTo({ top: this.grid.offset + part * (this.grid.place.height - innerHeight), behavior: "instant" });
    this.label(part);
  }
}
