//! A small service behind the real edge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::{EndpointExt, Route};
use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi, OpenApiService};
use reveille::internals::api::answers::{BODY, Refused};
use reveille::internals::api::body::{Body, FromBody, Read};
use reveille::internals::api::browsers::Browsers;
use reveille::internals::api::docs::Spec;
use reveille::internals::api::edge::{Accept, EdgeLimits, Stages, serve};
use reveille::internals::api::fields::Fields;
use reveille::internals::api::guarded;
use reveille::internals::api::middleware::Routes;
use reveille::internals::api::problem::Problem;
use reveille::internals::api::security::Bearer;
use reveille::internals::auth::Tokens;
use reveille::internals::job::fields::Source as _;
use reveille::internals::job::json::Json;
use reveille::internals::job::submission::FieldError;
use reveille::internals::supervise::Supervisor;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::Client;

pub(super) const TOKEN: &str = "a-token-for-the-tests";

reveille::refusals! {
    Echo: BODY;
    GetItem: &[400, 404];
    Other: ;
}

#[derive(Debug, Object, Serialize)]
pub(super) struct Item {
    payload: Json,
}

impl FromBody for Item {
    fn from_body(text: &str, _: chrono::DateTime<chrono::Utc>) -> Result<Self, Vec<FieldError>> {
        item(text, "")
    }
}

fn item(text: &str, at: &str) -> Result<Item, Vec<FieldError>> {
    let mut fields =
        Fields::parse(text, at, &["payload", "priority"]).map_err(|error| vec![error])?;
    if !text.contains("\"payload\"") {
        fields.refuse("payload", "required", "an item needs a payload");
    }
    let payload = fields.json("payload").unwrap_or_else(Json::null);
    fields.integer("priority");
    match &fields.finish()[..] {
        [] => Ok(Item { payload }),
        errors => Err(errors.to_vec()),
    }
}

#[derive(Debug, Object, Serialize)]
pub(super) struct Batch {
    count: usize,
}

impl FromBody for Batch {
    const LIMIT: usize = 32 * 1024 * 1024;
    const LINES: Option<usize> = Some(10);

    fn from_body(text: &str, _: chrono::DateTime<chrono::Utc>) -> Result<Self, Vec<FieldError>> {
        let items: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(text).map_err(|_| Vec::new())?;
        let errors =
            items.iter().enumerate().filter_map(|(i, raw)| item(raw.get(), &format!("/{i}")).err());
        let errors: Vec<_> = errors.flatten().collect();
        if errors.is_empty() { Ok(Self { count: items.len() }) } else { Err(errors) }
    }
}

struct Api(Arc<Gate>);

/// Says when a request has come in, and holds it until it may go on.
#[derive(Default)]
pub(super) struct Gate {
    pub(super) entered: Notify,
    pub(super) open: Notify,
}

#[OpenApi]
impl Api {
    #[oai(path = "/echo", method = "post", operation_id = "echo")]
    async fn echo(&self, _token: Bearer, item: Read<Item>) -> Result<Body<Item>, Refused<Echo>> {
        Ok(Body(item.0))
    }

    #[oai(path = "/batch", method = "post", operation_id = "batch")]
    async fn batch(
        &self,
        _token: Bearer,
        batch: Read<Batch>,
    ) -> Result<Body<Batch>, Refused<Echo>> {
        Ok(Body(batch.0))
    }

    #[oai(path = "/items/:id", method = "get", operation_id = "get_item")]
    async fn get_item(
        &self,
        _token: Bearer,
        id: Path<u32>,
    ) -> Result<Body<Json>, Refused<GetItem>> {
        match id.0 {
            0 => Err(Problem::not_found("task_not_found", "There is no such item.").into()),
            1 => panic!("item 1 is cursed"),
            _ => Ok(Body(Json::null())),
        }
    }

    #[oai(path = "/gate", method = "get", operation_id = "gate")]
    async fn gate(&self, _token: Bearer) -> Result<Body<Json>, Refused<Other>> {
        self.0.entered.notify_one();
        self.0.open.notified().await;
        Ok(Body(Json::null()))
    }

    #[oai(path = "/large", method = "get", operation_id = "large")]
    async fn large(&self, _token: Bearer) -> Result<Body<String>, Refused<Other>> {
        Ok(Body("x".repeat(16 * 1024 * 1024)))
    }
}

pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) gate: Arc<Gate>,
    pub(super) leaving: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) force: CancellationToken,
    pub(super) ended: JoinHandle<()>,
}

/// Deadlines that a test can wait for.
pub(super) fn quick() -> EdgeLimits {
    let short = Duration::from_millis(300);
    EdgeLimits {
        connections: 64,
        first_byte: short,
        head: short,
        body: short,
        bodies: EdgeLimits::default().bodies,
        idle: short,
        write: short,
    }
}

impl Service {
    pub(super) async fn start(limits: EdgeLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::start_with(listener, address, limits, Vec::new())
    }

    pub(super) async fn start_guarded() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::start_with(listener, address, EdgeLimits::default(), vec![TOKEN.into()])
    }

    pub(super) fn start_with(
        listener: impl Accept,
        address: SocketAddr,
        limits: EdgeLimits,
        tokens: Vec<String>,
    ) -> Self {
        let gate = Arc::new(Gate::default());
        let api = OpenApiService::new(Api(gate.clone()), "Edge", "1");
        let spec = Spec::of(&api);
        let (known, routes) = (Routes::of(&spec), spec.add_to(Route::new()).nest("/", api));
        let app = guarded(routes, Tokens::new(tokens), Browsers::default(), known);
        let stages = Stages::default();
        let ended = tokio::spawn(serve(
            listener,
            app.boxed(),
            limits,
            Supervisor::default(),
            stages.clone(),
        ));
        let Stages { leaving, stop, force } = stages;
        Self { address, gate, leaving, stop, force, ended }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }
}

/// The specification of the service.
pub(super) fn spec() -> serde_json::Value {
    let spec = Spec::of(&OpenApiService::new(Api(Arc::default()), "Edge", "1"));
    assert!(spec.yaml().starts_with("openapi: 3.0.0\n"));
    serde_json::from_str(spec.json()).unwrap()
}
