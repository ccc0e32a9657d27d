//! nginx with its DAV module and dav-ext, and as a front of PHP.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::peers::{Server, free_port, is_root, listening, make_users};
use crate::support::{Sandbox, have, is_missing};

use super::story::{Habits, tell};

const DAV_EXT: &str = "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so";

/// nginx with this for every path. The files are in `dav` of its folder.
pub fn nginx(sandbox: &Sandbox, modules: &str, location: impl Fn(&Path) -> String) -> Option<Server> {
    if !have("nginx") || !have("htpasswd") {
        return None;
    }
    let root = sandbox.path().join("nginx");
    let files = root.join("dav");
    fs::create_dir_all(&files).unwrap();
    make_users(&root.join("users"));
    let port = free_port();
    // Its workers give up root's rights unless they are told to keep them; others have none to give up.
    let user = if is_root() { "user root;" } else { "" };
    let temp: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {}/{kind};\n", root.display())).concat();
    let config = format!(
        "{modules}\ndaemon off;\n{user}\npid {root}/pid;\nerror_log {root}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{temp}\
         client_max_body_size 0;\nserver {{\nlisten 127.0.0.1:{port};\nauth_basic dav;\nauth_basic_user_file {root}/users;\n\
         location / {{\n{location}\n}}\n}}\n}}\n",
        root = root.display(),
        location = location(&root),
    );
    fs::write(root.join("nginx.conf"), config).unwrap();
    let running = listening(Command::new("nginx").arg("-e").arg(root.join("error.log")).arg("-c").arg(root.join("nginx.conf")), port);
    Some(Server { url: format!("http://127.0.0.1:{port}/"), files, parts: vec![running] })
}

#[test]
fn nginx_dav_ext_tells_the_whole_story() {
    if !Path::new(DAV_EXT).is_file() && !is_missing("nginx's dav-ext module") {
        return;
    }
    let sandbox = Sandbox::new();
    let location = |root: &Path| {
        format!(
            "root {}/dav;\ndav_methods PUT DELETE MKCOL COPY MOVE;\ndav_ext_methods PROPFIND OPTIONS;\ncreate_full_put_path off;",
            root.display()
        )
    };
    let Some(server) = nginx(&sandbox, &format!("load_module {DAV_EXT};"), location) else { return };
    tell(&sandbox, &server, Habits { etags: false, conditions: false, ..Habits::plain("nginx dav-ext", "nginx") });
}
