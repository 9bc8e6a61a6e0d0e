//! Claiming: which lanes a claim names, and where it begins in each.

mod agenda;
mod fronts;
mod plan;

pub use agenda::Agenda;
pub use fronts::{Fronts, Reading};
pub use plan::Lanes;
