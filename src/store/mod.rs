//! Everything that speaks to PostgreSQL. The statements are under `sql/`, one a file.
pub(crate) mod connect;
pub mod doctor;
mod error;

pub use connect::Target;
pub use error::{Error, Result};
