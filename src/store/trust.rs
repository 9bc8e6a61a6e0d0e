//! Whether what the service would call is its own.
//!
//! A database is shared with roles that are not trusted. Two things let them act as the service.
//! Sessions may look for functions and operators where others may create some, and others may own a
//! schema or may create in it. Both are looked at before any statement names the schema, because a
//! view or a function there may be a stranger's.

use tokio_postgres::Client;

use super::Result;
use super::connect::Target;
use super::migrate::connect;
use super::row::Row;
use super::session::{SHORT, Sql, in_time, sql, unprepared};

/// Others would act as the service's role.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{found}. {change}")]
pub struct Untrusted {
    pub found: String,
    /// The remedy.
    pub change: String,
}

const STRANGERS: &Sql = sql!("schema/strangers": TEXT);

/// The ranks to this one are of what others own; what they may do comes after it.
const OWNED: i32 = 1;

/// As many findings are told.
const TOLD: usize = 3;

/// The fault of where the sessions of this role look for names; `None` if they look in `pg_catalog`
/// alone. A direct connection brings that along; behind a pooler it is a setting of the role.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn search_path(client: &Client) -> Result<Option<Untrusted>> {
    let rows = unprepared(client, SHORT, sql!("schema/search_path"), &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (path, role, database): (String, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let found =
        format!("search_path of {role} is {path}: functions of others would be called in its name");
    let change = format!(
        "Run `alter role {role} in database {database} set search_path = pg_catalog, pg_temp`, and have the pooler connect again (RECONNECT)"
    );
    Ok((names(&path) != ["pg_catalog", "pg_temp"]).then_some(Untrusted { found, change }))
}

/// The faults of the schema: objects that others own in it, or rights of theirs to put some there.
/// `None` if nothing is, or there is no schema.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn strangers(client: &Client) -> Result<Option<Untrusted>> {
    let role: Option<&str> = None;
    let rows = unprepared(client, SHORT, STRANGERS, &[&role]).await?;
    let column = |name: &'static str| -> Result<Vec<String>> {
        rows.iter().take(TOLD).map(|row| row.try_get(name)).collect()
    };
    if rows.is_empty() {
        return Ok(None);
    }
    let more = match rows.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let found = format!(
        "the schema reveille is not this role's alone: {}{more}",
        column("found")?.join(", ")
    );
    let change = format!(
        "Connect as its owner; or look at what others made there, drop what you do not trust, and run `{}`{}",
        column("change")?.join("; "),
        if more.is_empty() { "" } else { ", and so on" }
    );
    Ok(Some(Untrusted { found, change }))
}

/// Makes a role that is no superuser if it is not there, and gives it the schema with all that is
/// in it.
///
/// # Errors
/// When the database does not answer, or the target's role is no superuser. Nothing is changed
/// then.
pub(crate) async fn install(superuser: &Target, role: &str) -> Result<()> {
    let client = connect(superuser).await?;
    let made = unprepared(&client, SHORT, sql!("schema/role": TEXT), &[&role]).await?;
    run(&client, &joined(made.iter(), "change")?).await?;
    let others = unprepared(&client, SHORT, STRANGERS, &[&Some(role)]).await?;
    let mut owned = Vec::new();
    for row in &others {
        if row.try_get::<_, i32>("rank")? <= OWNED {
            owned.push(row);
        }
    }
    run(&client, &joined(owned.into_iter(), "change")?).await
}

async fn run(client: &Client, statements: &str) -> Result<()> {
    in_time(SHORT, client.batch_execute(statements)).await
}

/// The statements of these rows, to be run as one transaction.
fn joined<'a>(rows: impl Iterator<Item = &'a Row>, column: &'static str) -> Result<String> {
    let statements: Vec<String> = rows.map(|row| row.try_get(column)).collect::<Result<_>>()?;
    Ok(statements.join(";"))
}

/// The names in the value of a search_path.
fn names(path: &str) -> Vec<&str> {
    path.split(',').map(|name| name.trim().trim_matches('"')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_by_its_names() {
        assert_eq!(names("pg_catalog, pg_temp"), ["pg_catalog", "pg_temp"]);
        assert_eq!(names("\"$user\",public"), ["$user", "public"]);
        assert_eq!(names(""), [""]);
    }
}
