//! What pages are made of: icons, fields, switches, dialogs, notices.

use maud::{Markup, PreEscaped, html};

use super::assets;
use super::refused::Refused;
use super::words::Words;

/// A picture of the set in `icons.svg`. It says nothing: words or a label stand beside it.
pub(super) fn icon(name: &str) -> Markup {
    html! { svg.icon aria-hidden="true" { use href=(format!("{}#{name}", assets::href("icons.svg"))) {} } }
}

/// A line of text to be filled in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Field<'a> {
    /// As it is sent.
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) value: &'a str,
    /// The type of the input: `text` when it is empty.
    pub(super) kind: &'a str,
    /// What stands below.
    pub(super) help: &'a str,
    /// An example, while there is nothing.
    pub(super) example: &'a str,
    /// What the browser knows it as: `current-password`.
    pub(super) autocomplete: &'a str,
    pub(super) is_required: bool,
    /// The first to be filled in.
    pub(super) is_first: bool,
    /// What is wrong with what was sent.
    pub(super) wrong: Option<&'a str>,
}

pub(super) fn field(field: &Field<'_>) -> Markup {
    let id = format!("field-{}", field.name);
    let (help, wrong) = (format!("{id}-help"), format!("{id}-wrong"));
    let kind = if field.kind.is_empty() { "text" } else { field.kind };
    // Names and addresses are not words.
    let is_code = matches!(kind, "url" | "password" | "email") || field.autocomplete == "username";
    let described = [(!field.help.is_empty(), &help), (field.wrong.is_some(), &wrong)];
    let described: Vec<&str> = described.iter().filter(|(is, _)| *is).map(|(_, id)| id.as_str()).collect();
    html! {
        div.field {
            label for=(id) { (field.label) }
            input #(id) name=(field.name) type=(kind) value=[(!field.value.is_empty()).then_some(field.value)]
                placeholder=[(!field.example.is_empty()).then_some(field.example)]
                autocomplete=[(!field.autocomplete.is_empty()).then_some(field.autocomplete)]
                autocapitalize=[is_code.then_some("none")] spellcheck=[is_code.then_some("false")]
                required[field.is_required] autofocus[field.is_first]
                aria-invalid=[field.wrong.map(|_| "true")] aria-describedby=[(!described.is_empty()).then(|| described.join(" "))];
            @if !field.help.is_empty() { p.help #(help) { (field.help) } }
            @if let Some(text) = field.wrong { p.wrong #(wrong) { (icon("alert")) (text) } }
        }
    }
}

/// Something that is on or off. Sent as `name=on`, or not at all.
pub(super) fn switch(name: &str, label: &str, help: &str, is_on: bool) -> Markup {
    let id = format!("field-{name}");
    html! {
        div.switch {
            input #(id) name=(name) type="checkbox" role="switch" checked[is_on] aria-describedby=[(!help.is_empty()).then(|| format!("{id}-help"))];
            label for=(id) { (label) }
            @if !help.is_empty() { p.help #(format!("{id}-help")) { (help) } }
        }
    }
}

/// One of several values, each with its words.
pub(super) fn select<'a>(name: &str, label: &str, help: &str, chosen: &str, values: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    let id = format!("field-{name}");
    html! {
        div.field {
            label for=(id) { (label) }
            select #(id) name=(name) aria-describedby=[(!help.is_empty()).then(|| format!("{id}-help"))] {
                @for (value, words) in values { option value=(value) selected[value == chosen] { (words) } }
            }
            @if !help.is_empty() { p.help #(format!("{id}-help")) { (help) } }
        }
    }
}

/// What goes into the page's dialog. `beside` stands at the right of its title. The script opens the dialog when this arrives in it.
pub(super) fn dialog(words: Words, title: &str, beside: &Markup, content: &Markup) -> Markup {
    html! {
        header {
            h2 #dialog-title { (title) }
            (beside)
            button.quiet type="button" data-close title=(words.say("common.close")) aria-label=(words.say("common.close")) { (icon("x")) }
        }
        (content)
    }
}

/// The buttons at the end of a dialog.
pub(super) fn actions(words: Words, content: &Markup) -> Markup {
    html! {
        footer {
            button.button type="button" data-close { (words.say("common.cancel")) }
            (content)
        }
    }
}

/// How a notice is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Info,
    Warning,
    Bad,
}

impl Tone {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    fn icon(self) -> Markup {
        icon(match self {
            Self::Good => "check-circle",
            Self::Info => "info",
            Self::Warning | Self::Bad => "alert",
        })
    }
}

/// Something that people should know, where they look.
pub(super) fn notice(tone: Tone, content: &Markup) -> Markup {
    let role = if tone == Tone::Bad { "alert" } else { "note" };
    html! { div class=(format!("notice {}", tone.name())) role=(role) { (tone.icon()) div { (content) } } }
}

/// Why something was refused, in words and with what to do. What the program says of the cause stands below in its own words.
pub(super) fn refusal(words: Words, refused: &Refused) -> Markup {
    let known = words.known(&format!("problem.{}", refused.code)).unwrap_or_else(|| words.say("problem.failed"));
    notice(
        Tone::Bad,
        &html! {
            (with_advice(known))
            @if !refused.detail.is_empty() { p.detail lang="en" { (refused.detail) } }
        },
    )
}

/// What happened stands out; what to do about it is in the sentences after it.
pub(super) fn with_advice(text: &str) -> Markup {
    match text.split_once(". ") {
        Some((happened, advice)) => html! { p { strong { (happened) "." } " " (advice) } },
        None => html! { p { strong { (text) } } },
    }
}

/// What a live page shows while nobody answers it.
pub(super) fn lost(words: Words) -> Markup {
    html! { p.notice.warning #lost role="status" hidden { (icon("cloud-off")) span { (words.say("common.lost")) } } }
}

/// Where there is nothing yet: what it would be, and what to do next.
pub(super) fn empty(sign: &str, title: &str, text: &str, action: &Markup) -> Markup {
    html! { div.empty { (icon(sign)) h2 { (title) } p { (text) } (action) } }
}

/// A text that a script needs, in JSON. It is data: browsers do not run it.
pub(super) fn script_words(words: Words, area: &str) -> Markup {
    let texts = serde_json::to_string(&words.of_script(area)).unwrap_or_default().replace('<', "\\u003c");
    html! { script type="application/json" data-words=(area) { (PreEscaped(texts)) } }
}

/// What refusals of the API mean, for scripts that ask it.
pub(super) fn refusal_words(words: Words) -> Markup {
    let texts = serde_json::to_string(&words.of_refusals()).unwrap_or_default().replace('<', "\\u003c");
    html! { script type="application/json" data-words="problem" { (PreEscaped(texts)) } }
}

/// Something that people copy: with a button for it.
pub(super) fn copyable(words: Words, label: &str, value: &str) -> Markup {
    html! {
        div.copyable {
            span.label { (label) }
            code { (value) }
            button.quiet type="button" data-copy=(value) title=(words.say("common.copy")) aria-label=(format!("{}: {label}", words.say("common.copy"))) { (icon("copy")) }
        }
    }
}
