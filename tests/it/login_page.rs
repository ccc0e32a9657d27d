//! The page on which somebody lets a client in, as people see it.

use serde_json::Value;

use crate::chromium::{Browser, DESKTOP, Look, PHONE, named};
use crate::cloud::anonymous;
use crate::support::{Node, PASSWORD, Sandbox};

/// A client asks to be let in: the page for its user, and whether it has been let in, as whom.
fn asked(node: &Node, client: &str) -> (String, impl Fn() -> Option<String>) {
    let told = anonymous("POST", &format!("{}/index.php/login/v2", node.url()), &[("User-Agent", client)], b"");
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (page, endpoint, token) = (text(&told["login"]), text(&told["poll"]["endpoint"]), text(&told["poll"]["token"]));
    let poll = move || {
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = anonymous("POST", &endpoint, &kind, format!("token={token}").as_bytes());
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        told["loginName"].as_str().map(str::to_owned)
    };
    (page, poll)
}

#[test]
fn a_client_is_let_in_by_a_person() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in Look::all().into_iter().chain([DESKTOP.dark(), PHONE.german().dark()]) {
        let mut node = sandbox.node(&look.name());
        node.serve();
        let (url, let_in) = asked(&node, "Fotos <img src=x onerror=alert(1)> 1.0");
        let [user, password, button] = [
            look.pick("User name", "Nutzername"),
            look.pick("Password", "Passwort"),
            look.pick("Sign in and grant access", "Anmelden und Zugang geben"),
        ];
        let page = browser.page(look);
        page.goto(&url);
        page.wait_text("Fotos <img src=x onerror=alert(1)> 1.0");
        page.axe();
        page.screenshot("login");

        // The user's field has the focus.
        page.wait_for("input[name=user]:focus");
        page.fill(named(user), "admin");
        page.press("Tab");
        page.wait_for("input[name=password]:focus");
        page.fill(named(password), "not the password");
        page.click(named(button));
        page.wait_text(look.pick("User name or password is wrong.", "Nutzername oder Passwort ist falsch."));
        page.expect_trouble("status of 401");
        page.axe();
        page.screenshot("login-wrong");
        assert_eq!(let_in(), None);

        page.fill(named(user), "admin");
        page.fill(named(password), PASSWORD);
        page.press("Enter");
        page.wait_text(look.pick("Done.", "Fertig."));
        page.axe();
        page.screenshot("login-done");
        assert_eq!(let_in().as_deref(), Some("admin"));

        page.goto(&url);
        page.wait_text(look.pick("has ended or expired", "beendet oder abgelaufen"));
        page.expect_trouble("status of 404");
        page.axe();
        // The card grows from its middle when the document comes in pieces.
        assert!(page.layout_shift() < 0.1, "{}", page.layout_shift());
        page.screenshot_whole("login-gone");
        assert!(page.code().is_empty(), "{:?}", page.code());
    }
}
