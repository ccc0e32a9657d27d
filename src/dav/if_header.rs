//! The If header (RFC 4918 section 10.4): conditions on several resources, and the lock tokens that a client holds.

/// What a client says in an If header. It holds when one of its lists does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct If {
    /// In the order of the header.
    pub lists: Vec<List>,
}

/// Conditions that must all hold for one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The resource, as it was written (a URL or an absolute path); none for the one that the request is about.
    pub resource: Option<String>,
    /// At least one.
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// It must not be so.
    pub not: bool,
    /// What.
    pub state: State,
}

/// What a resource can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Locked with this token.
    Token(String),
    /// Of this entity tag, with its quotes, perhaps weak.
    Tag(String),
}

impl If {
    /// Reads a header. A client that cannot be understood must not be taken for one that sets no condition: none means 400.
    pub fn parse(header: &str) -> Option<Self> {
        let mut rest = header.trim();
        let (mut lists, mut resource) = (Vec::new(), None);
        let mut tagged = None;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('<') {
                let (url, after) = after.split_once('>')?;
                // A resource without a list; and lists with and without a resource do not go together.
                if tagged == Some(false) || url.is_empty() || resource.is_some() && !lists_of(&lists, resource.as_deref()) {
                    return None;
                }
                (tagged, resource, rest) = (Some(true), Some(url.to_owned()), after.trim_start());
            } else {
                let (conditions, after) = list(rest.strip_prefix('(')?)?;
                tagged = tagged.or(Some(false));
                lists.push(List { resource: resource.clone(), conditions });
                rest = after.trim_start();
            }
        }
        (!lists.is_empty() && lists_of(&lists, resource.as_deref())).then_some(Self { lists })
    }

    /// Every token in the header counts as submitted, whether its condition held or not (section 10.4.1).
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().flat_map(|list| &list.conditions).filter_map(|condition| match &condition.state {
            State::Token(token) => Some(token.as_str()),
            State::Tag(_) => None,
        })
    }
}

/// Whether the last list is about this resource.
fn lists_of(lists: &[List], resource: Option<&str>) -> bool {
    lists.last().is_some_and(|list| list.resource.as_deref() == resource)
}

/// The conditions up to the closing parenthesis, and what follows that.
fn list(text: &str) -> Option<(Vec<Condition>, &str)> {
    let (mut rest, mut conditions) = (text.trim_start(), Vec::new());
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            return (!conditions.is_empty()).then_some((conditions, after));
        }
        let not = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
        if not {
            rest = rest[3..].trim_start();
        }
        let (state, after) = state(rest)?;
        conditions.push(Condition { not, state });
        rest = after.trim_start();
    }
}

fn state(text: &str) -> Option<(State, &str)> {
    if let Some(after) = text.strip_prefix('<') {
        let (token, after) = after.split_once('>')?;
        return (!token.is_empty()).then(|| (State::Token(token.to_owned()), after));
    }
    let tag = text.strip_prefix('[')?.trim_start();
    // A bracket may stand inside the quotes.
    let open = tag.find('"').filter(|at| matches!(&tag[..*at], "" | "W/"))?;
    let close = open + 1 + tag[open + 1..].find('"')?;
    let after = tag[close + 1..].trim_start().strip_prefix(']')?;
    Some((State::Tag(tag[..=close].to_owned()), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> Option<String> {
        let one = |condition: &Condition| {
            let not = if condition.not { "!" } else { "" };
            match &condition.state {
                State::Token(token) => format!("{not}{token}"),
                State::Tag(tag) => format!("{not}{tag}"),
            }
        };
        let list = |list: &List| {
            format!("{}:{}", list.resource.as_deref().unwrap_or_default(), list.conditions.iter().map(one).collect::<Vec<_>>().join("&"))
        };
        If::parse(header).map(|header| header.lists.iter().map(list).collect::<Vec<_>>().join(" | "))
    }

    #[test]
    fn what_rfc_4918_shows_is_understood() {
        for (header, expected) in [
            ("(<urn:uuid:1> [\"I am an ETag\"]) ([\"I am another ETag\"])", ":urn:uuid:1&\"I am an ETag\" | :\"I am another ETag\""),
            ("(Not <urn:uuid:1> <urn:uuid:2>)", ":!urn:uuid:1&urn:uuid:2"),
            ("(<urn:uuid:1>) (Not <DAV:no-lock>)", ":urn:uuid:1 | :!DAV:no-lock"),
            (
                "</resource1> (<urn:uuid:1> [W/\"A weak ETag\"]) ([\"strong ETag\"])",
                "/resource1:urn:uuid:1&W/\"A weak ETag\" | /resource1:\"strong ETag\"",
            ),
            (
                "<http://www.example.com/specs/> (<urn:uuid:1>) </b> (<urn:uuid:2>)",
                "http://www.example.com/specs/:urn:uuid:1 | /b:urn:uuid:2",
            ),
            ("  ( not[\"a]b)\"]<t:1> )  ", ":!\"a]b)\"&t:1"),
        ] {
            assert_eq!(shown(header).as_deref(), Some(expected), "{header}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_no_condition_that_could_be_left_out() {
        for header in [
            "",
            "()",
            "(",
            "(<a:b>",
            "(<a:b",
            "<a:b>",
            "</r>",
            "</r> </s> (<a:b>)",
            "(<a:b>) </r> (<a:b>)",
            "(\"tag\")",
            "([tag])",
            "([\"tag])",
            "([\"tag\"",
            "(Not)",
            "(Not Not <a:b>)",
            "(<>)",
            "word",
            "</r> (<a:b>) </s>",
            "(<a:b>) x",
            "(é)",
        ] {
            assert_eq!(shown(header), None, "{header}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let header = "</ré> (Not <a:b> [W/\"é\"]) ([\"x\"])";
        for end in (0..=header.len()).filter(|end| header.is_char_boundary(*end)) {
            let _ = If::parse(&header[..end]);
            let _ = If::parse(&header[end..]);
        }
    }

    #[test]
    fn tokens_count_as_submitted_wherever_they_stand() {
        let header = If::parse("(<a:1> [\"x\"]) (Not <a:2>)").unwrap();
        assert_eq!(header.tokens().collect::<Vec<_>>(), ["a:1", "a:2"]);
    }
}
