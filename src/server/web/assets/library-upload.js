// Uploads in pieces: they go on after a lost connection, a reload, or a closed browser when the same files are chosen again.

import { icon } from "./app.js";
import { Refused, ask, counted, el, join, number, sign, size, words } from "./library-parts.js";

/** So many files at once. */
const AT_ONCE = 3;
/** A piece has between so many bytes. */
const [SMALLEST, LARGEST] = [1 << 20, 16 << 20];
/** A file comes in so many pieces at the most, besides those that break: the other side takes 10,000. */
const PIECES = 4000;
const JUNK = /^(\..*|thumbs\.db|desktop\.ini|ehthumbs.*\.db)$/i;
/** So many rows are shown. */
const ROWS = 60;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Until the network is there again, or a while has passed. */
const online = (milliseconds) =>
  Promise.race([pause(milliseconds), new Promise((resolve) => addEventListener("online", resolve, { once: true }))]);

/** All files of what was dropped, with their paths; folders are looked into. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [];
  async function into(entry, path) {
    if (JUNK.test(entry.name)) return;
    if (entry.isFile) files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path: join(path, entry.name) });
    else {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        for (const member of some) await into(member, join(path, entry.name));
      }
    }
  }
  for (const entry of entries) await into(entry, "");
  return files;
}

/** Those of a field for files. */
export function chosen(input) {
  const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  input.value = "";
  return files.filter(({ path }) => !path.split("/").some((part) => JUNK.test(part)));
}

export class Uploads {
  /** `stored(path)` is called when a file is in the library. */
  constructor(panel, { stored }) {
    this.panel = panel;
    this.stored = stored;
    this.jobs = [];
    this.going = 0;
    this.piece = SMALLEST;
    this.build();
    addEventListener("beforeunload", (event) => this.isBusy && event.preventDefault());
    // What was begun and not ended, here or in another browser.
    this.underWay().then((uploads) => this.unfinished(uploads));
  }

  get isBusy() {
    return this.jobs.some(({ state }) => state === "waits" || state === "goes");
  }

  build() {
    this.title = el("h2", {});
    this.left = el("p", { class: "dim number" });
    this.bar = el("progress", { max: "1", value: "0", "aria-label": words["progress"] });
    this.list = el("ul", {});
    this.fold = sign("chevron-down", words["fold"], { "aria-expanded": "true" });
    this.end = sign("x", words["stop-uploads"]);
    this.fold.addEventListener("click", () => this.fold.setAttribute("aria-expanded", !this.panel.classList.toggle("folded")));
    this.end.addEventListener("click", () => this.stop());
    this.heard = el("p", { class: "hidden", role: "status" });
    this.panel.append(el("header", {}, el("div", {}, this.title, this.left), this.fold, this.end), this.bar, this.list, this.heard);
  }

  /** Says that something can be gone on with. */
  unfinished(uploads) {
    if (!uploads.length || this.jobs.length) return;
    const give = el("button", { type: "button", class: "link" }, words["give-up"]);
    give.addEventListener("click", async () => {
      for (const { id } of uploads) await ask("DELETE", `api/v1/uploads/${id}`).catch(() => {});
      this.panel.hidden = true;
    });
    this.title.textContent = counted("unfinished", uploads.length);
    this.left.textContent = words["unfinished-help"];
    this.bar.hidden = true;
    this.list.replaceChildren(...uploads.slice(0, 5).map(({ path, size: all, offset }) => el("li", {}, el("span", { class: "name" }, path), el("span", { class: "number dim" }, `${size(offset)} / ${size(all)}`))), el("li", {}, give));
    this.panel.hidden = false;
  }

  /** Those that are under way, as far as that can be found out. */
  underWay() {
    return ask("GET", "api/v1/uploads").then(({ uploads }) => uploads, () => []);
  }

  /** Takes files into a folder. */
  async add(folder, files) {
    if (!files.length) return;
    if (!this.isBusy) {
      this.jobs = [];
      this.known = await this.underWay();
    }
    for (const { file, path } of files) this.jobs.push({ file, path: join(folder, path), state: "waits", offset: 0 });
    this.bar.hidden = false;
    this.panel.hidden = false;
    this.shown();
    while (this.going < AT_ONCE && this.jobs.some(({ state }) => state === "waits")) this.work();
  }

  async work() {
    this.going += 1;
    for (;;) {
      const job = this.jobs.find(({ state }) => state === "waits");
      if (!job) break;
      job.state = "goes";
      try {
        const { stored } = await this.send(job);
        job.state = stored?.skipped ? "same" : "done";
        job.offset = job.file.size;
        job.stored = stored?.path ?? job.path;
        this.stored(job.stored);
      } catch (error) {
        if (job.state !== "ended") job.state = "failed";
        job.why = error instanceof Refused ? error.message : error?.name === "NotReadableError" || error?.name === "NotFoundError" ? words["unreadable"] : String(error.message ?? error);
        if (error instanceof Refused && [401, 403, 507].includes(error.status)) this.halt(job.why);
      }
      this.shown();
    }
    this.going -= 1;
    if (!this.going) this.ended();
  }

  /** One of this very file that is under way already, or a new one. */
  async begin({ file, path }) {
    const isIt = (upload) => upload.path === path && upload.size === file.size && Date.parse(upload.modified) === file.lastModified;
    const at = this.known.findIndex(isIt);
    if (at >= 0) return this.known.splice(at, 1)[0];
    return ask("POST", "api/v1/uploads", { path, size: file.size, modified: new Date(file.lastModified).toISOString(), on_clash: "number", folders: true });
  }

  async send(job) {
    let upload;
    for (let tries = 0; ; ) {
      try {
        upload ??= await this.begin(job);
        for (;;) {
          job.id = upload.id;
          job.offset = upload.offset;
          this.soon();
          if (upload.complete) return upload;
          if (job.state === "ended") throw new Error(words["ended"]);
          upload = await this.push(job, upload);
          tries = 0;
        }
      } catch (error) {
        const isGone = error instanceof Refused && error.status === 404;
        const isOff = error instanceof Refused && error.code === "offset-mismatch";
        const isBusy = error instanceof Refused && (error.status >= 502 && error.status <= 504 || error.code === "in-progress" || error.status === 429);
        const isNetwork = error instanceof TypeError;
        if (job.state === "ended" || !(isGone || isOff || isBusy || isNetwork)) throw error;
        tries += 1;
        if ((isGone || isOff) && tries > 3) throw error;
        if (isNetwork || isBusy) {
          job.waits = true;
          this.shown();
          await online(Math.min(30_000, 1000 * 2 ** Math.min(tries, 5)));
          job.waits = false;
        }
        // Where it stands is known by the other side.
        if (isGone) upload = undefined;
        else if (upload) upload = await ask("GET", `api/v1/uploads/${upload.id}`).catch((why) => (why instanceof Refused && why.status === 404 ? undefined : upload));
      }
    }
  }

  /** The next piece. Pieces grow while they go fast. */
  async push(job, { id, offset }) {
    const size = Math.max(this.piece, Math.ceil(job.file.size / PIECES));
    const piece = job.file.slice(offset, offset + size);
    const began = performance.now();
    // Whether a file can be read is found out here, not by a request that fails without a word.
    if (piece.size) await piece.slice(0, 1).arrayBuffer();
    job.abort = new AbortController();
    const headers = { "Upload-Offset": String(offset), "Content-Type": "application/partial-upload" };
    const upload = await ask("PATCH", `api/v1/uploads/${id}`, new Blob([piece]), { headers, signal: job.abort.signal });
    const took = performance.now() - began;
    if (piece.size === this.piece && took < 700) this.piece = Math.min(LARGEST, this.piece * 2);
    else if (took > 4000) this.piece = Math.max(SMALLEST, this.piece / 2);
    return upload;
  }

  /** Nothing more can be sent now. */
  halt(why) {
    for (const job of this.jobs) if (job.state === "waits") Object.assign(job, { state: "failed", why });
  }

  stop() {
    if (!this.isBusy) {
      this.panel.hidden = true;
      return;
    }
    for (const job of this.jobs) {
      if (job.state !== "waits" && job.state !== "goes") continue;
      job.state = "ended";
      job.abort?.abort();
      if (job.id) ask("DELETE", `api/v1/uploads/${job.id}`).catch(() => {});
    }
    this.shown();
  }

  /** What came of it before is gone on with. */
  async again(job) {
    if (!this.going) this.known = await this.underWay();
    Object.assign(job, { state: "waits", why: undefined });
    this.shown();
    if (this.going < AT_ONCE) this.work();
  }

  ended() {
    const count = (state) => this.jobs.filter((job) => job.state === state).length;
    const [done, same, bad] = [count("done"), count("same"), count("failed")];
    const parts = [counted("uploaded", done), ...(same ? [counted("same", same)] : []), ...(bad ? [counted("not-uploaded", bad)] : [])];
    this.heard.textContent = parts.join(" ");
    this.shown();
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.shown();
    });
  }

  shown() {
    const jobs = this.jobs;
    const isOver = (job) => job.state !== "waits" && job.state !== "goes";
    const over = jobs.filter(isOver).length;
    const total = jobs.reduce((sum, job) => sum + job.file.size, 0);
    const sent = jobs.reduce((sum, job) => sum + (isOver(job) ? job.file.size : job.offset), 0);
    const bad = jobs.filter(({ state }) => state === "failed").length;
    this.bar.value = total ? sent / total : over / Math.max(1, jobs.length);
    const same = jobs.filter(({ state }) => state === "same").length;
    const done = jobs.filter(({ state }) => state === "done").length;
    if (this.isBusy) this.title.textContent = words["uploading"].replace("{n}", number(over)).replace("{all}", number(jobs.length));
    else this.title.textContent = bad ? counted("not-uploaded", bad) : same && !done ? counted("same", same) : counted("uploaded", done);
    const rest = [this.isBusy ? `${size(sent)} / ${size(total)}` : size(total), ...(same ? [counted("same", same)] : []), ...(this.isBusy && bad ? [counted("not-uploaded", bad)] : [])];
    this.left.textContent = rest.join(" · ");
    const rank = { goes: 0, failed: 1, waits: 2, same: 3, done: 4, ended: 5 };
    const rows = jobs.length > ROWS ? [...jobs].sort((a, b) => rank[a.state] - rank[b.state]).slice(0, ROWS) : jobs;
    this.list.replaceChildren(...rows.map((job) => this.row(job)));
    if (jobs.length > ROWS) this.list.append(el("li", { class: "dim" }, counted("more", jobs.length - ROWS)));
  }

  row(job) {
    const signs = { waits: "clock", goes: "loader", done: "check-circle", same: "check", failed: "alert", ended: "ban" };
    const said = { waits: size(job.file.size), goes: job.waits ? words["waits-network"] : `${Math.floor((job.offset / Math.max(1, job.file.size)) * 100)} %`, done: "", same: words["same-short"], failed: job.why, ended: words["ended"] };
    if (job.state === "done" && job.stored !== job.path) said.done = words["renamed"].replace("{name}", () => job.stored.split("/").pop());
    const row = el("li", { class: job.state }, icon(signs[job.state]), el("span", { class: "name" }, job.path.split("/").pop()), el("span", { class: "number dim" }, said[job.state] ?? ""));
    if (job.state === "failed") {
      const again = sign("refresh", words["again"]);
      again.addEventListener("click", () => this.again(job));
      row.append(again);
    }
    return row;
  }
}
