//! Something between a node and a service that meddles with what passes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::support::{Answer, read_answer};

pub struct Request {
    pub method: String,
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The method, a space, and the last name of the target.
    pub fn what(&self) -> String {
        format!("{} {}", self.method, self.target.trim_end_matches('/').rsplit('/').next().unwrap_or_default())
    }
}

/// The service behind, that can be asked.
pub struct Behind(String);

impl Behind {
    pub fn pass(&self, request: &Request) -> Answer {
        let mut stream = TcpStream::connect(&self.0).unwrap();
        let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.target);
        // The host is the one that the client named, as proxies are told to say it.
        let ours = ["connection", "content-length", "accept-encoding"];
        for (name, value) in request.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", request.body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&request.body).unwrap();
        // Where the length is told, the connection may stay open.
        let mut bytes = Vec::new();
        let mut reader = BufReader::new(stream);
        while !bytes.ends_with(b"\r\n\r\n") && reader.read_until(b'\n', &mut bytes).unwrap() > 0 {}
        let head = String::from_utf8_lossy(&bytes).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|length| length.parse::<u64>().unwrap());
        let told = if request.method == "HEAD" { Some(0) } else { length };
        // A reset after the answer has come is no matter.
        let _ = reader.take(told.unwrap_or(u64::MAX)).read_to_end(&mut bytes);
        read_answer(&mut bytes.as_slice())
    }
}

/// Passes every request to this function, and its answer back; without one the connection is closed. Returns the URL that stands for `url`.
pub fn between(url: &str, meddle: impl Fn(&mut Request, &Behind) -> Option<Answer> + Send + Sync + 'static) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let (behind, meddle) = (std::sync::Arc::new(Behind(host.to_owned())), std::sync::Arc::new(meddle));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, behind, meddle) = (stream.unwrap(), behind.clone(), meddle.clone());
            // A client that closes early ends its thread.
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                while let Some(mut request) = read_request(&mut reader) {
                    let Some(answer) = meddle(&mut request, &behind) else { return };
                    let mut head = format!("HTTP/1.1 {} Passed on\r\n", answer.status);
                    let ours = ["connection", "content-length", "transfer-encoding"];
                    for (name, value) in answer.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
                        head += &format!("{name}: {value}\r\n");
                    }
                    if answer.status != 204 && answer.status != 304 {
                        head += &format!("Content-Length: {}\r\n", answer.body.len());
                    }
                    let whole = [head.as_bytes(), b"\r\n", &answer.body].concat();
                    if (&stream).write_all(&whole).is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{here}/{path}")
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<_> =
        lines.iter().filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.into())).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value): &(String, String)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body })
}

/// An answer without a body.
pub fn status(status: u16) -> Answer {
    Answer { status, headers: std::collections::BTreeMap::new(), body: Vec::new() }
}
