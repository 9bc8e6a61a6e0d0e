//! `reveille completions`.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{Cli, output};

const EXAMPLES: &str = "\
Examples:
  reveille completions bash > ~/.local/share/bash-completion/completions/reveille
  reveille completions zsh > ~/.zfunc/_reveille
  reveille completions fish > ~/.config/fish/completions/reveille.fish";

/// Prints a completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell it is for.
    shell: clap_complete::Shell,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "reveille", &mut script);
    output::text(script)?;
    Ok(ExitCode::SUCCESS)
}
