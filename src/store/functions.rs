//! The functions and views of the schema: one file each in `sql/functions`, which has the present
//! form of each.
//!
//! A migration changes tables, and stays as it was applied. A function is replaced as a whole. So
//! its file is applied anew when its text changed, after the migrations and under their lock, all
//! files in one transaction. An unchanged file is not touched: replacing a view would wait for its
//! readers.
//!
//! Releases roll, so instances of two releases start beside each other. The schema keeps the number
//! of the release whose files it has. An older release reads a higher number and leaves the
//! functions alone. A newer release keeps every signature that the older one calls.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, GenericClient};

use super::Result;
use super::row::Row;
use super::session::{SHORT, in_time, sql, unprepared};

/// The number of the functions of this release. A release whose files differ from those of the
/// release before has a higher number; `tests/it/schema/functions.sha256` pins the files of each
/// number.
const RELEASE: i32 = 1;

/// The name and the text of each file.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let all: &[(&'static str, &str)] = &include!(concat!(env!("OUT_DIR"), "/functions.rs"));
    let mut files: Vec<File> = all.iter().map(|(name, text)| File::new(name, text)).collect();
    // A view reads functions; a function names a view only in its text, which is bound when it is
    // called.
    files.sort_by_key(File::is_view);
    files
});

/// How the functions of a schema stand to those of this release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    Same,
    /// They are of an older release, or of another build of this one.
    Behind,
    /// They are of a newer release, by its number.
    Newer(i32),
}

/// The files that were applied.
pub(super) struct Applied {
    pub(super) release: i32,
    pub(super) changed: Vec<&'static str>,
}

struct File {
    name: &'static str,
    text: String,
    checksum: String,
}

impl File {
    /// The text counts by its lines, whatever ends them.
    fn new(name: &'static str, text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let digest = Sha256::digest(&text);
        let checksum = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name, text, checksum }
    }

    fn is_view(&self) -> bool {
        self.text.contains("create or replace view")
    }
}

/// The state of a schema: the release, and the checksum of each file.
struct Known {
    release: i32,
    checksums: HashMap<String, String>,
}

impl Known {
    async fn of(client: &impl GenericClient) -> Result<Self> {
        let rows = unprepared(client, SHORT, sql!("schema/definitions"), &[]).await?;
        let mut known = Self { release: 0, checksums: HashMap::new() };
        for row in &rows {
            known.release = known.release.max(row.try_get("release")?);
            known.checksums.insert(row.try_get("name")?, row.try_get("checksum")?);
        }
        Ok(known)
    }

    fn changed(&self) -> impl Iterator<Item = &'static File> {
        FILES.iter().filter(|it| self.checksums.get(it.name) != Some(&it.checksum))
    }

    fn standing(&self) -> Standing {
        let names: HashSet<&str> = FILES.iter().map(|it| it.name).collect();
        let same = self.release == RELEASE
            && self.changed().next().is_none()
            && self.checksums.keys().all(|name| names.contains(name.as_str()));
        match self.release {
            newer if newer > RELEASE => Standing::Newer(newer),
            _ if same => Standing::Same,
            _ => Standing::Behind,
        }
    }
}

/// How the functions of this schema stand, which has all migrations.
pub(crate) async fn standing(client: &Client) -> Result<Standing> {
    Ok(Known::of(client).await?.standing())
}

/// Applies the files that changed, unless the schema has those of a newer release or another
/// instance was faster.
pub(super) async fn apply(client: &mut Client) -> Result<Option<Applied>> {
    let transaction = in_time(SHORT, client.transaction()).await?;
    unprepared(&transaction, SHORT, sql!("schema/migration_lock"), &[]).await?;
    let known = Known::of(&transaction).await?;
    if known.standing() != Standing::Behind {
        return Ok(None);
    }
    let changed: Vec<&File> = known.changed().collect();
    // The files are applied by their names, and so a body may name what comes after it.
    let mut texts = vec!["set local check_function_bodies = off"];
    texts.extend(changed.iter().map(|it| it.text.as_str()));
    let names: Vec<&str> = changed.iter().map(|it| it.name).collect();
    // Replacing a view takes away the options that an operator gave it.
    let options = sql!("schema/view_options": TEXT_ARRAY);
    let options = unprepared(&transaction, SHORT, options, &[&names]).await?;
    let options: Vec<&str> = options.iter().map(change).collect::<Result<_>>()?;
    texts.extend(options);
    in_time(SHORT, transaction.batch_execute(&texts.join(";\n"))).await?;
    let all: Vec<&str> = FILES.iter().map(|it| it.name).collect();
    let checksums: Vec<&str> = FILES.iter().map(|it| it.checksum.as_str()).collect();
    unprepared(
        &transaction,
        SHORT,
        sql!("schema/definition_write": INT4, TEXT_ARRAY, TEXT_ARRAY),
        &[&RELEASE, &all, &checksums],
    )
    .await?;
    in_time(SHORT, transaction.commit()).await?;
    Ok(Some(Applied { release: RELEASE, changed: names }))
}

fn change(row: &Row) -> Result<&str> {
    row.try_get("change")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(release: i32, change: impl Fn(&mut HashMap<String, String>)) -> Standing {
        let files = FILES.iter().map(|it| (it.name.to_owned(), it.checksum.clone()));
        let mut known = Known { release, checksums: files.collect() };
        change(&mut known.checksums);
        known.standing()
    }

    #[test]
    fn only_a_higher_number_keeps_other_functions() {
        assert_eq!(known(RELEASE, |_| {}), Standing::Same);
        let other = |all: &mut HashMap<String, String>| {
            all.insert("jobs".into(), "of another text".into());
        };
        assert_eq!(known(RELEASE, other), Standing::Behind);
        assert_eq!(known(RELEASE + 1, other), Standing::Newer(RELEASE + 1));
        assert_eq!(known(RELEASE - 1, |_| {}), Standing::Behind);
        assert_eq!(known(RELEASE, |all| drop(all.remove("jobs"))), Standing::Behind);
        let more = |all: &mut HashMap<String, String>| drop(all.insert("gone".into(), "".into()));
        assert_eq!(known(RELEASE, more), Standing::Behind);
    }

    #[test]
    fn a_text_counts_by_its_lines_whatever_ends_them() {
        let (unix, windows) = (File::new("a", "select 1;\n"), File::new("a", "select 1;\r\n"));
        assert_eq!((unix.text, unix.checksum), (windows.text, windows.checksum));
    }
}
