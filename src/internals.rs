//! The parts that the binary, the tests and the benches of this repository reach for. They are no
//! part of the public API, and change at any time.

pub mod api {
    pub use crate::api::{guarded, spec};

    pub mod answers {
        pub use crate::api::answers::{BODY, Refused};
    }
    pub mod body {
        pub use crate::api::body::{Body, FromBody, Read};
    }
    pub mod browsers {
        pub use crate::api::browsers::Browsers;
    }
    pub mod codes {
        pub use crate::api::codes::{FAILURES, FIELDS, PROBLEMS, SKIPS, WAITS, is_known};
    }
    pub mod docs {
        pub use crate::api::docs::Spec;
    }
    pub mod edge {
        pub use crate::api::edge::{Accept, EdgeLimits, PROBES, Stages, serve};
    }
    pub mod fields {
        pub use crate::api::fields::Fields;
    }
    pub mod middleware {
        pub use crate::api::middleware::Routes;
    }
    pub mod problem {
        pub use crate::api::problem::Problem;
    }
    pub mod security {
        pub use crate::api::security::Bearer;
    }
}

pub mod auth {
    pub use crate::auth::Tokens;
}

pub mod caller {
    pub use crate::caller::{Caller, Fingerprint, Principal};
}

pub mod cli {
    pub use crate::cli::run;
}

pub mod embedded {
    pub use crate::embedded::{Embedded, EmbeddedError, Settings};
}

pub mod job {
    pub use crate::job::{JobId, LeaseId, WorkerId};

    pub mod ending {
        pub use crate::job::ending::Ending;
    }
    pub mod fields {
        pub use crate::job::fields::{NewJob, Source};
    }
    pub mod failure {
        pub use crate::job::failure::Failure;
    }
    pub mod json {
        pub use crate::job::json::{Json, checked};
    }
    pub mod moment {
        pub use crate::job::moment::parse;
    }
    pub mod state {
        pub use crate::job::state::Status;
    }
    pub mod submission {
        pub use crate::job::submission::{FieldError, OnConflict};
    }
}

pub mod queue {
    pub use crate::queue::{Hold, Holder, Lane, QueueName, TaskName};
}

pub mod store {
    pub use crate::store::{Database, Error, Purpose, Store, Target};

    pub mod audit {
        pub use crate::store::audit::{AuditEntry, AuditFilter, AuditPage};
    }
    pub mod job {
        pub use crate::store::job::{Keep, Retried, from_the_front};
    }
    pub mod lease {
        pub use crate::store::lease::{
            Claim, ClaimRoom, Claimed, LaneClaim, Settled, Settlement, Settles, Swept,
        };
    }
    pub mod migrate {
        pub use crate::store::migrate::{MigrateError, check, known, migrate};
    }
    pub mod partition {
        pub use crate::store::partition::Week;
    }
}

pub mod supervise {
    pub use crate::supervise::Supervisor;
}
