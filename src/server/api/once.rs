//! What may be sent again and is done once: the answers that were given to keys, for a day.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::accounts::Login;
use crate::store::Store;
use crate::store::documents::ANSWERED;
use crate::types::RelPath;

use super::problem::Problem;
use super::{Shared, blocking};

/// So many seconds an answer is kept.
const KEPT: i64 = 86_400;
const LONGEST: usize = 255;
const PURPOSE: &str = "twinlens 2026 idempotency key of a user";
const HEADER: &str = "idempotency-key";

/// Old answers are looked for so many seconds after the last look: with thousands of uploads a day not each of them can look at all.
const SWEEP: i64 = 3600;

/// Those that are being answered. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    keys: HashSet<String>,
    swept: i64,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to look for old answers.
    fn is_due(&self, now: i64) -> bool {
        let mut state = self.lock();
        let due = (now - state.swept).abs() >= SWEEP;
        if due {
            state.swept = now;
        }
        due
    }
}

/// How it is stored.
#[derive(Serialize, Deserialize)]
struct Row {
    /// What was asked with the key.
    request: String,
    at: i64,
    /// None: it began, and nobody knows how it ended.
    answer: Option<(u16, Value)>,
}

/// How far a request with this key came before.
pub(super) enum Attempt {
    /// It is the first.
    First,
    /// An earlier one began and was never answered.
    Broken,
    /// It was answered like this.
    Answered(StatusCode, Value),
}

/// A request with a key. Dropped, the key is free for the next try.
pub(super) struct Once {
    store: Store,
    running: Running,
    key: String,
    request: String,
}

impl Drop for Once {
    fn drop(&mut self) {
        self.running.lock().keys.remove(&self.key);
    }
}

impl Once {
    /// The key of a request, if it has one.
    pub(super) fn of(shared: &Shared, login: &Login, headers: &HeaderMap, path: &RelPath) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let given = value.to_str().unwrap_or_default();
        if given.is_empty() || given.len() > LONGEST {
            return Err(Problem::bad_field("Idempotency-Key", format!("it has 1 to {LONGEST} visible characters of ASCII")));
        }
        let mut hasher = blake3::Hasher::new_derive_key(PURPOSE);
        hasher.update(&(login.user.len() as u64).to_le_bytes()).update(login.user.as_bytes()).update(given.as_bytes());
        let key = hasher.finalize().to_hex().to_string();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request = format!("{path}\n{}\n{}\n{}", text("content-length"), text("content-digest"), text("if-match"));
        if !shared.running.lock().keys.insert(key.clone()) {
            let detail = "The same upload is being received already; please wait for its answer.";
            return Err(Problem::new(StatusCode::CONFLICT, "in-progress", detail));
        }
        Ok(Some(Self { store: shared.store.clone(), running: shared.running.clone(), key, request }))
    }

    /// Looks what became of the key before, and notes that it is tried now.
    pub(super) async fn begin(&self) -> Result<Attempt, Problem> {
        let (store, key, request, now) = (self.store.clone(), self.key.clone(), self.request.clone(), self.store.clock().seconds());
        let sweep = self.running.is_due(now);
        blocking(move || {
            let earlier = ANSWERED.get::<Row>(&store.read()?, &key)?.filter(|row| now - row.at < KEPT);
            let attempt = match earlier {
                Some(row) if row.request != request => {
                    let detail = "This key was used for another upload; please make a new key for each.";
                    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", detail);
                    return Err(problem.about("Idempotency-Key", "it was used for another upload"));
                }
                Some(Row { answer: Some((status, answer)), .. }) => {
                    return Ok(Attempt::Answered(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), answer));
                }
                Some(_) => Attempt::Broken,
                None => Attempt::First,
            };
            store.write(move |tx| {
                let all = if sweep { ANSWERED.all_to_change::<Row>(tx)? } else { Vec::new() };
                for (old, _) in all.iter().filter(|(_, row)| now - row.at >= KEPT) {
                    ANSWERED.remove(tx, old)?;
                }
                ANSWERED.put(tx, &key, &Row { request, at: now, answer: None })
            })?;
            Ok(attempt)
        })
        .await
    }

    /// It was answered like this.
    pub(super) async fn end(&self, status: StatusCode, answer: &impl Serialize) -> Result<(), Problem> {
        let answer = serde_json::to_value(answer).map_err(|error| Problem::failed(&error))?;
        let row = Row { request: self.request.clone(), at: self.store.clock().seconds(), answer: Some((status.as_u16(), answer)) };
        let (store, key) = (self.store.clone(), self.key.clone());
        blocking(move || Ok(store.write(move |tx| ANSWERED.put(tx, &key, &row))?)).await
    }

    /// Nothing was done: it may be tried in another way.
    pub(super) async fn give_up(&self) -> Result<(), Problem> {
        let (store, key) = (self.store.clone(), self.key.clone());
        blocking(move || Ok(store.write(move |tx| ANSWERED.remove(tx, &key).map(drop))?)).await
    }
}
