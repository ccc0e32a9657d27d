// Where each picture of a folder goes: rows that fill the width, with the pictures' own proportions. Nothing here touches the page.

import { date } from "./library-parts.js";

const HEAD = 46;
const GAP = 4;
const DAY = 86400;

/** What a picture's width is to its height. Very long ones are cut, so that a row keeps its shape. */
export function aspect(item) {
  return item.width && item.height ? Math.min(3, Math.max(0.5, item.width / item.height)) : 1;
}

/** How finely a folder is divided: as long as a section has, on the whole, enough for a row. */
const UNITS = [
  { key: (at) => Math.floor(at / DAY), shown: { weekday: "short", day: "numeric", month: "long", year: "numeric" } },
  { key: (at) => new Date(at * 1000).toISOString().slice(0, 7), shown: { month: "long", year: "numeric" } },
  { key: (at) => new Date(at * 1000).getUTCFullYear(), shown: { year: "numeric" } },
];
const ENOUGH = 6;

/** Sections by day, month or year. Others than by date have one section without a title. */
function sections(items, byDate) {
  if (!byDate || !items.length) return [{ first: 0, count: items.length, title: "" }];
  const many = ({ key }) => new Set(items.map((item) => key(item.time))).size;
  const { key, shown } = UNITS.find((unit) => many(unit) * ENOUGH <= items.length) ?? UNITS[2];
  const all = [];
  let last;
  items.forEach((item, at) => {
    const now = key(item.time);
    if (now !== last) all.push({ first: at, count: 0, title: date(item.time, shown), time: item.time });
    all[all.length - 1].count += 1;
    last = now;
  });
  return all;
}

/** All rows from top to bottom: `{top, height, first, count, stretch}`, the sections with their places, and the height of everything. */
export function layout(items, width, target, byDate) {
  const rows = [];
  const heads = sections(items, byDate);
  let top = 0;
  for (const head of heads) {
    head.top = top;
    if (head.title) top += HEAD;
    let at = head.first;
    const end = head.first + head.count;
    while (at < end) {
      const first = at;
      let sum = 0;
      let height = Infinity;
      while (at < end && height > target) {
        sum += aspect(items[at]);
        at += 1;
        height = (width - GAP * (at - first - 1)) / sum;
      }
      // One picture too many makes the row low: without it may be nearer to what was wished.
      if (at - first > 1) {
        const before = (width - GAP * (at - first - 2)) / (sum - aspect(items[at - 1]));
        if (height <= target && Math.abs(before - target) < Math.abs(height - target)) {
          at -= 1;
          height = before;
        }
      }
      // A row that is not filled is not blown up.
      height = Math.min(height, at === end ? target : target * 1.35);
      rows.push({ top, height, first, count: at - first });
      top += height + GAP;
    }
  }
  return { rows, heads: heads.filter((head) => head.title), height: Math.max(0, top - GAP), gap: GAP };
}

/** The last of sorted places whose `top` is not below a height. */
export function placeAt(places, top) {
  let low = 0;
  let high = places.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (places[middle].top <= top) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The row that an item is in. */
export function rowOf(rows, at) {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle].first <= at) low = middle;
    else high = middle - 1;
  }
  return low;
}
