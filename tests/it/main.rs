//! All integration tests are one binary: it is linked once.

mod cli;
