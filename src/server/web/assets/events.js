// What happens on the node, as it happens. The connection goes on after the last event that was heard, and is tried again at growing intervals.

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;

/** `heard` takes events by their names. `lost()` is called when nobody answers any more, `back()` when somebody does again. */
export function listen(heard, { lost, back }) {
  let place = "";
  let wait = FIRST_WAIT;
  let isLost = false;
  function open() {
    const source = new EventSource(new URL(`api/v1/events${place ? `?after=${encodeURIComponent(place)}` : ""}`, document.baseURI));
    source.addEventListener("ready", (event) => {
      place = event.lastEventId;
      wait = FIRST_WAIT;
      if (!isLost) return;
      isLost = false;
      back();
    });
    for (const [name, take] of Object.entries(heard)) {
      source.addEventListener(name, (event) => {
        place = event.lastEventId || place;
        take(JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      // It was answered, but not with events.
      if (source.readyState === EventSource.CLOSED) leaveIfSignedOut();
      source.close();
      isLost = true;
      lost();
      // Not all pages that are open at the same moment.
      setTimeout(open, wait * (0.8 + 0.4 * Math.random()));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  }
  open();
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

/** A node that answers, but no longer knows who asks, sends to where one signs in. */
async function leaveIfSignedOut() {
  const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => undefined);
  if (answer?.type === "opaqueredirect") location.reload();
}
