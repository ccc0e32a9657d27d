// The grid: only what is near the window is in the page, and elements are used again for other pictures.

import { aspect, layout, placeAt, rowOf } from "./library-layout.js";
import { address, el, join } from "./library-parts.js";
import { mark, newTile } from "./library-tile.js";

/** What has no picture of its own: nobody is asked for one. */
const PLAIN = new Set(["sidecar", "vector"]);
/** Pixels a frame. */
const FAST = 160;
/** So many pictures are asked for at once. */
const COMING = 4;

export class Grid {
  /** `host` is an empty element; `open(at)` and `pick(at, event)` are called for what people do. */
  constructor(host, { open, pick, isSelected, isSelecting }) {
    this.host = host;
    Object.assign(this, { open, pick, isSelected, isSelecting });
    this.list = el("div", { class: "tiles", role: "listbox", "aria-multiselectable": "true", "aria-label": host.dataset.label });
    this.titles = el("div", { class: "titles" });
    host.append(this.titles, this.list);
    this.items = [];
    this.folder = "";
    this.shown = new Map();
    this.spare = [];
    this.heads = new Map();
    this.current = 0;
    this.missing = new Set();
    this.coming = new Set();
    this.place = layout([], 1, 200, false);
    this.lastTop = 0;
    this.width = 0;
    addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(host);
    this.list.addEventListener("keydown", (event) => this.press(event));
    this.list.addEventListener("focusin", (event) => this.focused(event.target));
    this.hands();
  }

  show(folder, items, byDate) {
    const focused = this.folder === folder ? this.items[this.current]?.name : undefined;
    this.keep();
    this.folder = folder;
    this.items = items;
    this.byDate = byDate;
    const at = focused === undefined ? -1 : items.findIndex(({ name }) => name === focused);
    this.current = at >= 0 ? at : Math.min(this.current, Math.max(0, items.length - 1));
    this.arrange();
  }

  /** What is in the page may be shown again: its picture need not come anew. */
  keep() {
    this.kept ??= new Map();
    for (const tile of this.shown.values()) this.kept.set(tile.key, tile);
    this.shown.clear();
  }

  key(item) {
    return `${this.folder}/${item.name}/${item.hash}`;
  }

  /** The height that rows are to have. */
  get target() {
    return this.width < 560 ? Math.max(104, this.width / 3) : this.width < 1100 ? 190 : 220;
  }

  arrange() {
    this.width = this.host.clientWidth;
    this.place = layout(this.items, this.width, this.target, this.byDate);
    this.list.hidden = !this.items.length;
    this.host.style.height = `${this.place.height}px`;
    for (const title of this.heads.values()) title.remove();
    this.heads.clear();
    this.keep();
    this.update(true);
    for (const tile of this.kept.values()) this.rid(tile);
    this.kept.clear();
    this.host.dispatchEvent(new CustomEvent("arranged"));
  }

  resized() {
    if (this.host.clientWidth === this.width) return;
    const first = this.firstVisible();
    this.arrange();
    if (first > 0) this.reveal(first, "start");
  }

  /** Above the grid there is more of the page. */
  get offset() {
    return this.host.getBoundingClientRect().top + scrollY;
  }

  firstVisible() {
    const top = scrollY - this.offset;
    if (top <= 0 || !this.place.rows.length) return 0;
    return this.place.rows[placeAt(this.place.rows, top)].first;
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.update(false);
    });
  }

  update(isNew) {
    const { rows } = this.place;
    const view = innerHeight;
    const top = scrollY - this.offset;
    const moved = Math.abs(top - this.lastTop);
    this.lastTop = top;
    const from = rows.length ? placeAt(rows, top - view * 0.75) : 0;
    const to = rows.length ? placeAt(rows, top + view * 1.75) : -1;
    const first = rows[from]?.first ?? 0;
    const end = to >= 0 ? rows[to].first + rows[to].count : 0;
    for (const at of [...this.shown.keys()]) if ((at < first || at >= end) && !this.holds(at)) this.drop(at);
    // Whoever rushes past sees nothing of a picture: it is asked for when they come to rest.
    const isFast = !isNew && moved > FAST;
    this.isRushing = isFast;
    for (let row = from; row <= to; row += 1) this.fillRow(rows[row], isFast);
    if (this.items.length && !this.shown.has(this.current)) this.fillRow(rows[rowOf(rows, this.current)], true);
    this.title(top - view, top + view * 2);
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.rested(), isFast ? 90 : 160);
  }

  /** The element with the focus stays, or the focus would be lost. */
  holds(at) {
    return at === this.current;
  }

  rested() {
    this.isRushing = false;
    this.pictures();
  }

  fillRow(row, isFast) {
    if (!row) return;
    let left = 0;
    for (let at = row.first; at < row.first + row.count; at += 1) {
      const width = aspect(this.items[at]) * row.height;
      if (!this.shown.has(at)) this.put(at, left, row, width, isFast);
      left += width + this.place.gap;
    }
  }

  put(at, left, row, width, isFast) {
    const item = this.items[at];
    const key = this.key(item);
    const tile = this.kept?.get(key) ?? this.spare.pop() ?? this.tile();
    this.kept?.delete(key);
    const style = tile.style;
    style.transform = `translate(${left}px, ${row.top}px)`;
    style.width = `${width}px`;
    style.height = `${row.height}px`;
    tile.at = at;
    tile.key = key;
    tile.side = Math.max(width, row.height) * devicePixelRatio > 360 ? 640 : 320;
    tile.href = address.folder(this.folder, item.name);
    tile.setAttribute("aria-posinset", at + 1);
    tile.setAttribute("aria-setsize", this.items.length);
    tile.tabIndex = at === this.current ? 0 : -1;
    this.mark(tile, item);
    this.shown.set(at, tile);
    if (!tile.isConnected) this.list.append(tile);
    if (!isFast) this.picture(tile, item);
  }

  tile() {
    const tile = newTile();
    const image = tile.firstChild;
    image.addEventListener("load", () => {
      tile.classList.add("loaded");
      this.came(tile);
    });
    image.addEventListener("error", () => {
      if (!image.hasAttribute("src")) return;
      this.came(tile);
      this.missing.add(this.key(this.items[tile.at]));
      this.mark(tile, this.items[tile.at]);
    });
    return tile;
  }

  /** Asks for the picture of a tile, once, and for few at a time: browsers ask a node for six things at once, and others are needed too. */
  picture(tile, item) {
    const image = tile.firstChild;
    if (image.hasAttribute("src") || !this.hasPicture(item) || this.isQuiet || this.coming.size >= COMING) return;
    this.coming.add(tile);
    image.src = address.picture(join(this.folder, item.name), tile.side, item.hash);
  }

  /** One that was asked for is there, or not wanted any more: the next one, from the middle of the window. */
  came(tile) {
    if (!this.coming.delete(tile) || this.isRushing) return;
    this.next ??= requestAnimationFrame(() => {
      this.next = undefined;
      this.pictures();
    });
  }

  pictures() {
    const middle = scrollY - this.offset + innerHeight / 2;
    const far = ([at]) => Math.abs(this.place.rows[rowOf(this.place.rows, at)].top - middle);
    for (const [at, tile] of [...this.shown].sort((a, b) => far(a) - far(b))) this.picture(tile, this.items[at]);
  }

  /** While something else covers it, it asks for nothing. */
  hush(isQuiet) {
    this.isQuiet = isQuiet;
    if (!isQuiet) return this.pictures();
    for (const tile of this.coming) tile.firstChild.removeAttribute("src");
    this.coming.clear();
  }

  hasPicture(item) {
    return !PLAIN.has(item.kind) && !this.missing.has(this.key(item));
  }

  drop(at) {
    const tile = this.shown.get(at);
    this.shown.delete(at);
    this.rid(tile);
  }

  rid(tile) {
    const image = tile.firstChild;
    // A picture that is on its way is not waited for.
    image.removeAttribute("src");
    this.came(tile);
    tile.classList.remove("loaded", "bare");
    if (this.spare.length < 200 && document.activeElement !== tile) {
      tile.hidden = true;
      this.spare.push(tile);
    } else {
      tile.remove();
    }
  }

  mark(tile, item) {
    mark(tile, item, !this.hasPicture(item), this.isSelected(item));
  }

  /** Shows anew what is known of all that is in the page. */
  marks() {
    for (const [at, tile] of this.shown) this.mark(tile, this.items[at]);
  }

  title(from, to) {
    const { heads } = this.place;
    for (const [head, title] of this.heads) {
      if (head.top >= from && head.top <= to) continue;
      title.remove();
      this.heads.delete(head);
    }
    for (let at = placeAt(heads, from); at < heads.length && heads[at].top <= to; at += 1) {
      const head = heads[at];
      if (this.heads.has(head)) continue;
      const title = el("h2", { class: "title" }, head.title);
      title.style.transform = `translateY(${head.top}px)`;
      this.heads.set(head, title);
      this.titles.append(title);
    }
  }

  /** Brings an item into view. */
  reveal(at, where = "nearest") {
    const row = this.place.rows[rowOf(this.place.rows, at)];
    if (!row) return;
    const top = row.top + this.offset;
    const [above, below] = [80, 96];
    if (where === "start" || top < scrollY + above) scrollTo(0, top - above);
    else if (top + row.height > scrollY + innerHeight - below) scrollTo(0, top + row.height + below - innerHeight);
    this.update(true);
  }

  /** Gives the focus to an item. */
  focus(at) {
    if (!this.items.length) return;
    const before = this.shown.get(this.current);
    if (before) before.tabIndex = -1;
    this.current = Math.max(0, Math.min(this.items.length - 1, at));
    this.reveal(this.current);
    const tile = this.shown.get(this.current);
    tile.tabIndex = 0;
    tile.focus({ preventScroll: true });
  }

  focused(tile) {
    if (tile.at === undefined || tile.at === this.current) return;
    const before = this.shown.get(this.current);
    if (before) before.tabIndex = -1;
    this.current = tile.at;
    tile.tabIndex = 0;
  }

  /** The item above or below: the one whose middle is nearest. */
  beside(at, step) {
    const { rows } = this.place;
    const row = rowOf(rows, at);
    const other = rows[row + step];
    if (!other) return at;
    const middle = this.middle(rows[row], at);
    let best = other.first;
    for (let next = other.first; next < other.first + other.count; next += 1)
      if (Math.abs(this.middle(other, next) - middle) < Math.abs(this.middle(other, best) - middle)) best = next;
    return best;
  }

  middle(row, at) {
    let left = 0;
    for (let next = row.first; next < at; next += 1) left += aspect(this.items[next]) * row.height + this.place.gap;
    return left + (aspect(this.items[at]) * row.height) / 2;
  }

  press(event) {
    const at = this.current;
    const page = Math.max(1, Math.round(innerHeight / (this.target + this.place.gap)) - 1);
    const far = (step) => Array.from({ length: page }).reduce((now) => this.beside(now, step), at);
    const ways = {
      ArrowLeft: () => at - 1,
      ArrowRight: () => at + 1,
      ArrowUp: () => this.beside(at, -1),
      ArrowDown: () => this.beside(at, 1),
      PageUp: () => far(-1),
      PageDown: () => far(1),
      Home: () => 0,
      End: () => this.items.length - 1,
    };
    if (event.key in ways && !event.altKey) {
      event.preventDefault();
      this.focus(ways[event.key]());
      if (event.shiftKey) this.pick(this.current, { shiftKey: true });
    } else if (event.key === " ") {
      event.preventDefault();
      this.pick(at, event);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.open(at);
    }
  }

  /** Clicks, and fingers that stay. */
  hands() {
    let timer;
    let start;
    let isHeld = false;
    const end = () => clearTimeout(timer);
    this.list.addEventListener("pointerdown", (event) => {
      const tile = event.target.closest(".tile");
      isHeld = false;
      if (!tile || event.pointerType === "mouse") return;
      start = [event.clientX, event.clientY];
      timer = setTimeout(() => {
        isHeld = true;
        navigator.vibrate?.(12);
        this.pick(tile.at, { held: true });
      }, 450);
    });
    this.list.addEventListener("pointermove", (event) => {
      if (start && Math.hypot(event.clientX - start[0], event.clientY - start[1]) > 10) end();
    });
    for (const kind of ["pointerup", "pointercancel"]) this.list.addEventListener(kind, end);
    // What follows is no click on what was just selected.
    this.list.addEventListener("touchend", (event) => isHeld && event.cancelable && event.preventDefault(), { passive: false });
    this.list.addEventListener("contextmenu", (event) => isHeld && event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      // A middle click, or one with Ctrl on the picture itself, opens another tab.
      if (!tile || event.button !== 0) return;
      const onCheck = Boolean(event.target.closest(".check"));
      if ((event.ctrlKey || event.metaKey) && !onCheck && !this.isSelecting()) return;
      event.preventDefault();
      if (isHeld) {
        isHeld = false;
        return;
      }
      this.focused(tile);
      if (onCheck || event.shiftKey || this.isSelecting()) this.pick(tile.at, event);
      else this.open(tile.at);
    });
  }
}
