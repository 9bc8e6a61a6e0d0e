//! The service as a process of its own, which can be killed, stopped and left.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::http::Http;
use super::{background, on_background, within};

/// How long a service may take to say that it is ready: its own PostgreSQL may have to be made first.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How to start a service.
pub(crate) struct ServiceBuilder {
    command: Command,
    reads: bool,
}

/// A running `reveille serve`. It is killed when this value is dropped, and when the test process ends.
pub(crate) struct Service {
    child: Child,
    pid: Pid,
    stdout: Output,
    stderr: Output,
    url: String,
}

impl Service {
    /// On this database, with a port of its own choice.
    pub(crate) fn on(database_url: &str) -> ServiceBuilder {
        Self::bare().env("DATABASE_URL", database_url)
    }

    /// Without a database: set `REVEILLE_DATA_DIR`.
    pub(crate) fn bare() -> ServiceBuilder {
        Self::program(Path::new(env!("CARGO_BIN_EXE_reveille"))).arg("serve")
    }

    /// Another program that is a service, on this database.
    pub(crate) fn of(program: &Path, database_url: &str) -> ServiceBuilder {
        Self::program(program).env("DATABASE_URL", database_url)
    }

    fn program(program: &Path) -> ServiceBuilder {
        let mut command = if cfg!(target_os = "linux") {
            // The service must not outlive a test process that is killed.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("DATABASE_URL").env("REVEILLE_LISTEN", "127.0.0.1:0");
        ServiceBuilder { command, reads: true }
    }

    /// On this database with all defaults, ready.
    pub(crate) async fn start(database_url: &str) -> Self {
        Self::on(database_url).start().await
    }

    /// Where it answers, as it said itself.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn http(&self) -> Http {
        Http::new(&self.url)
    }

    pub(crate) fn process_id(&self) -> Pid {
        self.pid
    }

    /// The most memory that it has had in use, in bytes.
    pub(crate) fn most_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits until it has written this to standard error.
    pub(crate) async fn logged(&self, what: &str, deadline: Duration) {
        within(&format!("{what:?} in the log"), deadline, self.stderr.wait_for(what)).await;
    }

    /// Reads its standard error from here on; see [`ServiceBuilder::unread`].
    pub(crate) fn read(&mut self) {
        if let Some(stderr) = self.child.stderr.take() {
            self.stderr = Output::of(stderr);
        }
    }

    /// Closes the standard error that it writes to and nobody has read; see [`ServiceBuilder::unread`].
    pub(crate) fn stop_reading(&mut self) {
        drop(self.child.stderr.take());
    }

    /// Waits until it has written this to standard output.
    pub(crate) async fn printed(&self, what: &str, deadline: Duration) {
        within(&format!("{what:?} on standard output"), deadline, self.stdout.wait_for(what)).await;
    }

    /// Sends its whole process group a signal: SIGSTOP, SIGCONT and the like.
    pub(crate) fn signal(&self, signal: Signal) {
        killpg(self.pid, signal).expect("the service can be signalled");
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub(crate) async fn kill9(&mut self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        self.ended(Duration::from_secs(10)).await
    }

    /// Asks it to leave (SIGTERM), and waits for its end.
    pub(crate) async fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended(deadline).await
    }

    /// Waits for its end; fails with its log if that does not come.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let Ok(status) = tokio::time::timeout(deadline, self.child.wait()).await else {
            panic!(
                "the service has not ended within {deadline:?}; its log:\n{}",
                self.stderr.text()
            );
        };
        status.expect("a child can be waited for")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            // It may end this moment.
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
        if std::thread::panicking() {
            eprintln!("log of the service {}:\n{}", self.pid, self.stderr.text());
        }
    }
}

impl ServiceBuilder {
    /// An environment variable: `REVEILLE_WORKERS` and the like.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Five heartbeats a second, and lost after so many seconds without one. A case with its full
    /// figures has those of the service.
    pub(crate) fn brisk(self, lost_after: &str) -> Self {
        if super::full_figures() {
            return self;
        }
        self.env("REVEILLE_HEARTBEAT_SECONDS", "0.2").env("REVEILLE_LOST_AFTER_SECONDS", lost_after)
    }

    /// An argument, after `serve` for the service itself.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    /// Nobody reads its standard error, until [`Service::read`] or [`Service::stop_reading`].
    pub(crate) fn unread(self) -> Self {
        Self { reads: false, ..self }
    }

    /// Its standard output is this file; it is not known when it is ready, and where.
    pub(crate) fn stdout(mut self, file: std::fs::File) -> Self {
        self.command.stdout(file);
        self
    }

    /// Its standard error is this file.
    pub(crate) fn stderr(mut self, file: std::fs::File) -> Self {
        self.command.stderr(file);
        self
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(self) -> Service {
        let mut service = self.spawn().await;
        let ready = async {
            tokio::select! {
                line = service.stdout.wait_for("ready http") => line,
                status = service.child.wait() => panic!("the service ended before it was ready: {status:?}\n{}", service.stderr.text()),
            }
        };
        let line = tokio::time::timeout(READY_WITHIN, ready).await;
        let line = line.unwrap_or_else(|_| {
            panic!("no ready line within {READY_WITHIN:?}; log:\n{}", service.stderr.text())
        });
        service.url = line.trim_start_matches("ready ").trim().to_owned();
        service
    }

    /// Starts it without waiting; its URL is not known then.
    pub(crate) async fn spawn(mut self) -> Service {
        let reads = self.reads;
        // On a thread that outlives the test: a parent-death signal follows the thread, not the process.
        let (mut child, pid) = on_background(async move {
            let child = self.command.spawn().expect("the service can be started");
            let pid = child.id().expect("it has not been waited for");
            (child, Pid::from_raw(pid.cast_signed()))
        })
        .await;
        let stdout = child.stdout.take().map_or_else(Output::none, Output::of);
        let stderr = child.stderr.take_if(|_| reads).map_or_else(Output::none, Output::of);
        Service { child, pid, stdout, stderr, url: String::new() }
    }
}

/// What a process has written, line by line.
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Receiver<usize>,
}

impl Output {
    fn of(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (lines, counter) = (Arc::new(Mutex::new(Vec::new())), watch::Sender::new(0));
        let it = Self { lines: lines.clone(), count: counter.subscribe() };
        background().spawn(async move {
            let mut reader = BufReader::new(stream).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.lock().expect("nobody panics with it").push(line);
                counter.send_modify(|count| *count += 1);
            }
        });
        it
    }

    fn none() -> Self {
        Self { lines: Arc::default(), count: watch::Sender::new(0).subscribe() }
    }

    fn text(&self) -> String {
        self.lines.lock().expect("nobody panics with it").join("\n")
    }

    /// The first line that contains this; waits for ever once the process has closed the stream without one.
    async fn wait_for(&self, what: &str) -> String {
        let mut count = self.count.clone();
        loop {
            count.mark_unchanged();
            let found = self
                .lines
                .lock()
                .expect("nobody panics with it")
                .iter()
                .find(|it| it.contains(what))
                .cloned();
            if let Some(line) = found {
                return line;
            }
            if count.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
