//! Downloads that get names of ours: YYYY/MM/YYYYMMDD_HHMMSS_CRC32C.EXT, by capture date. What belongs together on the service is fetched
//! together and gets one name, and so does what follows in a later run: it goes beside the members that are here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use crate::library::Untitled;
use crate::reconcile::{Action, Plan, Policy, Step, Why};
use crate::store::StoreError;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::remote::RemoteView;
use crate::types::stack::{self, Stack};
use crate::types::{Expect, KnownDigests, Mtime, RelPath, RemoteVersion};

use super::download::{Fetched, staging};
use super::execute::{Execution, StepError};
use super::filter::is_litter;
use super::goals::{Given, Naming, home, known_at, with_stem};
use super::record::Record;
use super::report::PlannedStep;
use super::run::{Sync, SyncError, blocking};

/// The members of a stack that are to be fetched.
struct Job {
    stack: Stack,
    /// By the name on the service.
    steps: HashMap<String, Step>,
    /// Where members of it are in the library, by the name on the service.
    here: HashMap<String, RelPath>,
}

/// What of a stack came.
struct Arrived {
    step: Step,
    fetched: Fetched,
}

impl Execution {
    /// Fetches what is new, a stack at a time, several stacks side by side.
    pub(super) async fn by_date(self: &Arc<Self>, steps: Vec<Step>) -> Result<(), SyncError> {
        if steps.is_empty() {
            return Ok(());
        }
        let execution = Arc::clone(self);
        let jobs = blocking(move || execution.jobs(steps)).await?;
        let given = Given::default();
        let runs = stream::iter(jobs).map(|job| {
            let given = Arc::clone(&given);
            async move {
                let _permit = self.permits.acquire().await;
                match self.fatal() {
                    None => self.fetch_stack(job, given).await,
                    Some(_) => Ok(()),
                }
            }
        });
        let mut runs = std::pin::pin!(runs.buffer_unordered(self.sync.options.parallel.max(1)));
        while let Some(done) = runs.next().await {
            done?;
        }
        Ok(())
    }

    /// Sorts downloads into stacks, as they are on the service, in the order in which they came.
    fn jobs(&self, steps: Vec<Step>) -> Result<Vec<Job>, SyncError> {
        let tx = self.sync.store.read()?;
        let service = self.sync.service.id;
        let look = Look { index: Index::open(&tx)?, view: RemoteView::open(&tx, service)?, baseline: Baseline::open(&tx, service)? };
        let order: HashMap<RelPath, usize> = steps.iter().enumerate().map(|(at, step)| (step.remote.clone(), at)).collect();
        let mut folders: HashMap<RelPath, HashMap<String, Step>> = HashMap::new();
        for step in steps {
            let folder = step.remote.parent().unwrap_or_default();
            folders.entry(folder).or_default().insert(step.remote.name().to_owned(), step);
        }
        let mut jobs = Vec::new();
        for (folder, mut steps) in folders {
            let mut names = steps.keys().cloned().collect::<BTreeSet<String>>();
            for item in look.view.members(&folder, "")? {
                let (path, _) = item?;
                names.extend((!is_litter(&path)).then(|| path.name().to_owned()));
            }
            let names: Vec<String> = names.into_iter().collect();
            for stack in stack::group(&names, &stack::promised) {
                let members: Vec<&String> = members(&stack).collect();
                let wanted: HashMap<String, Step> = members.iter().filter_map(|name| steps.remove_entry(*name)).collect();
                if wanted.is_empty() {
                    continue;
                }
                let mut here = HashMap::new();
                for name in members.into_iter().filter(|name| !wanted.contains_key(*name)) {
                    if let Ok(remote) = folder.join(name)
                        && let Some(local) = look.here(&remote)?
                    {
                        here.insert(name.clone(), local);
                    }
                }
                jobs.push(Job { stack, steps: wanted, here });
            }
        }
        jobs.sort_by_key(|job| job.steps.values().filter_map(|step| order.get(&step.remote)).min().copied());
        Ok(jobs)
    }

    /// Fetches a stack, metadata before pictures, names it, and publishes it, the main file last: whoever finds that finds the others.
    /// What does not come stays for the next run, and does not hold up the rest.
    async fn fetch_stack(self: &Arc<Self>, mut job: Job, given: Given) -> Result<(), SyncError> {
        let names: Vec<String> = members(&job.stack).cloned().collect();
        let with_pictures = job.stack.media.iter().any(|name| job.steps.contains_key(name));
        let mut arrived: HashMap<String, Arrived> = HashMap::new();
        for name in names.into_iter().rev() {
            let Some(step) = job.steps.remove(&name) else { continue };
            let Action::Download { source, .. } = &step.action else { continue };
            match self.fetch(&step.remote, source).await {
                Ok(fetched) => drop(arrived.insert(name, Arrived { step, fetched })),
                Err(error) => self.failed(&step, &error),
            }
        }
        // A service without digests may hold the same bytes several times. Whoever comes later must see the first one's record. Always in
        // the same order, so that no two wait for each other.
        let unknown = |one: &&Arrived| one.fetched.version.digests.is_empty();
        let mut contents: Vec<_> = arrived.values().filter(unknown).map(|one| one.fetched.staged.digests().content).collect();
        contents.sort_by_key(|content| content.0);
        contents.dedup();
        let mut turns = Vec::new();
        for content in contents {
            turns.push(self.turn_of(content).lock_owned().await);
        }
        for one in arrived.values().filter(unknown) {
            let digests = one.fetched.staged.digests();
            self.found_there(digests.content, &one.step.remote);
            self.sync.learn(&one.step.remote, &one.fetched.version, digests).await?;
        }
        self.leave_known(&mut job, &mut arrived).await?;
        let picture = |name: &String| arrived.contains_key(name) || job.here.contains_key(name);
        if with_pictures && !job.stack.media.iter().any(picture) {
            let error = StepError::Refused("the picture that it belongs to did not come, so that it has no name yet".into());
            arrived.values().for_each(|one| self.failed(&one.step, &error));
            return Ok(());
        }
        let goals = match self.goals(&job, &arrived, given).await {
            Ok(goals) => goals,
            Err(error) => {
                arrived.values().for_each(|one| self.failed(&one.step, &error));
                return Ok(());
            }
        };
        for (name, goal) in goals {
            let Some(Arrived { step, fetched }) = arrived.remove(&name) else { continue };
            match self.settle(&step, fetched, goal).await {
                Ok(record) => {
                    self.sync.record(vec![record]).await?;
                    self.finished(&step, None);
                }
                Err(error) => self.failed(&step, &error),
            }
        }
        Ok(())
    }

    /// Pictures whose content the library has already are not stored again; the others go beside them.
    async fn leave_known(&self, job: &mut Job, arrived: &mut HashMap<String, Arrived>) -> Result<(), SyncError> {
        for name in &job.stack.media {
            let Some(one) = arrived.get(name) else { continue };
            let at = match self.library_has(&one.step.remote, one.fetched.staged.digests()) {
                Ok(None) => continue,
                Ok(Some(at)) => at,
                Err(error) => {
                    self.failed(&one.step, &error);
                    arrived.remove(name);
                    continue;
                }
            };
            self.sync.record(vec![self.join(&one.step, &one.fetched, at.clone())]).await?;
            self.finished(&one.step, None);
            arrived.remove(name);
            job.here.insert(name.clone(), at);
        }
        Ok(())
    }

    /// Names for what arrived, in the order in which it is to be published.
    async fn goals(&self, job: &Job, arrived: &HashMap<String, Arrived>, given: Given) -> Result<Vec<(String, RelPath)>, StepError> {
        if arrived.is_empty() {
            return Ok(Vec::new());
        }
        let came: HashMap<String, (Untitled, KnownDigests)> = arrived
            .iter()
            .map(|(name, one)| {
                let mtime = one.fetched.version.modified.map(Mtime::from_seconds).unwrap_or_default();
                let file = Untitled { place: one.fetched.staged.place().to_owned(), name: name.clone(), mtime };
                (name.clone(), (file, one.fetched.staged.digests().into()))
            })
            .collect();
        let (tree, stack, here) = (self.sync.tree.clone(), job.stack.clone(), job.here.clone());
        let (store, service) = (self.sync.store.clone(), self.sync.service.id);
        staging(move || {
            let tx = store.read()?;
            let (baseline, view) = (Baseline::open(&tx, service)?, RemoteView::open(&tx, service)?);
            Naming { tree, baseline, view, stack, here, came, given }.goals()
        })
        .await
    }

    /// Publishes a file under its new name. Just the same bytes may be there already: the rest of a run that was broken off.
    async fn settle(&self, step: &Step, fetched: Fetched, goal: RelPath) -> Result<Record, StepError> {
        let (tree, at) = (self.sync.tree.clone(), goal.clone());
        let there = staging(move || known_at(&tree, &at)).await?;
        let digests = fetched.staged.digests();
        if let Some(here) = there.filter(|here| here.digests == digests) {
            let version = RemoteVersion { digests: digests.into(), ..fetched.version.clone() };
            if let Some(record) = Record::adopted(&goal, here, &step.remote, version) {
                self.count(|report| report.adopted += 1);
                return Ok(record);
            }
        }
        let size = fetched.staged.size();
        let (committed, version) = self.publish(fetched, goal, Expect::Absent).await?;
        self.count(|report| {
            report.downloaded += 1;
            report.verified += 1;
            report.bytes_down += size;
        });
        Ok(Record::downloaded(&committed, &step.remote, version))
    }
}

/// Where files of the service are in the library.
struct Look {
    index: Index,
    view: RemoteView,
    baseline: Baseline,
}

impl Look {
    fn here(&self, remote: &RelPath) -> Result<Option<RelPath>, SyncError> {
        let joined = match self.baseline.elsewhere(remote)? {
            Some(local) => Some(local),
            None => {
                let row = self.baseline.get(remote)?;
                row.filter(|row| !row.is_tombstone() && row.remote_path(remote) == remote).map(|_| remote.clone())
            }
        };
        if let Some(local) = joined
            && self.index.get(&local)?.is_some()
        {
            return Ok(Some(local));
        }
        // A picture that was left out because the library has its content.
        let version = self.view.get(remote)?.filter(|_| stack::promised(remote.name()).is_media());
        Ok(match version {
            Some(version) => self.index.holding_where(&version.digests, &|_| true)?,
            None => None,
        })
    }
}

/// The members of a stack: pictures and videos, the main one first, then what lies beside them.
fn members(stack: &Stack) -> impl Iterator<Item = &String> {
    stack.media.iter().chain(stack.sidecars.iter().map(|sidecar| &sidecar.name))
}

/// Says in a dry run that a download gets another name: which one shows only when it is here.
pub(super) fn foretell(plan: &mut [PlannedStep], policy: &Policy) {
    let new = Why::New.to_string();
    for step in plan.iter_mut().filter(|step| !policy.keep_names && step.action == "download" && step.reason == new) {
        step.reason = "new; here it gets a name by its capture date".to_owned();
    }
}

impl Sync {
    /// The reverse way: a file that is new here beside one that has another name on the service, such as the metadata that a photo program
    /// writes, goes there beside that one. The name of ours is not carried there.
    pub(super) fn name_uploads(&self, plan: &mut Plan) -> Result<(), SyncError> {
        let new = |step: &&mut Step| step.why == Why::New && matches!(step.action, Action::Upload { expect: Expect::Absent, .. });
        let mut folders: BTreeMap<RelPath, Vec<&mut Step>> = BTreeMap::new();
        for step in plan.steps.iter_mut().filter(|step| !self.policy.keep_names && new(step)) {
            folders.entry(step.local.parent().unwrap_or_default()).or_default().push(step);
        }
        let tx = self.store.read()?;
        let (index, view) = (Index::open(&tx)?, RemoteView::open(&tx, self.service.id)?);
        let baseline = Baseline::open(&tx, self.service.id)?;
        let mut given = HashSet::new();
        for (folder, steps) in folders {
            let mut steps: HashMap<String, &mut Step> = steps.into_iter().map(|step| (step.local.name().to_owned(), step)).collect();
            let names = index.members(&folder, "")?.map(|item| Ok(item?.0.name().to_owned()));
            let names = names.collect::<Result<Vec<String>, StoreError>>()?;
            for stack in stack::group(&names, &stack::promised) {
                let members: Vec<&String> = members(&stack).collect();
                if !members.iter().any(|name| steps.contains_key(*name)) {
                    continue;
                }
                let mut there = HashMap::new();
                for name in &members {
                    if let Ok(local) = folder.join(name)
                        && let Some(row) = baseline.get(&local)?
                        && row.remote_path(&local) != &local
                        && view.get(row.remote_path(&local))?.is_some()
                    {
                        there.insert((*name).clone(), row.remote_path(&local).clone());
                    }
                }
                let Some(stem) = home(&stack, &there) else { continue };
                for (name, goal) in with_stem(&stack, &there, &stem).unwrap_or_default() {
                    let Some(step) = steps.get_mut(&name) else { continue };
                    // What is taken there stays under the name that it has here.
                    if view.get(&goal)?.is_none() && given.insert(goal.clone()) {
                        step.remote = goal;
                    }
                }
            }
        }
        Ok(())
    }
}
