//! The one place where a request is repeated.
//!
//! - 429 and 503: the whole service is left alone for as long as it asks (`Retry-After`, RFC 9110 section 10.2.3), otherwise for a time that
//!   doubles; 423 and 425 concern this request alone.
//! - A connection that broke, a service that stopped answering, 502 and 504: nobody knows whether the request arrived. What may safely
//!   arrive twice is sent again; for the rest the caller looks first what is there.
//!
//! All waiting is bounded. Then the answer is the caller's: one file fails, and the others go on.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Body, Response, Url};

use super::body::Payload;
use super::gate::ClosedFor;
use super::{Client, ClientError};

/// A service that wants to be left alone for longer is asked again after this time, by whoever comes then.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long a client waits before it tries again, and before it gives up. A test waits less than people do.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// The first wait of a series that doubles.
    pub first: Duration,
    /// No wait of a series is longer.
    pub longest: Duration,
    /// So long one request waits for a busy service, all in all.
    pub busy: Duration,
    /// So long for a file that somebody else has locked.
    pub locked: Duration,
    /// A request fails when no byte moves for so long; there is no limit on the whole.
    pub idle: Duration,
    /// So often what broke is sent again.
    pub broken: u32,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            busy: Duration::from_secs(180),
            locked: Duration::from_secs(30),
            idle: super::http::IDLE,
            broken: 3,
        }
    }
}

/// One request, as it can be sent again.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// It fails when nothing moves for so long.
    pub(super) idle: Duration,
    /// It may arrive twice without harm.
    pub(super) harmless: bool,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, headers: HeaderMap, payload: Payload) -> Self {
        let harmless = matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT" | "SEARCH" | "MKCOL")
            || (method == Method::DELETE && headers.contains_key(header::IF_MATCH));
        Self { method, url, headers, payload, idle: super::http::IDLE, harmless }
    }

    pub(super) fn harmless(self) -> Self {
        Self { harmless: true, ..self }
    }
}

/// How much waiting is left for one thing that is tried again.
#[derive(Debug)]
pub struct Patience {
    waits: Waits,
    begun: Instant,
    deadline: Instant,
    broken: u32,
    rounds: u32,
}

impl Patience {
    fn new(waits: Waits) -> Self {
        let begun = Instant::now();
        Self { waits, begun, deadline: begun + waits.busy, broken: 0, rounds: 0 }
    }

    /// The next wait of a series that doubles, a little by chance: those who were refused together must not come back together.
    fn doubled(&mut self) -> Duration {
        let wait = self.waits.first.saturating_mul(1 << self.rounds.min(10)).min(self.waits.longest);
        self.rounds += 1;
        by_chance(wait)
    }

    /// The next wait for something that broke; none when it broke too often.
    pub fn broken(&mut self) -> Option<Duration> {
        self.broken += 1;
        (self.broken <= self.waits.broken).then(|| self.doubled()).filter(|wait| self.allows(*wait, self.waits.busy))
    }

    /// The next wait for something that is at work, and may be so for this time besides the usual; none when it took longer.
    pub fn lasting(&mut self, work: Duration) -> Option<Duration> {
        let wait = self.doubled();
        (self.begun.elapsed() + wait <= self.waits.locked + work).then_some(wait)
    }

    /// The next wait before one looks for the last time what became of it.
    pub fn once_more(&mut self) -> Duration {
        self.doubled()
    }

    fn allows(&self, wait: Duration, of: Duration) -> bool {
        Instant::now() + wait + self.waits.busy.saturating_sub(of) <= self.deadline
    }
}

/// Between half of a time and the whole.
fn by_chance(time: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without chance everybody waits the whole time.
    let share = getrandom::fill(&mut byte).map_or(255, |()| u32::from(byte[0]));
    time / 2 + time / 2 * share / 255
}

/// What an answer asks to wait: seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

impl Client {
    /// The same, with other waits.
    pub fn with_waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    /// How much waiting one thing is worth that is tried again.
    pub fn patience(&self) -> Patience {
        Patience::new(self.waits)
    }

    /// Sends one request. Answers other than 401 and redirects are the caller's to judge; a busy service has been waited for.
    pub(super) async fn send(&self, method: Method, url: Url, headers: HeaderMap, body: Option<Body>) -> Result<Response, ClientError> {
        let payload = match &body {
            None => Payload::Nothing,
            Some(body) => match body.as_bytes() {
                Some(bytes) => Payload::Whole(Bytes::copy_from_slice(bytes)),
                None => return Err(ClientError::Source("its body cannot be sent again".into())),
            },
        };
        self.call(&Call::new(method, url, headers, payload)).await
    }

    /// As [`Client::send`].
    pub(super) async fn call(&self, call: &Call) -> Result<Response, ClientError> {
        let mut patience = self.patience();
        loop {
            let entered = tokio::select! {
                entered = self.gate.enter(patience.deadline) => entered,
                () = self.flow.stopped() => return Err(ClientError::Stopped),
            };
            let pass = entered.map_err(|ClosedFor(left)| ClientError::Busy { host: self.host(), seconds: left.as_secs().max(1) })?;
            let answered = self.once(call).await;
            let wait = match &answered {
                Ok(answer) => {
                    let asked = retry_after(answer.headers(), SystemTime::now());
                    match answer.status() {
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                            let wait = asked.unwrap_or_else(|| patience.doubled());
                            self.gate.close(&pass, wait.min(LONGEST));
                            Some(wait).filter(|wait| self.gate.busy_for() < self.waits.busy && patience.allows(*wait, self.waits.busy))
                        }
                        status => {
                            self.gate.well();
                            match status {
                                // It says of a folder that somebody is making it at this moment.
                                StatusCode::LOCKED if call.method.as_str() == "MKCOL" => None,
                                StatusCode::LOCKED | StatusCode::TOO_EARLY => {
                                    let wait = asked.unwrap_or_else(|| patience.doubled());
                                    Some(wait).filter(|wait| patience.allows(*wait, self.waits.locked))
                                }
                                StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT if call.harmless => patience.broken(),
                                _ => None,
                            }
                        }
                    }
                }
                Err(error) if call.harmless && self.may_be_passing(error) => patience.broken(),
                Err(_) => None,
            };
            drop(pass);
            let Some(wait) = wait else { return answered };
            let why = match &answered {
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            tracing::info!(host = %self.host(), method = %call.method, %why, seconds = wait.as_secs_f32(), "a request is sent again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.flow.stopped() => return answered,
            }
        }
    }

    /// Whether it may go better at once: a service that has answered before and cannot be reached now is perhaps being restarted.
    fn may_be_passing(&self, error: &ClientError) -> bool {
        match error {
            ClientError::Broken { .. } | ClientError::Timeout { .. } => true,
            ClientError::Unreachable { .. } => self.gate.has_answered(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_ask_in_seconds_or_by_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let asked = |text: &str| retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]), now);
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("Tue, 14 Nov 2023 22:13:50 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("Tue, 14 Nov 2000 22:13:50 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn waits_double_and_end() {
        let Waits { busy, locked, .. } = Waits::default();
        let mut patience = Patience::new(Waits::default());
        let waits: Vec<_> = std::iter::from_fn(|| patience.broken()).collect();
        assert_eq!(waits.len(), 3);
        for (wait, longest) in waits.iter().zip([500, 1000, 2000]) {
            assert!(*wait <= Duration::from_millis(longest) && *wait >= Duration::from_millis(longest / 2), "{wait:?}");
        }
        assert!(!patience.allows(busy + Duration::from_secs(1), busy));
        assert!(patience.allows(Duration::from_secs(20), locked) && !patience.allows(locked + Duration::from_secs(1), locked));
    }

    #[test]
    fn only_what_is_harmless_twice_is_sent_again_unseen() {
        let call = |method: &str, headers: HeaderMap| {
            let url = Url::parse("http://host/x").unwrap();
            Call::new(Method::from_bytes(method.as_bytes()).unwrap(), url, headers, Payload::Nothing).harmless
        };
        assert!(call("PROPFIND", HeaderMap::new()) && call("GET", HeaderMap::new()));
        assert!(!call("PUT", HeaderMap::new()) && !call("MOVE", HeaderMap::new()) && !call("DELETE", HeaderMap::new()));
        assert!(call("DELETE", HeaderMap::from_iter([(header::IF_MATCH, "\"x\"".parse().unwrap())])));
    }
}
