//! Sharing in words.

use serde_json::Value;

use super::output::string;

/// How a service is set up for sharing.
pub(super) fn settings(upload: &Value) -> String {
    format!(
        "  share          {}\n  share folder   /{}\n  share size     {}\n  share expires  {}\n  unfit files    {}\n  place (GPS)    {}\n",
        if upload["on"] == true { "on" } else { "off" },
        string(upload, "folder"),
        string(upload, "size"),
        string(upload, "expires"),
        string(upload, "unfit"),
        string(upload, "gps"),
    )
}

/// The same in a few words.
pub(super) fn in_short(upload: &Value) -> String {
    if upload["on"] != true {
        return "share off".to_owned();
    }
    format!("share to /{} ({}, {})", string(upload, "folder"), string(upload, "size"), string(upload, "expires"))
}
