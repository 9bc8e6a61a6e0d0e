//! The neighbours in the database: a role that may submit, one that may create objects, one that was there first. None of them
//! gains anything.
//!
//! Each plays what a role of its kind can do: it makes functions, operators, casts and tables that fit the service's statements
//! better than those of PostgreSQL, in `public` and in a schema of its own, and looks whether anybody calls them.

mod catalogue;
mod connections;
mod locks;
mod notices;
mod owners;
mod reach;
mod traps;

use tokio_postgres::Client;

use crate::harness::cluster::{Cluster, connect};
use crate::harness::{Service, TestDatabase};

/// A database with the service's role, which is no superuser and owns a schema, and with one that only submits.
struct House {
    database: TestDatabase,
    service_role: String,
    app_role: String,
}

impl House {
    /// `public` is open to everybody, as PostgreSQL 14 makes it. The schema is there, and empty.
    async fn open() -> Self {
        let it = Self::without_schema().await;
        let made = format!("create schema reveille authorization {}", it.service_role);
        it.database.client().await.batch_execute(&made).await.unwrap();
        it
    }

    async fn without_schema() -> Self {
        let database = Cluster::shared().await.empty_database().await;
        let name = database.name().to_owned();
        let (service_role, app_role) = (format!("service_of_{name}"), format!("app_of_{name}"));
        let made = format!(
            "create role {service_role} login; create role {app_role} login;
             grant create on schema public to public;
             create schema app authorization {app_role}; grant usage on schema app to public"
        );
        database.client().await.batch_execute(&made).await.unwrap();
        Self { database, service_role, app_role }
    }

    fn url(&self) -> String {
        self.database.url_as(&self.service_role)
    }

    async fn app(&self) -> Client {
        connect(&self.database.url_as(&self.app_role)).await
    }

    /// The service is there, and the application has what docs/sql.md grants it.
    async fn served(&self) -> Service {
        let service = Service::on(&self.url())
            .env("REVEILLE_KEEP_COMPLETED_SECONDS", "1")
            .env("REVEILLE_KEEP_FAILED_SECONDS", "1")
            .start()
            .await;
        let granted = format!(
            "grant usage on schema reveille to {0};
             grant execute on function reveille.submit, reveille.submit_many to {0}",
            self.app_role
        );
        connect(&self.url()).await.batch_execute(&granted).await.unwrap();
        service
    }
}
