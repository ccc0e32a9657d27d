//! How fast the bytes of a service's files travel, and the word to stop.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::ClientError;

/// A slower line than this would look like a dead one.
const SLOWEST: u64 = 1 << 10;
const TOO_SLOW: &str = "less than 1K a second would look like a dead line; use off, or pause the service";
/// What was not used in this time may be made up for.
const BURST: Duration = Duration::from_millis(250);

/// Bytes a second, for all transfers of a service together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schema(value_type = u64, minimum = 1024)]
pub struct Rate(u64);

impl TryFrom<u64> for Rate {
    type Error = &'static str;

    fn try_from(bytes: u64) -> Result<Self, Self::Error> {
        if bytes < SLOWEST { Err(TOO_SLOW) } else { Ok(Self(bytes)) }
    }
}

impl From<Rate> for u64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `500K`, `2M`, `1.5M`, `1G`, or plain bytes; K is 1024.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "write it like 500K, 2M or 1.5M (bytes a second)".to_owned();
        let text = text.trim().trim_end_matches("/s").trim_end_matches(['B', 'b']);
        let (number, factor) = match text.char_indices().next_back().ok_or_else(wrong)? {
            (at, 'k' | 'K') => (&text[..at], 1_u64 << 10),
            (at, 'm' | 'M') => (&text[..at], 1 << 20),
            (at, 'g' | 'G') => (&text[..at], 1 << 30),
            _ => (text, 1),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let bytes = number * factor as f64;
        if !bytes.is_finite() || bytes < 0.0 {
            return Err(wrong());
        }
        // A number that is too large for a rate means no limit worth the name; `as` makes it the largest one.
        Ok(Self::try_from(bytes as u64)?)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 20) == 0 => write!(f, "{}M", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{}K", bytes >> 10),
            bytes => bytes.fmt(f),
        }
    }
}

/// Whoever waits for a turn says so often that it is alive.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// The bucket: when the line will be free again, since some beginning.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    free_at: Duration,
}

impl Bucket {
    /// How long bytes have to wait that want to travel now. They have taken their place in any case.
    fn book(&mut self, now: Duration, bytes: u64) -> Duration {
        let begin = self.free_at.max(now.saturating_sub(BURST));
        self.free_at = begin + Duration::from_secs_f64(bytes as f64 / self.rate.0 as f64);
        begin.saturating_sub(now)
    }
}

/// What all transfers with a service pass through. Cheap to clone; all clones share one limit.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    bucket: Option<Arc<(Mutex<Bucket>, Instant)>>,
    stop: Option<watch::Receiver<bool>>,
}

impl Flow {
    /// A flow of this rate, if it is limited, that ends when `stop` becomes true.
    pub fn new(rate: Option<Rate>, stop: watch::Receiver<bool>) -> Self {
        let bucket = |rate| Arc::new((Mutex::new(Bucket { rate, free_at: Duration::ZERO }), Instant::now()));
        Self { bucket: rate.map(bucket), stop: Some(stop) }
    }

    /// Lets so many bytes pass when it is their turn. An error when everything is to stop.
    /// While they wait, `alive` is called now and then.
    pub async fn pass(&self, bytes: usize, alive: impl Fn()) -> Result<(), ClientError> {
        let Some(bucket) = &self.bucket else { return self.check() };
        let mut wait = {
            let (bucket, begun) = &**bucket;
            bucket.lock().unwrap_or_else(PoisonError::into_inner).book(begun.elapsed(), bytes as u64)
        };
        while !wait.is_zero() {
            let step = wait.min(SIGN_OF_LIFE);
            tokio::select! {
                () = tokio::time::sleep(step) => wait -= step,
                () = self.stopped() => break,
            }
            alive();
        }
        self.check()
    }

    fn check(&self) -> Result<(), ClientError> {
        match &self.stop {
            Some(stop) if *stop.borrow() => Err(ClientError::Stopped),
            _ => Ok(()),
        }
    }

    /// Returns when everything is to stop.
    pub(super) async fn stopped(&self) {
        if let Some(mut stop) = self.stop.clone()
            && stop.wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        // Nobody is left who could say so.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_taken_as_people_write_them() {
        let of = |text: &str| text.parse::<Rate>().map(|rate| (rate.0, rate.to_string()));
        assert_eq!(of("2M"), Ok((2 << 20, "2M".into())));
        assert_eq!(of("1.5MB/s"), Ok((3 << 19, "1536K".into())));
        assert_eq!((of("500k"), of("2000")), (Ok((500 << 10, "500K".into())), Ok((2000, "2000".into()))));
        for bad in ["", "M", "fast", "-1M", "1", "0", "nan", "infM", "1T"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn everybody_together_gets_no_more_than_the_rate() {
        let mut bucket = Bucket { rate: Rate(1000), free_at: Duration::ZERO };
        let second = Duration::from_secs;
        assert_eq!(bucket.book(second(10), 1000), Duration::ZERO);
        let waits: Vec<_> = (0..3).map(|_| bucket.book(second(10), 1000)).collect();
        assert_eq!(waits, [1, 2, 3].map(|wait| second(wait) - BURST));
        // A long rest is not saved up.
        assert_eq!(bucket.book(second(100), 1000), Duration::ZERO);
        assert_eq!(bucket.book(second(100), 1000), second(1) - BURST);
    }

    #[tokio::test]
    async fn whoever_waits_is_told_to_stop() {
        let (tell, stop) = watch::channel(false);
        let flow = Flow::new(Some(Rate(1 << 10)), stop);
        flow.pass(1 << 30, || ()).await.unwrap();
        let waiting = flow.clone();
        let waiting = tokio::spawn(async move { waiting.pass(1, || ()).await });
        tokio::task::yield_now().await;
        tell.send_replace(true);
        assert!(matches!(waiting.await.unwrap(), Err(ClientError::Stopped)));
        assert!(flow.pass(1, || ()).await.is_err() && Flow::default().pass(1, || ()).await.is_ok());
    }
}
