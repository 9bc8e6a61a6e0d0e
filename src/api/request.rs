//! The facts about the request that is being answered, for its problem and its log line.
//!
//! It travels with the future rather than through arguments, because poem-openapi builds answers in
//! places that no request is handed to.

use std::sync::Arc;

/// The request that is being answered.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    /// The caller's `X-Request-Id`, or one made here.
    pub id: Arc<str>,
    /// The path as it was asked for, without its query.
    pub path: Arc<str>,
}

tokio::task_local! {
    static CURRENT: RequestInfo;
}

/// Runs `answer` as the answer to that request.
pub(crate) async fn within<F: Future>(info: RequestInfo, answer: F) -> F::Output {
    CURRENT.scope(info, answer).await
}

/// The request that this future answers; none outside of [`within`], in a spawned task for example.
pub(crate) fn current() -> Option<RequestInfo> {
    CURRENT.try_with(Clone::clone).ok()
}
