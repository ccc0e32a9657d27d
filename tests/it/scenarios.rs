//! What has gone wrong for users of other programs, numbered T1 to T30, and what happens here instead. What an earlier story shows already is
//! named in [`SHOWN`] and not told twice.

mod between;
mod services;
mod times;

/// Scenario, what happens, and the tests that show it.
const SHOWN: &[(u8, &str, &[&str])] = &[
    (1, "a chunked PUT is stored as 0 bytes", &["faulty::uploads_carry_what_servers_need", "faulty::zero_bytes_stored"]),
    (2, "201, and only the first 256 KB are kept", &["faulty::only_the_beginning_stored"]),
    (3, "an error, and the short body is kept over the old file", &["faulty::a_failed_update_leaves_the_earlier_version_and_no_remains"]),
    (5, "the answer to a PUT is lost", &["resume::an_upload_whose_answer_was_lost_is_not_sent_again"]),
    (6, "the answer to a MOVE is lost", &["moves::an_answer_to_a_move_that_was_lost_is_looked_for"]),
    (
        9,
        "429 with Retry-After",
        &["resume::a_busy_service_is_waited_for", "resume::a_service_that_wants_to_be_left_alone_for_long_is_left_alone"],
    ),
    (10, "the listing of the root is empty", &["faulty::a_listing_that_shows_too_little_is_never_a_deletion"]),
    (11, "a folder answers 403 or 500", &["faulty::a_listing_that_shows_too_little_is_never_a_deletion"]),
    (12, "the marker is missing, or another one", &["danger::another_library_behind_the_same_address_halts"]),
    (
        13,
        "both ends are the same storage",
        &["sync::a_library_is_not_synced_with_itself", "danger::the_library_through_another_server_is_refused"],
    ),
    (
        15,
        "names that differ in form or case",
        &[
            "names::a_name_in_another_form_is_the_same_file",
            "names::two_files_whose_names_differ_only_in_form_stay_two",
            "names::a_server_that_folds_case_never_overwrites_one_with_the_other",
        ],
    ),
    (
        18,
        "another content, the same size, time and entity tag",
        &["listing::a_folder_that_changed_while_its_files_look_the_same_is_looked_at_more_closely"],
    ),
    (19, "an older index is put back", &["care::restored::an_older_index_loses_nothing_and_deletes_nothing"]),
    (20, "a file still grows", &["schedule::a_file_that_grows_is_not_sent_before_it_is_whole"]),
    (23, "Depth: infinity is silently 1", &["listing::a_nextcloud_that_does_not_list_everything_at_once_is_walked"]),
    (24, "a Destination with http behind https", &["front::proxies::a_destination_is_understood_under_the_names_that_clients_use"]),
    (25, "507", &["resume::a_full_service_gets_no_more_uploads_and_everything_else_goes_on"]),
    (
        26,
        "kill -9",
        &[
            "resume::a_download_goes_on_after_the_process_was_killed",
            "resume::an_upload_goes_on_after_the_process_was_killed",
            "moves::a_run_that_breaks_off_at_any_request_of_a_circle_loses_nothing",
        ],
    ),
    (
        28,
        "names with everything in them",
        &["names::names_of_every_kind_travel_to_apache_and_back", "names::a_long_name_is_carried_where_the_server_can_hold_it"],
    ),
    (29, "half of all files are deleted", &["sync::an_emptied_side_and_a_mass_deletion_halt"]),
    (
        30,
        "deleted, and put back on purpose",
        &[
            "table::what_was_deleted_comes_back_only_when_its_owner_puts_it_back",
            "care::tombstones::what_was_deleted_comes_back_only_when_that_is_forgotten",
        ],
    ),
];

#[test]
fn every_scenario_is_shown_by_a_test_that_exists() {
    let program = std::env::current_exe().unwrap();
    let list = std::process::Command::new(program).args(["--list", "--format", "terse"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let tests: Vec<&str> = list.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    for number in 1..=30 {
        let named = format!("t{number:02}_");
        let own = tests
            .iter()
            .any(|test| test.starts_with("scenarios::") && test.rsplit("::").next().is_some_and(|name| name.starts_with(&named)));
        let shown = SHOWN.iter().any(|(shown, _, _)| *shown == number);
        assert!(own || shown, "T{number} is shown by nothing");
    }
    for (number, what, names) in SHOWN {
        for name in *names {
            assert!(tests.contains(name), "T{number} ({what}) shall be shown by {name}, which does not exist");
        }
    }
}
