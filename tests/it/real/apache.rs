//! Apache with mod_dav.

use crate::peers::apache_with;
use crate::support::Sandbox;

use super::story::{Habits, tell};

#[test]
fn apache_mod_dav_tells_the_whole_story() {
    let sandbox = Sandbox::new();
    let Some(server) = apache_with(&sandbox, "") else { return };
    tell(&sandbox, &server, Habits { own_files: &[".DAV/"], ..Habits::plain("Apache mod_dav", "apache") });
}
