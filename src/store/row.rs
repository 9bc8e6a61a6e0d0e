//! Rows that are read without a panic. A migration or a stranger may have made a column of another
//! type. That is an error that names the statement and the column, and the loop that asked goes on.

use std::fmt::Display;

use tokio_postgres::row::RowIndex;
use tokio_postgres::types::FromSql;

use super::error::{Error, Result, with_sources};

/// A row of an answer, with the name of the statement that gave it.
pub(super) struct Row {
    inner: tokio_postgres::Row,
    statement: &'static str,
}

impl Row {
    pub(super) fn new(statement: &'static str, inner: tokio_postgres::Row) -> Self {
        Self { inner, statement }
    }

    /// All rows of an answer.
    pub(super) fn all(statement: &'static str, rows: Vec<tokio_postgres::Row>) -> Vec<Self> {
        rows.into_iter().map(|inner| Self::new(statement, inner)).collect()
    }

    /// The value of a column, by its name or its place from 0.
    pub(super) fn try_get<'a, I, T>(&'a self, column: I) -> Result<T>
    where
        I: RowIndex + Display,
        T: FromSql<'a>,
    {
        self.inner.try_get(&column).map_err(|error| {
            Error::Unexpected(format!(
                "column {column} of {} cannot be read: {}",
                self.statement,
                with_sources(&error)
            ))
        })
    }
}
