//! The `twinlens` program; see the library for what it does.

use std::process::ExitCode;

/// Gives back what a large sync needed and does not need any more; the system's allocator keeps it, in a heap for each of many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    twinlens::cli::main()
}
