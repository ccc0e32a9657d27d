//! The control socket: how commands reach a running node. It speaks the API, with the owner of the state as an admin.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::events::Event;
use crate::operations::{Command, ExitCode, Failure, Kind};
use crate::server::{App, Call};

const NAME: &str = "control.sock";

/// A connection to a running node.
pub struct Control {
    place: PathBuf,
    line: Line,
}

/// One connection, closed when it is dropped: the node breaks off then what it was asked for.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn broken(reason: impl ToString) -> Failure {
    Failure::unreachable(format!("the connection to the running node broke: {}", reason.to_string()))
}

impl Line {
    async fn open(place: &Path) -> Result<Option<Self>, Failure> {
        let stream = match UnixStream::connect(place).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
            Err(error) => {
                return Err(Failure::unreachable(format!("the running node cannot be reached at {}: {error}", place.display())));
            }
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the running node ended");
            }
        });
        Ok(Some(Self { sender, task }))
    }

    async fn ask(&mut self, call: &Call) -> Result<Response<Incoming>, Failure> {
        self.sender.ready().await.map_err(broken)?;
        let body = call.body.as_ref().map(Value::to_string);
        let mut request = Request::builder().method(call.method.clone()).uri(&call.path).header(HOST, "localhost");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default())).map_err(broken)?;
        self.sender.send_request(request).await.map_err(broken)
    }

    /// The answer to a call: all pages of a list as one.
    async fn answer(&mut self, call: &Call) -> Result<Value, Failure> {
        let mut answer = self.page(call).await?;
        let Some(list) = call.list else { return Ok(answer) };
        while let Some(next) = answer.as_object_mut().and_then(|answer| answer.remove("next")) {
            let path = format!("{}&cursor={}", call.path, next.as_str().unwrap_or_default());
            let mut page = self.page(&Call { path, ..call.clone() }).await?;
            if let (Some(all), Some(more)) = (answer[list].as_array_mut(), page[list].as_array_mut()) {
                all.append(more);
            }
            answer["next"] = page["next"].take();
            if answer["next"].is_null() {
                answer.as_object_mut().map(|answer| answer.remove("next"));
            }
        }
        Ok(answer)
    }

    async fn page(&mut self, call: &Call) -> Result<Value, Failure> {
        let answer = self.ask(call).await?;
        let is_done = answer.status().is_success();
        let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
        let document = serde_json::from_slice(&body).map_err(broken)?;
        if is_done { Ok(document) } else { Err(refused(document)) }
    }
}

/// What a problem document tells.
#[derive(Deserialize)]
struct Refusal {
    code: String,
    detail: String,
    #[serde(default)]
    exit_code: Option<u8>,
}

fn refused(document: Value) -> Failure {
    let Ok(Refusal { code, detail, exit_code }) = serde_json::from_value(document) else { return broken("it answers something else") };
    let exit = match exit_code {
        Some(0) => ExitCode::Done,
        Some(1) => ExitCode::Failures,
        Some(2) => ExitCode::Usage,
        Some(_) => ExitCode::Unreachable,
        None => return Failure::usage(format!("the running node refuses this command ({detail}); is it another version?")),
    };
    let kind = serde_json::from_value(Value::String(code)).unwrap_or(Kind::Failed);
    Failure::new(exit, kind, detail)
}

impl Control {
    pub(super) async fn connect(data: &Path) -> Result<Option<Self>, Failure> {
        let place = data.join(NAME);
        Ok(Line::open(&place).await?.map(|line| Self { place, line }))
    }

    /// Sends a command and waits for the answer; `hear` is told what happens on the way. When this is dropped, the node breaks it off.
    pub async fn execute(mut self, command: &Command, mut hear: impl FnMut(Event)) -> Result<Value, Failure> {
        let call = Call::of(command);
        let Some(mut line) = Line::open(&self.place).await? else { return Err(broken("it was closed")) };
        // Whoever is there from the beginning misses nothing. In public mode and elsewhere, a node that tells nothing does its work all the same.
        let events = line.ask(&Call::events()).await?;
        let mut answer = std::pin::pin!(self.line.answer(&call));
        let mut events = Some(events.into_body());
        let mut text = Vec::new();
        loop {
            let next = async {
                match &mut events {
                    Some(events) => events.frame().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                answer = &mut answer => return answer,
                frame = next => match frame {
                    Some(Ok(frame)) => {
                        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                        heard(&mut text, &mut hear);
                    }
                    // The node is about to stop, or tells no events; its answer says what became of the command.
                    Some(Err(_)) | None => events = None,
                },
            }
        }
    }
}

/// Tells of the events that are complete.
fn heard(text: &mut Vec<u8>, hear: &mut impl FnMut(Event)) {
    while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = text.drain(..=end).collect();
        // What is no event of ours (`ready`, a heartbeat) is of no use here.
        if let Some(event) = line.strip_prefix(b"data: ").and_then(|data| serde_json::from_slice(data).ok()) {
            hear(event);
        }
    }
}

/// The socket of a serving node. Only its owner may connect.
pub(super) struct ControlServer {
    path: PathBuf,
    app: App,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// Listens in the data folder. The state is locked by us, so a socket that is there is left over from a crash.
    pub(super) fn start(data: &Path, app: App) -> Result<Self, Failure> {
        let path = data.join(NAME);
        let failed = |error: io::Error| Failure::unreachable(format!("the control socket {} cannot be made: {error}", path.display()));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).map_err(failed)?;
        let serving = app.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let app = serving.clone();
                tokio::spawn(async move { app.answer_owner(stream).await });
            }
        });
        Ok(Self { path, app, task })
    }

    pub(super) fn stop(self) {
        self.task.abort();
        self.app.let_go();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the control socket could not be removed");
        }
    }
}
