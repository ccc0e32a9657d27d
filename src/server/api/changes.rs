//! Waiting for the next change. It costs nothing while nothing changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::dav::sync;
use crate::library::{Kind, LibraryError, Tree};
use crate::store::Store;
use crate::types::RelPath;

use super::caller::Person;
use super::problem::Problem;
use super::{Shared, Told, told};

/// How long an answer takes when nothing changes, unless the request says otherwise; and at the most.
const WAIT: u64 = 60;
const LONGEST: u64 = 300;
/// How many requests of one user may wait at the same time.
const PER_USER: usize = 32;
/// After a change elsewhere nobody looks again for this long: many changes at once are one look.
const PAUSE: Duration = Duration::from_millis(100);

/// Everybody who waits.
pub(super) struct Waiting {
    latest: watch::Receiver<u64>,
    stopped: watch::Sender<bool>,
    users: Arc<Mutex<HashMap<String, usize>>>,
}

impl Waiting {
    pub(super) fn new(store: &Store) -> Self {
        Self { latest: store.watch(), stopped: watch::Sender::new(false), users: Arc::default() }
    }

    /// Tells when everybody is to be answered at once.
    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    /// Everybody is answered at once, from now on.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    pub(super) fn enter(&self, user: &str) -> Result<Place, Problem> {
        let mut users = lock(&self.users);
        let count = users.entry(user.to_owned()).or_default();
        if *count >= PER_USER {
            let detail = format!("{PER_USER} requests of this user are waiting already.");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-waiting", detail).retry_after(10));
        }
        *count += 1;
        Ok(Place { user: user.to_owned(), users: Arc::clone(&self.users) })
    }
}

fn lock(users: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    users.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among those who wait, given up when it is dropped: also when the client goes away.
pub(super) struct Place {
    user: String,
    users: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = lock(&self.users);
        if let Some(count) = users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

/// What a request asks for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The token of a sync-collection report, or of an earlier answer. Without one the answer comes at once.
    since: Option<String>,
    /// So many seconds it may take when nothing changes; 60 unless said otherwise, 300 at the most.
    #[param(value_type = Option<u64>)]
    wait: Option<String>,
    /// The folder.
    folder: Option<String>,
}

/// Whether something changed.
#[derive(Serialize, ToSchema)]
pub(super) struct Change {
    changed: bool,
    /// The token of this moment; what has changed tells a sync-collection report with the earlier one.
    token: String,
}

impl Question {
    /// From a query. Only percent signs are decoded: a `+` in a folder's name is one.
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut question = Self::default();
        for (name, value) in query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            let value = percent_decode_str(value).decode_utf8().map_err(|_| bad(name))?.into_owned();
            match name {
                "since" => question.since = Some(value),
                "wait" => question.wait = Some(value),
                "folder" => question.folder = Some(value),
                _ => return Err(bad(name)),
            }
        }
        Ok(question)
    }
}

fn bad(name: &str) -> Problem {
    let detail = format!("The query's `{name}` cannot be used; there are since, wait and folder.");
    Problem::bad("bad-query", detail).about(name, "it cannot be used")
}

/// Waits for the next change at or below a folder. In the query only percent signs are decoded: a `+` in a folder's name is one.
#[utoipa::path(
    get, path = "/changes", tag = "peers", params(Question),
    responses(
        (status = 200, description = "Something changed, or the time is over.", body = Change),
        (status = 404, description = "There is no such folder.", content_type = "application/problem+json", body = super::problem::Document),
        (status = 410, description = "The token is of another time.", content_type = "application/problem+json", body = super::problem::Document),
    )
)]
pub(super) async fn wait(Person(caller): Person, State(shared): State<Shared>, uri: Uri) -> Result<Told<Change>, Problem> {
    let (login, originals, waiting) = (caller.login, &shared.originals, &shared.waiting);
    super::check(originals, &login)?;
    let question = Question::parse(uri.query().unwrap_or_default())?;
    let wait = question.wait.map_or(Ok(WAIT), |wait| wait.parse()).map_err(|_| bad("wait"))?.min(LONGEST);
    let below = RelPath::parse_lenient(question.folder.as_deref().unwrap_or_default()).map_err(|_| bad("folder"))?;
    let folder = login.folder.join_path(&below);
    let first = look(originals, &folder, question.since.as_deref()).await?;
    let tell = |changed: bool, token: &str| told(Change { changed, token: token.to_owned() });
    let Some(since) = &question.since else { return tell(false, &first.token) };
    if first.changed {
        return tell(true, &first.token);
    }
    let _place = waiting.enter(&login.user)?;
    let (mut latest, mut stopped) = (waiting.latest.clone(), waiting.stopped.subscribe());
    let end = Instant::now() + Duration::from_secs(wait);
    loop {
        // Before looking: what changes after the look is seen by the next wait.
        latest.borrow_and_update();
        let now = look(originals, &folder, Some(since)).await?;
        if now.changed || now.number != first.number {
            return tell(true, &now.token);
        }
        tokio::select! {
            changed = latest.changed() => match changed {
                Ok(()) => tokio::time::sleep_until(end.min(Instant::now() + PAUSE)).await,
                // The state is closed.
                Err(_) => return tell(false, since),
            },
            () = tokio::time::sleep_until(end) => return tell(false, since),
            () = end_of(&mut stopped) => return tell(false, since),
        }
    }
}

/// Returns when the node stops.
pub(super) async fn end_of(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// A folder at one moment.
struct Look {
    /// The number of its latest change.
    number: u64,
    /// That is later than the token that was asked about.
    changed: bool,
    /// The token of this moment.
    token: String,
}

async fn look(originals: &Tree, folder: &RelPath, since: Option<&str>) -> Result<Look, Problem> {
    let (tree, folder, since) = (originals.clone(), folder.clone(), since.map(str::to_owned));
    let looked = tokio::task::spawn_blocking(move || {
        let folder = tree.spelled(&folder);
        if !tree.stat(&folder)?.is_some_and(|stat| stat.kind == Kind::Folder) {
            return Err(LibraryError::NotFound(folder));
        }
        let view = tree.view()?;
        let changes = view.changes().ok_or_else(|| LibraryError::NotFound(folder.clone()))?;
        let number = changes.of_folder(&folder)?;
        let token = sync::token(changes.epoch(), changes.latest());
        let Some(since) = since else { return Ok(Some(Look { number, changed: false, token })) };
        let since = sync::position(&since, changes.epoch()).map(|position| position.number);
        Ok(since.filter(|since| changes.reaches_back_to(*since)).map(|since| Look { number, changed: number > since, token }))
    });
    match looked.await.map_err(|error| Problem::failed(&error))? {
        Ok(Some(look)) => Ok(look),
        Ok(None) => {
            let detail = "The token is of another time: what changed since then is not known. Please list everything and begin anew.";
            Err(Problem::new(StatusCode::GONE, "token-expired", detail))
        }
        Err(LibraryError::NotFound(_) | LibraryError::Outside(_)) => {
            Err(Problem::new(StatusCode::NOT_FOUND, "no-folder", "There is no such folder."))
        }
        Err(error) => Err(Problem::failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_they_are_meant() {
        let question = Question::parse("since=urn:x%3A1&folder=a+b%20c%2Fd&wait=5").unwrap();
        assert_eq!(question.since.as_deref(), Some("urn:x:1"));
        assert_eq!((question.folder.as_deref(), question.wait.as_deref()), (Some("a+b c/d"), Some("5")));
        assert!(Question::parse("").unwrap().since.is_none());
        assert!(Question::parse("token=1").is_err() && Question::parse("folder=%ff").is_err());
    }

    #[test]
    fn places_are_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = Waiting::new(&Store::open(&folder.path().join("s.redb")).unwrap());
        let places: Vec<_> = (0..PER_USER).map(|_| waiting.enter("anna").unwrap()).collect();
        assert!(waiting.enter("anna").is_err() && waiting.enter("bert").is_ok());
        drop(places);
        assert!(waiting.enter("anna").is_ok());
        assert!(lock(&waiting.users).is_empty());
    }
}
