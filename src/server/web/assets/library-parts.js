// What the library's scripts are made of: elements, addresses, sizes and dates, questions, what is said with a way to go on.

import { changes, fill, icon, wordsOf } from "./app.js";

export const words = wordsOf("library");
const refusals = wordsOf("problem");
// As the node writes numbers and dates.
const language = document.documentElement.lang === "de" ? "de" : "en-GB";
const numbers = new Intl.NumberFormat(language);
const tenths = new Intl.NumberFormat(language, { maximumFractionDigits: 1, minimumFractionDigits: 1 });

/** An element with its attributes and what is in it. Text is text, whatever it says. */
export function el(name, attributes = {}, ...content) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...content);
  return element;
}

/** A button with an icon only, and a label for those who do not see it. */
export function sign(name, label, attributes = {}) {
  return el("button", { type: "button", class: "quiet", title: label, "aria-label": label, ...attributes }, icon(name));
}

export const number = (count) => numbers.format(count);

/** `2.4 MB`, in powers of a thousand, as everywhere in the pages. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (bytes >= 999.5 && unit + 1 < units.length) {
    bytes /= 1000;
    unit += 1;
  }
  const text = unit === 0 || bytes >= 99.95 ? numbers.format(Math.round(bytes)) : tenths.format(bytes);
  return `${text}\u00a0${units[unit]}`;
}

/** A text that depends on a number: `key-one` and `key`, with the number in its place `{n}`. */
export function counted(key, count, places = {}) {
  const text = count === 1 ? words[`${key}-one`] : words[key];
  return fill(text ?? key, { n: number(count), ...places });
}

const formats = new Map();

/** A moment of a clock on the wall, in seconds. */
export function date(seconds, options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language, { timeZone: "UTC", ...options }));
  return formats.get(key).format(new Date(seconds * 1000));
}

export const join = (folder, name) => (folder ? `${folder}/${name}` : name);

function query(pairs) {
  const parts = Object.entries(pairs).filter(([, value]) => value !== undefined && value !== "");
  return parts.length ? `?${parts.map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll("%2F", "/")}`).join("&")}` : "";
}

/** Addresses: of a folder and a picture in it, of files, of small pictures. All are relative to the base. */
export const address = {
  folder: (folder, show) => `library${query({ folder, show })}`,
  file: (path, hash) => `api/v1/library/file${query({ path, v: hash })}`,
  picture: (path, side, hash) => `api/v1/library/thumbnail${query({ path, size: side, v: hash })}`,
  grid: (folder) => `api/v1/library/grid${query({ folder })}`,
  badges: (folder, cursor) => `api/v1/library/badges${query({ folder, limit: 1000, stacks: false, cursor })}`,
  about: (path) => `library/about${query({ path })}`,
};

/** Why a request was refused: in words for people, but for what is wrong with something, which only the program knows. */
export class Refused extends Error {
  constructor(status, problem, headers) {
    const known = problem?.code === "bad-input" ? undefined : refusals[problem?.code];
    super(known || problem?.detail || words["failed"]);
    this.status = status;
    this.code = problem?.code ?? "";
    this.headers = headers;
  }
}

/** Asks the API. A refusal and a network that is away are errors; the latter is a TypeError. */
export async function ask(method, path, body, more = {}) {
  const headers = method === "GET" ? {} : changes(more.headers);
  const isBytes = body instanceof Blob;
  if (body !== undefined && !isBytes) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: isBytes || body === undefined ? body : JSON.stringify(body), signal: more.signal });
  if (answer.status === 204) return undefined;
  const document = await answer.json().catch((error) => (answer.ok ? Promise.reject(error) : undefined));
  if (!answer.ok) throw new Refused(answer.status, document, answer.headers);
  return document;
}

/** Asks a question in the page's dialog. Resolves to whether the answer was yes. */
export function question(title, text, yes, name = "trash") {
  const dialog = document.querySelector("#dialog");
  const close = sign("x", words["close"], { "data-close": true });
  const go = el("button", { type: "submit", class: "button danger" }, icon(name), yes);
  const form = el("form", { method: "dialog" }, el("p", {}, text), el("footer", {}, el("button", { type: "button", class: "button", "data-close": true }, words["cancel"]), go));
  dialog.classList.remove("wide");
  dialog.replaceChildren(el("header", {}, el("h2", { id: "dialog-title" }, title), close), form);
  return new Promise((resolve) => {
    let answer = false;
    form.addEventListener("submit", () => (answer = true));
    const closed = () => {
      // That of the question before may come when this one is open already.
      if (dialog.open) return;
      dialog.removeEventListener("close", closed);
      resolve(answer);
    };
    dialog.addEventListener("close", closed);
    dialog.showModal();
    go.focus();
  });
}

/** Says something in passing, with something that can be done about it. */
export function tell(text, { tone = "good", action, run, href } = {}) {
  const body = el("div", {}, el("p", {}, text));
  const notice = el("div", { class: `notice ${tone}` }, icon(tone === "good" ? "check-circle" : "alert"), body);
  if (action) {
    const way = href ? el("a", { href }, action) : el("button", { type: "button", class: "link" }, action);
    way.addEventListener("click", () => {
      notice.remove();
      run?.();
    });
    body.append(el("p", {}, way));
  }
  const close = sign("x", words["close"]);
  close.addEventListener("click", () => notice.remove());
  notice.append(close);
  document.querySelector("#notices").append(notice);
  if (tone !== "bad") setTimeout(() => notice.remove(), action ? 15000 : 6000);
}

/** Says why something did not work. */
export function failed(error) {
  tell(error instanceof Refused ? error.message : words["no-answer"], { tone: "bad" });
}
