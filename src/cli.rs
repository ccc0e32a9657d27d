//! The command line: arguments, progress, output for people and programs, exit codes.
//!
//! Rank 9. No logic of its own: every command is a [`Command`](crate::node::Command) for a node, the running one if there is one.

mod args;
mod care;
mod care_args;
mod checkup;
mod clock;
mod demo;
mod front_args;
mod hook_args;
mod output;
mod password;
mod progress;
mod restore;
mod run;
mod runs;
mod sample;
mod serve;
mod service_args;
mod services;
mod settings_file;
mod share_args;
mod shares;
mod thumbnail_args;

pub use run::main;
