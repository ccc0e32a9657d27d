//! The `twinlens` program; see the library for what it does.

use std::process::ExitCode;

/// Gives back what a large sync needed and does not need any more; the system's allocator keeps it, in a heap for each of many threads.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    twinlens::cli::main()
}
