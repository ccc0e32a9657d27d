//! PROPFIND, answered from the index where it knows the file as it is.

use bytes::Bytes;
use dav_server::fs::FsError;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};

use crate::dav::multistatus::{Document, Value};
use crate::dav::names::{self, DAV, OC, PropName};
use crate::dav::{checksum, etag, href, propfind};
use crate::library::Kind;
use crate::store::properties::Property;
use crate::types::{LibraryId, RelPath};

use super::super::http::{Body, text};
use super::file::blocking;
use super::fs::{Files, Place, look, members};
use super::locks::{Locks, place_in};
use super::meta::{Meta, fs_error};
use super::mount::{Below, Mount};
use super::{Viewer, http_date};

/// A request body larger than this is none that a client would send.
const BODY_LIMIT: usize = 64 << 10;

/// Locks are exclusive or shared write locks (RFC 4918 section 15.10).
const SUPPORTEDLOCK: &str = "<d:supportedlock>\
    <d:lockentry><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>\
    <d:lockentry><d:lockscope><d:shared/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>\
    </d:supportedlock>";

/// The reports that a folder of the library answers (RFC 3253 section 3.1.5).
const SUPPORTED_REPORT_SET: &str = "<d:supported-report-set><d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report>\
    </d:supported-report-set>";

/// What `allprop` tells: what every resource may have.
const ALL: [PropName; 7] = [
    names::RESOURCETYPE,
    names::GETCONTENTLENGTH,
    names::GETCONTENTTYPE,
    names::GETETAG,
    names::GETLASTMODIFIED,
    names::SUPPORTEDLOCK,
    names::LOCKDISCOVERY,
];

/// One resource of the answer.
pub(super) struct Item {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) meta: Result<Meta, FsError>,
    pub(super) library: Option<LibraryId>,
    /// The tree's name and the path in it: what locks are kept by.
    pub(super) place: String,
    pub(super) properties: Vec<Property>,
    /// It was told before, as a member of its parent.
    pub(super) told: bool,
}

impl Item {
    fn is_folder(&self) -> bool {
        self.meta.as_ref().is_ok_and(|meta| meta.stat.kind == Kind::Folder)
    }
}

pub(super) async fn answer(mount: &Mount, below: &Below, request: Request<Incoming>, endless: bool) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let depth = match parts.headers.get("depth").map(HeaderValue::as_bytes) {
        Some(b"0") => Depth::Zero,
        Some(b"1") => Depth::One,
        // Without the header it is infinity too (RFC 4918 section 9.1).
        None | Some(b"infinity" | b"Infinity") if endless => Depth::Infinity,
        None | Some(b"infinity" | b"Infinity") => return error_document(StatusCode::FORBIDDEN, "propfind-finite-depth"),
        Some(_) => return text(StatusCode::BAD_REQUEST, "Depth is 0, 1 or infinity.\n"),
    };
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return text(StatusCode::BAD_REQUEST, "The request body is too large or did not come.\n");
    };
    let body = body.to_bytes();
    let wanted = match str::from_utf8(&body).map(propfind::Request::parse) {
        Ok(Ok(wanted)) => wanted,
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, format!("The request body is no PROPFIND: {error}.\n")),
        Err(_) => return text(StatusCode::BAD_REQUEST, "The request body is not UTF-8.\n"),
    };
    let (path, files, locks, viewer) = (below.path.clone(), mount.files.clone(), mount.locks.all().clone(), Viewer::of(&parts.headers));
    let look = Look { base: mount.base(), files, viewer };
    let first = blocking(move || look.collect(&path, depth != Depth::Zero).map(|items| (look, items)));
    let written = match first.await.and_then(|first| first) {
        Ok((look, items)) if depth == Depth::Infinity => return stream_all(look, items, wanted, locks),
        Ok((_, items)) => blocking(move || write(&items, &wanted, &locks).map_err(|_| FsError::GeneralFailure)).await.and_then(|done| done),
        Err(error) => Err(error),
    };
    match written {
        Ok(document) => multistatus(document),
        Err(FsError::NotFound) => text(StatusCode::NOT_FOUND, "There is no such file or folder.\n"),
        Err(FsError::Forbidden) => text(StatusCode::FORBIDDEN, "This cannot be read.\n"),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "This could not be read; the log says why.\n"),
    }
}

/// How far a request looks (RFC 4918 section 10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

/// Sends everything below a folder while it is read, one folder at a time: memory does not grow with the library, and a client that does not
/// read holds no thread.
fn stream_all(look: Look, first: Vec<Item>, wanted: propfind::Request, locks: Locks) -> Response<Body> {
    let walk = Document::new().map(|document| Walk { look, wanted, locks, document, folders: Vec::new(), next: Some(first) });
    let pieces = stream::try_unfold(walk.ok(), |walk| async {
        let Some(walk) = walk else { return Ok(None) };
        // An error breaks the answer off, so that no client takes it for complete.
        let piece = blocking(move || walk.piece()).await.map_err(std::io::Error::other)??;
        Ok::<_, std::io::Error>(Some((Frame::data(Bytes::from(piece.0)), piece.1)))
    });
    xml(StatusCode::MULTI_STATUS, StreamBody::new(pieces).boxed_unsync())
}

/// A listing without end, as far as it has come.
struct Walk {
    look: Look,
    wanted: propfind::Request,
    locks: Locks,
    document: Document,
    /// The hrefs of folders that are still to be read.
    folders: Vec<String>,
    /// What is to be told next.
    next: Option<Vec<Item>>,
}

impl Walk {
    /// The next piece of the answer, and what is left to do.
    fn piece(mut self) -> std::io::Result<(Vec<u8>, Option<Self>)> {
        let items = match self.next.take() {
            Some(items) => items,
            None => match self.folders.pop() {
                Some(href) => self.read(&href)?,
                None => return Ok((self.document.finish()?, None)),
            },
        };
        let below = items.iter().skip(1).filter(|item| item.is_folder()).map(|item| item.href.clone());
        self.folders.extend(below.collect::<Vec<_>>().into_iter().rev());
        items.iter().try_for_each(|item| write_item(&mut self.document, item, &self.wanted, &self.locks))?;
        Ok((self.document.take(), Some(self)))
    }

    /// The members of a folder, after the folder itself, whose own line came with its parent.
    fn read(&mut self, href: &str) -> std::io::Result<Vec<Item>> {
        let path = href.strip_prefix(&self.look.base).and_then(href::decode).unwrap_or_default();
        let path = RelPath::parse_lenient(&path).map_err(std::io::Error::other)?;
        match self.look.collect(&path, true) {
            Ok(mut found) => {
                found.first_mut().into_iter().for_each(|item| item.told = true);
                Ok(found)
            }
            Err(FsError::NotFound) => Ok(Vec::new()),
            Err(_) => self.document.failure(href, StatusCode::FORBIDDEN).map(|()| Vec::new()),
        }
    }
}

/// A 207 with this document.
pub(super) fn multistatus(document: Vec<u8>) -> Response<Body> {
    xml(StatusCode::MULTI_STATUS, whole(document))
}

fn whole(document: Vec<u8>) -> Body {
    Full::new(Bytes::from(document)).map_err(|never| match never {}).boxed_unsync()
}

/// An error with one of the condition codes of RFC 4918 section 16 and its kin.
pub(super) fn error_document(status: StatusCode, condition: &str) -> Response<Body> {
    let body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><d:error xmlns:d=\"DAV:\"><d:{condition}/></d:error>");
    xml(status, whole(body.into_bytes()))
}

fn xml(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    response
}

/// Where and for whom.
struct Look {
    /// The mount's prefix with a slash.
    base: String,
    files: Files,
    viewer: Viewer,
}

impl Look {
    /// The target first, then its members.
    fn collect(&self, path: &RelPath, deep: bool) -> Result<Vec<Item>, FsError> {
        let Self { base, files, viewer } = self;
        let viewer = *viewer;
        let unusable = |_| FsError::NotFound;
        match files.place(path.as_str())? {
            Place::Top => {
                let top = |path: &RelPath, name: &str, meta, library| Item {
                    href: href::below(base, path, true),
                    name: name.to_owned(),
                    meta,
                    library,
                    place: name.to_owned(),
                    properties: Vec::new(),
                    told: false,
                };
                let mut items = vec![top(&RelPath::root(), "", Ok(Meta::TOP), None)];
                for root in files.roots().iter().filter(|root| deep && root.rights.read) {
                    let meta = look(&root.tree, &root.base, viewer).map_err(|error| fs_error(&error));
                    items.push(top(&RelPath::parse(root.name).map_err(unusable)?, root.name, meta, root.library));
                }
                Ok(items)
            }
            Place::Inside(root, inside) => {
                let tree = &root.tree;
                let view = tree.view().map_err(|error| fs_error(&error))?;
                let properties = view.properties();
                let any_properties = !properties.is_empty().map_err(|error| fs_error(&error.into()))?;
                let item = |shown: &RelPath, inside: &RelPath, meta: Result<Meta, FsError>| {
                    let folder = meta.as_ref().is_ok_and(|meta| meta.stat.kind == Kind::Folder);
                    let properties = match any_properties {
                        true => properties.of(inside).map_err(|error| fs_error(&error.into()))?,
                        false => Vec::new(),
                    };
                    let place = place_in(root.name, inside);
                    let (href, name) = (href::below(base, shown, folder), shown.name().to_owned());
                    Ok::<_, FsError>(Item { href, name, meta, library: root.library, place, properties, told: false })
                };
                let meta = look(tree, &inside, viewer).map_err(|error| fs_error(&error))?;
                let is_folder = meta.stat.kind == Kind::Folder;
                let mut items = vec![item(path, &inside, Ok(meta))?];
                if deep && is_folder {
                    for (name, meta) in members(tree, &inside, viewer).map_err(|error| fs_error(&error))? {
                        items.push(item(&path.join(&name).map_err(unusable)?, &inside.join(&name).map_err(unusable)?, meta)?);
                    }
                }
                Ok(items)
            }
        }
    }
}

fn write(items: &[Item], wanted: &propfind::Request, locks: &Locks) -> std::io::Result<Vec<u8>> {
    let mut document = Document::new()?;
    items.iter().try_for_each(|item| write_item(&mut document, item, wanted, locks))?;
    document.finish()
}

/// Writes what is wanted of one resource.
pub(super) fn write_item(document: &mut Document, item: &Item, wanted: &propfind::Request, locks: &Locks) -> std::io::Result<()> {
    if item.told {
        return Ok(());
    }
    let Ok(meta) = &item.meta else { return document.failure(&item.href, StatusCode::FORBIDDEN) };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let mut tell = |name: &PropName, asked: bool| match value(item, meta, name, locks) {
        Some(value) => found.push((name.clone(), value)),
        None if asked => missing.push(name.clone()),
        None => {}
    };
    match wanted {
        propfind::Request::Props(props) => props.iter().for_each(|name| tell(name, true)),
        propfind::Request::AllProp { include } => {
            ALL.iter().for_each(|name| tell(name, false));
            item.properties.iter().for_each(|property| tell(&property.name(), false));
            include.iter().filter(|name| !ALL.contains(name)).for_each(|name| tell(name, true));
        }
        propfind::Request::PropName => {
            ALL.iter().for_each(|name| tell(name, false));
            item.properties.iter().for_each(|property| tell(&property.name(), false));
            found.iter_mut().for_each(|(_, value)| *value = Value::Empty);
        }
    }
    document.resource(&item.href, &found, &missing)
}

fn value(item: &Item, meta: &Meta, name: &PropName, locks: &Locks) -> Option<Value> {
    if let Some(property) = item.properties.iter().find(|property| property.name() == *name) {
        return Some(Value::Raw(property.xml.clone()));
    }
    let folder = meta.stat.kind == Kind::Folder;
    let of_file = |value: String| (!folder).then_some(Value::Text(value));
    if *name == names::RESOURCETYPE {
        Some(if folder { Value::Element(PropName::owned(DAV, "collection")) } else { Value::Empty })
    } else if *name == names::GETCONTENTLENGTH {
        of_file(meta.stat.size.to_string())
    } else if *name == names::GETCONTENTTYPE {
        of_file(mime_guess::from_path(&item.name).first_or_octet_stream().to_string())
    } else if *name == names::GETETAG {
        meta.opaque_etag().map(|opaque| Value::Text(etag::quote(&opaque)))
    } else if *name == names::GETLASTMODIFIED {
        Some(Value::Text(http_date(meta.stat.mtime)))
    } else if *name == names::DISPLAYNAME {
        Some(Value::Text(item.name.clone()))
    } else if *name == names::SUPPORTEDLOCK {
        Some(Value::Raw(SUPPORTEDLOCK.to_owned()))
    } else if *name == names::LOCKDISCOVERY {
        match locks.active(&item.place) {
            active if active.is_empty() => Some(Value::Empty),
            active => Some(Value::Raw(format!("<d:lockdiscovery>{active}</d:lockdiscovery>"))),
        }
    } else if *name == names::CHECKSUMS {
        meta.digests.map(|digests| Value::Texts(PropName::owned(OC, "checksum"), vec![checksum::oc_checksum(&digests.sha1)]))
    } else if *name == names::CONTENT_HASH {
        meta.digests.map(|digests| Value::Text(digests.content.to_string()))
    } else if *name == names::SUPPORTED_REPORT_SET {
        item.library.filter(|_| folder).map(|_| Value::Raw(SUPPORTED_REPORT_SET.to_owned()))
    } else if *name == names::LIBRARY_ID {
        item.library.filter(|_| folder).map(|id| Value::Text(id.to_string()))
    } else {
        None
    }
}
