//! Work that blocks, off the threads that carry requests.

use super::Failure;

/// Runs `work` where it may block.
pub(crate) async fn blocking<R, F>(work: F) -> Result<R, Failure>
where
    R: Send + 'static,
    F: FnOnce() -> Result<R, Failure> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::unreachable(format!("a part of the program ended unexpectedly: {error}")))?
}
