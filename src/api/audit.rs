//! The audit: who changed what.

use chrono::{DateTime, Utc};
use poem::Request;
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Services;
use super::answers::Refused;
use super::body::Body;
use super::params::{
    AUDIT_A_PAGE, AuditLimit, AuditText, CursorText, TimeText, invalid_cursor, next_link,
    page_limit,
};
use super::security::Bearer;
use crate::refusals;
use crate::store::audit::{self, AuditFilter};

refusals! {
    pub(super) ListAudit: &[400];
}

/// A change that an operator made, or that `reveille.toml` brought.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub(super) struct AuditEntry {
    /// The time of the change.
    pub at: DateTime<Utc>,
    /// Who made it, a kind and a name. `token 1a2b3c4d`: the bearer of a token; these are the first
    /// 8 hex digits of its SHA-256. `role app`: a role of the database, by SQL or the library.
    /// `anonymous 127.0.0.1`: a caller of a service without tokens, by its address. Kinds are added
    /// over time.
    pub principal: String,
    /// The action, as the `operationId` of the call: `pause_queue`. `apply_file`: the settings of a
    /// queue came from `reveille.toml`. Actions are added over time.
    pub action: String,
    /// The object of the action, a kind and a name: `queue mail`. Of a redrive: its operation.
    pub target: String,
    /// The reason that the caller gave. Of a redrive: the jobs that it is about. Of a purge: its
    /// operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The `X-Request-Id` of the call. Absent if it did not come over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl From<audit::AuditEntry> for AuditEntry {
    fn from(row: audit::AuditEntry) -> Self {
        Self {
            at: row.at,
            principal: row.principal,
            action: row.action,
            target: row.target,
            reason: row.reason,
            request_id: row.request_id,
        }
    }
}

impl Example for AuditEntry {
    fn example() -> Self {
        Self {
            at: DateTime::from_timestamp(1_795_507_200, 0).unwrap_or_default(),
            principal: "token 1a2b3c4d".into(),
            action: "pause_queue".into(),
            target: "queue mail".into(),
            reason: None,
            request_id: Some("0199a3c0b5d27c3f8a51f0e2d4c6b8a0".into()),
        }
    }
}

/// A page of the audit.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example, skip_serializing_if_is_none)]
pub(super) struct AuditPage {
    /// The changes, the newest first. With filters a page may have fewer than `limit` although more
    /// follow.
    #[oai(validator(max_items = 200))]
    pub data: Vec<AuditEntry>,
    /// The start of the next page: pass it as `cursor`. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Example for AuditPage {
    fn example() -> Self {
        Self { data: vec![AuditEntry::example()], next_cursor: None }
    }
}

#[derive(ApiResponse)]
pub(super) enum AuditAnswer {
    /// A page.
    #[oai(status = 200)]
    Page(
        Body<AuditPage>,
        /// The next page, if there is one, as `<…>; rel="next"`.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(Default)]
pub(super) struct AuditApi;

/// The audit.
#[OpenApi(tag = "super::Tag::Audit")]
impl AuditApi {
    /// List who changed what
    ///
    /// The changes of operators, such as the pause of a queue, the newest first. Each stands here
    /// for 90 days. A call that changed nothing, or failed, has no entry.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the call")]
    async fn list_audit(
        &self,
        request: &Request,
        services: Data<&Services>,
        /// Only changes by this principal, such as `token 1a2b3c4d`.
        principal: Query<Option<AuditText>>,
        /// Only this action, such as `pause_queue`.
        action: Query<Option<AuditText>>,
        /// Only changes of this target, such as `queue mail`.
        target: Query<Option<AuditText>>,
        /// Only changes at this time or later (RFC 3339).
        after: Query<Option<TimeText>>,
        /// Only changes before this time (RFC 3339).
        before: Query<Option<TimeText>>,
        /// The most changes that a page may have.
        limit: Query<Option<AuditLimit>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<CursorText>>,
        _token: Bearer,
    ) -> Result<AuditAnswer, Refused<ListAudit>> {
        let text = |text: Option<AuditText>, name| text.map(|text| text.of(name)).transpose();
        let time = |text: Option<TimeText>, name| text.map(|text| text.time(name)).transpose();
        let below = cursor.0.map(|text| Uuid::try_parse(&text.0).map_err(|_| invalid_cursor()));
        let filter = AuditFilter {
            principal: text(principal.0, "principal")?,
            action: text(action.0, "action")?,
            target: text(target.0, "target")?,
            after: time(after.0, "after")?,
            before: time(before.0, "before")?,
            below: below.transpose()?,
            limit: page_limit(limit.0.map(|limit| limit.0), AUDIT_A_PAGE)?,
        };
        let page = services.store.audit_list(&filter).await?;
        let next_cursor = page.next.map(|id| id.simple().to_string());
        let link = next_link(request, services.public_url.as_deref(), next_cursor.as_deref());
        let data = page.rows.into_iter().map(AuditEntry::from).collect();
        Ok(AuditAnswer::Page(Body(AuditPage { data, next_cursor }), link))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_yaml::Value;

    use crate::store::audit::Action;

    #[test]
    fn each_action_is_an_operation_of_the_api_or_the_file() {
        let spec = super::super::spec();
        let id = |(_, _, operation)| Value::get(operation, "operationId")?.as_str();
        let ids: BTreeSet<&str> = spec.operations().filter_map(id).collect();
        let unknown = Action::NAMES.into_iter().filter(|name| !ids.contains(name));
        assert_eq!(unknown.collect::<Vec<_>>(), [Action::ApplyFile.as_str()]);
    }
}
