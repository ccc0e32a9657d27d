//! What can go wrong with one request, as data.

use std::fmt;

/// What a server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the server does anything.
    Unheard,
    /// The server does it, and the answer is lost.
    Lost,
    /// The server does it, and the answer ends in the middle.
    Cut,
    /// This status; nothing is done.
    Refused(u16),
    /// The server does it, and answers this status.
    Denied(u16),
    /// It says that it did, and did not.
    Pretended,
    /// It sends elsewhere: to its own origin, or to another one, which must never see the password.
    Redirect { foreign: bool },
    /// It answers 200 and a page for people.
    Page,
    /// The answer comes byte by byte.
    Slow,
    /// It says nothing any more.
    Silent,
    /// It takes a body and makes something else of it.
    Stores(Stored),
    /// It sends another content than it has.
    Sends(Sent),
    /// It lists something else than it has.
    Lists(Listed),
    /// The entity tag in the answer is not that of the file.
    WrongEtag,
}

/// What is there of a file that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// So many bytes of it.
    First(usize),
    /// All but the last byte.
    AllButOne,
    /// All of it and more.
    Longer,
    /// As many bytes, but others.
    Other,
    /// All of it, under another name.
    Elsewhere,
    /// Half of it, and the answer is 500.
    HalfAndError,
    /// All of it, but nobody sees it for so many requests.
    Later(u32),
    /// All of it, but it is listed as empty for the rest of the run.
    ListedEmpty,
}

/// What comes of a file that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The first half, and that is announced.
    Half,
    /// Nothing, and that is announced.
    Nothing,
    /// As many bytes, but others.
    Other,
    /// What somebody else wrote there since it was listed.
    Changed,
    /// A page for people of the right length.
    Page,
}

/// What comes of a folder that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// As it was before the owners did anything.
    Stale,
    /// Nothing but itself.
    OnlyItself,
    /// Not even itself.
    Nothing,
    /// Other entity tags for everything.
    OtherEtags,
    /// Every file as empty.
    Empty,
    /// All but the last of its members, then that something went wrong.
    BrokenOff,
}

impl Fault {
    /// All that can happen to a request. What is stored or sent wrong with the right length is left out where nothing tells it.
    pub fn all_of(method: &str, target: &str, is_cloud: bool, (tells_stored, tells_sent): (bool, bool)) -> Vec<Self> {
        let mut all = vec![Self::Unheard, Self::Lost, Self::Cut, Self::Page, Self::Silent, Self::Slow];
        all.extend([401, 403, 404, 423, 425, 429, 500, 502, 503, 504, 507].map(Self::Refused));
        all.extend([true, false].map(|foreign| Self::Redirect { foreign }));
        if !matches!(method, "GET" | "PROPFIND" | "OPTIONS") {
            all.extend([423, 500, 502, 504].map(Self::Denied));
            all.push(Self::Pretended);
        }
        if matches!(method, "PUT" | "POST") || target.ends_with("/.file") {
            all.extend([Self::Refused(413), Self::WrongEtag]);
            let short = [Stored::First(0), Stored::First(1), Stored::AllButOne, Stored::Longer, Stored::HalfAndError];
            all.extend(short.map(Self::Stores));
            let late = [Stored::Elsewhere, Stored::Later(1), Stored::Later(6), Stored::ListedEmpty];
            all.extend(late.map(Self::Stores));
            // What comes together is compared before it is stored, and told as it was told.
            let compared = method == "PUT" || !target.contains("remote.php/");
            all.extend((tells_stored && compared).then_some(Self::Stores(Stored::Other)));
        }
        if method == "GET" && !target.contains("ocs/") {
            all.extend([Sent::Half, Sent::Nothing, Sent::Changed, Sent::Page].map(Self::Sends));
            all.extend(tells_sent.then_some(Self::Sends(Sent::Other)));
            all.push(Self::WrongEtag);
        }
        if method == "PROPFIND" {
            let lists = [Listed::Stale, Listed::Nothing, Listed::OtherEtags, Listed::Empty, Listed::BrokenOff];
            all.extend(lists.map(Self::Lists));
            // A cloud's entity tag says that nothing changed since: nobody can notice before the next look at everything.
            all.extend((!is_cloud).then_some(Self::Lists(Listed::OnlyItself)));
        }
        all
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
