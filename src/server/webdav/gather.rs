//! Bodies that are gathered into larger pieces; a blocking thread takes one while the next comes.

use tokio::task::JoinHandle;

/// Bytes that are gathered before they are handed on. A smaller body is handed on in one go.
pub(super) const GATHER: usize = 1 << 20;

/// Takes the bytes of a body.
pub(in crate::server) trait Sink: Send + 'static {
    /// Why it does not.
    type Error: Send;

    /// Appends bytes. Called where it may block.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// A thread ended while it was at work.
    fn broken() -> Self::Error;
}

/// A body on its way into a sink. After an error there is no sink any more.
pub(in crate::server) struct Gathering<S: Sink> {
    gathered: Vec<u8>,
    /// All of it is gathered before anything is handed on.
    small: bool,
    sink: Held<S>,
}

/// Where the sink is.
enum Held<S: Sink> {
    Here(Box<S>),
    Busy(JoinHandle<Result<Returned<S>, S::Error>>),
    Nowhere,
}

/// What comes back from the blocking thread: the sink, and a buffer that can be used again.
type Returned<S> = (Box<S>, Vec<u8>);

impl<S: Sink> Gathering<S> {
    /// Into this sink; so many bytes are announced.
    pub(in crate::server) fn new(sink: S, announced: Option<u64>) -> Self {
        let gathered = Vec::with_capacity(announced.map_or(64 << 10, |size| size.min(GATHER as u64)) as usize);
        let small = announced.is_some_and(|size| size <= GATHER as u64);
        Self { gathered, small, sink: Held::Here(Box::new(sink)) }
    }

    /// Whether everything stays in memory until its end.
    pub(super) fn is_small(&self) -> bool {
        self.small
    }

    /// Takes more of the body.
    pub(in crate::server) async fn take(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < GATHER || self.small {
            return Ok(());
        }
        let (mut sink, mut spare) = self.come_back().await?;
        std::mem::swap(&mut self.gathered, &mut spare);
        self.gathered.clear();
        self.sink = Held::Busy(tokio::task::spawn_blocking(move || sink.append(&spare).map(|()| (sink, spare))));
        Ok(())
    }

    /// Waits for what was handed on.
    async fn come_back(&mut self) -> Result<Returned<S>, S::Error> {
        match std::mem::replace(&mut self.sink, Held::Nowhere) {
            Held::Here(sink) => Ok((sink, Vec::with_capacity(GATHER + (64 << 10)))),
            Held::Busy(handle) => handle.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a request ended unexpectedly");
                Err(S::broken())
            }),
            Held::Nowhere => Err(S::broken()),
        }
    }

    /// The sink, and what it has not been given yet.
    pub(in crate::server) async fn end(mut self) -> Result<(S, Vec<u8>), S::Error> {
        // Small bodies are most: they need no buffer more.
        if let Held::Here(sink) = self.sink {
            return Ok((*sink, self.gathered));
        }
        let (sink, _) = self.come_back().await?;
        Ok((*sink, self.gathered))
    }
}
