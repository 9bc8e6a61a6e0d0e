//! A throw-away PostgreSQL, and databases on it.
//!
//! The server goes when the test process goes, since `Embedded` ties their lives together; the data is removed by a
//! small shell that waits for that (a killed process cannot clean up after itself).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reveille::internals::embedded::{Embedded, Settings};
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Client, NoTls};

use super::proxy::FaultProxy;
use super::{background, on_background, template};

const TEMPLATE: &str = "template_of_tests";

/// A PostgreSQL of the tests.
pub(crate) struct Cluster {
    server: Mutex<Embedded>,
    url: String,
    admin: Arc<OnceCell<Client>>,
    databases: AtomicU32,
    data_dir: PathBuf,
}

impl Cluster {
    /// The one that all tests share. Not to be stopped or slowed down: for that, start an own one.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// One for a single test, which may do to it what it likes. Not for durability: its `fsync` is off.
    pub(crate) async fn start() -> Self {
        Self::start_with(|settings| settings).await
    }

    /// As [`Cluster::start`], with settings of its own.
    pub(crate) async fn start_with(
        change: impl FnOnce(Settings) -> Settings + Send + 'static,
    ) -> Self {
        on_background(async {
            let data_dir = throw_away_dir();
            let settings =
                settings(&data_dir).server("fsync", "off").server("max_connections", "800");
            // Applications may commit in two phases.
            let settings = settings.server("max_prepared_transactions", "10");
            let settings = change(settings);
            let server = Embedded::start(settings).await.unwrap_or_else(|error| panic!("{error}"));
            let url = server.url().to_owned();
            let it = Self {
                server: Mutex::new(server),
                url,
                admin: Arc::default(),
                databases: AtomicU32::new(0),
                data_dir,
            };
            it.execute(&format!("CREATE DATABASE {TEMPLATE}")).await;
            template::prepare(&it.url_of(TEMPLATE)).await;
            it
        })
        .await
    }

    /// A new database, a copy of the template.
    pub(crate) async fn database(&self) -> TestDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
        let url = self.url_of(&name);
        TestDatabase { name, url, admin: self.admin.clone(), checked: AtomicBool::new(true) }
    }

    /// A new database without a schema.
    pub(crate) async fn empty_database(&self) -> TestDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name}")).await;
        let url = self.url_of(&name);
        TestDatabase { name, url, admin: self.admin.clone(), checked: AtomicBool::new(true) }
    }

    /// A new database that sorts text as words and not as bytes; none on a PostgreSQL that cannot: 14, or one without ICU.
    pub(crate) async fn database_of_words(&self) -> Option<TestDatabase> {
        let can = "SELECT current_setting('server_version_num')::integer >= 150000
            AND EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')";
        let can = self.admin().await.query_one(can, &[]).await.expect("the server answers");
        if !can.get::<_, bool>(0) {
            return None;
        }
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en'"
        ))
        .await;
        let url = self.url_of(&name);
        template::prepare(&url).await;
        Some(TestDatabase { name, url, admin: self.admin.clone(), checked: AtomicBool::new(true) })
    }

    /// Kills the postmaster with SIGKILL, and waits for its end.
    pub(crate) async fn kill9(&self) {
        let mut server = self.server.lock().await;
        let pid = server.process_id().expect("the postmaster runs").cast_signed();
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the postmaster can be killed");
        server.died().await.expect("the postmaster's end is noticed");
    }

    /// Starts the postmaster again after [`Cluster::kill9`].
    pub(crate) async fn restart(&self) {
        self.server.lock().await.restart().await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The folder with its log and its socket.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    fn url_of(&self, database: &str) -> String {
        self.url.replace("dbname=reveille", &format!("dbname={database}"))
    }

    async fn admin(&self) -> &Client {
        let url = self.url.clone();
        self.admin.get_or_init(|| on_background(async move { connect(&url).await })).await
    }

    async fn execute(&self, statement: &str) {
        self.admin()
            .await
            .batch_execute(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

/// A database that is dropped, in the background, when this value is.
pub(crate) struct TestDatabase {
    name: String,
    url: String,
    admin: Arc<OnceCell<Client>>,
    /// Whether each job is looked for in its place at the end.
    checked: AtomicBool,
}

impl TestDatabase {
    /// The test writes rows of its own that no submission made.
    pub(crate) fn holds_rows_without_jobs(&self) {
        self.checked.store(false, Ordering::Relaxed);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How another role connects through the socket.
    pub(crate) fn url_as(&self, role: &str) -> String {
        self.url.replace("user=reveille", &format!("user={role}"))
    }

    /// How to connect through the socket.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How to connect through TCP: by a proxy that does nothing until it is told to, and lives as long as its value.
    pub(crate) async fn proxy(&self) -> FaultProxy {
        FaultProxy::start(&self.url).await
    }

    /// How to connect through TCP, for as long as the test process lives.
    pub(crate) async fn tcp_url(&self) -> String {
        let proxy = self.proxy().await;
        let url = proxy.url().to_owned();
        std::mem::forget(proxy);
        url
    }

    /// A new connection.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await
    }
}

impl TestDatabase {
    /// What is wrong with where its jobs are, if it can be asked: a test may have stopped its server, or have no schema.
    async fn misplaced(url: &str) -> Option<String> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
        tokio::spawn(connection);
        let row =
            client.query_one(include_str!("../../../sql/doctor/one_place.sql"), &[]).await.ok()?;
        let count = |name| row.get::<_, i64>(name);
        let wrong = ["nowhere", "several", "strangers"].map(|name| (name, count(name)));
        wrong.iter().any(|it| it.1 > 0).then(|| format!("of {} jobs {wrong:?}", count("jobs")))
    }
}

/// Every job is in exactly one place, after every test, whatever it did and whatever still runs.
impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (admin, statement) =
            (self.admin.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let (url, (tell, told)) = (self.url.clone(), std::sync::mpsc::channel());
        background().spawn(async move {
            let misplaced = Self::misplaced(&url);
            // Whoever holds a lock for good has a say in other tests.
            let misplaced = tokio::time::timeout(Duration::from_secs(10), misplaced).await;
            let _ = tell.send(misplaced.ok().flatten());
            if let Some(admin) = admin.get() {
                // What cannot be dropped goes with the data directory.
                let _ = admin.batch_execute(&statement).await;
            }
        });
        let misplaced = told.recv().ok().flatten();
        let checked = self.checked.load(Ordering::Relaxed);
        if let Some(misplaced) = misplaced.filter(|_| checked && !std::thread::panicking()) {
            panic!("a job is to be in exactly one place (sql/doctor/one_place.sql): {misplaced}");
        }
    }
}

/// Connects; the connection is served until the client is dropped, or for as long as the caller's runtime lives.
pub(crate) async fn connect(url: &str) -> Client {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) =
        connected.unwrap_or_else(|error| panic!("cannot connect to {url}: {error:?}"));
    tokio::spawn(connection);
    client
}

/// How to run a PostgreSQL in this folder, of the version that `PG_BIN_DIR` asks for.
pub(crate) fn settings(data_dir: &Path) -> Settings {
    let bin_dir = env::var_os("PG_BIN_DIR").filter(|it| !it.is_empty());
    let settings = Settings::new(data_dir);
    match bin_dir {
        Some(bin_dir) => settings.bin_dir(Path::new(&bin_dir)),
        None => settings,
    }
}

/// A folder that does not exist yet, and that goes some moments after the test process has.
pub(crate) fn throw_away_dir() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = env::temp_dir().join(format!("reveille-test-{}-{number}", std::process::id()));
    if dir.exists() {
        fs::remove_dir_all(&dir)
            .expect("the folder of an earlier process with our id can be removed");
    }
    remove_after_us(&dir);
    dir
}

/// Starts a shell that waits for our end, which closes its input, and then for the server's, whose file goes. It tries
/// again while something (an `initdb`, say) still writes there.
fn remove_after_us(dir: &Path) {
    const SCRIPT: &str = r#"read -r never
        for i in $(seq 100); do [ -e "$0/pg/postmaster.pid" ] || break; sleep 0.1; done
        for i in $(seq 20); do rm -rf "$0"; sleep 0.1; [ -e "$0" ] || break; done"#;
    let mut command = Command::new("sh");
    command
        .args(["-c", SCRIPT])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // Never dropped, so that its input stays open until we end.
    std::mem::forget(command.spawn().expect("a shell can be started"));
}
