//! `twinlens.toml` beneath the flags and variables: a flag counts before a variable, a variable before the file, the file before the default.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, error::ErrorKind};

use crate::config::{self, Entry, SettingsFile};
use crate::operations::{Failure, LIVE, Setting, SettingFrom};

use super::args::Cli;
use super::run::data_folder;

/// What is a flag, and no setting: what one says once, what names the file itself, and what every program has.
const NO_SETTINGS: [&str; 5] = ["data", "json", "verbose", "help", "version"];
/// What is never told.
const SECRET: [&str; 1] = ["webhook"];

/// The arguments, with what the file says where neither a flag nor a variable does; and every setting with where it comes from.
pub(super) fn parse() -> Result<(Cli, Vec<Setting>), Failure> {
    let said: Vec<OsString> = std::env::args_os().collect();
    let matches = Cli::command().get_matches_from(&said);
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // A command that needs the folder says itself that there is none.
    let Ok(data) = data_folder(&cli.global) else { return Ok((cli, Vec::new())) };
    if !cli.command.reads_settings() {
        return Ok((cli, Vec::new()));
    }
    let file = SettingsFile::read(&data.join(config::FILE)).map_err(|error| Failure::usage(error.to_string()))?;
    let mut command = Cli::command();
    for entry in file.entries() {
        let wrong = |reason: String| Failure::usage(file.wrong(entry, reason).to_string());
        let arg = all(&Cli::command()).into_iter().find(|arg| key(arg) == entry.key).ok_or_else(|| wrong(unknown(&entry.key)))?;
        let words = words(&arg, entry).and_then(|words| check(&arg, &words).map(|()| words)).map_err(wrong)?;
        command = with_default(command, &arg, words);
    }
    let matches = command.get_matches_from(&said);
    cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.global.public_by_file = file.get("public").is_some_and(|public| public.value.as_bool() == Some(true));
    let settings = match matches.subcommand() {
        Some(("serve", serve)) => all(&Cli::command()).iter().map(|arg| told(arg, serve, &file)).collect(),
        _ => Vec::new(),
    };
    Ok((cli, settings))
}

/// Every setting, as the flag that it also is.
fn all(command: &Command) -> Vec<Arg> {
    let serve = command.find_subcommand("serve").into_iter().flat_map(Command::get_arguments);
    let args = command.get_arguments().chain(serve);
    args.filter(|arg| arg.get_long().is_some() && !NO_SETTINGS.contains(&arg.get_id().as_str())).cloned().collect()
}

/// The name in the file: that of the flag, with underscores.
fn key(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().replace('-', "_")
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn unknown(key: &str) -> String {
    if key == "data" {
        return "the file lies in the data folder, and cannot say where that is".to_owned();
    }
    if key.contains("secret") || key.contains("password") {
        return "there is no such setting; secrets come from variables only".to_owned();
    }
    let written = key.replace('-', "_");
    let all: Vec<String> = all(&Cli::command()).iter().map(self::key).collect();
    match all.contains(&written) {
        true => format!("there is no such setting; write {written}"),
        false => format!("there is no such setting; there are {}", all.join(", ")),
    }
}

/// What would be typed behind the flag.
fn words(arg: &Arg, entry: &Entry) -> Result<Vec<String>, String> {
    let words = entry.words()?;
    match (&entry.value, is_flag(arg)) {
        (toml::Value::Boolean(_), true) => Ok(words),
        (_, true) => Err("it is true or false".to_owned()),
        (toml::Value::Boolean(_), false) => Err("it is a text or a number, not true or false".to_owned()),
        (toml::Value::Array(_), false) if arg.get_value_delimiter().is_none() => Err("it is one value, not a list".to_owned()),
        _ => Ok(words),
    }
}

/// Whether a value can be used, as if it was typed.
fn check(arg: &Arg, words: &[String]) -> Result<(), String> {
    let Some(long) = arg.get_long().filter(|_| !is_flag(arg)) else { return Ok(()) };
    for word in words {
        let typed = ["twinlens".to_owned(), "serve".to_owned(), format!("--{long}={word}")];
        if let Err(error) = Cli::command().try_get_matches_from(typed)
            && matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8)
        {
            // Its first line tells what is wrong; the rest is about the command line.
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            return Err(first.strip_prefix("error: ").unwrap_or(first).to_owned());
        }
    }
    Ok(())
}

/// What the file says is what counts when nothing else is said.
fn with_default(command: Command, arg: &Arg, words: Vec<String>) -> Command {
    let set = |arg: Arg| if words.is_empty() { arg } else { arg.default_values(words) };
    let id = arg.get_id().clone();
    let is_global = command.get_arguments().any(|known| *known.get_id() == id);
    match is_global {
        true => command.mut_arg(id.as_str(), set),
        false => command.mut_subcommand("serve", |serve| serve.mut_arg(id.as_str(), set)),
    }
}

fn told(arg: &Arg, matches: &ArgMatches, file: &SettingsFile) -> Setting {
    let (id, key) = (arg.get_id().as_str(), key(arg));
    let from = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => SettingFrom::Flag,
        Some(ValueSource::EnvVariable) => SettingFrom::Variable,
        _ if file.get(&key).is_some() => SettingFrom::File,
        _ => SettingFrom::Default,
    };
    let value = match is_flag(arg) {
        true => Some(matches.get_flag(id).to_string()),
        false => matches.get_raw(id).map(|raw| raw.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(",")),
    };
    Setting {
        value: if SECRET.contains(&id) { value.map(|_| "…".to_owned()) } else { value },
        from,
        flag: format!("--{}", arg.get_long().unwrap_or_default()),
        variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        changeable: LIVE.contains(&key.as_str()),
        key,
    }
}
