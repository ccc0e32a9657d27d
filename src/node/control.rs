//! The control socket: how commands reach a running node. One JSON document a line: a command in, events out, then the answer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::events::Event;

use crate::operations::{Command, Failure, Operations};

const NAME: &str = "control.sock";
/// A command larger than this is none of ours.
const COMMAND_LIMIT: u64 = 32 << 20;

/// What a node says on the control socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// Something happened on the way.
    Event(Event),
    /// The command was carried out.
    Done(Value),
    /// The command failed.
    Failed(Failure),
}

/// A connection to a running node.
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    pub(super) async fn connect(data: &Path) -> Result<Option<Self>, Failure> {
        match UnixStream::connect(data.join(NAME)).await {
            Ok(stream) => Ok(Some(Self { stream: BufReader::new(stream) })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) => {
                Err(Failure::unreachable(format!("the running node cannot be reached at {}: {error}", data.join(NAME).display())))
            }
        }
    }

    /// Sends a command and waits for the answer; `hear` is told what happens on the way.
    pub async fn execute(mut self, command: &Command, mut hear: impl FnMut(Event)) -> Result<Value, Failure> {
        let broken = |reason: String| Failure::unreachable(format!("the connection to the running node broke: {reason}"));
        let mut line = serde_json::to_string(command).map_err(|error| broken(error.to_string()))?;
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes()).await.map_err(|error| broken(error.to_string()))?;
        loop {
            line.clear();
            let read = self.stream.read_line(&mut line).await.map_err(|error| broken(error.to_string()))?;
            if read == 0 {
                return Err(broken("it was closed".into()));
            }
            match serde_json::from_str(&line).map_err(|error| broken(error.to_string()))? {
                Message::Event(event) => hear(event),
                Message::Done(value) => return Ok(value),
                Message::Failed(failure) => return Err(failure),
            }
        }
    }
}

/// The socket of a serving node. Only its owner may connect.
pub(super) struct ControlServer {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// Listens in the data folder. The state is locked by us, so a socket that is there is left over from a crash.
    pub(super) fn start(data: &Path, node: Arc<Operations>) -> Result<Self, Failure> {
        let path = data.join(NAME);
        let failed = |error: io::Error| Failure::unreachable(format!("the control socket {} cannot be made: {error}", path.display()));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).map_err(failed)?;
        let weak = Arc::downgrade(&node);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let Some(node) = weak.upgrade() else { return };
                tokio::spawn(async move {
                    if let Err(error) = answer(&node, stream).await {
                        tracing::debug!(%error, "a command was broken off");
                    }
                });
            }
        });
        Ok(Self { path, task })
    }

    pub(super) fn stop(self) {
        self.task.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the control socket could not be removed");
        }
    }
}

/// Answers one command. When the other end goes away, the command is broken off, like a Ctrl-C.
async fn answer(node: &Arc<Operations>, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(COMMAND_LIMIT));
    let mut line = String::new();
    read.read_line(&mut line).await?;
    let command: Command = match serde_json::from_str(&line) {
        Ok(command) => command,
        Err(error) => {
            let failure = Failure::usage(format!("the running node does not know this command ({error}); is it another version?"));
            return send(&mut write, &Message::Failed(failure)).await;
        }
    };
    let mut events = node.events().subscribe();
    let mut gone = String::new();
    let mut work = std::pin::pin!(node.execute(command));
    loop {
        tokio::select! {
            done = &mut work => {
                let message = done.map_or_else(Message::Failed, Message::Done);
                return send(&mut write, &message).await;
            }
            Ok(event) = events.recv() => send(&mut write, &Message::Event(event)).await?,
            _ = read.read_line(&mut gone) => return Ok(()),
        }
    }
}

async fn send(write: &mut (impl tokio::io::AsyncWrite + Unpin), message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    write.write_all(line.as_bytes()).await
}
