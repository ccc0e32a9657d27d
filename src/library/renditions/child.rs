//! Runs a program that decodes: without a shell, with an empty environment, with limits of time, memory and output, and killed when nobody
//! wants its work any more. What it reads is untrusted, and so is what it writes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::memory::Reserved;

/// No picture takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon it is noticed that somebody said stop.
const LOOK: Duration = Duration::from_millis(50);
/// What a program may write, in bytes: a bitmap of 50 megapixels.
const OUTPUT: u64 = 160 << 20;
/// What it may take as address space, its libraries included.
#[cfg(target_os = "linux")]
const SPACE: u64 = 2 << 30;
/// What is reserved for it of the memory for decoding.
const MEMORY: u64 = 256 << 20;

/// Where a program writes to.
pub(super) enum Output<'a> {
    /// Standard output.
    Pipe,
    /// This file, which is its last argument.
    File(&'a Path),
}

/// Why a program made nothing.
#[derive(Debug)]
pub(super) enum Broken {
    Stopped,
    /// What became of it, as a sentence.
    Failed(String),
    /// It took longer than anything should; another time it may not.
    TooSlow,
}

/// What a program makes of a file, which is its standard input.
pub(super) fn run(program: &Path, arguments: &[&str], input: &File, output: Output<'_>, stop: &AtomicBool) -> Result<Vec<u8>, Broken> {
    let _room = Reserved::take(MEMORY, stop).ok_or(Broken::Stopped)?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |error: io::Error| Broken::Failed(format!("{name} cannot be run: {error}"));
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").args(arguments).current_dir("/").stderr(Stdio::null());
    command.stdin(Stdio::from(input.try_clone().map_err(failed)?));
    match output {
        Output::Pipe => command.stdout(Stdio::piped()),
        Output::File(place) => command.arg(place).stdout(Stdio::null()),
    };
    let mut child = Running(command.spawn().map_err(failed)?);
    limit(&child.0).map_err(failed)?;
    let until = Instant::now() + PATIENCE;
    let mut bytes = match child.0.stdout.take() {
        Some(pipe) => {
            let mut bytes = Vec::new();
            let mut pipe = pipe.take(OUTPUT + 1);
            loop {
                look(stop, until)?;
                let fresh = PollFlags::IN | PollFlags::HUP;
                let ready =
                    poll(&mut [PollFd::new(pipe.get_ref(), fresh)], Some(&Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() }));
                match ready {
                    Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                    Ok(_) => {}
                    Err(error) => return Err(failed(error.into())),
                }
                let mut piece = [0; 64 << 10];
                let read = pipe.read(&mut piece).map_err(failed)?;
                if read == 0 {
                    break;
                }
                bytes.extend_from_slice(&piece[..read]);
            }
            if bytes.len() as u64 > OUTPUT {
                return Err(too_much(&name));
            }
            bytes
        }
        None => Vec::new(),
    };
    let ended = loop {
        if let Some(ended) = child.0.try_wait().map_err(failed)? {
            break ended;
        }
        look(stop, until)?;
        std::thread::sleep(Duration::from_millis(2));
    };
    if let (Output::File(place), true) = (output, ended.success()) {
        let read = File::open(place).and_then(|file| file.take(OUTPUT + 1).read_to_end(&mut bytes));
        read.map_err(|error| Broken::Failed(format!("{name} left no picture: {error}")))?;
    }
    match bytes.len() as u64 {
        _ if !ended.success() => Err(Broken::Failed(format!("{name} cannot decode it ({ended})"))),
        0 => Err(Broken::Failed(format!("{name} found no picture in it"))),
        1..=OUTPUT => Ok(bytes),
        _ => Err(too_much(&name)),
    }
}

fn too_much(name: &str) -> Broken {
    Broken::Failed(format!("{name} makes more of it than can be used"))
}

fn look(stop: &AtomicBool, until: Instant) -> Result<(), Broken> {
    match stop.load(Ordering::Relaxed) {
        true => Err(Broken::Stopped),
        false if Instant::now() >= until => Err(Broken::TooSlow),
        false => Ok(()),
    }
}

/// Its own limits, as soon as it runs. What it has taken before it was told is less than any of them.
#[cfg(target_os = "linux")]
fn limit(child: &Child) -> io::Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let limits = [
        (Resource::As, SPACE),
        (Resource::Cpu, PATIENCE.as_secs()),
        (Resource::Fsize, OUTPUT + 1),
        (Resource::Core, 0),
        (Resource::Nofile, 64),
    ];
    for (resource, most) in limits {
        match prlimit(Some(Pid::from_child(child)), resource, Rlimit { current: Some(most), maximum: Some(most) }) {
            // It has ended already.
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            done => done?,
        };
    }
    Ok(())
}

/// Elsewhere the limits of time and output must do.
#[cfg(not(target_os = "linux"))]
fn limit(_: &Child) -> io::Result<()> {
    Ok(())
}

/// Killed when it is dropped before its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing for one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
