//! From an address to a first sync that one has looked on.

use super::{Decision, LIMIT, MINE, Owner, THEIRS};
use crate::chromium::{named, saying};
use crate::support::PASSWORD;

impl Owner<'_> {
    pub(super) fn connects(&self) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Services", "Dienste"));
        page.wait_text(look.pick("No services yet", "Noch keine Dienste"));
        self.looks_at("services-none");
        page.click(named(look.pick("Connect", "Verbinden")).within(".top"));
        page.fill(named(look.pick("Server URL", "Server-URL")), &self.attic.url().replace("http://", ""));
        page.fill(named(look.pick("Name (optional)", "Name (optional)")), "Attic");
        if look.german && !look.phone {
            self.grants_access_there();
        } else {
            page.fill(named(look.pick("User name", "Nutzername")), "admin");
            page.fill(named(look.pick("Password", "Passwort")), PASSWORD);
            self.looks_at("connect");
            page.click(named(look.pick("Connect", "Verbinden")).within("dialog footer"));
        }
        page.wait_text(look.pick("“Attic” is connected.", "„Attic“ ist verbunden."));
        // The checks come one by one, and all of them are well.
        page.wait_for(".examination[aria-busy=false]");
        page.wait_text(look.pick("Free space", "Freier Platz"));
        page.wait_text(look.pick("Everything is well.", "Alles in Ordnung."));
        page.click(named(look.pick("Test uploading too", "Auch das Hochladen testen")));
        page.wait_for(saying(look.pick("Arrival can be proven", "Ankunft lässt sich beweisen")).within(".checks"));
        page.wait_for(".examination[aria-busy=false]");
        let checks = "['ok', 'warning', 'failed'].map(kind => document.querySelectorAll(`.checks li.${kind}`).length)";
        let checks = page.eval(checks);
        assert!(checks[0].as_u64() >= Some(15) && checks[1] == 0 && checks[2] == 0, "{checks}");
        self.looks_at("connected");
    }

    /// Without a password here: in another tab, at the other node.
    fn grants_access_there(&self) {
        let (page, look) = (self.page, self.look);
        page.click(named(look.pick("Connect with the browser", "Mit dem Browser verbinden")));
        page.wait_for(named(look.pick("Open the sign-in page", "Anmeldeseite öffnen")));
        self.looks_at("connect");
        let there = page.attribute(named(look.pick("Open the sign-in page", "Anmeldeseite öffnen")), "href").unwrap();
        let other = self.browser.page(look);
        other.goto(&there);
        other.fill(named(look.pick("User name", "Nutzername")), "admin");
        other.fill(named(look.pick("Password", "Passwort")), PASSWORD);
        other.axe();
        other.click(named(look.pick("Sign in and grant access", "Anmelden und Zugang geben")));
        other.wait_text(look.pick("Done.", "Fertig."));
    }

    pub(super) fn chooses_a_folder(&self, decision: Decision) {
        let (page, look) = (self.page, self.look);
        page.click(named(look.pick("Set up sync", "Sync einrichten")));
        page.click(named(look.pick("Choose", "Wählen")));
        page.click("[data-path='Photos'] .twig");
        page.wait_for("[data-path='Photos/Spring']");
        page.click(saying("Photos").within(".tree"));
        page.fill(named(look.pick("New folder", "Neuer Ordner")), "Autumn");
        page.click(named(look.pick("Create", "Anlegen")));
        page.wait_for("[data-path='Photos/Autumn'][aria-selected=true]");
        assert_eq!(page.value_of(named(look.pick("Folder", "Ordner")).within("dialog")), "/Photos/Autumn");
        assert!(self.attic.library.join("Photos/Autumn").is_dir());
        self.looks_at("folders");
        page.click(saying("Photos").within(".tree"));
        assert_eq!(page.value_of(named(look.pick("Folder", "Ordner")).within("dialog")), "/Photos");

        page.click(named(look.pick("Sync is on", "Sync ist an")));
        page.click(named(look.pick("Upload files", "Dateien hochladen")));
        page.click(saying(look.pick("More", "Mehr")).within(".more-options"));
        if decision != Decision::ThisHereOnly {
            page.click(saying(look.pick("Delete on the other side too", "Auch auf der anderen Seite löschen")));
        }
        page.fill(named(look.pick("Speed limit", "Höchsttempo")), LIMIT);
        self.looks_at("sync");
    }

    pub(super) fn previews_and_starts(&self) {
        let (page, look) = (self.page, self.look);
        let before = (self.home.files(), self.attic.files());
        page.click(named(look.pick("Preview", "Vorschau")));
        page.wait_for(".preview[aria-busy=false] .plan");
        page.wait_text(look.pick("11 changes, 8.0\u{a0}MB to transfer", "11 Änderungen, 8,0\u{a0}MB zu übertragen"));
        let groups = page.text_of(".plan");
        let group = |word: &str| groups.lines().find(|line| line.starts_with(word)).map(str::to_owned);
        assert!(group(look.pick("Upload", "Hochladen")).is_some(), "{groups}");
        page.click(saying(look.pick("Download", "Herunterladen")).within(".plan"));
        page.wait_text("Spring/tulips.jpg");
        self.looks_at("preview");
        assert_eq!((self.home.files(), self.attic.files()), before, "a preview changes nothing");
        page.click(named(look.pick("Start sync now", "Sync jetzt starten")));
        page.wait_gone("dialog");
        page.wait_text(look.pick("Syncing with “Attic” now.", "Jetzt wird mit „Attic“ synchronisiert."));
    }

    pub(super) fn looks_on(&self) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Activity", "Aktivität"));
        let amount = || {
            let text = page.text();
            let line = text.lines().find(|line| line.ends_with(look.pick(" of 8.0\u{a0}MB", " von 8,0\u{a0}MB")));
            line.map(str::to_owned).ok_or(text)
        };
        let first = page.until("the amount", amount);
        page.until("the amount grows", || amount().and_then(|now| if now == first { Err(now) } else { Ok(()) }));
        page.wait_for(".moving li");
        page.screenshot("whole-running");
        self.waits_for_the_end();
        self.are_the_same();
        assert_eq!(self.home.files().len(), MINE + THEIRS);
        self.looks_at("synced");
        page.click(named(look.pick("History", "Verlauf")).within(".tabs"));
        page.wait_text(look.pick("9 uploaded", "9 hochgeladen"));
        page.wait_text(look.pick("2 downloaded", "2 heruntergeladen"));
        self.looks_at("history");
    }
}
