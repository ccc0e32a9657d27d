//! A server that lies, at every step of a sync of a dozen files: nothing is lost, nothing is falsely green, and when the fault is gone one
//! more run is green and both sides are equal.
//!
//! A case is named by its setting, the request, the fault, and whether it lasts. `TWINLENS_CASE=text` plays those with the text in their names,
//! `TWINLENS_CASES=all` plays all. Otherwise a share of them is played, always the same one.

mod case;
pub mod fault;
pub mod wire;
pub mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use twinlens::services::Verify;

use self::case::{Case, Plan, Setting, Template, no_fault};
use self::fault::Fault;
use self::world::{Etags, Habits, Hrefs, Kind};

/// One of so many cases is played in an ordinary run of the tests.
const SHARE: u64 = 8;
/// Most of the time of a case is waiting.
const AT_ONCE: usize = 24;
/// More than these are not told.
const TOLD: usize = 8;

/// A disk in memory, where there is one: nobody needs these files after a loss of power.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn settings() -> Vec<Setting> {
    vec![
        Setting::new("plain", Kind::Plain),
        Setting { verify: Verify::Full, ..Setting::new("read-back", Kind::Plain) },
        Setting::new("verifying", Kind::Verifying),
        Setting::new("cloud", Kind::Cloud),
        Setting { in_pieces: true, ..Setting::new("pieces", Kind::Cloud) },
    ]
}

/// All cases of a setting, in an order that is always the same.
fn cases(setting: &Setting, steps: &[wire::Step]) -> Vec<Plan> {
    let mut cases = Vec::new();
    for step in steps {
        for fault in
            Fault::all_of(step.method.trim_end_matches(char::is_numeric), &step.target, setting.kind == Kind::Cloud, setting.tells())
        {
            let once = Plan { fault: Some(fault), step: step.clone(), lasts: false };
            // To last from the second time on is hardly another case.
            let lasting = (step.nth == 1).then(|| Plan { lasts: true, ..once.clone() });
            cases.push(once);
            cases.extend(lasting);
        }
    }
    cases
}

/// A number that a name has on every machine.
fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn every_fault_at_every_step() {
    let wanted = std::env::var("TWINLENS_CASE").ok();
    let all = std::env::var("TWINLENS_CASES").is_ok_and(|value| value == "all");
    let folder = tempfile::Builder::new().prefix("tl-liar-").tempdir_in(place()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    let (mut number, mut wrong) = (0, BTreeMap::new());
    runtime.block_on(async {
        for setting in settings() {
            let root = folder.path().join(setting.name);
            let template = Template::make(setting, root.join("template")).await;
            let steps = Case::steps(&template, root.join("steps")).await;
            let named = cases(&setting, &steps).into_iter().map(|plan| (format!("{}: {plan}", setting.name), plan));
            let chosen = named.filter(|(name, _)| match &wanted {
                Some(wanted) => name.contains(wanted),
                None => all || number_of(name).is_multiple_of(SHARE),
            });
            let template = std::sync::Arc::new(template);
            let played = stream::iter(chosen.enumerate()).map(|(at, (name, plan))| {
                let (template, root) = (std::sync::Arc::clone(&template), root.join(at.to_string()));
                tokio::spawn(async move { (name, Case::play(&template, plan, root).await) })
            });
            let mut played = played.buffer_unordered(AT_ONCE);
            while let Some(done) = played.next().await {
                let (name, outcome) = done.unwrap();
                number += 1;
                wrong.extend(outcome.err().map(|text| (name, text)));
            }
            println!("{}: {} requests; {number} cases so far, {:.1} s", setting.name, steps.len(), begun.elapsed().as_secs_f64());
        }
    });
    let names = wrong.iter().map(|(name, text): (&String, &String)| format!("{name}:{}", text.rsplit("WRONG:").next().unwrap_or_default()));
    let names = names.collect::<Vec<_>>().join("\n");
    let told: Vec<String> = wrong.iter().take(TOLD).map(|(name, text)| format!("{name}\n{text}")).collect();
    assert!(
        wrong.is_empty(),
        "{}\n\n{names}\n{} of {number} cases went wrong; TWINLENS_CASE=name plays one again",
        told.join("\n\n"),
        wrong.len()
    );
}

/// Plays the cases of these names.
fn plays(names: &[&str]) {
    let folder = tempfile::Builder::new().prefix("tl-liar-").tempdir_in(place()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for setting in settings() {
            let own = format!("{}: ", setting.name);
            let names: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(&own)).collect();
            if names.is_empty() {
                continue;
            }
            let root = folder.path().join(setting.name);
            let template = Template::make(setting, root.join("template")).await;
            let cases = cases(&setting, &Case::steps(&template, root.join("steps")).await);
            for name in names {
                let plan = cases.iter().find(|plan| plan.to_string() == name).unwrap_or_else(|| panic!("there is no case {own}{name}"));
                if let Err(wrong) = Case::play(&template, plan.clone(), root.join("played")).await {
                    panic!("{own}{name}\n{wrong}");
                }
            }
        }
    });
}

/// Plays a case wherever there is one of this name.
fn plays_everywhere(name: &str) {
    let names: Vec<String> = ["plain", "read-back", "verifying", "cloud"].map(|setting| format!("{setting}: {name}")).into();
    plays(&names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_new_file_of_zero_bytes_is_sent_another_way() {
    plays_everywhere("PUT new & here.jpg #1 Stores(First(0)) lasting");
}

#[test]
fn a_new_file_that_is_too_short_is_sent_another_way() {
    plays_everywhere("PUT new & here.jpg #1 Stores(First(1)) lasting");
    plays_everywhere("PUT new & here.jpg #1 Stores(AllButOne) lasting");
}

#[test]
fn a_new_file_that_is_too_long_is_noticed() {
    plays_everywhere("PUT new & here.jpg #1 Stores(Longer)");
}

#[test]
fn a_new_file_of_other_bytes_is_noticed_where_anything_tells_it() {
    let settings = ["read-back", "verifying", "cloud"].map(|setting| format!("{setting}: PUT new & here.jpg #1 Stores(Other) lasting"));
    plays(&settings.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_new_file_that_vanishes_or_gets_another_name_is_sent_another_way() {
    plays_everywhere("PUT new & here.jpg #1 Pretended lasting");
    plays_everywhere("PUT new & here.jpg #1 Stores(Elsewhere)");
}

#[test]
fn a_new_file_that_is_seen_late_or_listed_as_empty_is_not_sent_for_ever() {
    plays_everywhere("PUT new & here.jpg #1 Stores(Later(6))");
    plays_everywhere("PUT new & here.jpg #1 Stores(ListedEmpty) lasting");
}

#[test]
fn a_new_file_that_is_stored_though_an_error_came_or_nothing_is_found() {
    plays_everywhere("PUT new & here.jpg #1 Denied(500) lasting");
    plays_everywhere("PUT new & here.jpg #1 Lost lasting");
}

#[test]
fn an_update_that_goes_wrong_in_any_way_leaves_the_earlier_version() {
    for fault in ["Stores(First(0))", "Stores(AllButOne)", "Stores(HalfAndError)", "Pretended", "Lost", "Unheard", "Refused(507)"] {
        plays_everywhere(&format!("PUT .twinlens-* #1 {fault} lasting"));
        plays_everywhere(&format!("MOVE .twinlens-* to edit here.jpg #1 {}", if fault.starts_with('S') { "Denied(504)" } else { fault }));
    }
}

#[test]
fn a_deletion_that_was_only_said_is_not_believed() {
    plays(&[
        "plain: DELETE gone-here.jpg #1 Pretended",
        "cloud: DELETE gone-here.jpg #1 Page",
        "plain: DELETE gone-here.jpg #1 Refused(404) lasting",
    ]);
}

#[test]
fn a_temporary_file_that_could_not_be_looked_at_is_not_left_behind() {
    plays(&["plain: PROPFIND0 .twinlens-* #1 Refused(403) lasting", "verifying: PUT .twinlens-* #1 Stores(Later(6)) lasting"]);
}

#[test]
fn a_temporary_file_of_a_run_that_was_broken_off_is_removed_by_the_next() {
    plays(&["plain: PROPFIND0 .twinlens-* #1 Refused(401) lasting"]);
}

#[test]
fn a_probe_that_could_not_be_removed_is_removed_by_the_next_run() {
    plays(&["plain: DELETE twinlens-* #1 Refused(500)", "cloud: DELETE twinlens-* #1 Pretended lasting"]);
}

#[test]
fn pieces_of_a_file_that_arrived_in_another_way_are_removed() {
    plays(&["pieces: PUT remote.php/dav/uploads/u/twinlens-*/00002 #1 Refused(413) lasting"]);
}

#[test]
fn a_bulk_upload_that_stored_halves_and_failed_is_mended() {
    plays(&["cloud: POST remote.php/dav/bulk #1 Stores(HalfAndError)"]);
}

#[test]
fn pieces_that_were_put_together_wrong_are_sent_another_way() {
    plays(&[
        "pieces: MOVE remote.php/dav/uploads/u/twinlens-*/.file #1 Stores(HalfAndError) lasting",
        "pieces: MOVE remote.php/dav/uploads/u/twinlens-*/.file #1 Pretended lasting",
        "pieces: MOVE remote.php/dav/uploads/u/twinlens-*/.file #1 Stores(ListedEmpty) lasting",
    ]);
}

#[test]
fn a_file_to_which_something_was_added_is_told_by_its_hash_and_removed() {
    plays(&["cloud: PUT new & here.jpg #1 Stores(Longer)", "cloud: PUT new & here.jpg #1 Stores(Longer) lasting"]);
}

#[test]
fn a_page_of_the_right_length_is_no_picture() {
    plays(&[
        "plain: GET there/x.jpg #1 Sends(Page) lasting",
        "cloud: GET edit+there.jpg #1 Sends(Page)",
        "plain: GET moved there.jpg #1 Sends(Page)",
    ]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_published() {
    plays(&["plain: GET edit+there.jpg #1 Sends(Changed)"]);
}

#[test]
fn a_listing_that_shows_everything_empty_renames_nothing_back() {
    plays(&["verifying: PROPFIND1  #1 Lists(Empty)"]);
}

#[test]
fn a_listing_that_was_broken_off_and_closed_is_no_shorter_one() {
    plays_everywhere("PROPFIND1  #1 Lists(BrokenOff)");
    plays_everywhere("PROPFIND1  #1 Lists(BrokenOff) lasting");
}

#[test]
fn a_name_that_cannot_be_asked_for_is_looked_up_in_its_folder() {
    plays_everywhere("PROPFIND0 new & here.jpg #1 Refused(500) lasting");
}

#[test]
fn nothing_goes_to_another_origin() {
    for request in ["PROPFIND1  #1", "PROPFIND0  #1", "PUT new & here.jpg #1", "GET there/x.jpg #1", "MOVE .twinlens-* to edit here.jpg #1"]
    {
        plays_everywhere(&format!("{request} Redirect {{ foreign: true }} lasting"));
    }
}

#[test]
fn an_update_that_was_only_said_is_noticed_though_both_versions_are_of_one_size() {
    plays_everywhere("MOVE .twinlens-* to edit here.jpg #1 Pretended");
    plays_everywhere("MOVE .twinlens-* to edit here.jpg #1 Pretended lasting");
}

#[test]
fn a_move_into_place_that_was_answered_with_an_error_is_found_to_be_done() {
    plays(&[
        "plain: MOVE .twinlens-* to edit here.jpg #1 Denied(500) lasting",
        "plain: MOVE .twinlens-* to edit here.jpg #1 Denied(423) lasting",
    ]);
}

#[test]
fn every_habit_is_understood() {
    let folder = tempfile::Builder::new().prefix("tl-liar-").tempdir_in(place()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for setting in settings() {
            for etags in [Etags::Strong, Etags::Weak, Etags::Gzip] {
                for (hrefs, splits) in [(Hrefs::Encoded, true), (Hrefs::Absolute, false), (Hrefs::Sparse, true), (Hrefs::Everything, false)]
                {
                    let habits = Habits { etags, hrefs, splits };
                    let name = format!("{} {habits:?}", setting.name);
                    let root = folder.path().join(&name);
                    let template = Template::make(Setting { habits, ..setting }, root.join("template")).await;
                    if let Err(wrong) = Case::play(&template, no_fault(), root.join("played")).await {
                        panic!("{name}\n{wrong}");
                    }
                }
            }
        }
    });
}
