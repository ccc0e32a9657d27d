//! From arguments to an exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::accounts::GrantChange;
use crate::events::Event;
use crate::node::Node;
use crate::operations::{Command, Failure, NewUser, Setting, SyncRequest};
use crate::server::Rules;

use super::args::{Cli, Cmd, Global, LogFormat, OneOrAll, UserCmd};
use super::clock::clock;
use super::progress::Progress;
use super::serve::interrupt;
use super::{demo, output, password, restore, serve, settings_file};

/// Runs the program.
pub fn main() -> ExitCode {
    let (cli, settings) = match settings_file::parse() {
        Ok(parsed) => parsed,
        Err(failure) => return fail(std::env::args().any(|arg| arg == "--json"), &failure),
    };
    log_to_stderr(cli.global.verbose, cli.global.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(cli.global.json, &Failure::unreachable(format!("the program cannot start: {error}"))),
    };
    let json = cli.global.json;
    match runtime.block_on(dispatch(cli, settings)) {
        Ok(code) => ExitCode::from(code as u8),
        Err(failure) => fail(json, &failure),
    }
}

fn fail(json: bool, failure: &Failure) -> ExitCode {
    if json {
        print(&format!("{}\n", json!({ "error": failure.message })));
    }
    eprintln!("twinlens: {failure}");
    ExitCode::from(failure.code as u8)
}

/// Prints; a reader that has gone away (`| head`) is no error.
pub(super) fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn log_to_stderr(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => "twinlens=warn",
        1 => "twinlens=info,warn",
        2 => "twinlens=debug,info",
        _ => "trace",
    };
    let filter = std::env::var("TWINLENS_LOG").unwrap_or_else(|_| level.to_owned());
    let subscriber = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::new(filter)).with_writer(std::io::stderr);
    // A log file is not coloured.
    let subscriber = subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // It is set once, here; an error would mean twice.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

/// The folder of state and settings.
pub(super) fn data_folder(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(data) = &global.data {
        return Ok(data.clone());
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME").or_else(|| {
        let home = set("HOME")?;
        Some(if cfg!(target_os = "macos") { home.join("Library/Application Support") } else { home.join(".local/share") })
    });
    let base = base.ok_or_else(|| Failure::usage("there is no home folder to keep the state in; name a folder with --data"))?;
    Ok(base.join("twinlens"))
}

async fn dispatch(cli: Cli, settings: Vec<Setting>) -> Result<crate::operations::ExitCode, Failure> {
    let Cli { global, command } = cli;
    match command {
        Cmd::Demo(args) => demo::run(&global, args).await,
        Cmd::Serve(args) => serve::run(&global, *args, settings).await,
        Cmd::Restore { file, replace } => restore::run(&global, &file, replace).await,
        other => {
            let command = to_command(other)?;
            let answer = execute(&global, &command).await?;
            if global.json {
                print(&format!("{answer}\n"));
            } else {
                print(&output::text(&command, &answer));
            }
            Ok(command.exit_code(&answer))
        }
    }
}

fn to_command(command: Cmd) -> Result<Command, Failure> {
    Ok(match command {
        Cmd::User(UserCmd::Add { name, role, limits, password }) => {
            let password = password::read(&password, "Password of the new user: ", true)?;
            Command::UserAdd(NewUser { name, grant: limits.grant(role), password })
        }
        Cmd::User(UserCmd::Edit { name, role, limits }) => {
            let change = limits.change(role);
            if change == GrantChange::default() {
                return Err(Failure::usage("there is nothing to change; say --role, --folder, --originals or --import"));
            }
            Command::UserEdit { name, change }
        }
        Cmd::User(UserCmd::List) => Command::UserList,
        Cmd::User(UserCmd::Passwd { name, password }) => {
            let password = password::read(&password, "New password: ", true)?;
            Command::UserPassword { name, password }
        }
        Cmd::User(UserCmd::Remove { name }) => Command::UserRemove { name },
        Cmd::User(UserCmd::AppPassword { name, label }) => Command::AppPasswordAdd { name, label },
        Cmd::User(UserCmd::AppPasswords { name }) => Command::AppPasswordList { name },
        Cmd::User(UserCmd::Revoke { name, app }) => Command::AppPasswordRevoke { name, app },
        Cmd::Service(service) => service.command()?,
        Cmd::Share(args) => args.command()?,
        Cmd::Sync(args) => Command::Sync(SyncRequest { names: args.names, dry_run: args.dry_run, force: args.force }),
        Cmd::Index(index) => index.command(),
        Cmd::Pause(OneOrAll { name }) => Command::Pause { name },
        Cmd::Resume(OneOrAll { name }) => Command::Resume { name },
        Cmd::Cancel(OneOrAll { name }) => Command::Cancel { name },
        Cmd::History { name, run } => Command::History { name, run },
        Cmd::Status => Command::Status,
        Cmd::Backup { file } => {
            let to = std::path::absolute(&file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            Command::Backup { to }
        }
        Cmd::Trash(trash) => Command::Care(trash.care()),
        Cmd::Conflicts(conflicts) => Command::Care(conflicts.care()),
        Cmd::Tombstones(tombstones) => Command::Care(tombstones.care()),
        Cmd::Demo(_) | Cmd::Serve(_) | Cmd::Restore { .. } => return Err(Failure::usage("this command runs by itself")),
    })
}

/// Has the running node carry out a command, or opens the state to do it here. The first Ctrl-C cancels a sync, which then says what it did
/// until then; anything else, and the second one, breaks off.
async fn execute(global: &Global, command: &Command) -> Result<Value, Failure> {
    let data = data_folder(global)?;
    let progress = Progress::new(global.json);
    let hear = |event: Event| match (&event, command) {
        // The answer comes when somebody has logged in; the page must be known before.
        (Event::Login { service, url, server }, Command::ServiceLogin(new)) if *service == new.name => match global.json {
            true => print(&format!("{}\n", json!({ "event": "login", "service": service, "url": url, "server": server }))),
            false => print(&format!("Open this page of {server} in a browser, log in and grant the access:\n\n  {url}\n\nWaiting ...\n")),
        },
        _ => progress.show(&event),
    };
    let interrupt = std::pin::pin!(interrupted(command));
    let answer = match Node::control(&data).await? {
        Some(control) => {
            let cancel = || cancel_there(&data, command);
            cancellable(control.execute(command, hear), interrupt, cancel).await
        }
        None => {
            let node = Arc::new(
                Node::builder(&data)
                    .library(global.library.clone())
                    .clock(clock()?)
                    .secret(secret())
                    .rules(rules(global.public_by_file))
                    .open()
                    .await?,
            );
            let mut events = node.events().subscribe();
            let work = async {
                let mut work = std::pin::pin!(node.execute(command.clone()));
                loop {
                    tokio::select! {
                        answer = &mut work => break answer,
                        Ok(event) = events.recv() => hear(event),
                    }
                }
            };
            let cancel = || async { node.cancel(None).await.map(drop) };
            cancellable(work, interrupt, cancel).await
        }
    };
    progress.end();
    answer
}

/// What passwords are sealed with instead of the key file.
pub(super) fn secret() -> Option<String> {
    std::env::var("TWINLENS_SECRET").ok().filter(|secret| !secret.is_empty())
}

/// A node that is to be served in public mode has no services for the command line either.
fn rules(public_by_file: bool) -> Rules {
    let said = std::env::var("TWINLENS_PUBLIC").map(|said| said.to_ascii_lowercase());
    // The words that clap takes for no.
    let public = said.map_or(public_by_file, |said| !matches!(said.as_str(), "" | "n" | "no" | "f" | "false" | "off" | "0"));
    Rules { public, ..Rules::default() }
}

/// Carries something out; when it is interrupted it is told to stop, and waited for.
async fn cancellable<F: Future<Output = Result<(), Failure>>>(
    work: impl Future<Output = Result<Value, Failure>>,
    interrupt: impl Future<Output = Result<(), Failure>>,
    cancel: impl FnOnce() -> F,
) -> Result<Value, Failure> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        answer = &mut work => return answer,
        told = interrupt => told?,
    }
    eprintln!("twinlens: stopping; once more to break off at once");
    cancel().await?;
    work.await
}

/// Waits for the first Ctrl-C of a sync; from then on, and for all other commands, it does what it always does.
async fn interrupted(command: &Command) -> Result<(), Failure> {
    if !matches!(command, Command::Sync(_)) {
        return std::future::pending().await;
    }
    interrupt()?.await
}

/// Tells the running node to cancel what this command asked for.
async fn cancel_there(data: &Path, command: &Command) -> Result<(), Failure> {
    let Command::Sync(SyncRequest { names, .. }) = command else { return Ok(()) };
    let names: Vec<_> = if names.is_empty() { vec![None] } else { names.iter().cloned().map(Some).collect() };
    for name in names {
        if let Some(control) = Node::control(data).await? {
            control.execute(&Command::Cancel { name }, |_| {}).await?;
        }
    }
    Ok(())
}
