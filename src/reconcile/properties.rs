//! Properties of reconcile on random histories of two small trees.

mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::types::{Digests, KnownDigests, RelPath, Side};

use world::{Edit, PATHS, Tree, World, bytes, local_version, path};

fn edit() -> impl Strategy<Value = Edit> {
    let side = || prop_oneof![Just(Side::Local), Just(Side::Remote)];
    prop_oneof![
        4 => (side(), 0..PATHS.len(), prop::char::ranges(vec!['0'..='0', 'a'..='e'].into())).prop_map(|(side, at, content)| Edit::Put(side, at, content)),
        2 => (side(), 0..PATHS.len()).prop_map(|(side, at)| Edit::Remove(side, at)),
        2 => (side(), 0..PATHS.len(), 0..PATHS.len()).prop_map(|(side, from, to)| Edit::Rename(side, from, to)),
        2 => (side(), 0..PATHS.len(), 0..PATHS.len()).prop_map(|(side, one, other)| Edit::Swap(side, one, other)),
        1 => (side(), any::<bool>()).prop_map(|(side, back)| Edit::RenameFolder(side, back)),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let deletes = prop_oneof![Just(Deletes::Ignore), Just(Deletes::Trash)];
    let directions = prop_oneof![4 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))];
    (directions, deletes).prop_map(|((download, upload), deletes)| Policy { download, upload, deletes, keep_names: true })
}

/// Several rounds of edits, each followed by a sync.
fn history() -> impl Strategy<Value = (Vec<Vec<Edit>>, Policy, bool)> {
    (prop::collection::vec(prop::collection::vec(edit(), 0..5), 1..5), policy(), any::<bool>())
}

/// Moves that need the place of another move are followed in the next run; three runs settle any of these small histories.
const RUNS: usize = 4;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_comes_to_rest((rounds, policy, digests) in history()) {
        let mut world = World { digests, ..World::default() };
        for edits in rounds {
            edits.iter().for_each(|edit| world.apply(edit));
            for _ in 0..RUNS {
                world.sync(policy);
            }
            let plan = world.plan(policy);
            prop_assert!(plan.steps.is_empty(), "still {:?} in {world:?}", plan.steps);
        }
    }

    #[test]
    fn nothing_is_lost_and_nothing_invented((rounds, policy, digests) in history()) {
        let mut world = World { digests, ..World::default() };
        for edits in rounds {
            edits.iter().for_each(|edit| world.apply(edit));
            let before = world.contents();
            let gone_by_wish: BTreeSet<char> = if policy.deletes == Deletes::Trash { before.clone() } else { BTreeSet::new() };
            world.trash.clear();
            let updated: BTreeSet<char> = world.base.values().filter(|(_, base)| base.local.is_some()).filter_map(|(_, base)| base.remote.clone()).filter_map(|remote| {
                ('0'..='e').find(|content| remote.digests.agree(&Digests::of(&bytes(*content)).into()) == Some(true))
            }).collect();
            world.sync(policy);
            let after: BTreeSet<char> = world.contents().union(&world.trash).copied().collect();
            for content in &before {
                // The service's earlier version of an edited file is replaced there; deletions are followed when they should be.
                prop_assert!(after.contains(content) || updated.contains(content) || gone_by_wish.contains(content), "{content} is lost");
            }
            prop_assert!(after.is_subset(&before), "invented: {after:?} from {before:?}");
        }
    }

    #[test]
    fn an_empty_baseline_removes_nothing((rounds, policy, digests) in history()) {
        let mut world = World { digests, ..World::default() };
        rounds.iter().flatten().for_each(|edit| world.apply(edit));
        let (local, remote) = (world.local.clone(), world.remote.clone());
        world.sync(policy);
        for (path, content) in local {
            prop_assert_eq!(world.local.get(&path), Some(&content));
        }
        let still_there = world.remote.values().copied().collect::<BTreeSet<_>>();
        prop_assert!(remote.values().all(|content| still_there.contains(content)));
    }

    #[test]
    fn both_sides_hold_the_same_after_a_two_way_sync((rounds, _, digests) in history()) {
        let mut world = World { digests, ..World::default() };
        rounds.iter().flatten().for_each(|edit| world.apply(edit));
        for _ in 0..RUNS {
            world.sync(Policy::TWO_WAY);
        }
        let contents = |tree: &Tree| tree.values().copied().collect::<BTreeSet<_>>();
        prop_assert_eq!(contents(&world.local), contents(&world.remote));
    }
}

/// A world in which both sides hold the same, all different, and a permutation of the names.
fn permuted() -> impl Strategy<Value = (World, Vec<usize>, Side, bool)> {
    let files = prop::collection::vec(any::<bool>(), PATHS.len());
    let side = prop_oneof![Just(Side::Local), Just(Side::Remote)];
    (files, Just((0..PATHS.len()).collect::<Vec<_>>()).prop_shuffle(), side, any::<bool>()).prop_map(|(files, order, side, digests)| {
        let mut world = World { digests, ..World::default() };
        for (at, content) in ('a'..='f').enumerate().filter(|(at, _)| files[*at]) {
            world.local.insert(path(at), content);
        }
        world.sync(Policy::TWO_WAY);
        (world, order, side, digests)
    })
}

fn mirrored(world: &World) -> World {
    let base = world.base.iter().map(|(local, (remote, base))| {
        let content = |digests: KnownDigests| ('0'..='f').find(|c| digests.agree(&Digests::of(&bytes(*c)).into()) == Some(true)).unwrap();
        let here = base.remote.as_ref().map(|version| local_version(content(version.digests)));
        let there = base.local.map(|version| world.remote_version(content(version.digests.into())));
        (remote.clone(), (local.clone(), Base { local: here, remote: there }))
    });
    World { local: world.remote.clone(), remote: world.local.clone(), base: base.collect(), ..world.clone() }
}

/// A plan as lines that say the same of both sides, in no order.
fn told(plan: &Plan, mirrored: bool) -> BTreeSet<String> {
    let side = |side: Side| if mirrored { side.other() } else { side };
    let tell = |step: &Step| {
        let (here, there) = if mirrored { (&step.remote, &step.local) } else { (&step.local, &step.remote) };
        let what = match &step.action {
            Action::Upload { .. } => format!("to {:?}", side(Side::Remote)),
            Action::Download { .. } => format!("to {:?}", side(Side::Local)),
            Action::Move { side: at, from, .. } => format!("move on {:?} from {from}", side(*at)),
            Action::MoveFolder { side: at, from, .. } => format!("move folder on {:?} from {from}", side(*at)),
            Action::Park { side: at, .. } => format!("park on {:?}", side(*at)),
            Action::Copy { side: at, from, .. } => format!("copy on {:?} from {from}", side(*at)),
            Action::Delete { side: at, .. } => format!("delete on {:?}", side(*at)),
            Action::Tombstone { local, .. } => format!("keep on {:?}", side(if local.is_some() { Side::Local } else { Side::Remote })),
            Action::Conflict { .. } => "conflict".into(),
            Action::Adopt { .. } => "adopt".into(),
            Action::Forget => "forget".into(),
        };
        format!("{here} {there} {what}")
    };
    plan.steps.iter().map(tell).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever names are exchanged on one side, in circles or chains, no byte travels and one run is enough.
    #[test]
    fn renamed_files_never_travel((world, order, side, _) in permuted()) {
        let mut world = world;
        // A service that tells no digests does not tell of a rename: that is found out by reading.
        let side = if world.digests { side } else { Side::Local };
        let names: Vec<RelPath> = PATHS.iter().map(|name| RelPath::parse(name).unwrap()).collect();
        let files = std::mem::take(world.tree(side));
        let renamed: Tree = files.into_iter().map(|(path, content)| (names[order[names.iter().position(|name| *name == path).unwrap()]].clone(), content)).collect();
        *world.tree(side) = renamed;
        let plan = world.sync(Policy::TWO_WAY);
        prop_assert!(plan.steps.iter().all(|step| step.bytes() == 0), "{:?}", plan.steps);
        prop_assert_eq!(&world.local, &world.remote);
        prop_assert!(world.plan(Policy::TWO_WAY).steps.is_empty());
    }

    /// A run may break off before or after any step is recorded: nothing is lost, and the runs after it come to rest.
    #[test]
    fn a_run_that_breaks_off_anywhere_loses_nothing((rounds, _, digests) in history(), stop in 0..12_usize, recorded in any::<bool>()) {
        let policy = Policy::TWO_WAY;
        let mut world = World { digests, ..World::default() };
        for edits in rounds {
            edits.iter().for_each(|edit| world.apply(edit));
            let before = world.contents();
            let replaced: BTreeSet<char> = world.base.values().filter_map(|(_, base)| base.local).filter_map(|local| ('0'..='f').find(|c| local_version(*c).digests == local.digests)).collect();
            let steps = World::in_order(&world.plan(policy));
            for (at, step) in steps.iter().enumerate().take(stop + 1) {
                world.take(step, policy, recorded || at < stop);
            }
            world.runs += 1;
            for _ in 0..RUNS {
                world.sync(policy);
            }
            let after: BTreeSet<char> = world.contents().union(&world.trash).copied().collect();
            for content in &before {
                prop_assert!(after.contains(content) || replaced.contains(content), "{content} is lost: {world:?}");
            }
            prop_assert!(world.plan(policy).steps.is_empty(), "still {:?} in {world:?}", world.plan(policy).steps);
        }
    }

    /// So is nothing that was only renamed, whether deletions are followed or not: the runs after it end what the first one began.
    #[test]
    fn exchanged_names_survive_a_run_that_breaks_off((world, order, side, _) in permuted(), stop in 0..8_usize, recorded in any::<bool>(), follows in any::<bool>()) {
        let policy = Policy { deletes: if follows { Deletes::Trash } else { Deletes::Ignore }, ..Policy::TWO_WAY };
        let mut world = World { digests: true, ..world };
        let names = PATHS.map(|name| RelPath::parse(name).unwrap());
        let files = std::mem::take(world.tree(side));
        let renamed: Tree = files.into_iter().map(|(path, content)| (names[order[names.iter().position(|name| *name == path).unwrap()]].clone(), content)).collect();
        *world.tree(side) = renamed.clone();
        for (at, step) in World::in_order(&world.plan(policy)).iter().enumerate().take(stop + 1) {
            world.take(step, policy, recorded || at < stop);
        }
        let mut bytes = 0;
        for _ in 0..RUNS {
            bytes += world.sync(policy).steps.iter().map(Step::bytes).sum::<u64>();
        }
        prop_assert_eq!(&world.local, &renamed);
        prop_assert_eq!(&world.remote, &renamed);
        prop_assert!(bytes == 0, "{} bytes travelled", bytes);
    }

    /// The two sides have equal rights.
    #[test]
    fn exchanging_the_sides_mirrors_the_plan((rounds, _, _) in history(), deletes in prop_oneof![Just(Deletes::Ignore), Just(Deletes::Trash)]) {
        let policy = Policy { deletes, ..Policy::TWO_WAY };
        let mut world = World { digests: true, ..World::default() };
        for edits in rounds {
            edits.iter().for_each(|edit| world.apply(edit));
            // Rows that join two names stand in the order of the local one.
            if world.base.iter().any(|(local, (remote, _))| local != remote) {
                break;
            }
            let (plan, mirror) = (world.plan(policy), mirrored(&world).plan(policy));
            prop_assert_eq!(told(&plan, false), told(&mirror, true), "{:?}", world);
            world.carry_out(&plan, policy);
            world.runs += 1;
        }
    }

    /// What cannot be read is not touched, and seeing less never deletes more.
    #[test]
    fn the_unseen_is_left_alone((rounds, policy, digests) in history(), hidden in prop::collection::vec((any::<bool>(), 0..PATHS.len()), 1..4)) {
        let mut world = World { digests, ..World::default() };
        for edits in rounds {
            edits.iter().for_each(|edit| world.apply(edit));
            let whole = world.plan(policy);
            let side = |local: &bool| if *local { Side::Local } else { Side::Remote };
            world.hidden = hidden.iter().map(|(local, at)| (side(local), path(*at))).collect();
            let less = world.plan(policy);
            for step in &less.steps {
                for at in [Side::Local, Side::Remote] {
                    prop_assert!(!world.hidden.contains(&(at, step.at(at).clone())), "{step:?}");
                }
                if let Action::Move { side, from, .. } | Action::MoveFolder { side, from, .. } = &step.action {
                    prop_assert!(!world.hidden.iter().any(|(at, path)| at == side && path.strip_prefix(from).is_some()), "{step:?}");
                }
            }
            let removed = |plan: &Plan| plan.steps.iter().filter(|step| matches!(step.action, Action::Delete { .. })).map(|step| step.local.clone()).collect::<BTreeSet<_>>();
            let gone_or_moved: BTreeSet<RelPath> = whole.steps.iter().map(|step| match &step.action {
                Action::Move { base: Some(base), .. } => base.clone(),
                _ => step.local.clone(),
            }).chain(whole.steps.iter().filter_map(|step| match &step.action {
                Action::MoveFolder { files, .. } => Some(files.iter().filter_map(|file| match &file.action {
                    Action::Move { base, .. } => base.clone(),
                    _ => None,
                })),
                _ => None,
            }).flatten()).collect();
            prop_assert!(removed(&less).is_subset(&gone_or_moved), "{:?} of {:?}", removed(&less), gone_or_moved);
            world.hidden.clear();
            world.sync(policy);
        }
    }

    /// No content travels to a side that has it.
    #[test]
    fn what_is_there_does_not_travel((rounds, policy, _) in history()) {
        let mut world = World { digests: true, ..World::default() };
        for edits in rounds {
            edits.iter().for_each(|edit| world.apply(edit));
            let plan = world.plan(policy);
            for step in &plan.steps {
                let holds = |tree: &Tree, digests: KnownDigests| tree.values().any(|content| {
                    digests.agree(&Digests::of(&bytes(*content)).into()) == Some(true)
                });
                match &step.action {
                    Action::Upload { source, .. } => prop_assert!(!holds(&world.remote, source.digests.into()), "{step:?} in {world:?}"),
                    Action::Download { source, .. } => prop_assert!(!holds(&world.local, source.digests), "{step:?} in {world:?}"),
                    _ => {}
                }
            }
            world.carry_out(&plan, policy);
            world.runs += 1;
        }
    }
}
