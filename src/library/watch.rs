//! Notices what other programs do in a tree, without looking at everything again and again.
//!
//! On Linux by inotify, one watch a folder: the kernel's list of events is turned into folders to look at, and into files that are being
//! written. It is a help, never a proof: events are lost when there are too many, and on network drives there are none. Whoever needs to
//! be sure looks at everything from time to time. Elsewhere there are no events at all.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::types::RelPath;

use super::{Parts, Tree};

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(target_os = "linux")]
mod mounts;

#[cfg(target_os = "linux")]
use inotify::Inotify;
#[cfg(target_os = "linux")]
use mounts::Mounts;

/// What happened since the last time.
#[derive(Debug, Default)]
pub struct Noticed {
    /// Folders to look at.
    pub parts: Parts,
    /// Events were lost: look at everything.
    pub everything: bool,
}

/// Why not everything is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blind {
    /// The system has no events for us.
    Unsupported,
    /// The user may not have another inotify instance.
    Instances,
    /// The user may not watch more folders.
    Watches,
    /// Other machines may change what is there, and nobody tells.
    Foreign,
    /// The disk was unmounted, or the folder is gone.
    Gone,
}

impl std::fmt::Display for Blind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "this system tells nothing of changes",
            Self::Instances => "the limit fs.inotify.max_user_instances is reached; raise it with sysctl",
            Self::Watches => {
                "there are more folders than may be watched; raise the limit with `sysctl fs.inotify.max_user_watches=1048576` \
                 (in /etc/sysctl.d/ to keep it)"
            }
            Self::Foreign => "it is not on a disk of this machine alone, and what is done elsewhere is not told",
            Self::Gone => "the folder was taken away",
        })
    }
}

/// Watches one tree. Ends a wait when it is woken.
pub struct Watch {
    bell: UnixStream,
    blind: Option<Blind>,
    #[cfg(target_os = "linux")]
    inotify: Option<Inotify>,
    /// What was mounted when it began.
    #[cfg(target_os = "linux")]
    mounts: Option<Mounts>,
    #[cfg(test)]
    limit: Option<usize>,
}

/// Wakes a [`Watch`].
#[derive(Debug, Clone)]
pub struct Waker(Arc<UnixStream>);

impl Waker {
    /// Ends the wait that goes on, or the next one.
    pub fn wake(&self) {
        // A full buffer means that it was woken already.
        let _ = (&*self.0).write(b"!");
    }
}

impl Watch {
    /// A watch that sees nothing yet.
    pub fn new() -> io::Result<(Self, Waker)> {
        let (bell, waker) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let watch = Self {
            bell,
            blind: Some(Blind::Unsupported),
            #[cfg(target_os = "linux")]
            inotify: None,
            #[cfg(target_os = "linux")]
            mounts: None,
            #[cfg(test)]
            limit: None,
        };
        Ok((watch, Waker(Arc::new(waker))))
    }

    /// It may watch so many folders only.
    #[cfg(test)]
    pub(crate) fn limited(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Why not everything is noticed; none when all is well.
    pub fn blind(&self) -> Option<Blind> {
        self.blind
    }

    /// Watches a whole tree from now on, anew if it was watched before. Takes as long as it takes to find all folders. Stops early when
    /// `stop` says so.
    #[cfg(target_os = "linux")]
    pub fn cover(&mut self, tree: &Tree, stop: &dyn Fn() -> bool) {
        self.inotify = None;
        self.mounts = Mounts::of(tree.root());
        self.blind = match Inotify::new(tree) {
            Ok(mut inotify) => {
                #[cfg(test)]
                inotify.limit(self.limit);
                let blind = inotify.cover(&RelPath::root(), stop);
                self.inotify = Some(inotify);
                let foreign = self.mounts.as_ref().is_none_or(|mounts| mounts.foreign().is_some());
                blind.or(foreign.then_some(Blind::Foreign))
            }
            Err(blind) => Some(blind),
        };
    }

    /// Whether a disk was mounted in the tree, or unmounted, since it is watched: what is on it is not watched then.
    #[cfg(target_os = "linux")]
    pub fn is_outdated(&self, tree: &Tree) -> bool {
        self.mounts != Mounts::of(tree.root())
    }

    /// Watches a whole tree from now on.
    #[cfg(not(target_os = "linux"))]
    pub fn cover(&mut self, _: &Tree, _: &dyn Fn() -> bool) {}

    /// Never: nothing is watched.
    #[cfg(not(target_os = "linux"))]
    pub fn is_outdated(&self, _: &Tree) -> bool {
        false
    }

    /// Waits until something happens, somebody wakes us, or the time is over. Without a time it waits for ever.
    pub fn wait(&mut self, limit: Option<Duration>) -> Noticed {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut sources = vec![PollFd::new(&self.bell, PollFlags::IN)];
        #[cfg(target_os = "linux")]
        sources.extend(self.inotify.as_ref().map(|inotify| PollFd::new(inotify.source(), PollFlags::IN)));
        if let Err(error) = poll(&mut sources, limit.as_ref())
            && error != rustix::io::Errno::INTR
        {
            tracing::error!(%error, "changes on disk cannot be waited for");
            std::thread::sleep(Duration::from_secs(1));
        }
        let mut rings = [0; 64];
        while matches!((&self.bell).read(&mut rings), Ok(read) if read > 0) {}
        self.drain()
    }

    /// Everything that has happened until now, without waiting for more.
    pub fn look(&mut self) -> Noticed {
        #[cfg(target_os = "linux")]
        if let Some(inotify) = &mut self.inotify {
            inotify.try_again();
        }
        self.drain()
    }

    #[cfg(target_os = "linux")]
    fn drain(&mut self) -> Noticed {
        let Some(inotify) = &mut self.inotify else { return Noticed::default() };
        let (noticed, blind) = inotify.drain();
        if let Some(blind) = blind {
            self.blind = Some(blind);
        }
        if blind == Some(Blind::Gone) {
            self.inotify = None;
        }
        noticed
    }

    #[cfg(not(target_os = "linux"))]
    fn drain(&mut self) -> Noticed {
        Noticed::default()
    }

    /// Whether some program has written to a file and not closed it since, as far as that was noticed.
    pub fn is_being_written(&self, path: &RelPath) -> bool {
        #[cfg(target_os = "linux")]
        return self.inotify.as_ref().is_some_and(|inotify| inotify.is_being_written(path));
        #[cfg(not(target_os = "linux"))]
        return false;
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
