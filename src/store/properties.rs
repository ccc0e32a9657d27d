//! Dead properties (RFC 4918 section 4): what clients attach to files and folders, kept as they wrote it.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use crate::types::RelPath;

use super::StoreError;
use super::codec::{member_range, path_key, successor};

/// (tree, folder, name, namespace, local name) -> the property's element as XML.
const TABLE: TableDefinition<&[u8], &str> = TableDefinition::new("properties");

/// Whose paths these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The library.
    Originals,
    /// The import folder.
    Import,
}

impl Area {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Originals => b"o",
            Self::Import => b"i",
        }
    }
}

/// One property: namespace, local name, and the whole element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its namespace; empty for none.
    pub namespace: String,
    /// Its local name.
    pub local: String,
    /// The element, with every namespace that it uses declared.
    pub xml: String,
}

impl Property {
    /// Its name.
    pub fn name(&self) -> crate::dav::PropName {
        crate::dav::PropName::owned(&self.namespace, &self.local)
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(TABLE)?;
    Ok(())
}

fn resource_key(area: Area, path: &RelPath) -> Vec<u8> {
    [area.prefix(), &path_key(path), b"\0"].concat()
}

fn key(area: Area, path: &RelPath, namespace: &str, local: &str) -> Vec<u8> {
    [&resource_key(area, path)[..], namespace.as_bytes(), b"\0", local.as_bytes()].concat()
}

/// Sets a property.
pub fn put(tx: &WriteTransaction, area: Area, path: &RelPath, property: &Property) -> Result<(), StoreError> {
    let key = key(area, path, &property.namespace, &property.local);
    tx.open_table(TABLE)?.insert(key.as_slice(), property.xml.as_str())?;
    Ok(())
}

/// Removes a property.
pub fn remove(tx: &WriteTransaction, area: Area, path: &RelPath, namespace: &str, local: &str) -> Result<(), StoreError> {
    tx.open_table(TABLE)?.remove(key(area, path, namespace, local).as_slice())?;
    Ok(())
}

/// The keys of a path and of everything below it.
fn subtree_ranges(area: Area, path: &RelPath) -> [(Vec<u8>, Vec<u8>); 3] {
    let within = |range: (Vec<u8>, Vec<u8>)| ([area.prefix(), &range.0].concat(), [area.prefix(), &range.1].concat());
    let itself = resource_key(area, path);
    let end = successor(&itself);
    let deeper = format!("{path}/").into_bytes();
    let deeper_end = successor(&deeper);
    [(itself, end), within(member_range(path, "")), within((deeper, deeper_end))]
}

/// Takes the properties of a path and of everything below it to another path; they stay where they were when `copy`.
/// What the target had is gone.
pub fn carry(
    tx: &WriteTransaction,
    (from_area, from): (Area, &RelPath),
    (to_area, to): (Area, &RelPath),
    copy: bool,
) -> Result<(), StoreError> {
    let mut found = Vec::new();
    {
        let table = tx.open_table(TABLE)?;
        if table.is_empty()? {
            return Ok(());
        }
        for (start, end) in subtree_ranges(from_area, from) {
            for item in table.range(start.as_slice()..end.as_slice())? {
                let (key, xml) = item?;
                found.push((key.value().to_vec(), xml.value().to_owned()));
            }
        }
    }
    clear(tx, to_area, to)?;
    let mut table = tx.open_table(TABLE)?;
    for (key, xml) in found {
        let (path, rest) = split(&key)?;
        if !copy {
            table.remove(key.as_slice())?;
        }
        if let Some(below) = path.strip_prefix(from) {
            let key = [&resource_key(to_area, &to.join_path(&below))[..], rest].concat();
            table.insert(key.as_slice(), xml.as_str())?;
        }
    }
    Ok(())
}

/// Copies the properties of one path, and none of those below it, to another. What the target had is gone.
pub fn copy_one(tx: &WriteTransaction, (from_area, from): (Area, &RelPath), (to_area, to): (Area, &RelPath)) -> Result<(), StoreError> {
    clear(tx, to_area, to)?;
    let mut table = tx.open_table(TABLE)?;
    let (start, goal) = (resource_key(from_area, from), resource_key(to_area, to));
    let end = successor(&start);
    let mut found = Vec::new();
    for item in table.range(start.as_slice()..end.as_slice())? {
        let (key, xml) = item?;
        found.push(([&goal[..], &key.value()[start.len()..]].concat(), xml.value().to_owned()));
    }
    for (key, xml) in found {
        table.insert(key.as_slice(), xml.as_str())?;
    }
    Ok(())
}

/// Forgets the properties of a path and of everything below it.
pub fn clear(tx: &WriteTransaction, area: Area, path: &RelPath) -> Result<(), StoreError> {
    let mut table = tx.open_table(TABLE)?;
    if table.is_empty()? {
        return Ok(());
    }
    for (start, end) in subtree_ranges(area, path) {
        table.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    }
    Ok(())
}

/// The path of a key, and what follows it: `namespace NUL local`.
fn split(key: &[u8]) -> Result<(RelPath, &[u8]), StoreError> {
    let damaged = || StoreError::Damaged("a property key");
    let mut zeros = key.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at);
    let second = zeros.nth(1).ok_or_else(damaged)?;
    let path = super::codec::path_of(key.get(1..second).ok_or_else(damaged)?)?;
    Ok((path, &key[second + 1..]))
}

/// Reads properties.
pub struct Properties {
    table: ReadOnlyTable<&'static [u8], &'static str>,
    area: Area,
}

impl Properties {
    /// Opens them for reading.
    pub fn open(tx: &ReadTransaction, area: Area) -> Result<Self, StoreError> {
        Ok(Self { table: tx.open_table(TABLE)?, area })
    }

    /// True when nothing has any property: then there is nothing to look up.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.table.is_empty()?)
    }

    /// The properties of a path.
    pub fn of(&self, path: &RelPath) -> Result<Vec<Property>, StoreError> {
        let start = resource_key(self.area, path);
        let end = successor(&start);
        let mut found = Vec::new();
        for item in self.table.range(start.as_slice()..end.as_slice())? {
            let (key, xml) = item?;
            let name = key.value().get(start.len()..).and_then(|rest| str::from_utf8(rest).ok()?.split_once('\0'));
            let (namespace, local) = name.ok_or(StoreError::Damaged("a property key"))?;
            found.push(Property { namespace: namespace.to_owned(), local: local.to_owned(), xml: xml.value().to_owned() });
        }
        Ok(found)
    }
}
