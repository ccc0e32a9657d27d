//! Pages as people see and use them, in a headless Chromium.
//!
//! ```ignore
//! #[test]
//! fn a_person_signs_in() {
//!     let Some(browser) = Browser::start() else { return };
//!     for look in Look::all() {
//!         let page = browser.page(look);
//!         page.goto(&format!("{}/ui/", node.url()));
//!         page.fill(named(look.pick("User", "Benutzer")), "admin");
//!         page.click("button[type=submit]");
//!         page.wait_text(look.pick("Welcome", "Willkommen"));
//!         page.axe();
//!         page.screenshot("welcome");
//!     }
//! }
//! ```
//!
//! Everything waits until it can be done, for as long as [`LIMIT`], and fails with what was on the page. At its end each page fails if there
//! was trouble that the story does not know of: an alert, an exception, an error or a warning on the console, something that the policy
//! refused, a request to another host.

mod axe;
mod browser;
mod by;
mod device;
mod files;
mod hands;
mod measures;
mod page;
mod traps;
mod watch;

pub use browser::Browser;
pub use by::{named, saying};
pub use device::{DESKTOP, Look, PHONE};
pub use page::Page;

/// How long anything may take. It bounds a story that fails; none is measured by it.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
