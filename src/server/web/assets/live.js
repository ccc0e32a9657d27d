// Events of the node as they happen. Who comes back is told what happened meanwhile.

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;

/**
 * Follows them: `heard` has what to do by the names of events. While the node cannot be heard the page says so; `again` is called when it can be
 * once more, `heard.missed` when events were missed, those before it is heard for the first time among them.
 *
 * A page that nobody looks at does not listen: browsers have six connections to a node in HTTP/1.1, and the sixth page would stand still.
 */
export function follow(heard, again) {
  const lost = document.querySelector("#lost");
  let [source, retry, place, wait] = [null, 0, "", FIRST_WAIT];
  function listen() {
    rest();
    source = new EventSource(`api/v1/events${place ? `?after=${encodeURIComponent(place)}` : ""}`);
    source.addEventListener("ready", (event) => {
      // What happened since the page was made is heard by nobody.
      const isFirst = !place;
      place = event.lastEventId;
      wait = FIRST_WAIT;
      if (!lost.hidden) {
        lost.hidden = true;
        again();
      } else if (isFirst) {
        heard.missed();
      }
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
      rest();
      lost.hidden = false;
      // Not all pages that are open at the same moment.
      retry = setTimeout(listen, wait * (0.8 + 0.4 * Math.random()));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    });
  }
  function rest() {
    clearTimeout(retry);
    source?.close();
  }
  const byLook = () => (document.hidden ? rest() : listen());
  document.addEventListener("visibilitychange", byLook);
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && byLook());
  byLook();
}

/** A node that answers, but no longer knows who asks, sends to where one signs in. */
async function leaveIfSignedOut() {
  const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => undefined);
  if (answer?.type === "opaqueredirect") location.reload();
}
