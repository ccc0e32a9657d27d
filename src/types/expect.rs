//! What a write expects to find.

/// What must be at a path for a write to go ahead: the same word on disk, in the index and on the wire
/// (`If-None-Match: *` and `If-Match`, RFC 9110 section 13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect<V> {
    /// Nothing may be there.
    Absent,
    /// Exactly this version must be there.
    Version(V),
    /// Whatever is there is replaced; it goes to the trash.
    Anything,
}

impl<V> Expect<V> {
    /// The same expectation about another description of the version.
    pub fn map<W>(self, f: impl FnOnce(V) -> W) -> Expect<W> {
        match self {
            Expect::Absent => Expect::Absent,
            Expect::Version(version) => Expect::Version(f(version)),
            Expect::Anything => Expect::Anything,
        }
    }
}
