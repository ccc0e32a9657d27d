//! What a browser sees of a folder: a plain list of links. And the words for what a GET does not find.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Response, StatusCode};
use quick_xml::escape::escape;

use crate::dav::href;
use crate::library::{Kind, LibraryError, Stat};
use crate::types::RelPath;

use super::super::http::{Body, text};
use super::file::blocking;
use super::fs::{Files, Place};
use super::lock::empty;
use super::mount::{Below, Mount};
use super::refusal::{Answered, broken, failed, refuse};

/// Answers a GET or HEAD of something that is no file.
pub(super) async fn answer(mount: Mount, below: Below, method: &Method) -> Answered<Response<Body>> {
    let (base, files) = (mount.base(), mount.files);
    let page = blocking(move || page(&files, &base, &below.path)).await.map_err(broken)??;
    let mut answer = if method == Method::HEAD { empty(StatusCode::OK) } else { text(StatusCode::OK, page) };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    Ok(answer)
}

/// The list as HTML. Blocks.
fn page(files: &Files, base: &str, path: &RelPath) -> Answered<String> {
    let missing = || refuse(StatusCode::NOT_FOUND, "There is no such file or folder.\n");
    let links: Vec<(String, bool)> = match files.place(path.as_str()) {
        Err(_) => return Err(missing()),
        Ok(Place::Top) => files.roots().iter().filter(|root| root.rights.read).map(|root| (root.name.to_owned(), true)).collect(),
        Ok(Place::Inside(root, inside)) => {
            match root.tree.stat(&inside).map_err(|error| failed(&error))? {
                Some(stat) if stat.kind == Kind::Folder => {}
                Some(_) => {
                    return Err(failed(&LibraryError::Io { path: path.to_string(), source: std::io::Error::other("it cannot be opened") }));
                }
                None => return Err(missing()),
            }
            let mut members = root.tree.list(&inside).map_err(|error| failed(&error))?;
            members.sort_by(|a, b| a.path.cmp(&b.path));
            let is_folder = |stat: Result<Stat, String>| stat.is_ok_and(|stat| stat.kind == Kind::Folder);
            members.into_iter().map(|member| (member.path.name().to_owned(), is_folder(member.stat))).collect()
        }
    };
    let title = format!("{base}{path}");
    let title = escape(href::decode(&title).as_deref().unwrap_or(&title)).into_owned();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body><h1>{title}</h1>\n<ul>\n"
    );
    if let Some(parent) = path.parent() {
        page.push_str(&format!("<li><a href=\"{}\">../</a></li>\n", href::below(base, &parent, true)));
    }
    for (name, folder) in links {
        let slash = if folder { "/" } else { "" };
        let Ok(member) = path.join(&name) else { continue };
        page.push_str(&format!("<li><a href=\"{}\">{}{slash}</a></li>\n", href::below(base, &member, folder), escape(name.as_str())));
    }
    page.push_str("</ul>\n</body></html>\n");
    Ok(page)
}
