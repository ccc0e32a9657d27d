//! SabreDAV, which Nextcloud and ownCloud are built on, under php-fpm, behind the web servers that people put before it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::{Running, Server, apache_of, free_port, is_root, listening};
use crate::support::{Sandbox, is_missing};

use super::nginx::nginx;
use super::story::{Habits, tell};

const SABRE: &str = "/usr/share/php/Sabre/autoload.php";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sabredav/index.php");

/// The web server before PHP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// nginx, which reads a request before it passes it on: its default.
    Nginx,
    /// nginx with `fastcgi_request_buffering off`.
    NginxUnbuffered,
    /// Apache with mod_proxy_fcgi as it comes.
    Apache,
}

/// Debian's program has its version in its name.
fn php_fpm() -> Option<PathBuf> {
    let programs = fs::read_dir("/usr/sbin").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = programs.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"))).max();
    if found.is_none() {
        is_missing("php-fpm");
    }
    found.filter(|_| Path::new(SABRE).is_file() || is_missing("php-sabre-dav"))
}

/// php-fpm on a port of its own.
fn fpm(sandbox: &Sandbox) -> Option<(Running, u16)> {
    let program = php_fpm()?;
    let root = sandbox.path().join("fpm");
    fs::create_dir_all(&root).unwrap();
    let port = free_port();
    let user = if is_root() { "user = root\ngroup = root\n" } else { "" };
    let config = format!(
        "[global]\nerror_log = {root}/log\n[www]\nlisten = 127.0.0.1:{port}\n{user}pm = static\npm.max_children = 8\n\
         catch_workers_output = yes\n",
        root = root.display()
    );
    fs::write(root.join("fpm.conf"), config).unwrap();
    let mut command = Command::new(program);
    command.arg("--nodaemonize").arg("--fpm-config").arg(root.join("fpm.conf"));
    if is_root() {
        command.arg("--allow-to-run-as-root");
    }
    Some((listening(&mut command, port), port))
}

pub fn sabredav(sandbox: &Sandbox, front: Front) -> Option<Server> {
    let (fpm, port) = fpm(sandbox)?;
    let mut server = match front {
        Front::Nginx | Front::NginxUnbuffered => {
            let buffering = if front == Front::Nginx { "on" } else { "off" };
            nginx(sandbox, "", |root| {
                format!(
                    "include /etc/nginx/fastcgi_params;\nfastcgi_pass 127.0.0.1:{port};\nfastcgi_request_buffering {buffering};\n\
                     fastcgi_param SCRIPT_FILENAME {SCRIPT};\nfastcgi_param HTTP_HOST $http_host;\n\
                     fastcgi_param TEST_FILES {}/dav;",
                    root.display()
                )
            })?
        }
        Front::Apache => {
            apache_of(sandbox, &["authn_core", "authn_file", "authz_user", "auth_basic", "proxy", "proxy_fcgi", "env"], |root| {
                let root = root.display();
                format!(
                    "ProxyPass / fcgi://127.0.0.1:{port}/\nProxyFCGISetEnvIf true SCRIPT_FILENAME {SCRIPT}\nSetEnv TEST_FILES {root}/dav\n\
                 <Location />\n  AuthType Basic\n  AuthName dav\n  AuthUserFile {root}/users\n  Require valid-user\n</Location>\n"
                )
            })?
        }
    };
    server.parts.push(fpm);
    Some(server)
}

/// What SabreDAV does, whatever is before it.
fn sabres_habits(row: &'static str, before_it: &'static str) -> Habits {
    Habits { own_files: &[".sabredav"], ..Habits::plain(row, before_it) }
}

#[test]
fn sabredav_behind_nginx_tells_the_whole_story() {
    let sandbox = Sandbox::new();
    let Some(server) = sabredav(&sandbox, Front::Nginx) else { return };
    tell(&sandbox, &server, sabres_habits("SabreDAV, nginx + php-fpm", "nginx"));
}

#[test]
fn sabredav_behind_nginx_without_request_buffering_tells_the_whole_story() {
    let sandbox = Sandbox::new();
    let Some(server) = sabredav(&sandbox, Front::NginxUnbuffered) else { return };
    tell(&sandbox, &server, Habits { streams: false, ..sabres_habits("SabreDAV, nginx without request buffering", "nginx") });
}

#[test]
fn sabredav_behind_apache_as_it_comes_tells_the_whole_story() {
    let sandbox = Sandbox::new();
    let Some(server) = sabredav(&sandbox, Front::Apache) else { return };
    tell(&sandbox, &server, Habits { streams: false, ..sabres_habits("Apache mod_proxy_fcgi", "apache") });
}
