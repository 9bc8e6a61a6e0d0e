//! Encrypted connections: libpq's words have libpq's meaning, and what no waiting mends is told with advice.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reveille::internals::store::migrate::check;
use reveille::internals::store::{Error, Target};

use crate::harness::look::value;
use crate::harness::{Cluster, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);

/// The files of `tests/it/harness/tls/make.sh`.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/harness/tls").join(name)
}

/// A PostgreSQL that listens at an address of its own, for encrypted connections only.
struct Encrypted {
    cluster: Cluster,
    database: TestDatabase,
    address: String,
}

impl Encrypted {
    async fn start(certificate: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let (pid, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.{}.{}.{number}", 1 + pid / 250 % 250, 1 + pid % 250);
        let listen = address.clone();
        let cluster =
            Cluster::start_with(move |settings| settings.server("listen_addresses", &listen)).await;
        let database = cluster.database().await;
        let it = Self { cluster, database, address };
        let rules = "local all all trust\nhostssl all all samenet trust\nhostnossl all all samenet reject\n";
        fs::write(it.cluster.data_dir().join("pg/pg_hba.conf"), rules).unwrap();
        it.shows(certificate).await;
        it
    }

    /// Has the server show this certificate from now on.
    async fn shows(&self, certificate: &str) {
        let pg = self.cluster.data_dir().join("pg");
        let owner = fs::metadata(&pg).unwrap();
        for (from, to) in [("crt", "shown.crt"), ("key", "shown.key")] {
            let to = pg.join(to);
            fs::copy(file(&format!("{certificate}.{from}")), &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        self.set("ssl_cert_file", "shown.crt").await;
        self.set("ssl_key_file", "shown.key").await;
        self.set("ssl", "on").await;
        let loaded = async || {
            value::<bool>(&self.database.client().await, "select current_setting('ssl')::boolean")
                .await
        };
        eventually("ssl is on", SOON, loaded).await;
    }

    async fn set(&self, name: &str, value: &str) {
        let client = self.database.client().await;
        client.batch_execute(&format!("alter system set {name} = '{value}'")).await.unwrap();
        client.batch_execute("select pg_reload_conf()").await.unwrap();
    }

    /// An address with these words, by the name in the certificates or by the number.
    fn by(&self, named: bool, words: &str) -> String {
        let name = if named { "db.test" } else { &self.address };
        let config: tokio_postgres::Config = self.database.url().parse().unwrap();
        let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        format!("host={name} hostaddr={} user={user} dbname={database} {words}", self.address)
    }
}

/// What is wrong with connecting so, if anything is.
async fn refusal(text: &str) -> Option<Error> {
    let target = match Target::parse(text) {
        Ok(target) => target,
        Err(error) => return Some(error),
    };
    match check(&target).await {
        Ok(()) => None,
        Err(reveille::internals::store::migrate::MigrateError::Store(error)) => Some(error),
        Err(other) => panic!("{text}: {other}"),
    }
}

async fn connects(text: &str) {
    let refused = refusal(text).await;
    assert!(refused.is_none(), "{text}: {refused:?}");
}

async fn is_refused(text: &str, advice: &str) {
    let refused = refusal(text).await;
    let said = format!("{refused:?}");
    assert!(matches!(refused, Some(Error::Misconfigured { .. })), "{text}: {said}");
    assert!(said.contains(advice), "{text}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_for_tls_mean_what_they_mean_to_libpq() {
    let server = Encrypted::start("server").await;
    let folder = tempfile::tempdir().unwrap();
    let spaced = folder.path().join("my ca");
    fs::create_dir(&spaced).unwrap();
    fs::copy(file("ca.crt"), spaced.join("ca.crt")).unwrap();
    let [ca, other] = ["ca.crt", "other.crt"].map(|name| file(name).display().to_string());
    let spaced = spaced.join("ca.crt").display().to_string();

    connects(&server.by(true, "")).await;
    connects(&server.by(false, "sslmode=require")).await;
    // A file of roots makes `require` check the chain, and not the name.
    connects(&server.by(false, &format!("sslmode=require sslrootcert={ca}"))).await;
    is_refused(&server.by(true, &format!("sslmode=require sslrootcert={other}")), "sslrootcert")
        .await;
    connects(&server.by(false, &format!("sslmode=verify-ca sslrootcert={ca}"))).await;
    is_refused(&server.by(true, &format!("sslmode=verify-ca sslrootcert={other}")), "sslrootcert")
        .await;
    connects(&server.by(true, &format!("sslmode=verify-full sslrootcert={ca}"))).await;
    is_refused(
        &server.by(false, &format!("sslmode=verify-full sslrootcert={ca}")),
        "a name that the certificate has",
    )
    .await;
    is_refused(&server.by(true, "sslrootcert=system"), "sslrootcert").await;
    is_refused(&server.by(true, "sslmode=verify-full sslrootcert=/nowhere.crt"), "/nowhere.crt")
        .await;
    is_refused(&server.by(true, "sslmode=disable"), "pg_hba.conf").await;
    // Paths with blanks, quoted and percent-encoded.
    connects(&server.by(true, &format!("sslmode=verify-full sslrootcert='{spaced}'"))).await;
    let (address, name) = (&server.address, server.database.url().rsplit_once('=').unwrap().1);
    let encoded = spaced.replace(' ', "%20");
    connects(&format!(
        "postgres://reveille@{address}/{name}?sslmode=verify-ca&sslrootcert={encoded}"
    ))
    .await;
    // A Unix socket is never encrypted, whatever is asked for.
    connects(&format!("{} sslmode=verify-full sslrootcert={other}", server.database.url())).await;
    let version = "select current_setting('server_version_num')::integer";
    let direct = server.by(true, "sslmode=require sslnegotiation=direct");
    if value::<i32>(&server.database.client().await, version).await >= 170_000 {
        connects(&direct).await;
    } else {
        assert!(refusal(&direct).await.is_some(), "an older server knows no direct encryption");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_preferred_is_done_without_where_the_server_wants_that() {
    let server = Encrypted::start("server").await;
    let admit = async |rules: &str| {
        let file = server.cluster.data_dir().join("pg/pg_hba.conf");
        fs::write(file, format!("local all all trust\n{rules}")).unwrap();
        server.database.client().await.batch_execute("select pg_reload_conf()").await.unwrap();
    };
    admit("hostssl all all samenet reject\nhostnossl all all samenet trust\n").await;
    let (preferred, required) = (server.by(true, ""), server.by(true, "sslmode=require"));
    eventually("encrypted sessions are refused", SOON, async || {
        format!("{:?}", refusal(&required).await).contains("pg_hba.conf")
    })
    .await;
    connects(&preferred).await;

    admit("host all all samenet trust\n").await;
    server.set("ssl_min_protocol_version", "TLSv1").await;
    server.set("ssl_max_protocol_version", "TLSv1.1").await;
    eventually("no handshake succeeds", SOON, async || {
        format!("{:?}", refusal(&required).await).contains("TLS handshake")
    })
    .await;
    connects(&preferred).await;

    // Both ways are told where neither is admitted.
    admit("host all all samenet reject\n").await;
    eventually("nobody is admitted", SOON, async || {
        let said = format!("{:?}", refusal(&preferred).await);
        said.contains("TLS handshake") && said.contains("pg_hba.conf")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_no_waiting_mends_ends_the_start_with_advice() {
    let server = Encrypted::start("self").await;
    let own = file("self.crt").display().to_string();
    connects(&server.by(true, &format!("sslmode=verify-full sslrootcert={own}"))).await;
    is_refused(&server.by(false, &format!("sslmode=verify-full sslrootcert={own}")), "name").await;
    let ca = file("ca.crt").display().to_string();
    let untrusted = server.by(true, &format!("sslmode=verify-full sslrootcert={ca}"));
    let mut service = Service::on(&untrusted).spawn().await;
    assert_eq!(service.ended(SOON).await.code(), Some(1));
    service.logged("sslrootcert in database_url", SOON).await;

    server.shows("old").await;
    let old = server.by(true, "sslmode=require");
    eventually("the old certificate is shown", SOON, async || {
        format!("{:?}", refusal(&old).await).contains("X.509 version 1")
    })
    .await;

    for name in ["expired", "future"] {
        server.shows(name).await;
        let own = file(&format!("{name}.crt")).display().to_string();
        let of_another_time = server.by(true, &format!("sslmode=verify-full sslrootcert={own}"));
        eventually("the certificate of another time is shown", SOON, async || {
            format!("{:?}", refusal(&of_another_time).await).contains("Renew the server")
        })
        .await;
        connects(&server.by(true, "sslmode=require")).await;
    }

    let rules = "local all all trust\nhost all all samenet trust\n";
    fs::write(server.cluster.data_dir().join("pg/pg_hba.conf"), rules).unwrap();
    server.set("ssl", "off").await;
    let without = server.by(true, "sslmode=require");
    eventually("there is no TLS any more", SOON, async || {
        format!("{:?}", refusal(&without).await).contains("Switch ssl on")
    })
    .await;
    connects(&server.by(true, "sslmode=prefer")).await;
    let verifying = server.by(true, &format!("sslmode=verify-full sslrootcert={own}"));
    let said = format!("{:?}", refusal(&verifying).await);
    assert!(said.contains("Switch ssl on") && !said.contains("prefer"), "{said}");
    is_refused(&server.by(true, "sslmode=disable channel_binding=require"), "channel_binding")
        .await;
}
