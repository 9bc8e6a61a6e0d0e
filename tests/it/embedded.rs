//! The service's own PostgreSQL.
