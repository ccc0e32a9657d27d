//! The page on which a user lets a client in: a form without script.

use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{Response, StatusCode};
use quick_xml::escape::escape;

use super::super::http::Body;
use super::super::language::Language;
use super::answers::whole;

/// Only this style, and a form that goes nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'sha256-@'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:light-dark(#eef1f4,#15181c)}\
main{box-sizing:border-box;width:min(24rem,92vw);padding:2rem;border-radius:.75rem;background:light-dark(#fff,#20242a);\
box-shadow:0 1px 8px #0003}\
h1{margin:0 0 .5rem;font-size:1.4rem}\
label{display:block;margin-top:1rem;font-weight:600}\
input{box-sizing:border-box;width:100%;margin-top:.25rem;padding:.6rem;font:inherit;border:1px solid #8888;border-radius:.4rem}\
button{width:100%;margin-top:1.5rem;padding:.7rem;font:inherit;font-weight:600;border:0;border-radius:.4rem;background:#0a63a8;color:#fff}\
.who{overflow-wrap:anywhere;font-family:ui-monospace,monospace;font-size:.9rem}\
.problem{padding:.6rem;border-radius:.4rem;background:light-dark(#fde8e8,#5a1f1f)}";

/// Why the form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Wrong,
    TooOften,
    Foreign,
    AppPassword,
}

impl Problem {
    fn say(self, language: Language) -> &'static str {
        match self {
            Self::Wrong => language.pick("User name or password is wrong.", "Nutzername oder Passwort ist falsch."),
            Self::TooOften => language.pick(
                "Wrong too often. Please wait a moment, then try again.",
                "Zu oft falsch. Bitte einen Moment warten und es dann noch einmal versuchen.",
            ),
            Self::Foreign => language.pick(
                "This form did not come from this page. Please try again.",
                "Dieses Formular kam nicht von dieser Seite. Bitte noch einmal versuchen.",
            ),
            Self::AppPassword => {
                language.pick("This is an app password. Please use your own.", "Das ist ein App-Passwort. Bitte das eigene benutzen.")
            }
        }
    }
}

/// What is to be seen.
pub(super) enum Page<'a> {
    /// Who asks, and the fields.
    Form { label: &'a str, form: &'a str, problem: Option<Problem> },
    /// The client has been let in.
    Done,
    /// No such login is on its way.
    Gone,
}

pub(super) fn answer(status: StatusCode, language: Language, page: &Page<'_>) -> Response<Body> {
    let mut answer = whole(status, Some("text/html; charset=utf-8"), html(language, page).into_bytes());
    let headers = answer.headers_mut();
    let policy = POLICY.replace('@', &style_hash());
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The token in the address is nobody else's business; same-origin keeps Origin in the form's request.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

fn style_hash() -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(STYLE.as_bytes()))
}

fn html(language: Language, page: &Page<'_>) -> String {
    let title = language.pick("Connect to Twinlens", "Mit Twinlens verbinden");
    let content = match page {
        Page::Form { label, form, problem } => {
            let problem = problem.map(|problem| format!("<p class=\"problem\" role=\"alert\">{}</p>", problem.say(language)));
            format!(
                "<p>{}</p><p class=\"who\">{}</p><p>{}</p>{}\
                 <form method=\"post\"><input type=\"hidden\" name=\"form\" value=\"{}\">\
                 <label>{}<input name=\"user\" autocomplete=\"username\" autocapitalize=\"none\" required autofocus></label>\
                 <label>{}<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
                 <button>{}</button></form>",
                language.pick("This program asks for access to your photos:", "Dieses Programm bittet um Zugang zu deinen Fotos:"),
                escape(*label),
                language.pick(
                    "Sign in only if you have just started this yourself.",
                    "Melde dich nur an, wenn du das gerade selbst begonnen hast."
                ),
                problem.unwrap_or_default(),
                escape(*form),
                language.pick("User name", "Nutzername"),
                language.pick("Password", "Passwort"),
                language.pick("Sign in and grant access", "Anmelden und Zugang geben"),
            )
        }
        Page::Done => format!(
            "<p>{}</p>",
            language.pick(
                "Done. You can close this window and go back to the program.",
                "Fertig. Du kannst dieses Fenster schließen und zum Programm zurückkehren."
            )
        ),
        Page::Gone => format!(
            "<p>{}</p>",
            language.pick(
                "This login has ended or expired. Please begin again in the program.",
                "Diese Anmeldung ist beendet oder abgelaufen. Bitte im Programm neu beginnen."
            )
        ),
    };
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{content}</main></body></html>",
        language.pick("en", "de")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_calls_itself_is_text() {
        let page = html(Language::English, &Page::Form { label: "<script>\"&", form: "f", problem: Some(Problem::Wrong) });
        assert!(page.contains("&lt;script&gt;&quot;&amp;") && !page.contains("<script"), "{page}");
    }
}
