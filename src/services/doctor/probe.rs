//! The probe: a few small files of ours are written, read back, replaced and removed, to find out how uploads really work.
//!
//! A server that loses request bodies loses them when they come later than the headers and are longer than what it reads ahead: so the probe's
//! body waits a moment, and is 48 KiB. Every name that was written to is noted before, and removed at the end in every case.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use uuid::Uuid;

use crate::client::{Client, ClientError, Payload, PieceStream, Receipt, Root};
use crate::types::media::PROBE_PREFIX;
use crate::types::{Digests, Evidence, Expect, LocalVersion, Mtime, RelPath, RemoteVersion};

use super::super::{Checksums, Findings, Service, Verify, Way};
use super::notes::Notes;
use super::{Checkup, is_node};

const SIZE: usize = 48 << 10;
const TEXT: &str = "Twinlens made this file to find out how uploads to this place work. It can be deleted.\n";
/// How much later the body comes than the headers.
const LATER: Duration = Duration::from_millis(150);
/// A time that nobody could take for now: 2001-02-03.
const THEN: i64 = 981_173_106;

/// A file of the probe.
struct Sample {
    path: RelPath,
    bytes: Bytes,
    version: LocalVersion,
}

/// What was found under a name after an upload.
#[derive(Debug)]
enum Found {
    Whole(RemoteVersion),
    Size(u64),
    OtherBytes,
    Nothing,
}

struct Probe<'a> {
    folder: &'a Client,
    node: bool,
    notes: Notes,
}

/// Finds out how uploads to a folder work, and notes it in the checkup. What it wrote is gone afterwards, or the checkup says what is not.
pub(super) async fn probe(checkup: &mut Checkup, folder: &Client, notes: Notes, service: &Service, root: &Root) {
    let probe = Probe { folder, node: is_node(root), notes };
    let can = folder.capabilities().await.cloned().unwrap_or_default();
    let mut findings =
        Findings { at: Timestamp::now().as_second(), server: folder.server(), version: can.version.clone(), ..Findings::default() };
    let begun = probe.write(checkup, can.chunking, &mut findings).await;
    if let Some((sample, receipt, listed)) = begun {
        probe.overwrite(checkup, findings.way.unwrap_or_default(), &sample, listed).await;
        let hashes = probe.checksums(checkup, &sample, &mut findings).await;
        probe.streaming(checkup).await;
        let told = match findings.checksums {
            Checksums::Computed => Some(Evidence::Computed),
            Checksums::Verified => Some(Evidence::ServerVerified),
            _ => None,
        };
        let levels = [
            Some(Evidence::Size),
            receipt.evidence,
            hashes.then_some(Evidence::ServerVerified),
            told,
            findings.recalculates.then_some(Evidence::Computed),
            (service.sync.verify == Verify::Full).then_some(Evidence::ReadBack),
        ];
        findings.evidence = levels.into_iter().flatten().max();
    }
    probe.clean_up(checkup).await;
    match findings.evidence {
        Some(Evidence::Size) => checkup.warn(
            "verify",
            format!(
                "uploads are proven by their size: {}. Whoever wants more has every byte read back: `twinlens service sync {} --verify full`",
                Evidence::Size.meaning(),
                service.name
            ),
        ),
        Some(level) => checkup.ok("verify", format!("uploads are proven: {}", level.meaning())),
        None => checkup.skip("verify", "no upload worked"),
    }
    .detail("evidence", findings.evidence);
    checkup.findings = Some(findings);
}

impl Probe<'_> {
    async fn sample(&self) -> Result<Sample, String> {
        let id = Uuid::new_v4().simple().to_string();
        let path = RelPath::parse(&format!("{PROBE_PREFIX}{id}")).map_err(|error| error.to_string())?;
        // Other bytes each time, so that nobody can answer from memory; letters, so that whoever finds the file can read what it is.
        let mut bytes = vec![0; SIZE];
        blake3::Hasher::new().update(id.as_bytes()).finalize_xof().fill(&mut bytes);
        bytes.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
        bytes[..TEXT.len()].copy_from_slice(TEXT.as_bytes());
        let version = LocalVersion { size: SIZE as u64, mtime: Mtime::from_seconds(THEN), digests: Digests::of(&bytes) };
        self.notes.begin(&path).await?;
        Ok(Sample { path, bytes: bytes.into(), version })
    }

    /// Finds the way to upload that works. Returns the file that was stored.
    async fn write(&self, checkup: &mut Checkup, chunks: bool, findings: &mut Findings) -> Option<(Sample, Receipt, RemoteVersion)> {
        let mut first = None;
        for way in [Way::Put, Way::FreshConnection, Way::Chunks, Way::TemporaryName] {
            if way == Way::Chunks && !chunks {
                continue;
            }
            let outcome = match self.sample().await {
                Ok(sample) => self.try_way(way, sample).await,
                Err(error) => Err(error),
            };
            let failure = match outcome {
                Ok((sample, receipt, Found::Whole(listed))) => {
                    findings.way = Some(way);
                    match &first {
                        None => checkup.ok("write", "a file was written, and read back as it was"),
                        Some(reason) => checkup.warn(
                            "write",
                            format!("a plain PUT does not work here ({reason}); {} does, and uploads go that way from now on", way.text()),
                        ),
                    }
                    .detail("way", way);
                    let times = match listed.modified {
                        Some(THEN) => checkup.ok("mtime", "it keeps the time of a file that is sent"),
                        _ => checkup
                            .warn("mtime", "it gives each file the time of the upload; Twinlens remembers the right one on its own side"),
                    };
                    times.detail("accepted", listed.modified == Some(THEN));
                    return Some((sample, receipt, listed));
                }
                Ok((_, _, Found::Size(0))) => format!("it said that all went well and stored 0 of {SIZE} bytes"),
                Ok((_, _, Found::Size(size))) => format!("it said that all went well and stored {size} of {SIZE} bytes"),
                Ok((_, _, Found::OtherBytes)) => "it said that all went well and stored other bytes".to_owned(),
                Ok((_, _, Found::Nothing)) => "it said that all went well and stored nothing".to_owned(),
                Err(error) => error,
            };
            first.get_or_insert(failure);
        }
        let reason = first.unwrap_or_default();
        let hint = if reason.contains("403") || reason.contains("405") {
            ". This user may not write there, or the server is read-only: download from it only, or give the user the right"
        } else if reason.contains("stored") {
            ". Usually the web server does not pass request bodies on to PHP (FastCGI request buffering), or something between cuts them"
        } else {
            ""
        };
        checkup.fail("write", format!("no way to upload works: {reason}{hint}"));
        None
    }

    async fn try_way(&self, way: Way, sample: Sample) -> Result<(Sample, Receipt, Found), String> {
        let fresh = self.folder.on_fresh_connections().map_err(|error| error.to_string())?;
        let client = if way == Way::Put { self.folder } else { &fresh };
        let sent = match way {
            Way::Put | Way::FreshConnection => client.put(&sample.path, &sample.version, &Expect::Absent, later(&sample.bytes)).await,
            Way::Chunks => self.in_pieces(client, &sample).await,
            Way::TemporaryName => self.by_move(client, &sample).await,
        };
        let receipt = sent.map_err(|error| error.to_string())?;
        let found = self.look(&sample).await.map_err(|error| error.to_string())?;
        Ok((sample, receipt, found))
    }

    async fn in_pieces(&self, client: &Client, sample: &Sample) -> Result<Receipt, ClientError> {
        let id = sample.path.name().to_owned();
        let Some(session) = client.session(&id, &sample.path, sample.version.size) else {
            return Err(ClientError::NotFound("uploads in pieces".into()));
        };
        session.begin().await?;
        let sent = async {
            session.put("00001", Payload::Whole(sample.bytes.clone()), Some(sample.version.digests.sha1)).await?;
            session.finish(&sample.version, &Expect::Absent, self.node).await
        };
        match sent.await {
            Ok(etag) => Ok(etag.into()),
            Err(error) => {
                if let Err(error) = session.abort().await {
                    tracing::debug!(%error, "an unfinished upload of the probe could not be removed; the service does so by itself");
                }
                Err(error)
            }
        }
    }

    async fn by_move(&self, client: &Client, sample: &Sample) -> Result<Receipt, ClientError> {
        let between = sample.path.with_name(&format!("{}-new", sample.path.name()));
        let between = between.map_err(|error| ClientError::Source(error.to_string()))?;
        self.notes.begin(&between).await.map_err(ClientError::Source)?;
        let receipt = client.put(&between, &sample.version, &Expect::Absent, later(&sample.bytes)).await?;
        let source = client.look(&between).await?.ok_or_else(|| ClientError::NotFound(between.to_string()))?;
        client.rename(&between, &sample.path, &source, &Expect::Absent).await?;
        Ok(receipt)
    }

    /// What the service has now, read back.
    async fn look(&self, sample: &Sample) -> Result<Found, ClientError> {
        let Some(listed) = self.folder.look(&sample.path).await? else { return Ok(Found::Nothing) };
        if let Some(size) = listed.size.filter(|size| *size != sample.version.size) {
            return Ok(Found::Size(size));
        }
        let mut download = self.folder.get(&sample.path, &RemoteVersion { etag: None, ..listed.clone() }).await?;
        let mut bytes = Vec::with_capacity(SIZE);
        while let Some(piece) = download.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > SIZE {
                return Ok(Found::OtherBytes);
            }
        }
        Ok(match bytes.len() {
            SIZE if bytes == sample.bytes => Found::Whole(listed),
            SIZE => Found::OtherBytes,
            size => Found::Size(size as u64),
        })
    }

    /// Whether a file can take the place of another one safely.
    async fn overwrite(&self, checkup: &mut Checkup, way: Way, old: &Sample, listed: RemoteVersion) {
        if self.node {
            checkup.ok("overwrite", "a node replaces a file whole or not at all, whatever breaks");
            return;
        }
        let replaced = async {
            let words = |error: ClientError| error.to_string();
            let (new, _, found) = self.try_way(way, self.sample().await?).await?;
            let source = match found {
                Found::Whole(source) => source,
                other => return Err(format!("the new file is not there as it was sent: {other:?}")),
            };
            let there = self.folder.look(&old.path).await.map_err(words)?.unwrap_or(listed);
            self.folder.rename(&new.path, &old.path, &source, &Expect::Version(there)).await.map_err(words)?;
            let placed = Sample { path: old.path.clone(), ..new };
            match self.look(&placed).await.map_err(words)? {
                Found::Whole(_) => Ok(()),
                other => Err(format!("after the MOVE it has something else: {other:?}")),
            }
        };
        match replaced.await {
            Ok(()) => checkup.ok("overwrite", "an update is uploaded under another name and takes the old one's place at once, by MOVE"),
            Err(error) => checkup.fail(
                "overwrite",
                format!("an update cannot take the place of the old file ({error}): files that change here are not updated there"),
            ),
        };
    }

    /// What the checksums in its listings are worth: it is told a wrong one. True when it says itself what it received.
    async fn checksums(&self, checkup: &mut Checkup, stored: &Sample, findings: &mut Findings) -> bool {
        findings.recalculates = matches!(self.folder.recalculate(&stored.path).await, Ok(Some(_)));
        let Ok(sample) = self.sample().await else { return false };
        let claimed = LocalVersion { digests: Digests::of(b"something else"), ..sample.version };
        let (mut hashes, mut text) = (false, "");
        findings.checksums = match self.folder.put_with_wrong_checksum(&sample.path, &claimed, sample.bytes.clone()).await {
            Err(ClientError::Status { status, .. }) if status.is_client_error() => {
                text = "it refuses a file whose checksum is wrong";
                Checksums::Verified
            }
            Err(error) => {
                tracing::debug!(%error, "the probe of checksums failed");
                Checksums::Unknown
            }
            Ok(says) => {
                hashes = says;
                match self.folder.look(&sample.path).await.ok().flatten().map(|listed| listed.digests) {
                    Some(told) if told.is_empty() => Checksums::None,
                    Some(told) if told.agree(&sample.version.digests.into()) == Some(true) => Checksums::Computed,
                    Some(_) => Checksums::Echoed,
                    None => Checksums::Unknown,
                }
            }
        };
        if self.node {
            // Its listing tells hashes that nobody sends.
            findings.checksums = Checksums::Computed;
        }
        let mut told = match findings.checksums {
            Checksums::Unknown => "what its checksums are worth could not be found out; they prove nothing".to_owned(),
            Checksums::None => "it lists no checksums".to_owned(),
            Checksums::Echoed => "it lists the checksums that it was told, right or wrong: they prove nothing".to_owned(),
            Checksums::Verified => text.to_owned(),
            Checksums::Computed => "it computes them from the bytes that it has".to_owned(),
        };
        if hashes {
            told += "; it answers an upload with the hash of what it received (X-Hash)";
        }
        if findings.recalculates {
            told += "; it computes one when it is asked to (X-Recalculate-Hash)";
        }
        let check = checkup.ok("checksums", told);
        check.detail("listed", findings.checksums).detail("x_hash", hashes).detail("recalculates", findings.recalculates);
        hashes
    }

    /// Whether a body without a length arrives. Twinlens never sends a photo like that; many other programs do.
    async fn streaming(&self, checkup: &mut Checkup) {
        let Ok(sample) = self.sample().await else { return };
        let bytes = sample.bytes.clone();
        let stored = match self.folder.put_without_length(&sample.path, move || pieces(bytes.clone())).await {
            Ok(()) => match self.look(&sample).await {
                Ok(Found::Whole(_)) => Ok(None),
                Ok(Found::Size(size)) => Ok(Some(size)),
                Ok(_) => Ok(Some(0)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match stored {
            Ok(None) => checkup.ok("streaming", "a body that is sent without its length arrives whole"),
            Ok(Some(size)) => checkup.warn(
                "streaming",
                format!(
                    "of a body that is sent without its length it stores {size} of {SIZE} bytes and says that all went well. Twinlens always sends \
                     the length and is not concerned; other programs lose files there. Usually its web server does not pass such bodies on to \
                     PHP: with Apache set `SetEnv proxy-sendcl 1`, with nginx `fastcgi_request_buffering on`"
                ),
            ),
            Err(error) => checkup.ok("streaming", format!("it does not take a body that is sent without its length ({error}), which is honest")),
        };
    }

    /// Removes everything that was written.
    async fn clean_up(&self, checkup: &mut Checkup) {
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        for path in self.notes.all() {
            // What was refused may have been kept all the same, and what was removed may still be there: only looking tells.
            let mut there = self.folder.look(&path).await;
            if !matches!(there, Ok(None)) {
                there = match self.folder.discard(&path).await {
                    Ok(()) => self.folder.look(&path).await,
                    Err(error) => Err(error),
                };
            }
            match there {
                Ok(None) => gone.push(path),
                Ok(Some(_)) => left.push(format!("{path} (it is still there)")),
                Err(error) => left.push(format!("{path} ({error})")),
            }
        }
        if let Err(error) = self.notes.end(gone).await {
            tracing::debug!(%error, "the next sync will look for files of the examination that are gone");
        }
        match left.is_empty() {
            true => checkup.ok("cleanup", "everything that was written for this examination is gone again"),
            false => checkup.fail(
                "cleanup",
                format!(
                    "these files of ours could not be removed; a later sync tries again, and they can be deleted by hand: {}",
                    left.join(", ")
                ),
            ),
        };
    }
}

/// The bytes, some time after the headers.
fn pieces(bytes: Bytes) -> PieceStream {
    stream::once(async move {
        tokio::time::sleep(LATER).await;
        Ok(bytes)
    })
    .boxed()
}

fn later(bytes: &Bytes) -> Payload {
    let bytes = bytes.clone();
    Payload::Pieces(bytes.len() as u64, Arc::new(move || pieces(bytes.clone())))
}
