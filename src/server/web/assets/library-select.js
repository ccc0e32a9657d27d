// What is selected, and what can be done with it.

import { Refused, ask, counted, failed, join, number, question, size, tell, words } from "./library-parts.js";

/** So many paths the API takes at once. */
const AT_ONCE = 1000;
/** A form may be so long, in characters. */
const FORM = 900_000;

export class Selection {
  /** `bar` is the bar with the actions; `changed()` is called when other files are selected, `gone(items)` when they were discarded. */
  constructor(bar, { changed, gone, mayRestore }) {
    this.bar = bar;
    Object.assign(this, { changed, gone, mayRestore });
    this.items = new Set();
    this.folder = "";
    this.all = [];
    this.anchor = 0;
    bar.querySelector("[data-clear]").addEventListener("click", () => this.clear());
    bar.querySelector("[data-zip]")?.addEventListener("click", () => this.zip());
    bar.querySelector("[data-trash]")?.addEventListener("click", () => this.discard([...this.items]));
  }

  /** Of a folder with these items; those of the same name stay selected. */
  of(folder, all) {
    const names = folder === this.folder ? new Set([...this.items].map(({ name }) => name)) : new Set();
    this.folder = folder;
    this.all = all;
    this.items = new Set(all.filter(({ name }) => names.has(name)));
    this.shown();
  }

  has(item) {
    return this.items.has(item);
  }

  get isOn() {
    return this.items.size > 0;
  }

  pick(at, event) {
    const item = this.all[at];
    if (event.shiftKey) {
      const [from, to] = [Math.min(this.anchor, at), Math.max(this.anchor, at)];
      for (const between of this.all.slice(from, to + 1)) this.items.add(between);
    } else {
      if (!this.items.delete(item)) this.items.add(item);
      this.anchor = at;
    }
    this.shown();
  }

  selectAll() {
    this.items = new Set(this.all);
    this.shown();
  }

  clear() {
    this.items.clear();
    this.shown();
  }

  shown() {
    this.bar.hidden = !this.isOn;
    document.documentElement.classList.toggle("selecting", this.isOn);
    const bytes = [...this.items].reduce((sum, item) => sum + whole(item), 0);
    this.bar.querySelector("[data-count]").textContent = this.isOn ? counted("selected", this.items.size) : "";
    this.bar.querySelector("[data-bytes]").textContent = this.isOn ? size(bytes) : "";
    this.changed();
  }

  /** The paths of all files of these items: what belongs together goes together. */
  paths(items) {
    return items.flatMap(({ name, others }) => [name, ...(others ?? []).map((other) => other.name)]).map((name) => join(this.folder, name));
  }

  async zip() {
    try {
      const { path } = await ask("POST", "api/v1/library/zip", { paths: this.paths([...this.items]) });
      // The browser goes there, and stays where it is: what comes is a download.
      const link = document.createElement("a");
      link.href = `api/v1${path}`;
      link.download = "";
      document.body.append(link);
      link.click();
      link.remove();
      tell(words["zip-begins"]);
    } catch (error) {
      failed(error);
    }
  }

  /** Asks, and moves to the trash; says how to get it back. */
  async discard(items) {
    if (!items.length) return;
    const title = items.length === 1 ? words["trash-one-title"].replace("{name}", () => items[0].name) : counted("trash-title", items.length);
    if (!(await question(title, words["trash-help"], words["trash"]))) return;
    const paths = this.paths(items);
    const [trashed, kept] = [[], []];
    try {
      for (let at = 0; at < paths.length; at += AT_ONCE) {
        const done = await ask("POST", "api/v1/library/trash", { paths: paths.slice(at, at + AT_ONCE) });
        trashed.push(...done.trashed);
        kept.push(...done.failed);
      }
    } catch (error) {
      failed(error);
    }
    for (const { path, reason } of kept.slice(0, 3)) tell(`${path}: ${reason}`, { tone: "bad" });
    if (!trashed.length) return;
    const undo = this.mayRestore ? { action: words["undo"], run: () => this.restore(trashed) } : {};
    tell(counted("trashed", trashed.length), undo);
    this.gone();
  }

  /** Takes back what was just moved to the trash, and says what could not be. */
  async restore(paths) {
    const [restored, kept] = [[], []];
    try {
      for (let at = 0; at < paths.length; at += AT_ONCE) {
        const done = await ask("POST", "api/v1/trash/restore", { what: paths.slice(at, at + AT_ONCE) });
        restored.push(...done.restored);
        kept.push(...done.kept, ...done.failed);
      }
    } catch (error) {
      failed(error);
    }
    for (const { path, reason } of kept.slice(0, 3)) tell(`${path}: ${reason}`, { tone: "bad" });
    if (restored.length) tell(counted("restored", restored.length));
    this.gone();
  }

  /** Fills the dialog that sends what is selected to a service. */
  intoForm(form) {
    const text = JSON.stringify(this.paths([...this.items]));
    if (encodeURIComponent(text).length > FORM) {
      document.querySelector("#dialog").close();
      failed(new Refused(413, { detail: words["too-many"].replace("{n}", number(this.items.size)) }));
      return;
    }
    form.querySelector("[name=paths]").value = text;
    const bytes = [...this.items].reduce((sum, item) => sum + whole(item), 0);
    form.querySelector("[data-chosen]").textContent = `${counted("selected", this.items.size)} · ${size(bytes)}`;
  }
}

/** Bytes of a file and of those that belong to it. */
function whole(item) {
  return (item.others ?? []).reduce((sum, other) => sum + other.size, item.size);
}

