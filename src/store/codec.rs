//! Keys and rows as bytes.
//!
//! A path's key is `folder NUL name`: byte order is then [`RelPath`] order, the members of a folder are one range, and so are all
//! names that begin alike. Rows begin with a format byte, so that a later version can tell what it reads.

use redb::Range;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{RelPath, ServiceId};

use super::StoreError;

const ROW_FORMAT: u8 = 1;

/// The key of a path.
pub(super) fn path_key(path: &RelPath) -> Vec<u8> {
    let (folder, name) = path.split();
    [folder.as_bytes(), b"\0", name.as_bytes()].concat()
}

/// The path of a key.
pub(super) fn path_of(key: &[u8]) -> Result<RelPath, StoreError> {
    let text = std::str::from_utf8(key).map_err(|_| StoreError::Damaged("a path key"))?;
    let (folder, name) = text.split_once('\0').ok_or(StoreError::Damaged("a path key"))?;
    let parsed = if folder.is_empty() { RelPath::parse(name) } else { RelPath::parse(&format!("{folder}/{name}")) };
    parsed.map_err(|_| StoreError::Damaged("a path key"))
}

/// First key of the direct members of a folder whose names begin with `prefix`, and the first key after them.
pub(super) fn member_range(folder: &RelPath, prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let start = [folder.as_str().as_bytes(), b"\0", prefix.as_bytes()].concat();
    let end = successor(&start);
    (start, end)
}

/// The first key after all that begin with `prefix`; prefixes never end in 0xff, because they are UTF-8 or numbers below.
pub(super) fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end;
        }
        end.pop();
    }
    end
}

/// Whether the name of a path's key has this in it. A hundred thousand keys are looked at for a few that have.
pub(super) fn has_in_name(key: &[u8], mark: &str) -> bool {
    let name = key.rsplit(|byte| *byte == 0).next().unwrap_or_default();
    let (first, mark) = (mark.as_bytes().first(), mark.as_bytes());
    first.is_none_or(|first| name.contains(first)) && name.windows(mark.len().max(1)).any(|part| part == mark)
}

/// A key within one service's part of a table.
pub(super) fn service_key(service: ServiceId, key: &[u8]) -> Vec<u8> {
    [&service.0.to_be_bytes(), key].concat()
}

/// First key of a service's part, and the first key after it.
pub(super) fn service_range(service: ServiceId) -> (Vec<u8>, Vec<u8>) {
    (service.0.to_be_bytes().to_vec(), (service.0 + 1).to_be_bytes().to_vec())
}

/// What follows the service in a key.
pub(super) fn after_service(key: &[u8]) -> Result<&[u8], StoreError> {
    key.get(4..).ok_or(StoreError::Damaged("a service key"))
}

/// The rows of a range whose keys are wanted, by the paths that `path_in` finds in their keys. Those of the others are not read.
pub(super) fn wanted_rows<T: DeserializeOwned>(
    range: Range<'static, &'static [u8], &'static [u8]>,
    path_in: impl Fn(&[u8]) -> Result<RelPath, StoreError>,
    wanted: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = Result<(RelPath, T), StoreError>> {
    range.filter_map(move |item| match item {
        Ok((key, row)) => wanted(key.value()).then(|| Ok((path_in(key.value())?, decode(row.value())?))),
        Err(error) => Some(Err(error.into())),
    })
}

/// A row as bytes.
pub(super) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(row, vec![ROW_FORMAT]).map_err(|_| StoreError::Damaged("a row that cannot be written"))
}

/// Bytes as a row.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&ROW_FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| StoreError::Damaged("a row")),
        Some(_) => Err(StoreError::NewerRow),
        None => Err(StoreError::Damaged("an empty row")),
    }
}

/// Bytes as a row of a kind that has a field more at its end than in earlier versions: in their rows it is none. Earlier versions read rows
/// with it as if it were not there.
pub(super) fn decode_grown<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    // Where nothing is missing the zero, which stands for none, is not looked at.
    decode(&[bytes, &[0]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_is_path_order() {
        let mut paths: Vec<_> =
            ["b.jpg", "a/b/x", "a/b.jpg", "a-b/x", "a", "a/b/c/d", "ä/x"].iter().map(|text| RelPath::parse(text).unwrap()).collect();
        let mut keys: Vec<_> = paths.iter().map(path_key).collect();
        paths.sort();
        keys.sort();
        let decoded: Vec<_> = keys.iter().map(|key| path_of(key).unwrap()).collect();
        assert_eq!(decoded, paths);
    }

    #[test]
    fn only_the_name_of_a_key_is_looked_at() {
        let found = ["x (conflict a).jpg", "d/x (conflict a).jpg", "d (conflict a)/x.jpg", "x (conf.jpg", "x"].map(|text| {
            let key = path_key(&RelPath::parse(text).unwrap());
            assert_eq!(has_in_name(&key, "(conflict "), has_in_name(&service_key(ServiceId(40), &key), "(conflict "), "{text}");
            has_in_name(&key, "(conflict ")
        });
        assert_eq!(found, [true, true, false, false, false]);
    }

    #[test]
    fn successor_ends_a_prefix() {
        assert_eq!(successor(b"ab"), b"ac");
        assert_eq!(successor(&[1, 0xff]), [2]);
    }

    #[test]
    fn rows_of_an_earlier_version_lack_only_the_last_field() {
        let (old, new) = (("upload", 7_u64), ("upload", 7_u64, Some("busy")));
        let read = |bytes: &[u8]| decode_grown::<(String, u64, Option<String>)>(bytes);
        assert_eq!(read(&encode(&old).unwrap()).unwrap(), ("upload".to_owned(), 7, None));
        assert_eq!(read(&encode(&new).unwrap()).unwrap(), ("upload".to_owned(), 7, Some("busy".to_owned())));
        assert_eq!(decode::<(String, u64)>(&encode(&new).unwrap()).unwrap(), ("upload".to_owned(), 7), "as an earlier version reads it");
        assert!(read(&encode(&("upload",)).unwrap()).is_err());
    }
}
