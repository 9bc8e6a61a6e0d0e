//! Panics on demand, for tests: `GET /faults` lists the loops of the service, `POST /faults/{name}`
//! has one of them panic. Only in a build with the feature `faults`.

use poem::web::{Json, Path};
use poem::{Endpoint, EndpointExt, IntoResponse, Response, Route, get, handler, post};

use crate::supervise::Supervisor;

#[handler]
fn list(supervisor: poem::web::Data<&Supervisor>) -> Json<Vec<&'static str>> {
    Json(supervisor.loops())
}

#[handler]
fn panic_in(supervisor: poem::web::Data<&Supervisor>, Path(name): Path<String>) -> Response {
    let known = supervisor.panic_in(&name);
    if known { http::StatusCode::ACCEPTED } else { http::StatusCode::NOT_FOUND }.into_response()
}

/// Adds these routes.
pub(super) fn add(
    routes: impl Endpoint<Output = Response> + 'static,
    supervisor: Supervisor,
) -> Route {
    let faults = Route::new().at("/", get(list)).at("/:name", post(panic_in)).data(supervisor);
    Route::new().nest("/faults", faults).nest_no_strip("/", routes)
}
