//! What hands do: they point, touch, type and swipe, as the browser takes it from a device.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::by::By;
use super::page::Page;

/// Where a finger would meet an element, or why it would not.
const POINT: &str = "async function(centre) {
    if (centre) this.scrollIntoView({ block: 'center', behavior: 'instant' }); else this.scrollIntoViewIfNeeded();
    const box = () => { const r = this.getClientRects()[0]; return r ? [r.x, r.y, r.width, r.height] : [] };
    const [before, frame] = [box().join(), () => new Promise(requestAnimationFrame)];
    await frame(); await frame();
    const [x, y, width, height] = box();
    if (before !== box().join()) return 'it moves';
    if (!width || !height) return 'it has no size';
    if (this.matches(':disabled') || this.closest('[inert]')) return 'it is disabled';
    const point = [x + width / 2, y + height / 2];
    const top = document.elementFromPoint(...point);
    if (this.contains(top) || top?.closest('label')?.control === this) return point;
    return `it is covered by ${top?.cloneNode().outerHTML}`;
}";

/// A finger that stays for so long presses long; half a second is usual.
const HOLD: Duration = Duration::from_millis(1500);

/// Until a tap has become a click, which is later than its touch; or a page has taken the touch for itself.
const TAPPED: &str = "new Promise(done => {
    addEventListener('click', () => setTimeout(done), { capture: true, once: true });
    for (const kind of ['touchstart', 'touchend'])
        addEventListener(kind, e => setTimeout(() => e.defaultPrevented && done()), { capture: true, once: true });
})";

/// Brings the focus into a field and takes hold of what it has. Fields that are not typed into get their value and say so.
const FOCUS: &str = "function(text) {
    if (this.matches(':disabled, :read-only') && this.type !== 'range' && this.type !== 'color') return 'it cannot be written to';
    this.scrollIntoViewIfNeeded(); this.focus(); this.select?.();
    if (!/^(color|date|datetime-local|month|range|time|week)$/.test(this.type))
        return document.activeElement === this || 'it does not take the focus';
    this.value = text;
    for (const kind of ['input', 'change']) this.dispatchEvent(new Event(kind, { bubbles: true }));
    return this.value === text ? 'set' : `it makes ${this.value} of that`;
}";

const CHOOSE: &str = "function(wanted) {
    if (this.matches(':disabled')) return 'it is disabled';
    const option = [...this.options].find(o => o.label.trim() === wanted || o.value === wanted);
    if (!option) return `it has only ${[...this.options].map(o => o.label.trim()).join(', ')}`;
    option.selected = true;
    for (const kind of ['input', 'change']) this.dispatchEvent(new Event(kind, { bubbles: true }));
    return true;
}";

impl Page {
    /// Clicks, or taps on a phone. Waits until the element is there, still, enabled and not covered, and for the document that comes of it.
    #[track_caller]
    pub fn click<'a>(&self, by: impl Into<By<'a>>) {
        let at = self.point(by.into());
        if self.look.phone { self.tap(at, Duration::ZERO) } else { self.mouse(at, 0) }
    }

    /// Clicks with a key held: `Shift`, `Control`, `Alt`, `Meta`.
    #[track_caller]
    pub fn click_holding<'a>(&self, key: &str, by: impl Into<By<'a>>) {
        self.mouse(self.point(by.into()), modifier(key).unwrap());
    }

    /// Holds a finger on an element. Chromium without a head recognises no long press itself: no `contextmenu` comes, as on an iPhone, and a
    /// click does when the finger goes. A page has to measure the time, and not to take that click for one.
    #[track_caller]
    pub fn long_press<'a>(&self, by: impl Into<By<'a>>) {
        self.tap(self.point(by.into()), HOLD);
    }

    /// Moves a finger over an element by so many pixels; to the left and upwards is negative.
    #[track_caller]
    pub fn swipe<'a>(&self, by: impl Into<By<'a>>, right: f64, down: f64) {
        let (x, y) = self.point(by.into());
        self.touch("touchStart", Some((x, y)));
        for tenth in 1..=10 {
            let way = f64::from(tenth) / 10.;
            self.touch("touchMove", Some((x + right * way, y + down * way)));
        }
        self.touch("touchEnd", None);
        self.settle();
    }

    /// Taps twice, as quickly as one does.
    #[track_caller]
    pub fn double_tap<'a>(&self, by: impl Into<By<'a>>) {
        let at = self.point(by.into());
        // The browser takes the moments from here: however busy the machine is, the second tap comes soon after the first.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        for (kind, finger, after) in
            [("touchStart", Some(at), 0.), ("touchEnd", None, 0.05), ("touchStart", Some(at), 0.15), ("touchEnd", None, 0.2)]
        {
            self.fingers(kind, finger.as_slice(), Some(now + after));
        }
        self.settle();
    }

    /// Moves two fingers on an element apart by this factor; towards each other if it is less than one.
    #[track_caller]
    pub fn pinch<'a>(&self, by: impl Into<By<'a>>, factor: f64) {
        let (x, y) = self.point(by.into());
        let first = if factor > 1. { 30. } else { 150. };
        let fingers = |apart: f64| [(x - apart, y), (x + apart, y)];
        self.fingers("touchStart", &fingers(first), None);
        for tenth in 1..=10 {
            let apart = first * (1. + (factor - 1.) * f64::from(tenth) / 10.);
            self.fingers("touchMove", &fingers(apart), None);
        }
        self.fingers("touchEnd", &[], None);
        self.settle();
    }

    /// Brings the pointer over an element.
    #[track_caller]
    pub fn hover<'a>(&self, by: impl Into<By<'a>>) {
        let (x, y) = self.point(by.into());
        self.cdp("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
        self.settle();
    }

    /// Writes into a field instead of what it has.
    #[track_caller]
    pub fn fill<'a>(&self, by: impl Into<By<'a>>, text: &str) {
        let answer = self.ready(by.into(), "write into", FOCUS, text);
        match text {
            _ if answer == "set" => {}
            "" => return self.press("Delete"),
            _ => drop(self.cdp("Input.insertText", json!({ "text": text }))),
        }
        self.settle();
    }

    /// Chooses from a list by the label or the value.
    #[track_caller]
    pub fn select<'a>(&self, by: impl Into<By<'a>>, option: &str) {
        self.ready(by.into(), "choose from", CHOOSE, option);
        self.settle();
    }

    /// Presses a key on what has the focus: `a`, `Enter`, `ArrowLeft`, `Shift+Tab`, `Control+a`.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let mut parts: Vec<_> = keys.split('+').collect();
        let name = parts.pop().unwrap();
        let modifiers = parts.into_iter().map(|part| modifier(part).unwrap_or_else(|| panic!("no such key: {part}"))).sum::<u32>();
        let (key, code, number, text) = key(name);
        // A shortcut writes nothing.
        let text = if modifiers & !8 == 0 { text } else { String::new() };
        for (kind, text) in [("keyDown", text.as_str()), ("keyUp", "")] {
            let event =
                json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers, "text": text });
            self.cdp("Input.dispatchKeyEvent", event);
        }
        self.settle();
    }

    #[track_caller]
    pub(super) fn point(&self, by: By<'_>) -> (f64, f64) {
        let mut centre = false;
        self.until(&format!("pointing at {by:?}"), || {
            let answer = self.on(&self.find(by)?, POINT, &[centre.into()])?;
            // What sticks to an edge may cover what has only just come into view.
            centre = true;
            match answer.as_array().map(Vec::as_slice) {
                Some([x, y]) => Ok((x.as_f64().unwrap(), y.as_f64().unwrap())),
                _ => Err(answer.as_str().unwrap_or_default().to_owned()),
            }
        })
    }

    /// Waits until a function has done its work on an element: it says `true` or `set` then, and why not before.
    #[track_caller]
    fn ready(&self, by: By<'_>, what: &str, function: &str, argument: &str) -> Value {
        self.until(&format!("to {what} {by:?}"), || match self.on(&self.find(by)?, function, &[argument.into()])? {
            done if done == true || done == "set" => Ok(done),
            why => Err(why.to_string()),
        })
    }

    #[track_caller]
    fn mouse(&self, (x, y): (f64, f64), modifiers: u32) {
        for (kind, button, count) in [("mouseMoved", "none", 0), ("mousePressed", "left", 1), ("mouseReleased", "left", 1)] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": count, "modifiers": modifiers });
            self.cdp("Input.dispatchMouseEvent", event);
        }
        self.settle();
    }

    #[track_caller]
    fn tap(&self, at: (f64, f64), hold: Duration) {
        let tapped = self.begin("Runtime.evaluate", json!({ "expression": TAPPED, "awaitPromise": true }));
        self.touch("touchStart", Some(at));
        std::thread::sleep(hold);
        self.touch("touchEnd", None);
        // It fails if the document goes away meanwhile: the tap has arrived then, too.
        let _ = self.answer(tapped);
        self.settle();
    }

    #[track_caller]
    fn touch(&self, kind: &str, finger: Option<(f64, f64)>) {
        self.fingers(kind, finger.as_slice(), None);
    }

    /// Where all fingers are, at a moment in seconds since 1970; now if there is none.
    #[track_caller]
    fn fingers(&self, kind: &str, fingers: &[(f64, f64)], at: Option<f64>) {
        let points: Vec<_> = fingers.iter().enumerate().map(|(id, (x, y))| json!({ "x": x, "y": y, "id": id })).collect();
        let mut event = json!({ "type": kind, "touchPoints": points });
        if let Some(at) = at {
            event["timestamp"] = at.into();
        }
        self.cdp("Input.dispatchTouchEvent", event);
    }
}

fn modifier(key: &str) -> Option<u32> {
    Some(match key {
        "Alt" => 1,
        "Control" => 2,
        "Meta" => 4,
        "Shift" => 8,
        _ => return None,
    })
}

/// The name, the place on the keyboard, the number of old, and the text that it writes.
#[track_caller]
fn key(name: &str) -> (&str, String, u32, String) {
    let number = match name {
        "Backspace" => 8,
        "Tab" => 9,
        "Enter" => return (name, name.into(), 13, "\r".into()),
        "Escape" => 27,
        "Space" => return (" ", "Space".into(), 32, " ".into()),
        "PageUp" => 33,
        "PageDown" => 34,
        "End" => 35,
        "Home" => 36,
        "ArrowLeft" => 37,
        "ArrowUp" => 38,
        "ArrowRight" => 39,
        "ArrowDown" => 40,
        "Delete" => 46,
        _ if name.chars().count() == 1 => {
            let upper = name.to_uppercase();
            let code = if upper.as_bytes()[0].is_ascii_digit() { format!("Digit{upper}") } else { format!("Key{upper}") };
            return (name, code, upper.chars().next().unwrap() as u32, name.into());
        }
        _ => panic!("no such key: {name}"),
    };
    (name, name.into(), number, String::new())
}
