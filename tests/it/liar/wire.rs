//! The wire between a client and a world, on which requests go wrong by plan.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::plain::{self, decoded};

use super::fault::{Fault, Listed, Sent, Stored};
use super::world::{Answer, Headers, World};

/// What somebody writes while nobody expects it.
pub const SOMEBODY_ELSES: &str = "somebody else's";

/// A request as it is told and counted: the method and what it concerns, without what is by chance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub method: String,
    pub target: String,
    /// It is this one of its kind.
    pub nth: usize,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} #{}", self.method, self.target, self.nth)
    }
}

impl Step {
    /// It would change something.
    pub fn writes(&self) -> bool {
        !["GET", "PROPFIND", "OPTIONS"].iter().any(|harmless| self.method.starts_with(harmless))
    }
}

/// Decides what happens to a request.
pub trait Fate: Send + 'static {
    fn of(&mut self, step: &Step) -> Option<Fault>;
}

/// A world, its network, and what was asked.
pub struct Service<F> {
    pub world: World,
    pub fate: F,
    /// How it was before the owners did anything.
    pub earlier: plain::State,
    /// Every request, with its fault and its answer.
    pub log: Vec<(Step, Option<Fault>, u16)>,
    /// How many requests would have changed something.
    pub writes: usize,
    /// Where another server listens, which must never be asked.
    pub foreign: String,
    /// Contents that somebody else wrote over.
    pub overwritten: BTreeSet<String>,
}

impl<F> Service<F> {
    pub fn new(world: World, fate: F) -> Self {
        Self {
            world,
            fate,
            earlier: plain::State::default(),
            log: Vec::new(),
            writes: 0,
            foreign: String::new(),
            overwritten: BTreeSet::new(),
        }
    }

    /// Names of Twinlens's own have a random part.
    fn step(&self, method: &str, target: &str, headers: &Headers) -> Step {
        let plain = |target: &str| {
            let target = target.strip_prefix(&self.world.prefix()).unwrap_or(target.trim_start_matches('/'));
            let own = |name: &str| [".twinlens-", "twinlens-"].into_iter().find(|own| name.starts_with(own)).map(|own| format!("{own}*"));
            decoded(target).split('/').map(|name| own(name).unwrap_or_else(|| name.to_owned())).collect::<Vec<_>>().join("/")
        };
        let mut told = plain(target);
        if let Some(to) = headers.get("destination").filter(|_| !target.contains("/remote.php/dav/uploads/")) {
            told += &format!(" to {}", plain(to.split_once(&self.world.prefix()).map_or("?", |(_, to)| to)));
        }
        let method = headers.get("depth").map_or(method.to_owned(), |depth| format!("{method}{depth}"));
        let nth = 1 + self.log.iter().filter(|(step, ..)| (&step.method, &step.target) == (&method, &told)).count();
        Step { method, target: told, nth }
    }

    /// What is done, and what is answered; none when the connection breaks.
    fn perform(&mut self, (method, target): (&str, &str), headers: &Headers, body: &[u8], fault: Option<Fault>) -> Option<Answer> {
        self.world.time_goes_on();
        let place = self.world.prefix();
        let path = decoded(target.strip_prefix(&place).unwrap_or_default());
        let goals = match (method, headers.get("destination")) {
            ("POST", _) => World::bulk_paths(body),
            (_, Some(to)) if target.ends_with("/.file") => vec![decoded(to.split_once(&place)?.1)],
            _ => vec![path.clone()],
        };
        let earlier = std::mem::take(&mut self.earlier);
        let answer = match fault {
            Some(Fault::Unheard | Fault::Silent) => None,
            Some(Fault::Refused(status)) => Some(Answer::status(status)),
            Some(Fault::Pretended) => Some(Answer::status(if method == "PUT" || method == "MKCOL" { 201 } else { 204 })),
            Some(Fault::Page) => Some(page(120)),
            Some(Fault::Redirect { foreign }) => {
                let to = if foreign { format!("{}stolen", self.foreign) } else { format!("{target}?again") };
                Some(Answer { status: 302, headers: vec![("Location".into(), to)], ..Answer::default() })
            }
            Some(Fault::Lists(wrong)) if method == "PROPFIND" && target.starts_with(&place) => {
                let files = if wrong == Listed::Stale { &earlier } else { &self.world.files };
                Some(self.world.multistatus(files, &path, headers["depth"] == "1", Some(wrong)))
            }
            Some(Fault::Sends(Sent::Changed)) => {
                let there = self.world.files.has(&path);
                if there {
                    self.overwritten.extend(self.world.files.files.get(&path).map(|(content, _)| content.clone()));
                    self.world.files.put(&path, SOMEBODY_ELSES);
                }
                Some(self.world.perform(method, target, headers, body))
            }
            _ => Some(self.world.perform(method, target, headers, body)),
        };
        self.earlier = earlier;
        let mut answer = answer?;
        let is_done = answer.status < 300;
        match fault {
            Some(Fault::Denied(status)) => answer = Answer::status(status),
            Some(Fault::WrongEtag) => answer
                .headers
                .iter_mut()
                .filter(|(name, _)| name.ends_with("tag") || name.ends_with("Tag"))
                .for_each(|(_, etag)| *etag = "\"another\"".into()),
            Some(Fault::Stores(how)) if is_done => {
                for goal in &goals {
                    self.misplace(goal, how);
                    // It hashes what it has.
                    if let Some((_, told)) = answer.headers.iter_mut().find(|(name, _)| name == "X-Hash-SHA1")
                        && let Some((content, _)) = self.world.files.files.get(goal)
                    {
                        *told = super::world::sha1(content.as_bytes());
                    }
                }
                if how == Stored::HalfAndError {
                    answer = Answer::status(500);
                }
            }
            Some(Fault::Sends(what)) if answer.status == 200 => match what {
                Sent::Half => answer.body.truncate(answer.body.len() / 2),
                Sent::Nothing => answer.body.clear(),
                Sent::Other => answer.body.fill(b'?'),
                Sent::Page => answer.body = page(answer.body.len()).body,
                Sent::Changed => {}
            },
            _ => {}
        }
        Some(answer)
    }

    fn misplace(&mut self, goal: &str, how: Stored) {
        let first = |count: usize| move |content: &str| content.chars().take(count).collect::<String>();
        let there = match how {
            Stored::First(count) => self.world.tamper(goal, first(count)),
            Stored::AllButOne => self.world.tamper(goal, |content| first(content.len().saturating_sub(1))(content)),
            Stored::HalfAndError => self.world.tamper(goal, |content| first(content.len() / 2)(content)),
            Stored::Longer => self.world.tamper(goal, |content| format!("{content}\r\n")),
            Stored::Other => self.world.tamper(goal, |content| "?".repeat(content.len())),
            Stored::Elsewhere => {
                let there = self.world.files.files.contains_key(goal);
                there.then(|| self.world.files.rename(goal, &format!("{goal}.1")));
                there
            }
            Stored::Later(requests) => self.world.hidden.insert(goal.to_owned(), requests + 1).is_none(),
            Stored::ListedEmpty => self.world.listed_empty.insert(goal.to_owned()),
        };
        // A piece of an upload.
        if !there
            && let Stored::First(_) | Stored::AllButOne | Stored::HalfAndError = how
            && let Some(piece) = self.world.uploads.values_mut().flat_map(|pieces| pieces.values_mut()).next_back()
        {
            piece.pop();
        }
    }
}

fn page(length: usize) -> Answer {
    let mut body = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>Please log in!".to_vec();
    body.resize(length, b' ');
    let headers = vec![("Content-Type".into(), "text/html".into())];
    Answer { status: 200, headers, body }
}

/// Serves until the tasks end. The answer is the address of the files.
pub async fn serve<F: Fate>(service: Arc<Mutex<Service<F>>>, tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{}", listener.local_addr().unwrap(), service.lock().unwrap().world.prefix());
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = Arc::clone(&service);
            // A client that closes early ends its connection.
            connections.spawn(async move {
                let mut stream = BufReader::new(stream);
                while answer(&mut stream, &service).await.unwrap_or(false) {}
            });
        }
    });
    url
}

/// Reads one request and answers it. False when the connection is over.
async fn answer<F: Fate>(stream: &mut BufReader<TcpStream>, service: &Mutex<Service<F>>) -> io::Result<bool> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(false);
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = Headers::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await?;

    let (fault, done) = {
        let mut service = service.lock().unwrap();
        let step = service.step(&method, &target, &headers);
        let fault = service.fate.of(&step);
        let done = service.perform((&method, &target), &headers, &body, fault);
        service.writes += usize::from(step.writes());
        service.log.push((step, fault, done.as_ref().map_or(0, |answer| answer.status)));
        (fault, done)
    };
    if fault == Some(Fault::Silent) {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    let Some(answer) = done.filter(|_| fault != Some(Fault::Lost)) else { return Ok(false) };
    let head = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
    let length = if answer.status == 204 { String::new() } else { format!("Content-Length: {}\r\n", answer.body.len()) };
    let mut bytes = format!("HTTP/1.1 {} As told\r\n{length}{head}\r\n", answer.status).into_bytes();
    bytes.extend(&answer.body);
    match fault {
        Some(Fault::Cut) => {
            let half = bytes.len() - answer.body.len().div_ceil(2).max(if answer.body.is_empty() { 4 } else { 1 });
            stream.get_mut().write_all(&bytes[..half]).await?;
            return Ok(false);
        }
        Some(Fault::Slow) => {
            for piece in bytes.chunks(bytes.len().div_ceil(20).max(1)) {
                stream.get_mut().write_all(piece).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        _ => stream.get_mut().write_all(&bytes).await?,
    }
    Ok(true)
}
