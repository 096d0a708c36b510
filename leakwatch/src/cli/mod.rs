//! The command line: runs the daemon, asks it over its API, or works offline. It shows only what the API serves; nothing
//! is computed here that the API could know.

pub mod args;
mod agent;
mod capture;
mod client;
mod doctor;
mod error;
mod exit;
mod investigate;
mod list;
mod oom;
mod output;
mod profile;
mod offline;
mod replay;
mod rulings;
mod screen;
mod services;
mod sparkline;
mod flame;
mod store;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod tests;
mod text;
mod top;

pub use error::CliError;
pub use exit::Exit;

use crate::cli::args::Cli;
use crate::cli::args::Command;
use crate::cli::args::ConfigCommand;
use crate::cli::args::StoreCommand;
use crate::cli::client::Client;
use crate::cli::output::Output;
use crate::config::Config;
use crate::config::Environment;
use crate::config::args::AgentArgs;
use crate::self_stats;
use clap::CommandFactory as _;
use clap::Parser as _;
use std::io;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Runs what the arguments of this process ask for.
pub fn main() -> ExitCode {
    // Before there is a thread that has an arena of its own.
    self_stats::configure_allocator();
    run_arguments()
}

fn run_arguments() -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return said(&error.into(), Exit::Failed.into()),
    };
    let code = match runtime.block_on(run(Cli::parse())) {
        Ok(exit) => exit.into(),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            let code = ExitCode::from(error.exit_code());
            said(&error.into(), code)
        }
    };
    // What had to be completed was waited for. A thread that hangs in a file of somebody else does not keep the process.
    runtime.shutdown_background();
    code
}

fn said(error: &anyhow::Error, code: ExitCode) -> ExitCode {
    let _closed = writeln!(io::stderr(), "leakwatch: {error:#}");
    code
}

/// Runs a command to its end.
async fn run(cli: Cli) -> Result<Exit, CliError> {
    let environment = Environment::of_this_process();
    let output = Output::new(cli.output, &environment)?;
    let file = cli
        .config
        .or_else(|| environment.variables.get("LEAKWATCH_CONFIG").map(PathBuf::from));
    let load = |args: &AgentArgs| Config::load(args, file.as_deref(), &environment);
    let connect = || {
        Client::new(
            cli.endpoint.as_deref(),
            load(&AgentArgs::default()).as_ref(),
            &environment,
        )
    };
    match cli.command {
        Command::Agent(args) => {
            let config = load(&args)?;
            let again = Arc::new(move || Config::load(&args, file.as_deref(), &environment));
            agent::run(config, again, output.log_colours()).await
        }
        Command::Doctor(args) => {
            let config = load(&AgentArgs {
                no_bpf: args.no_bpf,
                ..AgentArgs::default()
            })?;
            doctor::run(&config, connect().ok().as_ref(), output).await
        }
        Command::Targets(args) => list::targets(&connect()?, &args, output).await,
        Command::Services(args) => services::run(&connect()?, &args, output).await,
        Command::Top(args) => top::run(&connect()?, &args, output).await,
        Command::Investigate(args) => investigate::run(&connect()?, &args, output).await,
        Command::Profile(args) => profile::one(&connect()?, &args, output).await,
        Command::Diff(args) => profile::diff(&connect()?, &args, output).await,
        Command::Capture(args) => capture::run(&connect()?, &args, output).await,
        Command::Detach(args) => capture::detach(&connect()?, &args, output).await,
        Command::Mute(args) => rulings::mute(&connect()?, &args, output).await,
        Command::Mutes => rulings::mutes(&connect()?, output).await,
        Command::Overrule(args) => rulings::overrule(&connect()?, &args, output).await,
        Command::Overrules => rulings::overrules(&connect()?, output).await,
        Command::Events(args) => list::events(&connect()?, &args, output).await,
        Command::Oom(args) => oom::run(&connect()?, &args, output).await,
        Command::Bundle(args) => profile::bundle(&connect()?, &args, output).await,
        Command::Replay(args) => replay::run(&args, output).await,
        Command::Store { command } => {
            let args = match &command {
                StoreCommand::Stats(args) | StoreCommand::Verify(args) => args,
            };
            let config = load(&AgentArgs {
                state_dir: args.state_dir.clone(),
                ..AgentArgs::default()
            })?;
            store::run(&config, matches!(command, StoreCommand::Verify(_)), output)
        }
        Command::Config {
            command: ConfigCommand::Check(args),
        } => {
            load(&args)?;
            output.line("the configuration is valid")
        }
        Command::Config {
            command: ConfigCommand::Print(args),
        } => output.text(&load(&args)?.to_toml()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "leakwatch", &mut script);
            output.bytes(&script)
        }
        Command::Man(args) => {
            if let Some(directory) = args.directory {
                clap_mangen::generate_to(Cli::command(), directory).map_err(CliError::Output)?;
                return Ok(Exit::Fine);
            }
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(CliError::Output)?;
            output.bytes(&page)
        }
    }
}
