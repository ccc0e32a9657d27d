//! Downloads that get names of ours: YYYY/MM/YYYYMMDD_HHMMSS_CRC32C.EXT, by capture date. What belongs together on the service is fetched
//! together and gets one name, and so does what follows in a later run: it goes beside the members that are here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;

use crate::library::{LibraryError, Untitled};
use crate::reconcile::{Action, Plan, Policy, Step, Why};
use crate::store::StoreError;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::remote::RemoteView;
use crate::types::stack::{self, Stack};
use crate::types::{ContentHash, Expect, LocalVersion, Mtime, RelPath, RemoteVersion};

use super::download::{Fetched, staging};
use super::execute::{Execution, StepError};
use super::filter::is_litter;
use super::goals::{self, Came, Naming, home, known_at, with_stem};
use super::record::Record;
use super::report::PlannedStep;
use super::run::{Sync, SyncError, blocking};

/// So many stacks are named and published together. Their files are open until then.
const BATCH: usize = 64;
/// So many wait for that.
const WAITING: usize = 16;

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
    stack: Stack,
    here: HashMap<String, RelPath>,
    files: HashMap<String, (Step, Fetched)>,
    /// The name by date, unless it goes beside what is here.
    stem: Option<RelPath>,
}

/// What a batch is going to publish already.
#[derive(Default)]
struct Claims {
    contents: HashSet<ContentHash>,
    names: HashSet<RelPath>,
}

impl Execution {
    /// Fetches what is new, several stacks side by side; what has come meanwhile is named, published and recorded together.
    pub(super) async fn by_date(self: &Arc<Self>, steps: Vec<Step>) -> Result<(), SyncError> {
        if steps.is_empty() {
            return Ok(());
        }
        let execution = Arc::clone(self);
        let jobs = blocking(move || execution.jobs(steps)).await?;
        let (ready, mut arrived) = mpsc::channel(WAITING);
        let parallel = self.sync.options.parallel.max(1);
        let fetch = async move {
            stream::iter(jobs)
                .for_each_concurrent(parallel, |job| {
                    let ready = ready.clone();
                    async move {
                        let permit = self.permits.acquire().await;
                        if self.fatal().is_some() {
                            return;
                        }
                        if let Some(arrived) = self.fetch_stack(job).await {
                            drop(permit);
                            // The other end goes only with an error that is told there.
                            let _ = ready.send(arrived).await;
                        }
                    }
                })
                .await;
        };
        // The channel ends with it.
        let publish = async {
            let mut batch = Vec::new();
            loop {
                let room = BATCH.saturating_sub(batch.len()).max(1);
                if arrived.recv_many(&mut batch, room).await == 0 && batch.is_empty() {
                    return Ok::<(), SyncError>(());
                }
                batch = self.publish_stacks(batch).await?;
            }
        };
        let ((), published) = tokio::join!(fetch, publish);
        published
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

    /// Fetches a stack, metadata before pictures. What does not come stays for the next run, and does not hold up the rest; but metadata
    /// alone has no name as long as its picture has none.
    async fn fetch_stack(self: &Arc<Self>, mut job: Job) -> Option<Arrived> {
        let names: Vec<String> = members(&job.stack).cloned().collect();
        let with_pictures = job.stack.media.iter().any(|name| job.steps.contains_key(name));
        let mut files = HashMap::new();
        for name in names.into_iter().rev() {
            let Some(step) = job.steps.remove(&name) else { continue };
            let Action::Download { source, .. } = &step.action else { continue };
            match self.fetch_to_disk(&step.remote, source).await {
                Ok(fetched) => drop(files.insert(name, (step, fetched))),
                Err(error) => self.failed(&step, &error),
            }
        }
        let mut arrived = Arrived { stack: job.stack, here: job.here, files, stem: None };
        let picture = |name: &String| arrived.files.contains_key(name) || arrived.here.contains_key(name);
        if with_pictures && !arrived.stack.media.iter().any(picture) {
            let error = StepError::Refused("the picture that it belongs to did not come, so that it has no name yet".into());
            arrived.files.values().for_each(|(step, _)| self.failed(step, &error));
            return None;
        }
        if arrived.files.is_empty() {
            return None;
        }
        if home(&arrived.stack, &arrived.here).is_none() {
            let (stack, came) = (arrived.stack.clone(), arrived.came());
            match staging(move || goals::by_date(&stack, &came)).await {
                Ok(stem) => arrived.stem = Some(stem),
                Err(error) => {
                    arrived.files.values().for_each(|(step, _)| self.failed(step, &error));
                    return None;
                }
            }
        }
        Some(arrived)
    }

    /// Fetches a file whose metadata will be read.
    async fn fetch_to_disk(self: &Arc<Self>, remote: &RelPath, source: &RemoteVersion) -> Result<Fetched, StepError> {
        let mut fetched = self.fetch(remote, source).await?;
        let remote = remote.clone();
        staging(move || match fetched.staged.to_disk() {
            Ok(()) => Ok(fetched),
            Err(error) => Err(LibraryError::staging(&remote, error)),
        })
        .await
    }

    /// Names, publishes and records stacks. Comes back with those that have to wait for others of them.
    async fn publish_stacks(self: &Arc<Self>, batch: Vec<Arrived>) -> Result<Vec<Arrived>, SyncError> {
        let mut claims = Claims::default();
        let (mut later, mut ready, mut records, mut done) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for mut arrived in batch {
            let contents: Vec<ContentHash> = arrived.pictures().map(|(_, fetched)| fetched.staged.digests().content).collect();
            if contents.iter().any(|content| claims.contents.contains(content)) {
                later.push(arrived);
                continue;
            }
            for (step, fetched) in arrived.files.values().filter(|(_, fetched)| fetched.version.digests.is_empty()) {
                self.found_there(fetched.staged.digests().content, &step.remote);
            }
            self.leave_known(&mut arrived, &mut records, &mut done);
            let goals = match self.goals(&arrived, &claims).await {
                Ok(goals) => goals,
                Err(error) => {
                    arrived.files.values().for_each(|(step, _)| self.failed(step, &error));
                    continue;
                }
            };
            claims.contents.extend(contents);
            for (name, goal, there) in goals {
                let Some((mut step, fetched)) = arrived.files.remove(&name) else { continue };
                claims.names.insert(goal.clone());
                step.local = goal.clone();
                let version = RemoteVersion { digests: fetched.staged.digests().into(), ..fetched.version.clone() };
                // Just the same bytes may be there already: the rest of a run that was broken off.
                match there.and_then(|there| Record::adopted(&goal, there, &step.remote, version)) {
                    Some(record) => {
                        self.count(|report| report.adopted += 1);
                        records.push(record);
                        done.push(step);
                    }
                    None => ready.push((step, fetched, Expect::Absent)),
                }
            }
        }
        self.publish_group(ready, records, done).await?;
        Ok(later)
    }

    /// Pictures whose content the library has already are not stored again; the others go beside them.
    fn leave_known(&self, arrived: &mut Arrived, records: &mut Vec<Record>, done: &mut Vec<Step>) {
        for name in &arrived.stack.media {
            let Some((step, fetched)) = arrived.files.get(name) else { continue };
            match self.library_has(&step.remote, fetched.staged.digests()) {
                Ok(None) => continue,
                Ok(Some(at)) => {
                    records.push(self.join(step, fetched, at.clone()));
                    arrived.here.insert(name.clone(), at);
                    done.extend(arrived.files.remove(name).map(|(step, _)| step));
                }
                Err(error) => {
                    self.failed(step, &error);
                    arrived.files.remove(name);
                }
            }
        }
    }

    /// Names for what arrived, in the order in which it is to be published, with what is there of the same bytes.
    async fn goals(&self, arrived: &Arrived, claims: &Claims) -> Result<Vec<(String, RelPath, Option<LocalVersion>)>, StepError> {
        let (stack, here, came, stem) = (arrived.stack.clone(), arrived.here.clone(), arrived.came(), arrived.stem.clone());
        let (tree, given) = (self.sync.tree.clone(), claims.names.clone());
        let (store, service) = (self.sync.store.clone(), self.sync.service.id);
        staging(move || {
            let tx = store.read()?;
            let (baseline, view) = (Baseline::open(&tx, service)?, RemoteView::open(&tx, service)?);
            let naming = Naming { tree: &tree, baseline, view, stack: &stack, here: &here, came: &came, given: &given };
            let with_there = |(name, goal): (String, RelPath)| known_at(&tree, &goal).map(|there| (name, goal, there));
            naming.goals(stem)?.into_iter().map(with_there).collect()
        })
        .await
    }
}

impl Arrived {
    fn pictures(&self) -> impl Iterator<Item = &(Step, Fetched)> {
        self.stack.media.iter().filter_map(|name| self.files.get(name))
    }

    fn came(&self) -> Came {
        let untitled = |(name, (_, fetched)): (&String, &(Step, Fetched))| {
            let mtime = fetched.version.modified.map(Mtime::from_seconds).unwrap_or_default();
            let file = Untitled { place: fetched.staged.place().to_owned(), name: name.clone(), mtime };
            (name.clone(), (file, fetched.staged.digests().into()))
        };
        self.files.iter().map(untitled).collect()
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
