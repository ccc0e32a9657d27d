//! Progress on a terminal.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::Event;

/// A bar on standard error; invisible when that is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar, unless output is for a program.
    pub(super) fn new(json: bool) -> Self {
        let visible = std::io::stderr().is_terminal() && !json;
        let target = if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::default_spinner());
        Self { bar }
    }

    /// Shows an event.
    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Scanning { hashed, .. } => self.bar.set_message(format!("reading the library: {hashed} files")),
            Event::Listing { service, folders } => self.bar.set_message(format!("{service}: listed {folders} folders")),
            Event::Progress { service, files, files_total, bytes, bytes_total } => {
                if self.bar.length() != Some(*bytes_total) {
                    self.bar.set_length(*bytes_total);
                    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
                        self.bar.set_style(style);
                    }
                }
                self.bar.set_message(format!("{service}: {files}/{files_total} files"));
                self.bar.set_position(*bytes);
            }
            Event::Step { .. } | Event::IndexChanged { .. } | Event::Imported { .. } => {}
            Event::Ended { .. } => self.bar.finish_and_clear(),
        }
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
