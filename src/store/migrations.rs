//! The migrations themselves: their texts, and applying one.
//!
//! Each is applied in a transaction of its own that locks the table of migrations first and looks again, so that instances which
//! start at once take turns. A text counts by its lines, whatever ends them: a checkout of Windows makes the same schema.

use std::time::Duration;

use chrono::Utc;
use refinery::Migration;
use tokio_postgres::Client;

use super::Result;
use super::session::{SHORT, in_time, sql, unprepared};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// How long a migration may take: an index of many millions of jobs takes hours.
const WITHIN: Duration = Duration::from_secs(6 * 3600);

/// What the first functions did to exclude each other, before the lock on the table of migrations did. Any role can hold that lock
/// and keep an empty database from getting its schema, so it is left out of what is run; a later migration replaces them.
const OLD_LOCK: &str = "perform pg_advisory_xact_lock(77, 1);";

/// One migration of this release.
pub(super) struct Numbered {
    pub(super) version: u32,
    name: String,
    text: String,
    checksums: [String; 2],
}

impl Numbered {
    /// Whether this is the checksum of its text. Builds of a checkout of Windows once counted the ends of its lines in.
    pub(super) fn has(&self, checksum: &str) -> bool {
        self.checksums.iter().any(|it| it == checksum)
    }

    /// Applies it, unless another instance was faster.
    pub(super) async fn apply(&self, client: &mut Client) -> Result<()> {
        let transaction = in_time(SHORT, client.transaction()).await?;
        unprepared(&transaction, SHORT, sql!("schema/migration_lock"), &[]).await?;
        let newest = unprepared(&transaction, SHORT, sql!("schema/newest"), &[]).await?;
        let version = i32::try_from(self.version).unwrap_or(i32::MAX);
        if newest.first().map(|row| row.try_get(0)).transpose()? >= Some(version) {
            return Ok(());
        }
        let text = self.text.replace(OLD_LOCK, "");
        in_time(WITHIN, transaction.batch_execute(&text)).await?;
        let applied_on = Utc::now().to_rfc3339();
        unprepared(
            &transaction,
            SHORT,
            sql!("schema/migration_insert": INT4, TEXT, TEXT, TEXT),
            &[&version, &self.name, &applied_on, &self.checksums[0]],
        )
        .await?;
        // If its answer is lost, or waits for a standby, another try finds it applied.
        in_time(SHORT, transaction.commit()).await
    }
}

/// All migrations that this release knows, in their order.
pub(super) fn all() -> Vec<Numbered> {
    let runner = embedded::migrations::runner();
    let mut all: Vec<Numbered> = runner.get_migrations().iter().filter_map(numbered).collect();
    all.sort_by_key(|it| it.version);
    all
}

/// `None` for what is not a numbered text, which the folder does not hold.
fn numbered(migration: &Migration) -> Option<Numbered> {
    let text = migration.sql()?.replace("\r\n", "\n");
    let checksum = |text: &str| {
        Migration::unapplied(&migration.to_string(), text).ok().map(|it| it.checksum().to_string())
    };
    Some(Numbered {
        version: u32::try_from(migration.version()).ok()?,
        name: migration.name().to_owned(),
        checksums: [checksum(&text)?, checksum(&text.replace('\n', "\r\n"))?],
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_counts_by_its_lines_whatever_ends_them() {
        let of = |text| numbered(&Migration::unapplied("V1__a", text).unwrap()).unwrap();
        let (unix, windows) = (of("select 1;\nselect 2;\n"), of("select 1;\r\nselect 2;\r\n"));
        assert_eq!(unix.text, windows.text);
        assert_eq!(unix.checksums, windows.checksums);
        for text in ["select 1;\nselect 2;\n", "select 1;\r\nselect 2;\r\n"] {
            let counted = Migration::unapplied("V1__a", text).unwrap().checksum().to_string();
            assert!(unix.has(&counted), "{text:?}");
        }
        assert!(!unix.has(&of("select 1;\nselect 3;\n").checksums[0]));
    }
}
