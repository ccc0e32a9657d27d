//! What the first bytes of a file say it is.
//!
//! Only for extensions that mean several things: nobody's word but a camera's is asked for a `.jpg`.

use super::MediaKind;

/// So many bytes are enough: two packets of MPEG-TS, the first page of an Ogg file.
pub const ENOUGH: usize = 512;

/// What a file of this extension is, judged by its first [`ENOUGH`] bytes (all of them, when it is shorter). For an extension that is not
/// ambiguous the bytes do not count. What is not recognised is neither a picture nor a video.
pub fn kind(extension: &str, head: &[u8]) -> MediaKind {
    if !MediaKind::is_ambiguous(extension) {
        return MediaKind::of_extension(extension);
    }
    let extension = extension.to_ascii_lowercase();
    let is = match extension.as_str() {
        "raw" | "data" => is_tiff(head) || head.starts_with(b"IIU\0"),
        "cap" => is_tiff(head) || head.starts_with(b"IIII") || head.starts_with(b"MMMM"),
        "mp" | "mv" => is_mp4(head),
        "mod" => is_mpeg(head) || is_transport(head),
        "mp2" => is_mpeg(head) || is_transport(head),
        "ts" => is_transport(head),
        "ogg" => is_ogg_video(head),
        _ => false,
    };
    match extension.as_str() {
        _ if !is => MediaKind::Sidecar,
        "raw" | "data" | "cap" => MediaKind::Raw,
        _ => MediaKind::Video,
    }
}

/// The media type of a picture that a browser shows as one and never as a page; none for anything else, whatever its name. (An SVG is a page.)
pub fn picture(head: &[u8]) -> Option<&'static str> {
    let brand = head.get(4..8).filter(|kind| kind == b"ftyp").and_then(|_| head.get(8..12));
    match head {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => match brand? {
            b"avif" | b"avis" => Some("image/avif"),
            b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => Some("image/heic"),
            _ => None,
        },
    }
}

fn is_tiff(head: &[u8]) -> bool {
    head.starts_with(b"II*\0") || head.starts_with(b"MM\0*")
}

fn is_mp4(head: &[u8]) -> bool {
    head.get(4..8).is_some_and(|kind| [&b"ftyp"[..], b"moov", b"mdat", b"wide"].contains(&kind))
}

/// A program stream or an elementary stream of pictures; sound has neither.
fn is_mpeg(head: &[u8]) -> bool {
    head.starts_with(&[0, 0, 1, 0xba]) || head.starts_with(&[0, 0, 1, 0xb3])
}

/// A sync byte at the beginning of each packet, which is 188 bytes, or 192 with a time before it.
fn is_transport(head: &[u8]) -> bool {
    let synced = |first: usize, packet: usize| (0..2).all(|number| head.get(first + number * packet) == Some(&0x47));
    synced(0, 188) || synced(4, 192)
}

/// An Ogg file names the codec of each stream in its first pages.
fn is_ogg_video(head: &[u8]) -> bool {
    let names = |codec: &[u8]| head.windows(codec.len()).any(|window| window == codec);
    head.starts_with(b"OggS") && [&b"\x80theora"[..], b"BBCD\0", b"OVP80", b"\x01video\0"].into_iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(packet: usize, first: usize) -> Vec<u8> {
        let mut head = vec![0; ENOUGH];
        (0..2).for_each(|number| head[first + number * packet] = 0x47);
        head
    }

    #[test]
    fn a_picture_is_told_by_its_first_bytes_and_nothing_else_is_one() {
        for (head, kind) in [
            (&b"\xff\xd8\xff\xe0"[..], Some("image/jpeg")),
            (b"\x89PNG\r\n\x1a\n", Some("image/png")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x04\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\0\0\0\x18ftypheic", Some("image/heic")),
            (b"\0\0\0\x18ftypavif", Some("image/avif")),
            (b"\0\0\0\x18ftypmp42", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'><script>", None),
            (b"<!doctype html>", None),
            (b"RIFF\x04\0\0\0WAVE", None),
            (b"\xff\xd8", None),
            (b"", None),
        ] {
            assert_eq!(picture(head), kind, "{head:?}");
        }
    }

    #[test]
    fn what_cameras_write_is_told_from_what_else_has_the_name() {
        for (extension, head, kind) in [
            ("RAW", &b"IIU\0"[..], MediaKind::Raw),
            ("raw", b"an image of a disk", MediaKind::Sidecar),
            ("data", b"MM\0*....", MediaKind::Raw),
            ("data", b"SQLite format 3", MediaKind::Sidecar),
            ("cap", b"IIII....", MediaKind::Raw),
            ("cap", b"\xd4\xc3\xb2\xa1", MediaKind::Sidecar),
            ("MP", b"\0\0\0\x18ftypmp42", MediaKind::Video),
            ("mp", b"a plan", MediaKind::Sidecar),
            ("mp2", b"\0\0\x01\xba", MediaKind::Video),
            ("mp2", b"\xff\xfd music", MediaKind::Sidecar),
            ("ogg", b"OggS............\x80theora", MediaKind::Video),
            ("ogg", b"OggS............\x01vorbis", MediaKind::Sidecar),
            ("ts", b"export const x = 1;", MediaKind::Sidecar),
            ("ts", b"", MediaKind::Sidecar),
            ("jpg", b"not a jpeg", MediaKind::Image),
        ] {
            assert_eq!(super::kind(extension, head), kind, "{extension} {head:?}");
        }
        assert_eq!(super::kind("ts", &transport(188, 0)), MediaKind::Video);
        assert_eq!(super::kind("TS", &transport(192, 4)), MediaKind::Video);
        assert_eq!(super::kind("ts", &transport(190, 0)), MediaKind::Sidecar);
    }
}
