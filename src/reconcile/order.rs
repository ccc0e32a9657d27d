//! The order of moves: a name is free before it is given. Exchanged names go through a name of ours; a whole folder goes in one step.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::types::{RelPath, Side};

use super::outcome::{Collector, Contents};
use super::{Action, Held, Step, Why, parking};

impl Collector {
    /// Makes one step of the moves of all files of a folder, when they keep their places in it and nothing is at its new name.
    pub(super) fn gather_folders<C: Contents>(&self, side: Side, moves: Vec<Step>, contents: &C) -> Result<Vec<Step>, C::Error> {
        let mut renamed: BTreeMap<(usize, RelPath, RelPath), Vec<usize>> = BTreeMap::new();
        for (at, step) in moves.iter().enumerate() {
            for (from, to) in folders_renamed(side, step) {
                renamed.entry((from.segments().count(), from, to)).or_default().push(at);
            }
        }
        if renamed.is_empty() {
            return Ok(moves);
        }
        let busy = self.written_below(side, &moves);
        let mut steps: Vec<Option<Step>> = moves.into_iter().map(Some).collect();
        let mut folders = Vec::new();
        for ((_, from, to), files) in renamed {
            let all_of_it = contents.files_below(side, &from)? == Some(files.len() as u64);
            if !all_of_it || busy.contains(&from) || files.iter().any(|&at| steps[at].is_none()) {
                continue;
            }
            if contents.files_below(side, &to)? != Some(0) || contents.has_folder(side.other(), &from)? || contents.has_folder(side, &to)? {
                continue;
            }
            let files = files.into_iter().filter_map(|at| steps[at].take()).collect();
            let action = Action::MoveFolder { side, from, files };
            folders.push(Step { local: to.clone(), remote: to, action, why: Why::Moved });
        }
        folders.extend(steps.into_iter().flatten());
        Ok(folders)
    }

    /// The folders at or below which this plan writes something.
    fn written_below(&self, side: Side, moves: &[Step]) -> HashSet<RelPath> {
        let writes = |step: &&Step| match &step.action {
            Action::Upload { .. } => side == Side::Remote,
            Action::Download { .. } => side == Side::Local,
            Action::Conflict { .. } => true,
            Action::Copy { side: at, .. } => *at == side,
            _ => false,
        };
        let written = self.steps.iter().filter(writes).chain(moves);
        written.flat_map(|step| step.at(side).ancestors()).collect()
    }
}

/// The folders of which one was renamed to the other, if this step is a part of that: the pairs above both names that end alike.
fn folders_renamed(side: Side, step: &Step) -> Vec<(RelPath, RelPath)> {
    let Action::Move { from, base: Some(_), replaces: None, agreed: None, remote, .. } = &step.action else { return Vec::new() };
    // Without digests it is only a guess, which is proven file by file.
    let is_guess = side == Side::Local && remote.digests.is_empty();
    let mut pairs = Vec::new();
    let (mut from, mut to) = (from.clone(), step.at(side).clone());
    while from.name() == to.name() {
        let (Some(above), Some(goal)) = (from.parent(), to.parent()) else { break };
        (from, to) = (above, goal);
        let apart = from.strip_prefix(&to).is_none() && to.strip_prefix(&from).is_none();
        // A disk that folds case has no place for both names.
        let may_be = !is_guess || from.as_str().to_lowercase() == to.as_str().to_lowercase();
        if apart && may_be {
            pairs.push((from.clone(), to.clone()));
        }
    }
    pairs
}

/// Takes out the moves that go first, on either side: whole folders, and files that were also edited, whose edits go by the new names. All
/// of them go to names that are free.
pub(super) fn first(moves: Vec<Step>) -> (Vec<Step>, Vec<Step>) {
    let edited = |step: &Step| matches!(step.action, Action::Move { agreed: Some(_), .. });
    let (mut first, rest): (Vec<Step>, Vec<Step>) =
        moves.into_iter().partition(|step| matches!(step.action, Action::MoveFolder { .. }) || edited(step));
    first.sort_by_key(edited);
    (first, rest)
}

/// Puts moves on one side into an order in which every name is free when it is given.
pub(super) fn ordered(side: Side, mut files: Vec<Step>) -> Vec<Step> {
    let leaves: HashMap<RelPath, usize> = files.iter().enumerate().filter_map(|(at, step)| Some((from(step)?.clone(), at))).collect();
    let mut order = Vec::new();
    let mut met = vec![false; files.len()];
    let mut done = vec![false; files.len()];
    for start in 0..files.len() {
        // From one move to the one that has to make room for it, until one goes to a free name.
        let mut way = Vec::new();
        let mut next = Some(start);
        while let Some(at) = next.filter(|&at| !done[at]) {
            if met[at] {
                order.extend(park(side, &mut files[at]));
                break;
            }
            met[at] = true;
            way.push(at);
            next = leaves.get(files[at].at(side)).copied();
        }
        for at in way.into_iter().rev() {
            done[at] = true;
            order.push(files[at].clone());
        }
    }
    order
}

fn from(step: &Step) -> Option<&RelPath> {
    match &step.action {
        Action::Move { from, .. } => Some(from),
        _ => None,
    }
}

/// Lets a move of a circle begin at a name of ours, and says how the file gets there.
fn park(side: Side, step: &mut Step) -> Option<Step> {
    let Action::Move { from, local, remote, .. } = &mut step.action else { return None };
    let to = parking::beside(from, &local.digests.content)?;
    let place = std::mem::replace(from, to.clone());
    let held = if side == Side::Local { Held::Local(*local) } else { Held::Remote(remote.clone()) };
    Some(Step { local: place.clone(), remote: place, action: Action::Park { side, to, held }, why: Why::InTheWay })
}
