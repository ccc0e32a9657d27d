//! Names that a service may refuse.

use crate::types::RelPath;

/// What some servers do not like about a path.
pub(crate) fn oddity(path: &RelPath) -> Option<String> {
    const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];
    path.segments().find_map(|name| {
        let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
        let reserved = RESERVED.contains(&stem.trim_end_matches(|c: char| c.is_ascii_digit())) && stem.len() <= 4;
        if let Some(c) = name.chars().find(|c| "<>:\"|?*".contains(*c)) {
            Some(format!("{name} has the character {c}"))
        } else if name.ends_with(['.', ' ']) {
            Some(format!("\"{name}\" ends with a dot or a space"))
        } else if reserved {
            Some(format!("{name} is reserved on Windows"))
        } else if name.len() > 140 {
            Some(format!("it is {} bytes long", name.len()))
        } else if name.starts_with('.') {
            Some(format!("{name} begins with a dot"))
        } else {
            name.chars().find(|c| u32::from(*c) > 0xffff).map(|c| format!("{name} has the character {c}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn what_servers_do_not_like_is_named() {
        for (name, word) in
            [("a:b.jpg", "character :"), ("a. ", "space"), ("CON.txt", "reserved"), ("x/lpt1", "reserved"), (".a", "dot"), ("🔥.jpg", "🔥")]
        {
            assert!(oddity(&path(name)).is_some_and(|text| text.contains(word)), "{name}");
        }
        assert!(oddity(&path(&"x".repeat(150))).is_some_and(|text| text.contains("150")));
        for name in ["a.jpg", "conference.jpg", "comma.jpg", "M\u{fc}ller & co/x.jpg"] {
            assert_eq!(oddity(&path(name)), None);
        }
    }
}
