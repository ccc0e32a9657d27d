//! Signing in, the account, and users, as people see them.

use serde_json::json;

use crate::api::Client;
use crate::chromium::{Browser, DESKTOP, Look, PHONE, Page, named, saying};
use crate::support::{Node, PASSWORD, Sandbox};

/// Signs somebody in who wanted to go to a page.
pub(super) fn sign_in(page: &Page, look: Look, node: &Node, place: &str) {
    page.goto(&format!("{}/{place}", node.url()));
    page.fill(named(look.pick("User name", "Nutzername")), "admin");
    page.fill(named(look.pick("Password", "Passwort")), PASSWORD);
    page.click(named(look.pick("Sign in", "Anmelden")));
    page.wait_url(place);
}

#[test]
fn a_person_signs_in_connects_a_phone_and_changes_the_password() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in Look::all().into_iter().chain([DESKTOP.dark(), PHONE.german().dark()]) {
        let mut node = sandbox.node(&look.name());
        node.serve();
        let page = browser.page(look);
        let [user, password, enter] =
            [look.pick("User name", "Nutzername"), look.pick("Password", "Passwort"), look.pick("Sign in", "Anmelden")];
        page.goto(&format!("{}/settings/account", node.url()));
        page.wait_for("input[name=user]:focus");
        page.axe();
        page.screenshot("signin");
        page.fill(named(user), "admin");
        page.fill(named(password), "not the password");
        page.press("Enter");
        page.wait_text(look.pick("User name or password is wrong.", "Nutzername oder Passwort ist falsch."));
        page.expect_trouble("status of 422");
        // What was right stays, and what is to be typed has the focus.
        page.wait_for("input[name=password]:focus");
        assert_eq!(page.value_of(named(user)), "admin");
        page.axe();
        page.fill(named(password), PASSWORD);
        page.click(named(enter));
        page.wait_url("settings/account");
        page.axe();
        page.screenshot("account");
        assert!(page.layout_shift() < 0.1, "{}", page.layout_shift());

        page.click(named(look.pick("Connect via WebDAV", "Über WebDAV verbinden")));
        page.wait_for("dialog[open]");
        page.wait_text(&format!("{}/originals/", node.url()));
        page.wait_text(&format!(r"\\{}\originals\", node.url().replace("http://", "").replace(':', "@")));
        page.axe();
        page.screenshot("connect");
        page.press("Escape");
        page.wait_gone("dialog[open]");

        page.fill(named(look.pick("Name of the app or device", "Name der App oder des Geräts")), "<img src=x onerror=alert(1)>");
        page.click(named(look.pick("Make app password", "App-Passwort erstellen")));
        page.wait_text(look.pick("It is shown only this once.", "Es wird nur dieses eine Mal gezeigt."));
        let made = page.attribute("#apps .notice [data-copy]", "data-copy").unwrap();
        assert_eq!(Client::of(&node).by_password("admin", &made).get("/session").status, 200);
        page.click("#apps .notice [data-copy]");
        page.wait_text(look.pick("Copied", "Kopiert"));
        page.axe();
        page.screenshot("app-password");
        page.click(named(look.pick("Revoke “<img src=x onerror=alert(1)>”", "„<img src=x onerror=alert(1)>“ widerrufen")));
        page.wait_for("dialog[open]");
        page.axe();
        page.click(named(look.pick("Revoke", "Widerrufen")).within("dialog"));
        page.wait_gone("dialog[open]");
        page.wait_gone(saying("onerror").within("#apps table"));
        assert_eq!(Client::of(&node).by_password("admin", &made).get("/session").status, 401);

        page.fill(named(look.pick("Current password", "Jetziges Passwort")), "wrong");
        page.fill(named(look.pick("New password", "Neues Passwort")), "another good password");
        page.click(named(look.pick("Change password", "Passwort ändern")));
        page.wait_text(look.pick("This is not your current password.", "Das ist nicht dein jetziges Passwort."));
        page.expect_trouble("status of 403");
        page.axe();
        page.fill(named(look.pick("Current password", "Jetziges Passwort")), PASSWORD);
        page.fill(named(look.pick("New password", "Neues Passwort")), "another good password");
        page.click(named(look.pick("Change password", "Passwort ändern")));
        page.until("the password was changed", || {
            let answer = Client::of(&node).post("/session", &json!({ "user": "admin", "password": "another good password" }));
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
        page.wait_gone(saying(look.pick("This is not your current password.", "Das ist nicht dein jetziges Passwort.")));

        // The other language, and then out.
        page.select(named(look.pick("Language", "Sprache")), look.pick("Deutsch", "English"));
        page.wait_for(named(look.pick("Über WebDAV verbinden", "Connect via WebDAV")));
        assert_eq!(page.attribute("html", "lang").as_deref(), Some(look.pick("de", "en")));
        page.click(named(look.pick("Abmelden", "Sign out")));
        page.wait_url("signin");
        page.goto(&format!("{}/settings/account", node.url()));
        page.wait_url("signin?next=settings/account");
    }
}

#[test]
fn a_link_from_elsewhere_finds_whoever_is_signed_in() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let page = browser.page(DESKTOP);
    sign_in(&page, DESKTOP, &node, "library");
    page.goto(&format!("data:text/html,<html lang=en><title>Elsewhere</title><a href='{}/settings/account'>pictures</a>", node.url()));
    page.click(named("pictures"));
    page.wait_text("Apps and devices");
}

#[test]
fn an_admin_adds_changes_and_removes_users() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in [DESKTOP, PHONE.german()] {
        let mut node = sandbox.node(&look.name());
        node.serve();
        let page = browser.page(look);
        sign_in(&page, look, &node, "settings/users");
        page.axe();
        page.click(named(look.pick("Add user", "Benutzer hinzufügen")));
        page.wait_for("dialog[open]");
        page.axe();
        page.screenshot("user");
        let name = "anna <img src=x onerror=alert(1)>";
        page.fill(named(look.pick("User name", "Nutzername")).within("dialog"), name);
        page.fill("dialog input[name=password]", "short");
        page.fill(named(look.pick("Folder", "Ordner")).within("dialog"), "Family/Anna");
        page.click(named(look.pick("Add user", "Benutzer hinzufügen")).within("dialog"));
        page.wait_text(look.pick("A password has at least 8 characters.", "Ein Passwort hat mindestens 8 Zeichen."));
        page.expect_trouble("status of 422");
        page.axe();
        // What was filled in is still there, but for the password.
        assert_eq!(page.value_of(named(look.pick("User name", "Nutzername")).within("dialog")), name);
        assert_eq!(page.value_of("dialog input[name=password]"), "");
        page.fill("dialog input[name=password]", "password of anna");
        page.click(named(look.pick("Add user", "Benutzer hinzufügen")).within("dialog"));
        page.wait_gone("dialog[open]");
        page.wait_text("Family/Anna");
        page.axe();
        page.screenshot("users");
        assert_eq!(Client::of(&node).by_password(name, "password of anna").document("/session")["folder"], "Family/Anna");

        let edit = if look.pick("en", "de") == "en" { format!("Edit {name}") } else { format!("{name} bearbeiten") };
        page.click(named(&edit));
        page.wait_for("dialog[open]");
        page.select(named(look.pick("Role", "Rolle")).within("dialog"), look.pick("Viewer", "Betrachter"));
        page.click(named(look.pick("Save", "Speichern")).within("dialog"));
        page.wait_gone("dialog[open]");
        assert_eq!(Client::of(&node).by_password(name, "password of anna").document("/session")["role"], "viewer");

        let remove = if look.pick("en", "de") == "en" { format!("Remove {name}") } else { format!("{name} entfernen") };
        page.click(named(&remove));
        page.wait_for("dialog[open]");
        page.axe();
        page.click(named(look.pick("Remove", "Entfernen")).within("dialog"));
        page.wait_gone(saying("Family/Anna").within("table"));
        assert_eq!(Client::of(&node).by_password(name, "password of anna").get("/session").status, 401);
    }
}
