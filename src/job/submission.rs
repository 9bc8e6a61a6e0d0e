//! What a caller asks for, and the rules it has to keep.

use serde::Serialize;

/// One thing that is wrong with a submission: where, a stable code, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) of the wrong place; empty for the document as a whole.
    pub pointer: String,
    /// Stable, snake_case.
    pub code: &'static str,
    pub message: String,
}
