//! Whom `twinlens serve` tells when a sync has ended.

use clap::{Args, ValueEnum};

use crate::node::{HookOn, HookSettings};

#[derive(Clone, Copy, ValueEnum)]
enum OnArg {
    /// Some files failed, or all
    Failure,
    /// It did anything, or failed
    Change,
    /// Always
    End,
}

#[derive(Args)]
pub(super) struct HookArgs {
    /// Post a JSON document to this address when a sync has ended; signed when TWINLENS_WEBHOOK_SECRET is set
    #[arg(long, env = "TWINLENS_WEBHOOK", value_name = "URL", hide_env_values = true, help_heading = "Webhook")]
    webhook: Option<String>,
    /// Of which syncs
    #[arg(long, env = "TWINLENS_WEBHOOK_ON", value_name = "failure|change|end", default_value = "change", help_heading = "Webhook")]
    webhook_on: OnArg,
}

impl HookArgs {
    pub(super) fn settings(self) -> Option<HookSettings> {
        let on = match self.webhook_on {
            OnArg::Failure => HookOn::Failure,
            OnArg::Change => HookOn::Change,
            OnArg::End => HookOn::End,
        };
        let secret = std::env::var("TWINLENS_WEBHOOK_SECRET").ok().filter(|secret| !secret.is_empty());
        self.webhook.map(|url| HookSettings { url, secret, on })
    }
}
