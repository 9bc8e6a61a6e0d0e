//! HTTP: the edge, and one file for each resource behind it.
//!
//! A request comes in through [`edge`], which owns the sockets and their deadlines; passes [`middleware`], which gives it
//! an id and turns everything that goes wrong into a [`problem`]; is read by [`body`] and [`fields`]; and is answered by
//! the operation of a resource, whose error answers [`answers`] puts into the specification that [`docs`] serves.

pub mod answers;
pub mod body;
pub mod docs;
pub mod edge;
pub mod fields;
pub mod middleware;
pub mod problem;
pub mod request;
pub mod security;
mod types;

use poem::endpoint::BoxEndpoint;
use poem::{EndpointExt, IntoEndpoint, Response};

use crate::auth::{Guard, Tokens};

/// Routes with everything around them that no request may miss: the guard, and outside of it the middleware that turns
/// whatever goes wrong into a problem. This is what [`edge::serve`] takes.
pub fn guarded(
    routes: impl IntoEndpoint<Endpoint: 'static>,
    tokens: Tokens,
    known: middleware::Routes,
) -> BoxEndpoint<'static, Response> {
    routes.with(Guard(tokens)).with(middleware::Observe::new(known)).map_to_response().boxed()
}
