//! The service as a library: built from settings and tasks, and run as a program of its own or
//! inside another one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::app::{self, Front, Service, Signals};
use crate::client::Client;
use crate::config::{Config, ConfigError, ConfigProblem, DatabaseUrl, Inputs, Secret};
use crate::job::fields::{NewJob, QueueSettings};
use crate::job::written::Written;
use crate::logging;
use crate::submitter::SubmitError;
use crate::supervise::LoopFailed;
use crate::tasks::{Handler, Registry, Resources, Started};

/// A running service, inside this program.
///
/// Two of them in one process share nothing but its metrics. A service that is dropped rather than
/// [`shut down`](Self::shutdown) ends at once, and other services run its jobs again.
pub struct Reveille(Service);

impl Reveille {
    /// Every setting at its default, and the tasks that come with the service.
    pub fn builder() -> Builder {
        Builder {
            config: Config::default(),
            problems: Vec::new(),
            builtin: true,
            additions: Vec::new(),
            http: true,
        }
    }

    /// As [`Self::builder`], with the settings that `reveille serve` would have: of
    /// `reveille.toml`, `DATABASE_URL` and `REVEILLE_*`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_environment() -> Result<Builder, ConfigError> {
        Ok(Self::builder().config(Config::load(&Inputs::from_process())?.config))
    }

    /// Where the API is served; `None` [`without_http`](Builder::without_http).
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address()
    }

    /// Submits jobs from wherever it is taken to.
    pub fn client(&self) -> Client {
        self.0.client().clone()
    }

    /// Submits one job; see [`Client::submit`].
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, job: NewJob) -> Result<Written, SubmitError> {
        self.0.client().submit(job).await
    }

    /// Submits a list of jobs, all of them or none; see [`Client::submit_many`].
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit_many(
        &self,
        jobs: impl IntoIterator<Item = NewJob>,
    ) -> Result<Vec<Written>, SubmitError> {
        self.0.client().submit_many(jobs).await
    }

    /// Returns when one of the service's loops cannot be kept alive, which a mistake in it causes.
    /// The service claims nothing more then; [`shut it down`](Self::shutdown), and start another
    /// one or end the program.
    pub async fn failed(&self) -> LoopFailed {
        self.0.failed().await
    }

    /// Claims nothing more, lets running jobs end for `shutdown_grace_seconds`, gives back what is
    /// left, calls the handlers' `stop`, and ends. A service that is dropped without it does none of
    /// this: its jobs go back when its lease runs out.
    pub async fn shutdown(self) {
        self.0.stop(false).await;
    }
}

/// A service to be made. Its start tells everything that is wrong, all at once.
#[must_use]
pub struct Builder {
    config: Config,
    problems: Vec<ConfigProblem>,
    /// Whether the tasks that come with the service are done here.
    builtin: bool,
    additions: Vec<Addition>,
    http: bool,
}

/// Adds a task that is made when the service starts.
type Addition = Box<dyn FnOnce(&Resources, &mut Registry) -> anyhow::Result<()> + Send>;

impl Builder {
    /// All settings at once; those below change single ones of them.
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// The PostgreSQL to use, such as `postgres://user:password@host/name`. Without it the service
    /// brings up an own one.
    pub fn database_url(mut self, url: &str) -> Self {
        match DatabaseUrl::new(url) {
            Ok(url) => self.config.database_url = Some(url),
            Err(error) => self.problems.extend(error.problems),
        }
        self
    }

    /// Where the API listens; with port 0 on any free one, which [`Reveille::address`] tells.
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.config.listen = address.into();
        self
    }

    /// A bearer token that opens the API. Without one only loopback addresses may be listened on.
    pub fn auth_token(mut self, token: impl Into<String>) -> Self {
        self.config.auth_tokens.push(Secret::new(token));
        self
    }

    /// No API: this program submits from Rust or SQL, and reads elsewhere.
    pub fn without_http(self) -> Self {
        Self { http: false, ..self }
    }

    /// How many jobs run at a time; 0: none.
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// The queues whose jobs are run here. Without it: all.
    pub fn queues(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.queues = names.into_iter().map(Into::into).collect();
        self
    }

    /// The settings of a queue, in the place of `[queue.NAME]` in the file. All that are given are
    /// applied when the service starts, once for each content: a change over HTTP that comes later
    /// stands until they change.
    pub fn queue_settings(mut self, queue: impl Into<String>, settings: QueueSettings) -> Self {
        self.config.queue_settings.get_or_insert_default().insert(queue.into(), settings);
        self
    }

    /// Where the own PostgreSQL is kept; `./.reveille` without it.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.data_dir = path.into();
        self
    }

    /// How long running jobs may go on once the service is to stop.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.config.shutdown_grace = grace;
        self
    }

    /// How long the API goes on answering once the service is to stop, where other machines can
    /// reach it.
    pub fn shutdown_delay(mut self, delay: Duration) -> Self {
        self.config.shutdown_delay = delay;
        self
    }

    /// The name of this instance in logs and in lists of instances.
    pub fn instance_name(mut self, name: impl Into<String>) -> Self {
        self.config.instance_name = name.into();
        self
    }

    /// A task that is done here, in the place of one with the same name.
    ///
    /// # Panics
    /// When [`Handler::NAME`] is not a valid task name: a mistake of the program, seen when it
    /// starts.
    pub fn task<H: Handler>(self, handler: H) -> Self {
        self.task_from(|_| Ok(handler))
    }

    /// A task whose handler is made from the [`Resources`] of the service, when it starts. An error
    /// ends the start.
    ///
    /// # Panics
    /// As [`Self::task`].
    ///
    /// ```no_run
    /// # use reveille::{Context, Handler, JsonSchema, Reveille, TaskError, reqwest};
    /// /// Fetches a page, and knows its length.
    /// struct Fetch(reqwest::Client);
    ///
    /// impl Handler for Fetch {
    ///     const NAME: &'static str = "fetch";
    ///     type Payload = String;
    ///     type Output = usize;
    ///
    ///     async fn run(&self, _: Context, url: String) -> Result<usize, TaskError> {
    ///         Ok(self.0.get(url).send().await?.error_for_status()?.text().await?.len())
    ///     }
    /// }
    ///
    /// # async fn example() -> anyhow::Result<()> {
    /// Reveille::from_environment()?.task_from(|with| Ok(Fetch(with.http()?))).run().await
    /// # }
    /// ```
    pub fn task_from<H: Handler>(
        mut self,
        make: impl FnOnce(&Resources) -> anyhow::Result<H> + Send + 'static,
    ) -> Self {
        let name = Registry::name_of::<H>();
        self.additions.push(Box::new(move |resources, registry| {
            let made = make(resources);
            registry.add(made.with_context(|| format!("the task {name} could not be made"))?);
            Ok(())
        }));
        self
    }

    /// Only the tasks that are added from here on; not those that come with the service.
    pub fn without_builtin_tasks(self) -> Self {
        Self { builtin: false, additions: Vec::new(), ..self }
    }

    /// Runs the service as `reveille serve` does. It logs to standard error, unless this program
    /// has set up logs of its own. It prints the line `ready http://HOST:PORT` on standard output,
    /// and ends in order on SIGTERM, Ctrl-C or SIGHUP.
    ///
    /// # Errors
    /// When it cannot start; the message says what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        self.check()?;
        let signals = Signals::new()?;
        let _logging = logging::init(&self.config)?;
        app::raise_descriptors();
        let front = self.open().await?;
        let registry = Self::registry(self.builtin, self.additions, &self.config)?;
        app::run(self.config, registry, front, signals).await
    }

    /// Starts the service inside this program and leaves signals, logs and standard output alone.
    ///
    /// # Errors
    /// When it cannot start; the message says what to do.
    pub async fn start(self) -> anyhow::Result<Reveille> {
        self.check()?;
        let front = self.open().await?;
        let registry = Self::registry(self.builtin, self.additions, &self.config)?;
        Box::pin(app::start(self.config, registry, front, Started::default())).await.map(Reveille)
    }

    fn registry(
        builtin: bool,
        additions: Vec<Addition>,
        config: &Config,
    ) -> anyhow::Result<Registry> {
        let mut registry = if builtin { Registry::builtin() } else { Registry::default() };
        let resources = Resources::new(config.clone());
        for add in additions {
            add(&resources, &mut registry)?;
        }
        Ok(registry)
    }

    async fn open(&self) -> anyhow::Result<Option<Front>> {
        if self.http { Front::open(&self.config).await.map(Some) } else { Ok(None) }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut problems = self.problems.clone();
        if let Err(error) = self.config.check() {
            problems.extend(error.problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }
}
