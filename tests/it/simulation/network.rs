//! The service behind a network that fails by plan.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::plain::{State, decoded};

use super::chance::Chance;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The connection breaks before the service does anything.
    Unheard,
    /// The service does it, and the answer is lost.
    AnswerLost,
    /// The service does it, and the answer ends in the middle.
    AnswerCut,
    /// 503; nothing is done.
    Busy,
    /// 500; nothing is done.
    Refused,
    /// The service does it and says 500.
    Liar,
    /// A gateway gives up; nothing is done.
    Gateway,
}

const FAULTS: [Fault; 8] =
    [Fault::Unheard, Fault::AnswerLost, Fault::AnswerLost, Fault::AnswerCut, Fault::Busy, Fault::Refused, Fault::Liar, Fault::Gateway];

/// The service, its network, and what was asked.
pub struct Service {
    pub state: State,
    seed: u64,
    /// Of a thousand requests so many fail.
    pub failing: usize,
    /// How often each request was made.
    asked: HashMap<String, u32>,
    /// What changed something, and what failed.
    pub log: Vec<String>,
    /// How many requests would have changed something.
    pub writes: usize,
}

impl Service {
    pub fn new(seed: u64, state: State) -> Self {
        Self { state, seed, failing: 0, asked: HashMap::new(), log: Vec::new(), writes: 0 }
    }

    /// Depends on the request alone and on how often it was made, not on what happens beside it.
    fn fault(&mut self, request: &str) -> Option<Fault> {
        if self.failing == 0 {
            return None;
        }
        let asked = self.asked.entry(without_chance(request)).or_default();
        *asked += 1;
        let mut chance = Chance::of(self.seed, &format!("{} {asked}", without_chance(request)));
        (chance.below(1000) < self.failing).then(|| *chance.pick(&FAULTS))
    }
}

/// Names of Twinlens's own have a random part.
fn without_chance(request: &str) -> String {
    let own = |name: &str| [".twinlens-", "twinlens-probe-"].into_iter().find(|begin| name.starts_with(begin)).map(str::to_owned);
    request.split('/').map(|name| own(name).unwrap_or_else(|| name.to_owned())).collect::<Vec<_>>().join("/")
}

/// Serves until it is dropped. The answer is the address.
pub async fn serve(service: Arc<Mutex<Service>>, tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/dav/", listener.local_addr().unwrap());
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

/// What is sent back: the status, more headers, the body.
type Answer = (&'static str, String, Vec<u8>);

/// Reads one request and answers it. False when the connection is over.
async fn answer(stream: &mut BufReader<TcpStream>, service: &Mutex<Service>) -> io::Result<bool> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(false);
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await?;

    let (fault, (status, extra, content)) = {
        let mut service = service.lock().unwrap();
        let path = target.strip_prefix("/dav/").map(decoded);
        let request = match headers.get("destination") {
            Some(to) => format!("{method} {} -> {}", decoded(&target), decoded(to.split_once("/dav/").unwrap().1)),
            None => format!("{method} {}", decoded(&target)),
        };
        let fault = service.fault(&request);
        let is_write = !matches!(method.as_str(), "GET" | "PROPFIND" | "OPTIONS");
        let done = match fault {
            Some(Fault::Unheard) => ("", String::new(), Vec::new()),
            Some(Fault::Busy) => ("503 Service Unavailable", "Retry-After: 0\r\n".into(), Vec::new()),
            Some(Fault::Refused) => ("500 Internal Server Error", String::new(), Vec::new()),
            Some(Fault::Gateway) => ("502 Bad Gateway", String::new(), Vec::new()),
            _ => match path {
                Some(path) => perform(&mut service.state, &method, &path, &headers, body),
                None => ("404 Not Found", String::new(), Vec::new()),
            },
        };
        if is_write || fault.is_some() {
            let fault = fault.map(|fault| format!(" ({fault:?})")).unwrap_or_default();
            service.log.push(format!("    {request}: {}{fault}", done.0));
        }
        service.writes += usize::from(is_write);
        (fault, done)
    };
    let (status, sent) = match fault {
        Some(Fault::Unheard | Fault::AnswerLost) => return Ok(false),
        Some(Fault::AnswerCut) if content.is_empty() => return Ok(false),
        Some(Fault::AnswerCut) => (status, &content[..content.len() / 2]),
        Some(Fault::Liar) => ("500 Internal Server Error", &[][..]),
        _ => (status, &content[..]),
    };
    let announced = if fault == Some(Fault::Liar) { 0 } else { content.len() };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {announced}\r\n{extra}\r\n");
    stream.get_mut().write_all(&[head.as_bytes(), sent].concat()).await?;
    Ok(fault != Some(Fault::AnswerCut))
}

fn perform(state: &mut State, method: &str, path: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Answer {
    match method {
        "GET" => match state.get(path) {
            Some((content, etag)) => ("200 OK", etag, content),
            None => ("404 Not Found", String::new(), Vec::new()),
        },
        "PROPFIND" if headers["depth"] == "infinity" => ("403 Forbidden", String::new(), Vec::new()),
        "PROPFIND" => match state.listing(path, headers["depth"] == "1") {
            Some(body) => ("207 Multi-Status", "Content-Type: application/xml\r\n".into(), body.into_bytes()),
            None => ("404 Not Found", String::new(), Vec::new()),
        },
        "OPTIONS" => ("200 OK", "DAV: 1\r\n".into(), Vec::new()),
        "PUT" | "MKCOL" | "DELETE" | "MOVE" | "COPY" => (state.change(method, path, headers, body), String::new(), Vec::new()),
        _ => ("405 Method Not Allowed", String::new(), Vec::new()),
    }
}
