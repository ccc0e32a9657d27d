// Fingers and wheels on a picture: swipe, pinch, drag, double tap.

const MOST = 8;

/** Wires `stage`; `content` is what moves on it. Calls `turn(step)`, `leave()` and `zoomed(scale)`. */
export function hands(stage, content, { turn, leave, zoomed, can }) {
  const fingers = new Map();
  let view = { scale: 1, x: 0, y: 0 };
  let begun;
  let lastTap = 0;

  function put(next, isSmooth = false) {
    view = next;
    content.classList.toggle("smooth", isSmooth);
    content.style.transform = view.scale === 1 && !view.x && !view.y ? "" : `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    stage.classList.toggle("zoomed", view.scale > 1);
  }

  /** As far as the picture goes, and no further. */
  function within({ scale, x, y }) {
    const [width, height] = [(stage.clientWidth * (scale - 1)) / 2, (stage.clientHeight * (scale - 1)) / 2];
    const clamp = (value, most) => Math.max(-most, Math.min(most, value));
    return { scale, x: clamp(x, width), y: clamp(y, height) };
  }

  /** Another scale, with a point of the screen staying where it is. */
  function scaled(scale, [left, top], from = view) {
    const box = stage.getBoundingClientRect();
    const [x, y] = [left - box.left - box.width / 2, top - box.top - box.height / 2];
    const part = scale / from.scale;
    return within({ scale, x: x - (x - from.x) * part, y: y - (y - from.y) * part });
  }

  function middle() {
    const box = stage.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }

  function toggle(isIn = view.scale === 1, at = middle()) {
    const scale = isIn ? Math.min(MOST, view.scale * 2.5) : 1;
    put(scale === 1 ? { scale: 1, x: 0, y: 0 } : scaled(scale, at), true);
    zoomed(scale);
  }

  const points = () => [...fingers.values()];
  const centre = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const distance = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("video, button") || event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    // Two fingers never tap, also when they go one after the other.
    begun = { view, points: points(), at: event.timeStamp, kind: event.pointerType, isMany: fingers.size > 1 };
  });

  stage.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId) || !begun) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const now = points();
    if (now.length === 2 && begun.points.length === 2) {
      const scale = Math.max(1, Math.min(MOST, (begun.view.scale * distance(now)) / (distance(begun.points) || 1)));
      const [from, to] = [centre(begun.points), centre(now)];
      const next = scaled(scale, from, begun.view);
      put(within({ scale, x: next.x + to[0] - from[0], y: next.y + to[1] - from[1] }));
    } else if (now.length === 1 && begun.points.length === 1) {
      const [x, y] = [now[0][0] - begun.points[0][0], now[0][1] - begun.points[0][1]];
      if (view.scale > 1) put(within({ ...view, x: begun.view.x + x, y: begun.view.y + y }));
      // One way or the other, not both.
      else if (begun.kind !== "mouse" && Math.abs(x) >= Math.abs(y)) put({ scale: 1, x: can(-Math.sign(x)) ? x : x / 4, y: 0 });
      else if (begun.kind !== "mouse" && y > 0) put({ scale: 1, x: 0, y });
    }
  });

  function up(event) {
    if (!fingers.delete(event.pointerId) || !begun) return;
    if (fingers.size) {
      begun = { ...begun, view, points: points() };
      return;
    }
    const { x, y, scale } = view;
    const speed = Math.max(1, event.timeStamp - begun.at);
    const isMoved = begun.isMany || Math.hypot(event.clientX - begun.points[0][0], event.clientY - begun.points[0][1]) > 8;
    begun = undefined;
    if (scale > 1) zoomed(scale);
    else if (Math.abs(x) > 70 || (Math.abs(x) > 24 && Math.abs(x) / speed > 0.4)) {
      put({ scale: 1, x: 0, y: 0 });
      turn(-Math.sign(x));
    } else if (y > 110) leave();
    else if (x || y) put({ scale: 1, x: 0, y: 0 }, true);
    if (isMoved || event.type === "pointercancel") return;
    if (event.timeStamp - lastTap < 300) {
      toggle(undefined, [event.clientX, event.clientY]);
      lastTap = 0;
    } else lastTap = event.timeStamp;
  }
  for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, up);

  stage.addEventListener(
    "wheel",
    (event) => {
      if (event.target.closest("video")) return;
      event.preventDefault();
      const scale = Math.max(1, Math.min(MOST, view.scale * Math.exp(-event.deltaY / 300)));
      put(scale === 1 ? { scale: 1, x: 0, y: 0 } : scaled(scale, [event.clientX, event.clientY]));
      zoomed(scale);
    },
    { passive: false },
  );

  return {
    toggle,
    reset() {
      fingers.clear();
      begun = undefined;
      const was = view.scale;
      put({ scale: 1, x: 0, y: 0 });
      if (was > 1) zoomed(1);
    },
  };
}
