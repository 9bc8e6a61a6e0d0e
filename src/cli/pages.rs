//! Lists that a service gives in pages.

use std::process::ExitCode;

use serde_json::value::RawValue;

use super::output;
use super::remote::{self, Request};
use super::table::{Column, Table};

/// The flags of every command that lists in pages.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(super) struct Pages {
    /// The most lines of a page, up to 200. With filters a page may have fewer and still not be the
    /// last.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
    /// The start of the page: the cursor that the page before ended with.
    #[arg(long)]
    cursor: Option<String>,
    /// All pages, not only one. With --json, one item a line.
    #[arg(long)]
    all: bool,
}

impl Pages {
    /// Prints the list at this path: one page, or all of them.
    pub(super) async fn show(
        &self,
        service: &remote::Args,
        path: &[&str],
        filters: &[(&'static str, String)],
        columns: &[Column],
    ) -> anyhow::Result<ExitCode> {
        let (remote, as_json) = (service.connect()?, service.json);
        let mut table = Table::of(columns);
        let mut cursor = self.cursor.clone();
        loop {
            let query = self.query(filters, cursor.as_deref());
            let answer = remote.send(Request { query, ..Request::get(path) }).await?;
            let page = answer.page()?;
            match (as_json, self.all) {
                (true, false) => output::line(&answer.body)?,
                (true, true) => print_each(&page.data)?,
                (false, _) => output::lines(table.rows(&page.objects()?))?,
            }
            match page.next_cursor {
                Some(next) if self.all || !as_json && page.data.is_empty() => cursor = Some(next),
                Some(next) => {
                    if !as_json {
                        output::note(format!("more: --cursor {next}, or --all"));
                    }
                    return Ok(ExitCode::SUCCESS);
                }
                None => return Ok(ExitCode::SUCCESS),
            }
        }
    }

    fn query(
        &self,
        filters: &[(&'static str, String)],
        cursor: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        // The whole list takes the fewest requests with the longest pages.
        let limit = self.limit.or(self.all.then_some(200)).map(|limit| limit.to_string());
        let place = [("limit", limit), ("cursor", cursor.map(str::to_owned))];
        let place = place.into_iter().filter_map(|(name, value)| Some((name, value?)));
        filters.iter().cloned().chain(place).collect()
    }
}

fn print_each(items: &[Box<RawValue>]) -> anyhow::Result<()> {
    Ok(items.iter().try_for_each(|item| output::line(item.get()))?)
}
