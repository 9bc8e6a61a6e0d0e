//! Claiming: which lanes a claim names, where it begins in each, and what follows from its answers.
//!
//! The [`Claimer`] knows which lanes have jobs. Its plan names those that a claim asks, in turns;
//! claimed entries stay in the index until vacuum, so a claim starts where the last one of its lane
//! ended ([`fronts`]). Where very many queues have few jobs each, a claim takes whole queues
//! instead ([`sweeps`]). A lane answers *more*, *empty* or *held* ([`answer`]). All but the
//! statements themselves is pure.

mod agenda;
mod answer;
mod claimer;
mod figures;
mod fronts;
mod held;
mod looks;
mod plan;
mod sweeps;
#[cfg(test)]
mod tests;

pub(crate) use claimer::Claimer;
