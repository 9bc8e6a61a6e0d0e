//! What the edge does with clients that are slow, silent, hostile or in the way, over raw sockets.

mod app;
mod bodies;
mod client;
mod deadlines;
mod leaving;
mod places;
mod problems;
