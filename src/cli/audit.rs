//! `reveille audit`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};

use super::pages::Pages;
use super::table::Column;
use super::{remote, spoken};

const EXAMPLES: &str = "\
Examples:
  reveille audit
  reveille audit --target 'queue mail' --after yesterday
  reveille audit --principal \"token $(printf %s $TOKEN | sha256sum | cut -c1-8)\" --all

A TIME is RFC 3339, a day such as 2026-11-01, or now, today, yesterday, tomorrow, '2h ago', 'in 2h'.";

/// Lists who changed what, the newest first. Filters narrow each other.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Only changes by this principal, such as 'token 1a2b3c4d', 'role app', 'anonymous 127.0.0.1'.
    #[arg(long)]
    principal: Option<String>,
    /// Only this action, such as pause_queue.
    #[arg(long)]
    action: Option<String>,
    /// Only changes of this target, such as 'queue mail'.
    #[arg(long)]
    target: Option<String>,
    /// Only changes at this time or later.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    after: Option<DateTime<Utc>>,
    /// Only changes before this time.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    before: Option<DateTime<Utc>>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

const COLUMNS: &[Column] = &[
    Column("AT", "at", 20),
    Column("PRINCIPAL", "principal", 16),
    Column("ACTION", "action", 12),
    Column("TARGET", "target", 16),
    Column("REASON", "reason", 6),
];

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339());
    let given = [
        ("principal", args.principal.clone()),
        ("action", args.action.clone()),
        ("target", args.target.clone()),
        ("after", time(args.after)),
        ("before", time(args.before)),
    ];
    let filters = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let filters: Vec<_> = filters.collect();
    args.pages.show(&args.service, &["audit"], &filters, COLUMNS).await
}
