//! The clock that the program goes by.

use jiff::{SignedDuration, Timestamp};

use crate::operations::Failure;
use crate::types::Clock;

/// For tests of what takes days: the program believes that it is so much later (`36h`).
const SHIFT: &str = "TWINLENS_CLOCK_SHIFT";

/// The system's clock, or one that is ahead of it.
pub(super) fn clock() -> Result<Clock, Failure> {
    let Ok(text) = std::env::var(SHIFT) else { return Ok(Clock::default()) };
    let wrong = || Failure::usage(format!("{SHIFT} is {text:?}; write it like 36h"));
    let shift: SignedDuration = text.parse().map_err(|_| wrong())?;
    Timestamp::now().checked_add(shift).map_err(|_| wrong())?;
    Ok(Clock::new(move || Timestamp::now().checked_add(shift).unwrap_or(Timestamp::MAX)))
}
