//! The answers from the moment the port is bound: first that the database is not there yet, then
//! the API.
//!
//! The service may wait long for its database. An orchestrator that heard nothing meanwhile would
//! restart it, and a client would wait for nothing.

use std::sync::{Arc, OnceLock};

use futures_util::future::{Either, ready};
use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, IntoResponse as _, PathPattern, Request, Response};

use super::body::Body;
use super::health::{Health, HealthAnswer, HealthStatus, Readiness, ReadyAnswer};
use super::problem::Problem;

/// An endpoint that is put in place later. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Opening(Arc<OnceLock<BoxEndpoint<'static, Response>>>);

impl Opening {
    /// Everything is answered by this from now on.
    pub(super) fn open(&self, app: BoxEndpoint<'static, Response>) {
        // A second one would come from a second start, which consumes this.
        let _ = self.0.set(app);
    }
}

impl Endpoint for Opening {
    type Output = Response;

    // Not an `async fn`: each of those around a request holds a copy of it.
    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Response>> + Send {
        match self.0.get() {
            Some(app) => Either::Left(app.call(request)),
            None => Either::Right(ready(starting(request.uri().path()))),
        }
    }
}

fn starting(path: &str) -> poem::Result<Response> {
    let unhealthy = || Body(Health { status: HealthStatus::Unhealthy });
    let mut response = match path {
        "/livez" => {
            HealthAnswer::Healthy(Body(Health { status: HealthStatus::Healthy })).into_response()
        }
        "/health" => HealthAnswer::Unhealthy(unhealthy()).into_response(),
        "/readyz" => ReadyAnswer::Unready(Body(Readiness::starting())).into_response(),
        _ => {
            let detail = "The service is starting and has not reached its database yet. Nothing was changed. Try again.";
            return Err(Problem::unavailable("database_unavailable", detail, 1).into());
        }
    };
    response.set_data(PathPattern(path.into()));
    Ok(response)
}
