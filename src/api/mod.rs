//! HTTP: the edge, and one file for each resource behind it.
//!
//! A request comes in through [`edge`], which owns the sockets and their deadlines. It passes
//! [`middleware`], which gives it an id and turns everything that goes wrong into a [`problem`]. It
//! passes [`browsers`], which keeps strangers' pages out. [`body`] and [`fields`] read it, and the
//! operation of a resource answers it. `failure` says which status and code an error of a lower
//! level has. [`answers`] puts error answers into the specification. `contract` finishes that, with
//! the [`codes`] of errors, and [`docs`] serves it.

pub(crate) mod answers;
mod audit;
pub(crate) mod body;
pub(crate) mod browsers;
pub(crate) mod codes;
mod contract;
mod dead_letters;
pub(crate) mod docs;
pub(crate) mod edge;
mod etag;
mod failure;
#[cfg(feature = "faults")]
mod faults;
pub(crate) mod fields;
mod guard;
mod health;
mod instances;
mod jobs;
mod members;
pub(crate) mod middleware;
mod operations;
mod params;
pub(crate) mod problem;
pub(crate) mod query;
mod queues;
mod redrive;
mod repeats;
pub(crate) mod request;
pub(crate) mod room;
mod schema;
pub(crate) mod security;
mod starting;
mod submission;
mod tasks;
mod types;
mod welcome;

use std::ops::Deref;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use poem::endpoint::{BoxEndpoint, make};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Response, Route, get};
use poem_openapi::{LicenseObject, OpenApiService, Tags};

use self::browsers::Browsers;
use self::docs::Spec;
use self::guard::Guard;
use self::welcome::Welcome;
use crate::auth::Tokens;
use crate::client::Jobs;
use crate::events::Events;
use crate::explain::Hints;
use crate::job::JobId;
use crate::job::fields::Retention;
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::submitter::{Repeats, Submitter};
use crate::supervise::Supervisor;

/// The services that the operations work with. Each request has a clone.
#[derive(Clone)]
pub(crate) struct Services(Arc<Parts>);

impl Services {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Services {
    /// Where a job can be read: relative to `POST /jobs` unless the public URL is known, so that it
    /// stays behind a proxy's prefix.
    fn location(&self, id: JobId) -> String {
        match &self.public_url {
            Some(url) => format!("{url}/jobs/{id}"),
            None => format!("jobs/{id}"),
        }
    }
}

impl Deref for Services {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Shared by the clones of [`Services`].
pub(crate) struct Parts {
    pub store: Store,
    pub submitter: Submitter,
    /// Submissions that may be repeated.
    pub repeats: Repeats,
    pub events: Events,
    /// Reads and steers single jobs.
    pub jobs: Jobs,
    /// Why jobs may have to wait.
    pub hints: Hints,
    pub shutdown: Shutdown,
    /// How long jobs are kept at most.
    pub retention: Retention,
    /// Where callers reach the API, if not where it listens; without a slash at its end.
    pub public_url: Option<String>,
    pub supervisor: Supervisor,
    /// Writes all metrics in the format of Prometheus.
    pub metrics: Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
}

#[derive(Tags)]
enum Tag {
    /// Submitting jobs and reading them.
    Jobs,
    /// The tasks that jobs can ask for.
    Tasks,
    /// Looking at queues, setting, pausing and resuming them.
    Queues,
    /// Jobs that failed for good, and sending them back.
    DeadLetters,
    /// Work on many jobs, as somebody asked for it.
    Operations,
    /// The running processes of the service.
    Instances,
    /// Who changed what.
    Audit,
    /// Whether the service is well.
    Health,
}

/// Each path belongs to one of them: the specification has a path once for each that names it.
type Apis = (
    jobs::JobsApi,
    jobs::JobApi,
    queues::QueuesApi,
    operations::PurgeApi,
    dead_letters::DeadLettersApi,
    operations::OperationsApi,
    tasks::TasksApi,
    instances::InstancesApi,
    audit::AuditApi,
    health::HealthApi,
);

/// The server of the specification, relative to where it is read.
const HERE: &str = "/";

/// The API as it is documented, and where; needs no database.
fn service(server: &str) -> OpenApiService<Apis, ()> {
    let license = LicenseObject::new("MIT").url("https://opensource.org/license/mit");
    OpenApiService::new(Apis::default(), "Reveille", env!("CARGO_PKG_VERSION"))
        .server(server)
        .license(license)
        .description(
            "A push-driven PostgreSQL job queue. Submit a job with `POST /jobs`, and read it with \
             `GET /jobs/{job_id}`. Errors are `application/problem+json` (RFC 9457) with a stable \
             `code`; `detail` says what to do.",
        )
}

/// The specification as it is committed.
pub fn spec() -> Spec {
    Spec::of(&service(HERE))
}

/// Everything that is served. Until [`Behind::open`] that is only how the service stands.
/// `public_url` is where callers reach the API, if not where it listens; without a slash at its
/// end.
pub(crate) fn app(
    tokens: Tokens,
    browsers: Browsers,
    public_url: Option<&str>,
) -> (BoxEndpoint<'static, Response>, Behind) {
    let service = service(public_url.unwrap_or(HERE));
    let spec = Spec::of(&service);
    let mut known = middleware::Routes::of(&spec);
    for path in ["/metrics", "/docs", "/openapi.json", "/openapi.yaml"] {
        known = known.with(path, "GET");
    }
    #[cfg(feature = "faults")]
    let known = known.with("/faults", "GET").with("/faults/{name}", "POST");
    let place = starting::Opening::default();
    (guarded(place.clone(), tokens, browsers, known), Behind { place, service, spec })
}

/// The operations, which need a database, and their place.
pub(crate) struct Behind {
    place: starting::Opening,
    service: OpenApiService<Apis, ()>,
    spec: Spec,
}

impl Behind {
    /// The operations are answered from now on.
    pub(crate) fn open(self, services: Services) {
        let Self { place, service, spec } = self;
        let query = query::KnownQuery::of(&spec);
        let render = services.metrics.clone();
        let metrics = make(move |_| {
            let text = render();
            async move { Response::builder().content_type("text/plain; version=0.0.4").body(text.await) }
        });
        let routes = spec
            .add_to(Route::new())
            .at("/metrics", get(metrics))
            .nest("/", service)
            .data(services.clone())
            .with(query);
        #[cfg(feature = "faults")]
        let routes = faults::add(routes, services.supervisor.clone());
        place.open(routes.map_to_response().boxed());
    }
}

/// Routes with everything around them that no request may miss: the guards, and outside of them the
/// middleware. That turns everything that goes wrong into a problem. This is what [`edge::serve`]
/// takes.
pub fn guarded(
    routes: impl IntoEndpoint<Endpoint: Endpoint<Output = Response> + 'static>,
    tokens: Tokens,
    browsers: Browsers,
    known: middleware::Routes,
) -> BoxEndpoint<'static, Response> {
    let guarded = routes.with(Guard(tokens)).with(Welcome).with(browsers);
    guarded.with(middleware::Observe::new(known)).map_to_response().boxed()
}
