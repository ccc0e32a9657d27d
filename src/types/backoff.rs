//! Waiting longer after each failure.

use std::time::Duration;

/// `first` after the first failure, twice as long after each further one, and never longer than `ceiling`.
pub fn doubling(first: Duration, failures: u32, ceiling: Duration) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    first.checked_mul(factor).map_or(ceiling, |wait| wait.min(ceiling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_ceiling() {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let minutes = |failures| doubling(minute, failures, hour).as_secs() / 60;
        assert_eq!([1, 2, 3, 6, 7, 1000, u32::MAX].map(minutes), [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(doubling(minute, 0, hour), minute);
    }
}
