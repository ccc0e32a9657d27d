use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const NOON: u16 = 12 * 60;

fn id(number: u32) -> ServiceId {
    ServiceId(number)
}

fn setting(number: u32, interval: Duration) -> Setting {
    Setting { id: id(number), on: true, interval, window: None, sends: true }
}

/// A moment: this many seconds after the beginning, by both clocks.
fn at(seconds: u64) -> Now {
    Now { steady: Duration::from_secs(seconds), wall: 1_000_000 + seconds as i64, minute: NOON }
}

fn ran(seconds: u64) -> Standing {
    Standing { ended: Some(at(seconds).wall), ..Standing::default() }
}

fn agenda(services: &[(u32, Duration)], ran_at: u64) -> Agenda {
    let mut agenda = Agenda::default();
    agenda.set(services.iter().map(|(number, interval)| (setting(*number, *interval), ran(ran_at))).collect(), at(ran_at));
    agenda
}

fn end(agenda: &mut Agenda, number: u32, ending: &Ending, now: Now) {
    let entry = &agenda.services[&id(number)];
    let standing = entry.standing.clone().after(ending, now.wall, entry.setting.interval);
    agenda.ended(id(number), ending, standing);
}

fn started(actions: &[Action]) -> Vec<(u32, Trigger)> {
    let start = |action: &Action| match action {
        Action::Start(id, trigger) => Some((id.0, *trigger)),
        Action::Suspend(_) => None,
    };
    actions.iter().filter_map(start).collect()
}

#[test]
fn a_service_is_run_once_in_its_interval() {
    let mut agenda = agenda(&[(1, MINUTE)], 0);
    assert_eq!((agenda.tick(at(59)), agenda.wait(at(59))), (vec![], Some(Duration::from_secs(1))));
    assert_eq!(started(&agenda.tick(at(60))), [(1, Trigger::Interval)]);
    assert_eq!((agenda.tick(at(200)), agenda.wait(at(200))), (vec![], None), "it runs: nothing to do until it ends");
    end(&mut agenda, 1, &Ending::Done, at(200));
    assert_eq!(agenda.next(id(1), at(200)), Some(at(260).wall));
    assert_eq!(agenda.tick(at(259)), []);
    assert_eq!(started(&agenda.tick(at(260))), [(1, Trigger::Interval)]);
}

#[test]
fn a_new_service_is_run_when_its_owner_is_done_with_it() {
    let mut agenda = Agenda::default();
    agenda.set(vec![(Setting { on: false, ..setting(1, MINUTE) }, Standing::default())], at(0));
    assert_eq!(agenda.tick(at(100)), []);
    agenda.set(vec![(setting(1, MINUTE), Standing::default())], at(100));
    assert_eq!(agenda.tick(at(102)), []);
    agenda.set(vec![(setting(1, MINUTE * 2), Standing::default())], at(102));
    assert_eq!(agenda.tick(at(104)), []);
    assert_eq!(started(&agenda.tick(at(105))), [(1, Trigger::Interval)]);
}

#[test]
fn a_change_is_followed_when_it_is_quiet_and_a_restless_one_too() {
    let mut agenda = agenda(&[(1, MINUTE * 60), (2, MINUTE * 60)], 0);
    agenda.set(vec![(setting(1, MINUTE * 60), ran(0)), (Setting { sends: false, ..setting(2, MINUTE * 60) }, ran(0))], at(0));
    agenda.changed_here(at(10));
    assert_eq!(agenda.tick(at(10)), []);
    assert_eq!(agenda.wait(at(10)), Some(QUIET));
    assert_eq!(started(&agenda.tick(at(11))), [(1, Trigger::ChangedHere)], "nothing is sent to the second");
    end(&mut agenda, 1, &Ending::Done, at(12));
    for second in 100..100 + RESTLESS.as_secs() {
        agenda.changed_there(id(2), at(second));
        assert_eq!(agenda.tick(at(second)), [], "{second}");
    }
    assert_eq!(started(&agenda.tick(at(100 + RESTLESS.as_secs()))), [(2, Trigger::ChangedThere)]);
}

#[test]
fn a_change_during_a_run_makes_another_and_one_before_it_does_not() {
    let mut agenda = agenda(&[(1, MINUTE * 60)], 0);
    agenda.changed_here(at(1));
    agenda.started(id(1), Trigger::Manual);
    end(&mut agenda, 1, &Ending::Done, at(5));
    assert_eq!(agenda.tick(at(50)), []);
    agenda.started(id(1), Trigger::Manual);
    agenda.changed_here(at(60));
    assert_eq!(agenda.tick(at(70)), [], "one run at a time");
    end(&mut agenda, 1, &Ending::Done, at(71));
    assert_eq!(started(&agenda.tick(at(71))), [(1, Trigger::ChangedHere)]);
}

#[test]
fn after_a_sleep_each_is_run_once_and_not_all_at_the_same_moment() {
    let services: Vec<_> = (1..=9).map(|number| (number, MINUTE * 5)).collect();
    let mut agenda = agenda(&services, 0);
    assert_eq!(agenda.tick(at(100)), []);
    // A night: the steady clock stood still.
    let woken =
        |seconds: u64| Now { steady: Duration::from_secs(100 + seconds), wall: at(100).wall + 30_000 + seconds as i64, minute: NOON };
    let mut runs = BTreeMap::<u32, u32>::new();
    assert_eq!(agenda.tick(woken(0)), [], "nothing at the very moment of waking");
    let mut most = 0;
    for second in 1..200 {
        let now = woken(second);
        let begun = started(&agenda.tick(now));
        most = most.max(begun.len());
        for (number, _) in begun {
            *runs.entry(number).or_default() += 1;
            end(&mut agenda, number, &Ending::Done, now);
        }
    }
    assert_eq!((runs.len(), runs.values().max()), (9, Some(&1)));
    assert!(most < 4, "{most} at once");
}

#[test]
fn what_was_missed_while_the_node_was_down_does_not_begin_all_at_once() {
    let mut agenda = Agenda::default();
    agenda.set((1..=3).map(|number| (setting(number, MINUTE * 10), ran(0))).collect(), at(100_000));
    assert_eq!(agenda.tick(at(100_000)), []);
    assert!(agenda.wait(at(100_000)).unwrap().as_secs() <= SPREAD as u64);
}

#[test]
fn a_clock_that_is_set_back_puts_nothing_off_and_forward_makes_no_storm() {
    let mut agenda = agenda(&[(1, MINUTE * 10)], 0);
    assert_eq!(agenda.tick(at(1)), []);
    // Back by a year.
    let year = 365 * 86_400;
    let back = |seconds: u64| Now { wall: at(seconds).wall - year, ..at(seconds) };
    assert_eq!(agenda.tick(back(2)), []);
    assert_eq!(agenda.tick(back(601)), []);
    assert_eq!(started(&agenda.tick(back(602))), [(1, Trigger::Interval)]);
    end(&mut agenda, 1, &Ending::Done, back(603));
    // And forward again: it is overdue, and run once.
    assert_eq!(agenda.tick(at(604)), []);
    assert_eq!(started(&agenda.tick(at(604 + SPREAD as u64))), [(1, Trigger::Interval)]);
    end(&mut agenda, 1, &Ending::Done, at(640));
    assert_eq!(agenda.tick(at(700)), []);
}

#[test]
fn a_failing_service_waits_in_spite_of_changes_unless_it_answers_again() {
    let mut agenda = agenda(&[(1, MINUTE * 600)], 0);
    agenda.changed_here(at(1));
    assert_eq!(started(&agenda.tick(at(3))), [(1, Trigger::ChangedHere)]);
    end(&mut agenda, 1, &Ending::Failed, at(4));
    agenda.changed_here(at(5));
    assert_eq!(agenda.tick(at(63)), []);
    assert_eq!(started(&agenda.tick(at(64))), [(1, Trigger::Retry)]);
    end(&mut agenda, 1, &Ending::Failed, at(65));
    assert_eq!(agenda.tick(at(65 + 119)), []);
    agenda.reachable(id(1), at(65 + 119));
    assert_eq!(started(&agenda.tick(at(65 + 119))), [(1, Trigger::Retry)]);
    end(&mut agenda, 1, &Ending::Done, at(200));
    agenda.reachable(id(1), at(300));
    assert_eq!(agenda.tick(at(300)), []);
}

#[test]
fn what_is_off_paused_or_stopped_is_left_alone() {
    let paused = Standing { paused: true, ..ran(0) };
    let stopped = Standing::default().after(&Ending::Refused("no".into()), at(0).wall, MINUTE);
    let mut agenda = Agenda::default();
    let off = Setting { on: false, ..setting(3, MINUTE) };
    agenda.set(vec![(setting(1, MINUTE), paused), (setting(2, MINUTE), stopped), (off, ran(0))], at(0));
    agenda.changed_here(at(1));
    assert_eq!((agenda.tick(at(100_000)), agenda.wait(at(100_000)), agenda.next(id(1), at(9))), (vec![], None, None));
    agenda.set(vec![(setting(1, MINUTE), ran(0))], at(100_001));
    assert_eq!(started(&agenda.tick(at(100_001))).len(), 1, "resumed: at once");
}

#[test]
fn outside_its_hours_nothing_begins_and_what_runs_is_suspended() {
    let night = Setting { window: Some("22:00-06:00".parse().unwrap()), ..setting(1, MINUTE) };
    let mut agenda = Agenda::default();
    agenda.set(vec![(night, ran(0))], at(0));
    let by_day = |seconds: u64, minute: u16| Now { minute, ..at(seconds) };
    agenda.changed_here(at(1));
    assert_eq!(agenda.tick(by_day(5000, 21 * 60 + 59)), []);
    assert_eq!(agenda.wait(by_day(5000, 21 * 60 + 59)), Some(MINUTE));
    assert_eq!(started(&agenda.tick(by_day(5060, 22 * 60))), [(1, Trigger::Interval)]);
    assert_eq!(agenda.tick(by_day(6000, 5 * 60 + 59)), []);
    assert_eq!(agenda.tick(by_day(6060, 6 * 60)), [Action::Suspend(id(1))]);
    end(&mut agenda, 1, &Ending::Suspended, by_day(6061, 6 * 60));
    assert_eq!(agenda.tick(by_day(7000, 7 * 60)), []);
    assert_eq!(started(&agenda.tick(by_day(8000, 22 * 60))), [(1, Trigger::Retry)]);
    end(&mut agenda, 1, &Ending::Done, by_day(8001, 22 * 60));
    agenda.started(id(1), Trigger::Manual);
    assert_eq!(agenda.tick(by_day(9000, NOON)), [], "begun by hand: it may go on");
}

#[test]
fn a_few_at_once_and_changes_first() {
    let services: Vec<_> = (1..=6).map(|number| (number, MINUTE)).collect();
    let mut agenda = agenda(&services, 0);
    agenda.set((1..=6).map(|number| (setting(number, MINUTE), ran(0))).chain([(setting(7, MINUTE * 60), ran(0))]).collect(), at(0));
    agenda.changed_there(id(7), at(50));
    let begun = started(&agenda.tick(at(61)));
    assert_eq!((begun.len(), begun[0]), (AT_ONCE, (7, Trigger::ChangedThere)));
    assert_eq!((agenda.tick(at(62)), agenda.wait(at(62))), (vec![], None));
    end(&mut agenda, 7, &Ending::Cancelled, at(63));
    assert_eq!(started(&agenda.tick(at(63))).len(), 1);
}
