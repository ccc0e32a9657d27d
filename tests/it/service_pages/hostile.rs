//! A service whose every word is a script, and what becomes of it in the pages: text.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{AT, assert_says, told, watched};
use crate::pages::signed_in;
use crate::support::{Node, PASSWORD, Sandbox, read_request, serve_state};

/// Names of its folders.
const FOLDERS: [&str; 3] = ["<script>alert(1)<", "x\" onmouseover=\"alert(1)", "<img src=x onerror=alert(1)>"];

fn resource(path: &str, folder: bool) -> String {
    let kind = if folder { "<d:collection/>" } else { "" };
    let size = if folder { "" } else { "<d:getcontentlength>5</d:getcontentlength><d:getetag>\"1\"</d:getetag>" };
    format!(
        "<d:response><d:href>{path}</d:href><d:propstat><d:prop><d:resourcetype>{kind}</d:resourcetype>{size}</d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )
}

/// It lists what is above, and answers everything else with a script.
fn serve_one(mut stream: &TcpStream, _: &Mutex<()>) -> std::io::Result<bool> {
    let Some(request) = read_request(stream)? else { return Ok(false) };
    let escaped = |name: &str| utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    let (status, body) = match request.method.as_str() {
        "OPTIONS" => ("200 OK", String::new()),
        "PROPFIND" if request.target.starts_with("/dav/") => {
            let here = format!("{}/", request.target.trim_end_matches('/'));
            let mut all = resource(&here, true);
            if here == "/dav/" && request.headers.get("depth").is_none_or(|depth| depth != "0") {
                all.extend(FOLDERS.map(|name| resource(&format!("/dav/{}/", escaped(name)), true)));
                all.push_str(&resource(&format!("/dav/{}", escaped("<script>alert(2)<.jpg")), false));
                all.push_str(&resource(&format!("/dav/{}", escaped("back\\<script>alert(3)<")), false));
            }
            ("207 Multi-Status", format!("<d:multistatus xmlns:d=\"DAV:\">{all}</d:multistatus>"))
        }
        _ => ("507 <script>alert(4)</script>", "<script>alert(5)</script>".to_owned()),
    };
    let kind = if body.starts_with("<d:") { "application/xml" } else { "text/html" };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nServer: <script>alert(6)</script>/1\r\nDAV: 1, <script>alert(7)</script>\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(true)
}

/// Its WebDAV address.
pub fn hostile() -> String {
    format!("http://{}/dav/", serve_state(&Arc::new(Mutex::new(())), serve_one))
}

/// A node that has connected it, under a name of the same kind.
pub fn connected(sandbox: &Sandbox) -> Node {
    let mut node = sandbox.node("n");
    node.put("mine.jpg", "mine");
    node.serve();
    assert!(node.add_service("<script>alert(0)<b>", &hostile()).status.success());
    node
}

/// Nothing of it is anything but text.
#[track_caller]
fn assert_text(page: &str) {
    let scripts = page.matches("<script").count();
    let ours = page.matches("<script src=\"assets/").count() + page.matches("<script type=\"application/json\" data-words=").count();
    assert_eq!(scripts, ours, "{page}");
    for evil in ["<img src=x", "\" onmouseover=\"", "<b>\""] {
        assert!(!page.contains(evil), "{evil}: {page}");
    }
}

#[test]
fn what_a_service_says_is_text() {
    let sandbox = Sandbox::new();
    let node = connected(&sandbox);
    let visitor = signed_in(&node, "admin", PASSWORD);
    let name = "name=%3Cscript%3Ealert%280%29%3Cb%3E";
    for path in ["edit", "upload", "sync", "remove"] {
        let page = told(&visitor.page(&format!("{AT}/{path}?{name}")), 200);
        assert_text(&page);
        assert_says(&page, &["&lt;script&gt;alert(0)&lt;b&gt;"]);
    }
    let tree = told(&visitor.page(&format!("{AT}/folders?{name}&whole=on")), 200);
    assert_text(&tree);
    assert_says(&tree, &["data-path=\"&lt;script&gt;alert(1)&lt;\"", "x&quot; onmouseover=&quot;alert(1)", "back%5C%3Cscript"]);

    let checks = told(&watched(&visitor, visitor.form(&format!("{AT}/test?{name}"), &[])), 200);
    assert_text(&checks);
    assert_says(&checks, &["&lt;script&gt;alert(6)"]);
    let again = watched(&visitor, visitor.form(&format!("{AT}/connect"), &[("url", &hostile()), ("name", "<script>again<i>")]));
    assert_text(&told(&again, 200));

    let preview = told(&watched(&visitor, visitor.form(&format!("{AT}/preview?{name}"), &[])), 200);
    assert_text(&preview);
    assert_says(&preview, &["&lt;script&gt;alert(2)&lt;.jpg"]);
    // A run that fails, with its reasons.
    node.command(&["sync", "<script>alert(0)<b>"]).output().unwrap();
    let table = told(&visitor.without("HX-Request").page(AT), 200);
    assert_text(&table);
    assert_says(&table, &["&lt;script&gt;alert(0)&lt;b&gt;", "failed"]);
}
