//! Values on their way between Rust and PostgreSQL.

use std::error::Error as StdError;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::job::json::Json;

/// JSON as `jsonb`, text all the way: PostgreSQL parses it, and nobody else does.
#[derive(Debug)]
pub(crate) struct Jsonb(pub(crate) Json);

/// The version that the binary form of `jsonb` begins with.
const VERSION: u8 = 1;

impl ToSql for Jsonb {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&[VERSION]);
        out.extend_from_slice(self.0.as_str().as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Jsonb {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let text = raw.strip_prefix(&[VERSION]).ok_or("an unknown form of jsonb")?;
        Ok(Self(Json::trusted(std::str::from_utf8(text)?).ok_or("jsonb that is no JSON")?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }
}

/// How many bytes `jsonb` has when it is written out; it is not copied.
pub(crate) struct Size(pub(crate) usize);

impl FromSql<'_> for Size {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw.len().saturating_sub(size_of_val(&VERSION))))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }
}

/// An array for a statement that takes an empty one for one in which each value is `idle`: fewer
/// values to send and to read.
pub(crate) fn unless_all<T>(values: impl Iterator<Item = T>, idle: impl Fn(&T) -> bool) -> Vec<T> {
    let values: Vec<T> = values.collect();
    if values.iter().all(idle) { Vec::new() } else { values }
}
