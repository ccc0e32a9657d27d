//! Progress on a terminal.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::Event;

/// One bar a service, on standard error; invisible when that is no terminal.
pub(super) struct Progress {
    all: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

/// The line that is about the library and no service.
const LIBRARY: &str = "";

impl Progress {
    /// No bar yet, and none at all when output is for a program.
    pub(super) fn new(json: bool) -> Self {
        let visible = std::io::stderr().is_terminal() && !json;
        let target = if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        Self { all: MultiProgress::with_draw_target(target), bars: Mutex::default() }
    }

    /// Shows an event.
    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Scanning { hashed, bytes } => {
                let read = indicatif::HumanBytes(*bytes);
                self.bar(LIBRARY).set_message(format!("reading the library: {hashed} files, {read}"));
            }
            Event::Started { service, .. } => self.bar(service).set_message(format!("{service}: looking at both sides")),
            Event::Listing { service, folders } => self.bar(service).set_message(format!("{service}: listed {folders} folders")),
            Event::Progress { service, files, files_total, bytes, bytes_total, .. } => {
                self.end_of(LIBRARY);
                let bar = self.bar(service);
                if bar.length() != Some(*bytes_total) {
                    bar.set_length(*bytes_total);
                    // The rate and the time left are those of the transfers, not of the look before.
                    bar.reset_elapsed();
                    bar.reset_eta();
                    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
                    if let Ok(style) = ProgressStyle::with_template(template) {
                        bar.set_style(style);
                    }
                }
                bar.set_message(format!("{service}: {files}/{files_total} files"));
                // What is sent anew after a failure is not progress.
                bar.set_position((*bytes).min(*bytes_total));
            }
            Event::Sharing { service, files, files_total, bytes, .. } => {
                let sent = indicatif::HumanBytes(*bytes);
                self.bar(service).set_message(format!("{service}: {files}/{files_total} files shared, {sent}"));
            }
            Event::Shared { service, .. } => self.end_of(service),
            Event::Login { .. } | Event::SharedFile { .. } | Event::Step { .. } | Event::IndexChanged { .. } | Event::Imported { .. } => {}
            Event::Ended { service, .. } => self.end_of(service),
        }
    }

    fn bar(&self, of: &str) -> ProgressBar {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(ProgressStyle::default_spinner());
            // So that a large file of which nothing is told for a while does not look like a stop.
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        };
        bars.entry(of.to_owned()).or_insert_with(new).clone()
    }

    fn end_of(&self, of: &str) {
        let bar = self.bars.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
        bar.into_iter().for_each(|bar| bar.finish_and_clear());
    }

    /// Removes all bars.
    pub(super) fn end(&self) {
        let bars = std::mem::take(&mut *self.bars.lock().unwrap_or_else(PoisonError::into_inner));
        bars.into_values().for_each(|bar| bar.finish_and_clear());
    }
}
