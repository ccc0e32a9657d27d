//! The directories of a TIFF, which is what EXIF is too, read entry by entry where they lie.
//!
//! Untrusted bytes say where to look next: no directory is read twice, and so few entries are read that nobody is kept busy by them. Nothing is
//! read of the values but what is asked for.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Read, Seek, SeekFrom};

/// No picture has more entries; cameras write some two hundred.
const ENTRIES: usize = 4096;
/// So many directories that follow one another are looked at.
const CHAIN: u8 = 8;
/// An entry has so many bytes.
const ENTRY: usize = 12;
/// The directories below others: of EXIF, of the place, of how programs get on.
pub(super) const EXIF: u16 = 0x8769;
const BELOW: [u16; 3] = [EXIF, 0x8825, 0xa005];
/// The first directory itself.
pub(super) const MAIN: u16 = 0;

/// One entry. Its value is of other bytes of the file unless it has four or fewer.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Which of those that follow one another it belongs to.
    chain: u8,
    /// The tag of the entry that points to its directory.
    below: u16,
    tag: u16,
    kind: u16,
    count: u32,
    value: [u8; 4],
}

impl Entry {
    /// Bytes of its value.
    fn length(&self) -> u64 {
        let each: u64 = match self.kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => 0,
        };
        each * u64::from(self.count)
    }
}

/// What the directories of a TIFF say.
#[derive(Debug)]
pub(super) struct Directories {
    base: u64,
    is_little: bool,
    entries: Vec<Entry>,
    /// There was more than anybody writes who means no harm.
    is_wild: bool,
}

impl Directories {
    /// Those of the TIFF that begins at `base`; none when none begins there.
    pub(super) fn read(file: &mut (impl Read + Seek), base: u64) -> io::Result<Option<Self>> {
        file.seek(SeekFrom::Start(base))?;
        let head = match bytes::<8>(file) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            head => head?,
        };
        let [signature @ .., a, b, c, d] = head;
        let is_little = match &signature {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return Ok(None),
        };
        let mut all = Self { base, is_little, entries: Vec::new(), is_wild: false };
        let first = all.long([a, b, c, d]);
        let (mut waiting, mut seen) = (VecDeque::from([(first, 0, MAIN)]), HashSet::new());
        while let Some((offset, chain, below)) = waiting.pop_front().filter(|_| !all.is_wild) {
            if !seen.insert(offset) {
                continue;
            }
            let from = all.entries.len();
            let next = all.directory(file, offset, chain, below)?;
            for entry in &all.entries[from..] {
                if BELOW.contains(&entry.tag) {
                    match all.single(entry) {
                        Some(offset) => waiting.push_back((offset, chain, entry.tag)),
                        None => all.is_wild = true,
                    }
                }
            }
            if below == MAIN && next != 0 && chain + 1 < CHAIN {
                waiting.push_back((next, chain + 1, MAIN));
            }
        }
        Ok(Some(all))
    }

    /// Reads the entries of one directory, as far as it goes. Returns where the next one is.
    fn directory(&mut self, file: &mut (impl Read + Seek), offset: u32, chain: u8, below: u16) -> io::Result<u32> {
        file.seek(SeekFrom::Start(self.base + u64::from(offset)))?;
        let mut count = Vec::new();
        file.by_ref().take(2).read_to_end(&mut count)?;
        let Some(count) = count.first_chunk().map(|count| usize::from(self.short(*count))) else { return Ok(0) };
        let mut told = Vec::new();
        file.by_ref().take((count * ENTRY + 4) as u64).read_to_end(&mut told)?;
        let (entries, rest) = told.split_at(told.len().min(count * ENTRY));
        if self.entries.len() + entries.len() / ENTRY > ENTRIES {
            self.is_wild = true;
            return Ok(0);
        }
        for entry in entries.as_chunks::<ENTRY>().0 {
            let [a, b, c, d, e, f, g, h, value @ ..] = *entry;
            let (tag, kind, count) = (self.short([a, b]), self.short([c, d]), self.long([e, f, g, h]));
            self.entries.push(Entry { chain, below, tag, kind, count, value });
        }
        Ok(rest.first_chunk().map_or(0, |next| self.long(*next)))
    }

    /// The number that is the value of an entry, such as where a directory is; none when it is not a single one.
    fn single(&self, entry: &Entry) -> Option<u32> {
        let [a, b, ..] = entry.value;
        match (entry.kind, entry.count) {
            (1, 1) => Some(u32::from(a)),
            (3, 1) => Some(u32::from(self.short([a, b]))),
            (4 | 13, 1) => Some(self.long(entry.value)),
            _ => None,
        }
    }

    fn short(&self, bytes: [u8; 2]) -> u16 {
        if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    fn long(&self, bytes: [u8; 4]) -> u32 {
        if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    /// Whether somebody who reads all of it is kept busy by it.
    pub(super) fn is_wild(&self) -> bool {
        self.is_wild
    }

    /// How many bytes the longest value of this tag has, whichever directory it is in.
    pub(super) fn longest(&self, tag: u16) -> u64 {
        self.entries.iter().filter(|entry| entry.tag == tag).map(Entry::length).max().unwrap_or(0)
    }

    fn find(&self, below: u16, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.chain == 0 && (entry.below, entry.tag) == (below, tag))
    }

    /// A number of the first directory.
    pub(super) fn number(&self, tag: u16) -> Option<u32> {
        self.single(self.find(MAIN, tag)?)
    }

    /// A text of no more than `most` bytes, of the first directory or of the one below it that this tag points to.
    pub(super) fn text(&self, file: &mut (impl Read + Seek), (below, tag): (u16, u16), most: u64) -> io::Result<Option<String>> {
        let Some(entry) = self.find(below, tag).filter(|entry| entry.kind == 2 && entry.length() <= most) else { return Ok(None) };
        let mut text = Vec::new();
        if entry.length() <= 4 {
            text.extend(&entry.value[..entry.length() as usize]);
        } else {
            file.seek(SeekFrom::Start(self.base + u64::from(self.long(entry.value))))?;
            file.by_ref().take(entry.length()).read_to_end(&mut text)?;
        }
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        text.truncate(end);
        Ok(String::from_utf8(text).ok())
    }
}

/// The next bytes of a file.
pub(super) fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A directory of these entries: tag, type, count, value.
    fn directory(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
        let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
        for (tag, kind, count, value) in entries {
            bytes.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat());
        }
        bytes.extend(next.to_le_bytes());
        bytes
    }

    fn tiff(parts: &[&[u8]]) -> Vec<u8> {
        [&[&b"II*\0\x08\0\0\0"[..]], parts].concat().concat()
    }

    fn read(bytes: &[u8]) -> Directories {
        Directories::read(&mut Cursor::new(bytes), 0).unwrap().unwrap()
    }

    #[test]
    fn what_is_asked_for_is_found_wherever_the_file_keeps_it() {
        let below = directory(&[(0x9003, 2, 20, 56), (0x8769, 4, 1, 26)], 0);
        let date = b"2019:07:04 12:00:01\0";
        let whole = tiff(&[&directory(&[(0x0112, 3, 1, 6)], 0), &[], &below, date]);
        // The directory below begins at 26 and its text at 56.
        let whole = [&whole[..8], &directory(&[(0x8769, 4, 1, 26)], 0)[..], &whole[26..]].concat();
        let found = read(&whole);
        let text = |at, most| found.text(&mut Cursor::new(&whole), at, most).unwrap();
        assert_eq!(text((EXIF, 0x9003), 64).as_deref(), Some("2019:07:04 12:00:01"));
        assert_eq!((text((EXIF, 0x9003), 19), text((MAIN, 0x9003), 64)), (None, None));
        assert!(!found.is_wild(), "a directory that points to itself is read once");
        assert_eq!(read(&tiff(&[&directory(&[(0x0112, 3, 1, 6)], 0)])).number(0x0112), Some(6));
        // Every beginning of it is none, or has less.
        for end in 0..whole.len() {
            let _ = Directories::read(&mut Cursor::new(&whole[..end]), 0).unwrap();
        }
        assert!(Directories::read(&mut Cursor::new(b"GIF89a,,,,,,"), 0).unwrap().is_none());
    }

    #[test]
    fn directories_that_follow_one_another_for_ever_come_to_an_end() {
        let first = directory(&[(0x010f, 2, 2, 0x61)], 26);
        let found = read(&tiff(&[&first, &directory(&[(0x010f, 2, 2, 0x62)], 8)]));
        assert_eq!((found.entries.len(), found.is_wild()), (2, false));
    }

    #[test]
    fn directories_that_lie_over_one_another_are_read_no_further_than_is_usual() {
        // A thousand directories below, each of a thousand entries, in 15 KB.
        let pointers: Vec<_> = (0..1000).map(|at| (EXIF, 4, 1, 12_014 + at * 12)).collect();
        let bytes = [tiff(&[&directory(&pointers, 0)]), [&1000_u16.to_le_bytes()[..], &[0; 10]].concat().repeat(2200)].concat();
        let found = read(&bytes);
        assert!(found.is_wild() && found.entries.len() <= ENTRIES);
        // A pointer that is a list of places, or none at all.
        assert!(read(&tiff(&[&directory(&[(EXIF, 4, 100_000, 8)], 0)])).is_wild());
        assert_eq!(read(&tiff(&[&directory(&[(0x010f, 5, u32::MAX, 8), (0x010f, 2, 3, 8)], 0)])).longest(0x010f), 8 * u64::from(u32::MAX));
    }
}
