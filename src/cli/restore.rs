//! `twinlens restore`.

use std::path::Path;

use crate::node::Node;
use crate::operations::{self, ExitCode, Failure};

use super::args::Global;
use super::clock::clock;
use super::output::string;
use super::run::{data_folder, print};

pub(super) async fn run(global: &Global, file: &Path, replace: bool) -> Result<ExitCode, Failure> {
    let data = data_folder(global)?;
    if Node::control(&data).await?.is_some() {
        return Err(Failure::usage(format!("a node is running with the data folder {}; stop it first", data.display())));
    }
    let restored = operations::restore(file, &data, replace, &clock()?)?;
    if global.json {
        print(&format!("{restored}\n"));
        return Ok(ExitCode::Done);
    }
    print(&format!("The state of {} is back in {}\n", string(&restored, "created"), data.display()));
    if let Some(before) = restored["before"].as_str() {
        print(&format!("  what was there before is in {before}\n"));
    }
    print("  the next sync with each service looks at everything and deletes nothing\n");
    Ok(ExitCode::Done)
}
