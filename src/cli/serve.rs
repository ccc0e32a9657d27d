//! `twinlens serve`.

use serde_json::json;

use crate::node::{CareSettings, Node, UpkeepSettings};
use crate::operations::{ExitCode, Failure, Setting};
use crate::server::{Rules, listen};

use super::args::{Global, ServeArgs};
use super::clock::clock;
use super::run::{data_folder, print, secret};

pub(super) async fn run(global: &Global, args: ServeArgs, settings: Vec<Setting>) -> Result<ExitCode, Failure> {
    let data = data_folder(global)?;
    if Node::control(&data).await?.is_some() {
        return Err(Failure::unreachable(format!("a node is running already with the data folder {}", data.display())));
    }
    let front = args.front.front(&data);
    // Before the library is touched: a port in use must change nothing.
    let listener = listen(args.listen)
        .map_err(|error| Failure::unreachable(format!("cannot listen on {}: {error}; choose another with --listen", args.listen)))?;
    let stop = stop_signal()?;
    let node = Node::builder(&data)
        .secret(secret())
        .listener(listener)
        .front(front)
        .clock(clock()?)
        .library(global.library.clone())
        .import(args.import)
        .admin_password(std::env::var("TWINLENS_ADMIN_PASSWORD").ok())
        .rules(Rules { read_only: args.read_only, finite_depth: args.finite_depth, public: args.public })
        .upkeep(UpkeepSettings { import_quiet: args.import_quiet.0, scan_interval: args.scan_interval.0 })
        .care(CareSettings { keep_trash: args.care.trash_days.0, verify: args.care.verify_interval.0 })
        .thumbnails(args.thumbnails.settings())
        .webhook(args.hook.settings())
        .values(settings)
        .start()
        .await?;
    let url = node.url().unwrap_or_default();
    let library = node.library()?.0.root().display().to_string();
    let password = node.first_admin().and_then(|admin| admin.password.clone());
    if global.json {
        let fingerprint = node.fingerprint();
        print(&format!(
            "{}\n",
            json!({
                "url": url, "library": library, "admin_password": password, "fingerprint": fingerprint, "public": node.is_public(),
            })
        ));
    } else {
        let places = match node.is_public() {
            true => format!("  {url}/  without a login; WebDAV, services and users are off (--public)\n"),
            false => format!("  {url}/originals/  the library\n  {url}/import/     drop box\n  {url}/webdav/     both\n"),
        };
        print(&format!("Serving {library}\n{places}"));
        if let Some(fingerprint) = node.fingerprint() {
            print(&format!("  certificate SHA-256 {fingerprint}\n"));
        }
        if let Some(password) = password {
            print(&format!("First user: admin, password {password} (shown this once)\n"));
        }
    }

    stop.await;
    node.stop().await;
    Ok(ExitCode::Done)
}

/// Ends at the first SIGINT or SIGTERM.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::unreachable(format!("signals cannot be waited for: {error}"));
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends at the first SIGINT. The second one breaks the program off.
pub(super) fn interrupt() -> Result<impl Future<Output = Result<(), Failure>>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::unreachable(format!("signals cannot be waited for: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        interrupt.recv().await;
        tokio::spawn(async move {
            interrupt.recv().await;
            std::process::exit(130);
        });
        Ok(())
    })
}
