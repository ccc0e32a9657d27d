//! Asking for passwords, so that they are never arguments that other users could see.

use std::io::{BufRead as _, IsTerminal as _};

use crate::operations::Failure;

use super::args::PasswordArgs;

/// Reads a password: the first line of standard input when told so, otherwise by asking on the terminal.
pub(super) fn read(args: &PasswordArgs, prompt: &str, twice: bool) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("the password could not be read: {error}"));
    if args.password_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for the password on; pass it with --password-stdin"));
    }
    let password = rpassword::prompt_password(prompt).map_err(failed)?;
    if twice && rpassword::prompt_password("Once more: ").map_err(failed)? != password {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(password)
}
