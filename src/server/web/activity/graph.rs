//! How fast it went in the last seconds, as a drawing. What it shows is said in words beside it.

use maud::{Markup, html};

use super::super::format;
use super::super::words::Words;

/// So many seconds are drawn: the drawing has the same scale from the beginning.
const SECONDS: usize = 60;
/// The drawing, in its own units.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 48.0;
/// What is always free above the line, and the width of the line below it.
const HEADROOM: f64 = 8.0;

/// Bytes of each of the last seconds, the latest last.
pub(super) fn throughput(words: Words, bytes: &[u64]) -> Markup {
    let shown = &bytes[bytes.len().saturating_sub(SECONDS)..];
    let highest = shown.iter().copied().max().unwrap_or(0);
    let speed = |bytes: u64| format!("{}/s", format::size(words.0, bytes));
    let label = words.fill("activity.graph", &[("now", &speed(shown.last().copied().unwrap_or(0))), ("highest", &speed(highest))]);
    let (line, area) = curve(shown, highest);
    html! {
        figure.graph {
            svg role="img" aria-label=(label) viewBox="0 0 300 48" preserveAspectRatio="none" {
                path.area d=(area) {}
                path.line d=(line) {}
            }
            figcaption.number { span { (words.say("activity.graph-span")) } span { (words.fill("activity.graph-highest", &[("speed", &speed(highest))])) } }
        }
    }
}

/// The line and the area below it. The latest second is at the right.
fn curve(shown: &[u64], highest: u64) -> (String, String) {
    let step = WIDTH / (SECONDS - 1) as f64;
    let from = WIDTH - step * shown.len().saturating_sub(1) as f64;
    let scale = (HEIGHT - HEADROOM) / highest.max(1) as f64;
    let points: Vec<String> = shown
        .iter()
        .enumerate()
        .map(|(at, bytes)| format!("{:.1} {:.1}", from + step * at as f64, HEIGHT - 1.0 - *bytes as f64 * scale))
        .collect();
    match points.is_empty() {
        true => (format!("M0 {0}L{WIDTH} {0}", HEIGHT - 1.0), String::new()),
        false => (format!("M{}", points.join("L")), format!("M{from:.1} {HEIGHT}L{}L{WIDTH} {HEIGHT}Z", points.join("L"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_second_is_at_the_right_and_the_highest_on_top() {
        let (line, area) = curve(&[0, 50, 100], 100);
        assert_eq!(line, "M289.8 47.0L294.9 27.0L300.0 7.0");
        assert!(area.starts_with("M289.8 48L289.8 47.0") && area.ends_with("300.0 7.0L300 48Z"), "{area}");
        assert_eq!(curve(&[], 0).0, "M0 47L300 47");
        assert_eq!(curve(&[0], 0).0, "M300.0 47.0");
    }
}
