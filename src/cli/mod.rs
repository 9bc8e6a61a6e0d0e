//! The command line: one file per command, and this list of them.
//!
//! Two kinds of commands live here. Commands that run the service (`serve`, `migrate`, `config`,
//! `doctor`) read the configuration. Commands that use it (`submit`, `list`, …) speak HTTP to a
//! running one, and need nothing but its URL and a token. Output for scripts goes to standard
//! output, and everything else to standard error.

mod audit;
mod completions;
mod config;
mod dead_letters;
mod doctor;
mod flags;
mod get;
mod health;
mod instances;
mod list;
mod migrate;
mod object;
mod openapi;
mod operations;
mod output;
mod pages;
mod queues;
mod redrive;
mod refused;
mod remote;
mod serve;
mod settings;
mod spoken;
mod steer;
mod stop;
mod submit;
mod table;
mod tasks;
mod wait;

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::steer::Verb;
use self::stop::with_statuses;

const EXAMPLES: &str = "\
Examples:
  reveille serve                                    a service with a PostgreSQL of its own
  DATABASE_URL=postgres://… reveille serve          a service on yours
  reveille submit hello_world --payload '{\"name\":\"you\"}' --wait
  reveille list --status failed
  reveille doctor                                   is the database fit for it?";

/// A push-driven PostgreSQL job queue with a REST API.
#[derive(Debug, Parser)]
#[command(name = "reveille", version, after_help = with_statuses(EXAMPLES))]
#[command(arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: the API, and the workers.
    Serve(serve::Args),
    /// Bring the schema up to date, and end.
    Migrate(migrate::Args),
    /// Show the settings in force, and where each comes from.
    Config(config::Args),
    /// Check the database: version, settings, schema, notifications, clocks.
    Doctor(doctor::Args),
    /// Ask a service whether it is ready; for health checks of containers.
    Health(health::Args),
    /// Print the OpenAPI document.
    Openapi(openapi::Args),
    /// Submit a job.
    Submit(submit::Args),
    /// Show a job.
    Get(get::Args),
    /// List jobs, the newest first.
    List(list::Args),
    /// Wait until a job has ended.
    Wait(wait::Args),
    /// Cancel jobs, waiting or running.
    #[command(after_help = steer::CANCEL_EXAMPLES)]
    Cancel(steer::Args),
    /// Run jobs that have ended once more.
    #[command(after_help = steer::RETRY_EXAMPLES)]
    Retry(steer::Args),
    /// Delete jobs, waiting or ended.
    #[command(after_help = steer::DELETE_EXAMPLES)]
    Delete(steer::Args),
    /// List, pause, resume and purge queues.
    Queues(queues::Args),
    /// List the jobs that failed for good, in groups.
    DeadLetters(dead_letters::Args),
    /// Send jobs that failed for good back to wait.
    Redrive(redrive::Args),
    /// List, show and stop operations on many jobs.
    Operations(operations::Args),
    /// List the tasks that jobs can ask for.
    Tasks(tasks::Args),
    /// List the running processes of the service.
    Instances(instances::Args),
    /// List who changed what, the newest first.
    Audit(audit::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

impl Command {
    /// Whether it prints JSON, and says what went wrong as JSON too.
    fn as_json(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Migrate(_) | Self::Openapi(_) | Self::Completions(_) => false,
            Self::Config(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Health(args) => args.service.json,
            Self::Submit(args) => args.service.json,
            Self::Get(args) => args.service.json,
            Self::List(args) => args.service.json,
            Self::Wait(args) => args.service.json,
            Self::Cancel(args) | Self::Retry(args) | Self::Delete(args) => args.service.json,
            Self::Queues(args) => args.service.json,
            Self::DeadLetters(args) => args.service.json,
            Self::Redrive(args) => args.service.json,
            Self::Operations(args) => args.service.json,
            Self::Tasks(args) => args.service.json,
            Self::Instances(args) => args.service.json,
            Self::Audit(args) => args.service.json,
        }
    }
}

/// Runs the command that the process's arguments name.
pub fn run() -> ExitCode {
    // The HTTP client is built without a TLS provider. An error means that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let command = Cli::parse().command;
    let as_json = command.as_json();
    execute(command).unwrap_or_else(|error| stop::explain(&error, as_json))
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::execute(&args),
        Command::Migrate(args) => migrate::execute(&args),
        Command::Config(args) => config::execute(&args),
        Command::Doctor(args) => block_on(doctor::execute(&args)),
        Command::Health(args) => block_on(health::execute(&args)),
        Command::Openapi(args) => openapi::execute(&args),
        Command::Submit(args) => block_on(submit::execute(&args)),
        Command::Get(args) => block_on(get::execute(&args)),
        Command::List(args) => block_on(list::execute(&args)),
        Command::Wait(args) => block_on(wait::execute(&args)),
        Command::Cancel(args) => block_on(steer::execute(Verb::Cancel, &args)),
        Command::Retry(args) => block_on(steer::execute(Verb::Retry, &args)),
        Command::Delete(args) => block_on(steer::execute(Verb::Delete, &args)),
        Command::Queues(args) => block_on(queues::execute(&args)),
        Command::DeadLetters(args) => block_on(dead_letters::execute(&args)),
        Command::Redrive(args) => block_on(redrive::execute(&args)),
        Command::Operations(args) => block_on(operations::execute(&args)),
        Command::Tasks(args) => block_on(tasks::execute(&args)),
        Command::Instances(args) => block_on(instances::execute(&args)),
        Command::Audit(args) => block_on(audit::execute(&args)),
        Command::Completions(args) => completions::execute(&args),
    }
}

/// Runs a command that waits for a network on a runtime of its own, on this very thread. A server
/// process that `serve` starts must be the child of a thread that lives as long as the service.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the system refuses the threads of a runtime; see `ulimit -u`")?;
    let result = runtime.block_on(future);
    // A handler that never awaits must not hold the process.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn each_command_has_examples_of_its_own() {
        let cli = super::Cli::command();
        let mut seen = std::collections::BTreeMap::new();
        for command in cli.get_subcommands() {
            let name = command.get_name();
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let first = examples.lines().nth(1).unwrap_or_default();
            assert!(first.contains(&format!("reveille {name}")), "{name}: {examples}");
            if let Some(other) = seen.insert(examples, name) {
                panic!("{name} has the text of {other}");
            }
        }
    }

    #[test]
    fn a_command_shows_the_settings_that_it_looks_at() {
        let mut cli = super::Cli::command();
        for (name, shown, hidden) in [
            ("health", "--listen", "--pool-size"),
            ("doctor", "--listen-database-url", "--workers"),
            ("migrate", "--database-url", "--max-connections"),
            ("config", "--workers", "--auth-tokens"),
            ("serve", "--workers", "--auth-tokens"),
        ] {
            let command = cli.find_subcommand_mut(name).unwrap();
            let help = command.render_long_help().to_string();
            assert!(help.contains(shown) && !help.contains(hidden), "{name}: {help}");
        }
    }
}
