//! What the owner allows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What happens when a file that was in step disappears from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deletes {
    /// It stays on the other side, and is not brought back.
    #[default]
    Ignore,
    /// It is removed from the other side too; a local file goes to the trash.
    Trash,
}

/// Directions and deletions. Download-only and upload-only are projections of the same table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Changes may be made in the library.
    pub download: bool,
    /// Changes may be made on the service.
    pub upload: bool,
    /// See [`Deletes`].
    pub deletes: Deletes,
    /// Downloads keep the remote path; otherwise they are named by capture date.
    pub keep_names: bool,
}

impl Policy {
    /// Both ways, names kept, deletions ignored.
    pub const TWO_WAY: Policy = Policy { download: true, upload: true, deletes: Deletes::Ignore, keep_names: true };
}
