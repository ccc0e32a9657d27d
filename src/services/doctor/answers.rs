//! What a server answers to questions that change nothing.

use std::collections::BTreeSet;

use crate::client::{Client, ClientError, Member, Product, Root, Told};
use crate::types::RelPath;

use super::super::Service;
use super::Checkup;

/// So much of an answer about everything is read to see whether it is honest.
const ENOUGH: usize = 5_000;
/// So many subfolders are looked at for that.
const SUBFOLDERS: usize = 5;

/// Login and WebDAV. None when one of them fails.
pub(super) async fn log_in(checkup: &mut Checkup, root: &Client, service: &Service, product: Option<&Product>) -> Option<Root> {
    let who = if service.user.is_empty() { "nobody (no user is set)".to_owned() } else { service.user.clone() };
    let found = match root.look_at_root().await {
        Ok(Some(found)) => found,
        Ok(None) => {
            checkup.ok("login", format!("logged in as {who}"));
            let text = format!(
                "{} is not there (404); give the WebDAV address of the service, such as .../originals/ or .../remote.php/dav/files/USER/",
                root.url()
            );
            checkup.fail("dav", text);
            return None;
        }
        Err(ClientError::Unauthorized) => {
            let cloud = product.filter(|product| product.name != "Twinlens").map(|product| product.name.as_str());
            let hint = match cloud {
                Some(name) => format!(
                    "{name} does not accept the user {who} with this password. With two-factor login it wants an app password: make one in its \
                     settings under Security, and set it with `twinlens service edit {}`. After several failures it answers slowly for a while",
                    service.name
                ),
                None => format!(
                    "the server does not accept the user {who} with this password; set another with `twinlens service edit {}`",
                    service.name
                ),
            };
            checkup.fail("login", hint);
            return None;
        }
        Err(error @ (ClientError::NotDav { .. } | ClientError::Malformed(_) | ClientError::TooLarge(_) | ClientError::Outside(_))) => {
            checkup.ok("login", format!("the server did not refuse {who}"));
            let mut text = error.to_string();
            match root.cloud_user() {
                Some(owner) if !service.user.is_empty() && owner != service.user => {
                    text += &format!(
                        ". The address is that of {owner}, the login is {}: write the name of the account in the address",
                        service.user
                    );
                }
                _ => {
                    if let Some(product) = product.filter(|_| !root.url().contains("/remote.php/")) {
                        text += &format!(". There is a {} at this host", product.name);
                    }
                }
            }
            checkup.fail("dav", text);
            return None;
        }
        Err(ClientError::Status { status, .. }) if status.as_u16() == 403 => {
            checkup.fail("login", format!("the server knows {who} but does not let them in here (403)"));
            return None;
        }
        Err(error) => {
            checkup.fail("login", error.to_string());
            return None;
        }
    };
    checkup.ok("login", format!("logged in as {who}"));
    let greeting = root.greet(true).await.ok();
    let (classes, methods) = greeting.map(|greeting| (greeting.classes, greeting.methods)).unwrap_or_default();
    let check = match classes.is_empty() {
        true => checkup.warn("dav", "it lists folders as WebDAV does, but does not say which classes of it it has; uploads may not work"),
        false => {
            // Some name their own by addresses.
            let known: Vec<&str> = classes.iter().map(String::as_str).filter(|class| !class.starts_with('<')).collect();
            checkup.ok("dav", format!("WebDAV, classes {}", known.join(", ")))
        }
    };
    check.detail("classes", classes).detail("methods", methods);
    Some(found)
}

/// The folder that is synced, or the nearest above it that is there.
pub(super) async fn folder(checkup: &mut Checkup, root: &Client, service: &Service) -> Option<(RelPath, Client)> {
    let wanted = &service.sync.folder;
    for at in std::iter::once(wanted.clone()).chain(wanted.ancestors()) {
        let client = match root.at(&at) {
            Ok(client) => client,
            Err(error) => {
                checkup.fail("folder", error.to_string());
                return None;
            }
        };
        let listing = match client.list(&RelPath::root()).await {
            Ok(None) => continue,
            Ok(Some(listing)) => listing,
            Err(error) => {
                checkup.fail("folder", format!("the folder /{at} cannot be listed: {error}"));
                return None;
            }
        };
        checkup.folders = listing.members.iter().filter(|member| matches!(member, Member::Folder(..))).count();
        checkup.files = listing.members.len() - checkup.folders;
        let (folders, files) = (checkup.folders, checkup.files);
        let empty = listing.members.is_empty() && listing.unusable.is_empty();
        let check = if at != *wanted && service.sync.upload {
            checkup.ok("folder", format!("/{wanted} is not there yet; the first upload makes it"))
        } else if at != *wanted {
            checkup.fail(
                "folder",
                format!("there is no folder /{wanted}; set another with `twinlens service sync {} --folder /F`", service.name),
            )
        } else if empty && root.cloud_user().is_some_and(|owner| owner != service.user) {
            let owner = root.cloud_user().unwrap_or_default();
            let text = format!(
                "/{at} is empty. The address is that of {owner} and the login is {}: a wrong user in the path looks like this",
                service.user
            );
            checkup.warn("folder", text)
        } else if empty {
            checkup.ok("folder", format!("/{at} is empty"))
        } else {
            checkup.ok("folder", format!("/{at} has {folders} folders and {files} files"))
        };
        check.detail("folders", folders).detail("files", files);
        if !listing.unusable.is_empty() || !listing.unnamable.is_empty() {
            let strange = listing.unusable.len() + listing.unnamable.len();
            check.detail("unusable", strange);
            check.text += &format!("; {strange} more cannot be used, `twinlens sync` says why");
        }
        return (check.status != super::Verdict::Failed).then_some((at, client));
    }
    checkup.fail("folder", format!("neither the folder /{wanted} nor any above it can be listed"));
    None
}

/// Whether Depth: infinity tells everything.
pub(super) async fn depth(checkup: &mut Checkup, folder: &Client) {
    let mut deeper = BTreeSet::new();
    if let Ok(Some(listing)) = folder.list(&RelPath::root()).await {
        let folders = listing.members.into_iter().filter_map(|member| match member {
            Member::Folder(path, _) if !path.name().starts_with('.') => Some(path),
            _ => None,
        });
        for path in folders.take(SUBFOLDERS) {
            if let Ok(Some(below)) = folder.list(&path).await {
                deeper.extend(below.members.first().map(|member| member.path().clone()));
            }
        }
    }
    let mut told = 0;
    let mut whole = false;
    let outcome = match folder.list_all().await {
        Ok(Some(mut members)) => loop {
            match members.next().await {
                Ok(Some(batch)) => {
                    told += batch.len();
                    for one in &batch {
                        if let Told::Folder(path, _) | Told::File(path, _) = one {
                            deeper.remove(path);
                        }
                    }
                    if told > ENOUGH {
                        break Ok(());
                    }
                }
                Ok(None) => {
                    whole = true;
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        },
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) => checkup.ok("depth", format!("it does not list everything at once ({error}); folders are listed one by one")),
        Ok(()) if whole && !deeper.is_empty() => checkup.warn(
            "depth",
            "it answers a request for everything with less than everything; such answers are not believed, and folders are listed one by one",
        ),
        Ok(()) => checkup.ok("depth", "it lists everything below a folder in one answer"),
    };
}

/// What a cloud offers beyond WebDAV, and the names that it does not take.
pub(super) async fn endpoints(checkup: &mut Checkup, root: &Client) {
    let can = match root.capabilities().await {
        Ok(can) => can,
        Err(error) => {
            checkup.warn("endpoints", format!("it did not tell what it can: {error}"));
            return;
        }
    };
    let mut ways = Vec::new();
    if can.chunking {
        ways.push(match can.largest_chunk {
            Some(size) => format!("large files in pieces of up to {size} bytes"),
            None => "large files in pieces".to_owned(),
        });
    }
    if can.bulk {
        ways.push("many small files in one request".to_owned());
    }
    let check = match ways.is_empty() {
        true => checkup.ok("endpoints", "none: each file goes in a request of its own"),
        false => checkup.ok("endpoints", ways.join("; ")),
    };
    check.detail("chunking", can.chunking).detail("bulk", can.bulk).detail("largest_chunk", can.largest_chunk);
    match can.names.summary() {
        Some(summary) => checkup.ok("names", format!("it takes no {summary}; such files are left here and told of in each sync")),
        None => checkup.ok("names", "it names none that it would not take"),
    };
}

/// How much room there is.
pub(super) async fn quota(checkup: &mut Checkup, folder: &Client) {
    match folder.quota().await {
        Ok(quota) => {
            let check = match quota.available {
                Some(0) => {
                    checkup.fail("quota", "no room is left: the quota is used up or the disk is full; uploads wait until there is some")
                }
                Some(left) if left < 0 => checkup.ok("quota", "no limit that the server would tell"),
                Some(left) if left < 1 << 30 => checkup.warn("quota", format!("only {} MB are left", left / 1_000_000)),
                Some(left) => checkup.ok("quota", format!("{:.1} GB are left", left as f64 / 1e9)),
                None => checkup.ok("quota", "it does not tell how much room there is"),
            };
            check.detail("available", quota.available).detail("used", quota.used);
        }
        Err(error) => drop(checkup.warn("quota", format!("it did not tell how much room there is: {error}"))),
    }
}
