//! An endpoint that does nothing, as an adapter of `rivals/README.md`: what `POST /jobs` is up against on the side of HTTP.
//! It is poem's own server, which answers every POST as Reveille answers one that created a job, and keeps nothing.

#![allow(clippy::print_stdout, reason = "its answers go there")]

use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Response, Route, Server, handler, post};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

const ANSWER: &str =
    r#"{"job_id":"019a0000-0000-7000-8000-000000000000","status":"queued","outcome":"created"}"#;

#[handler]
fn jobs() -> Response {
    Response::builder().status(StatusCode::CREATED).content_type("application/json").body(ANSWER)
}

async fn serve() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
    let address = acceptor.local_addr().remove(0);
    let address = address.as_socket_addr().ok_or_else(|| std::io::Error::other("no address"))?;
    let request = json!({"body": r#"{"payload":{"tag":0},"task":"bench"}"#});
    println!("ready http://{address}/jobs {request}");
    let stop = async move {
        terminated.recv().await;
    };
    let app = Route::new().at("/jobs", post(jobs));
    Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(app, stop, None).await
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("info") => println!(
            "{}",
            json!({
                "name": "empty",
                "version": "-",
                "language": "Rust",
                "notes": "poem answering 201 with a fixed body",
                "scenarios": ["http-empty"],
                "ceiling": true,
            })
        ),
        Some("migrate") => println!("{{}}"),
        Some("serve") => serve().await?,
        verb => return Err(std::io::Error::other(format!("no verb {verb:?}"))),
    }
    Ok(())
}
