//! The migrations themselves: their texts, and applying one.
//!
//! Each is applied in a transaction of its own. It locks the table of migrations first and looks
//! again, so that instances which start at once take turns. A text counts by its lines, whatever
//! ends them: a checkout of Windows makes the same schema.

use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use chrono::Utc;
use siphasher::sip::SipHasher13;
use tokio_postgres::Client;

use super::Result;
use super::session::{SHORT, in_time, sql, unprepared};

/// The number, the name and the text of each migration.
const TEXTS: &[(u32, &str, &str)] = &include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// How long the answers to a migration are waited for.
pub(super) struct Limits {
    /// To its text.
    text: Duration,
    /// To each of the short statements around it, BEGIN and COMMIT too.
    step: Duration,
}

/// An index of many millions of jobs takes hours.
pub(super) const LIMITS: Limits = Limits { text: Duration::from_secs(6 * 3600), step: SHORT };

/// The first functions excluded each other by this, before the lock on the table of migrations did.
/// Any role can hold that lock and keep an empty database from getting its schema. So it is left
/// out of what is run; a later migration replaces them.
const OLD_LOCK: &str = "perform pg_advisory_xact_lock(77, 1);";

/// One migration of this release.
pub(super) struct Numbered {
    pub(super) version: u32,
    name: &'static str,
    text: String,
    checksums: [String; 2],
}

impl Numbered {
    fn new(version: u32, name: &'static str, text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let other = text.replace('\n', "\r\n");
        let checksums = [checksum(version, name, &text), checksum(version, name, &other)];
        Self { version, name, text, checksums }
    }

    /// Whether this is the checksum of its text. Builds of a checkout of Windows once counted the
    /// ends of its lines in.
    pub(super) fn has(&self, checksum: &str) -> bool {
        self.checksums.iter().any(|it| it == checksum)
    }

    /// Applies it, unless another instance was faster.
    pub(super) async fn apply(&self, client: &mut Client, limits: &Limits) -> Result<()> {
        let step = limits.step;
        let transaction = in_time(step, client.transaction()).await?;
        unprepared(&transaction, step, sql!("schema/migration_lock"), &[]).await?;
        let newest = unprepared(&transaction, step, sql!("schema/newest"), &[]).await?;
        let version = i32::try_from(self.version).unwrap_or(i32::MAX);
        if newest.first().map(|row| row.try_get(0)).transpose()? >= Some(version) {
            return Ok(());
        }
        let text = self.text.replace(OLD_LOCK, "");
        in_time(limits.text, transaction.batch_execute(&text)).await?;
        let applied_on = Utc::now().to_rfc3339();
        unprepared(
            &transaction,
            step,
            sql!("schema/migration_insert": INT4, TEXT, TEXT, TEXT),
            &[&version, &self.name, &applied_on, &self.checksums[0]],
        )
        .await?;
        // If its answer is lost, or waits for a standby, another try finds it applied.
        in_time(step, transaction.commit()).await
    }
}

/// All migrations that this release knows, in their order.
pub(super) fn all() -> Vec<Numbered> {
    let new =
        |(version, name, text): &(u32, &'static str, &str)| Numbered::new(*version, name, text);
    let mut all: Vec<Numbered> = TEXTS.iter().map(new).collect();
    all.sort_by_key(|it| it.version);
    all
}

/// The checksum that the table of migrations keeps. Schemas have it from refinery, which applied
/// them at first, so it is refinery's.
fn checksum(version: u32, name: &str, text: &str) -> String {
    let mut hasher = SipHasher13::new();
    name.hash(&mut hasher);
    version.hash(&mut hasher);
    text.hash(&mut hasher);
    hasher.finish().to_string()
}

#[cfg(test)]
mod tests {
    use refinery_core::Migration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio_postgres::{Config, NoTls};

    use super::*;
    use crate::store::Error;

    /// A server that answers so many statements, with nothing, and then no more.
    async fn answer(mut stream: DuplexStream, mut statements: usize) -> std::io::Result<()> {
        let length = stream.read_u32().await?;
        stream.read_exact(&mut vec![0; length as usize - 4]).await?;
        stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await?;
        let mut answers = Vec::new();
        loop {
            let (kind, length) = (stream.read_u8().await?, stream.read_u32().await?);
            stream.read_exact(&mut vec![0; length as usize - 4]).await?;
            answers.extend_from_slice(match kind {
                b'P' => b"1\0\0\0\x04",
                b'B' => b"2\0\0\0\x04",
                b'D' => b"n\0\0\0\x04",
                b'E' => b"C\0\0\0\x05\0",
                b'Q' => b"C\0\0\0\x05\0Z\0\0\0\x05T",
                _ => b"Z\0\0\0\x05T",
            });
            if matches!(kind, b'Q' | b'S') {
                if statements == 0 {
                    return std::future::pending().await;
                }
                statements -= 1;
                stream.write_all(&std::mem::take(&mut answers)).await?;
            }
        }
    }

    #[tokio::test]
    async fn every_step_of_a_migration_ends_without_an_answer() {
        let migration = Numbered::new(1, "a", "select 1;");
        let limits = Limits { text: Duration::from_millis(30), step: Duration::from_millis(30) };
        // BEGIN, the lock, the newest one, the text, its row, COMMIT.
        for statements in 0..=6 {
            let (ours, theirs) = duplex(1 << 16);
            tokio::spawn(answer(theirs, statements));
            let (mut client, connection) =
                Config::new().user("u").connect_raw(ours, NoTls).await.unwrap();
            tokio::spawn(connection);
            let applying = migration.apply(&mut client, &limits);
            let applied = tokio::time::timeout(Duration::from_secs(5), applying).await;
            let applied = applied.unwrap_or_else(|_| panic!("after {statements} answers"));
            let unknown = matches!(applied, Err(Error::Unknown(_)));
            assert_eq!(unknown, statements < 6, "{statements}: {applied:?}");
        }
    }

    #[test]
    fn a_text_counts_by_its_lines_whatever_ends_them() {
        let of = |text| Numbered::new(1, "a", text);
        let (unix, windows) = (of("select 1;\nselect 2;\n"), of("select 1;\r\nselect 2;\r\n"));
        assert_eq!(unix.text, windows.text);
        assert_eq!(unix.checksums, windows.checksums);
        for text in ["select 1;\nselect 2;\n", "select 1;\r\nselect 2;\r\n"] {
            assert!(unix.has(&checksum(1, "a", text)), "{text:?}");
        }
        assert!(!unix.has(&of("select 1;\nselect 3;\n").checksums[0]));
    }

    #[test]
    fn a_checksum_is_the_one_that_refinery_gave() {
        for migration in all() {
            let name = format!("V{}__{}", migration.version, migration.name);
            let of_refinery = Migration::unapplied(&name, &migration.text).unwrap();
            assert!(migration.has(&of_refinery.checksum().to_string()), "{name}");
            assert_eq!(migration.name, of_refinery.name());
        }
    }
}
