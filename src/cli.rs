//! The command line: arguments in, exit codes out. The edges: they wire things together and decide nothing.

#[cfg(feature = "kubernetes")]
mod agent;
pub mod args;
#[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
mod bench;
mod catalogue;
#[cfg(feature = "kubernetes")]
mod cluster;
mod compare;
mod console;
#[cfg(feature = "kubernetes")]
mod controller;
pub mod exit;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
mod folder;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
mod init;
pub mod input;
#[cfg(feature = "kubernetes")]
mod install;
mod internal;
mod man;
#[cfg(feature = "sandbox")]
mod plan;
#[cfg(feature = "kubernetes")]
mod preflight;
#[cfg(feature = "kubernetes")]
mod proving_ground;
#[cfg(all(feature = "sandbox", feature = "refkv"))]
mod quickstart;
mod recorded;
#[cfg(feature = "sandbox")]
mod revert;
#[cfg(feature = "sandbox")]
mod run;
#[cfg(feature = "kubernetes")]
mod runner;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
mod runtime;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sandbox")]
mod scene;
mod schema;
#[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
mod soak;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
mod step_summary;
#[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
mod wish;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
use self::args::On;
use self::args::{Cli, Command};
use self::exit::Exit;

/// Everything that the binary does. A process of Seatrial itself never gets as far as the parser of people's words.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = internal::main(&arguments) {
        return code;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are told the same way as mistakes; printing to a closed pipe is nobody's problem.
            let _ = told.print();
            return if told.use_stderr() { Exit::Usage } else { Exit::Pass }.into();
        }
    };
    #[cfg(feature = "refkv")]
    if let Command::Refkv(options) = &cli.command {
        return internal::refkv(options);
    }
    internal::log();
    dispatch(cli.command).into()
}

fn dispatch(command: Command) -> Exit {
    match command {
        #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
        Command::Run(args) => match args.place.on {
            #[cfg(feature = "sandbox")]
            On::Sandbox => run::run(&args),
            #[cfg(all(feature = "kubernetes", feature = "sandbox"))]
            On::Kubernetes if args.repeat.is_some() => console::error(
                "--repeat is for a sandbox: in a cluster, start one run after the other",
                Exit::Usage,
            ),
            #[cfg(feature = "kubernetes")]
            On::Kubernetes => cluster::run(&args),
        },
        #[cfg(feature = "sandbox")]
        Command::Validate(files) => plan::validate(&files),
        #[cfg(feature = "sandbox")]
        Command::Plan(args) => plan::plan(&args),
        #[cfg(feature = "kubernetes")]
        Command::Judge(args) if args.place.on == On::Kubernetes => cluster::judge(&args),
        Command::Judge(args) => recorded::judge(&args),
        #[cfg(feature = "kubernetes")]
        Command::Report(args) if args.recorded.place.on == On::Kubernetes => cluster::report(&args),
        Command::Report(args) => recorded::report(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Faults(args) => catalogue::faults(&args),
        Command::Slis(args) => catalogue::slis(&args),
        Command::Stores(args) => catalogue::stores(&args),
        #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
        Command::Init(args) => init::init(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Man(args) => man::man(&args),
        #[cfg(feature = "kubernetes")]
        Command::Status(args) => cluster::status(&args),
        #[cfg(feature = "kubernetes")]
        Command::Abort(args) => cluster::abort(&args),
        #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
        Command::Revert(args) => match args.place.on {
            #[cfg(feature = "sandbox")]
            On::Sandbox => revert::revert(&args.name),
            #[cfg(feature = "kubernetes")]
            On::Kubernetes => cluster::revert(&args),
        },
        #[cfg(feature = "sandbox")]
        Command::Sandbox(command) => sandbox::main(command),
        #[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
        Command::Bench(command) => bench::main(&command),
        #[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
        Command::Soak(args) => soak::soak(&args),
        #[cfg(feature = "kubernetes")]
        Command::Install(args) => install::install(args),
        #[cfg(feature = "kubernetes")]
        Command::Uninstall(args) => install::uninstall(&args),
        #[cfg(feature = "kubernetes")]
        Command::Preflight(args) => preflight::preflight(&args),
        #[cfg(feature = "kubernetes")]
        Command::Controller(args) => controller::controller(args),
        #[cfg(feature = "kubernetes")]
        Command::Reap(args) => controller::reap(args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "seatrial", &mut std::io::stdout());
            Exit::Pass
        }
        #[cfg(feature = "kubernetes")]
        Command::Agent(options) => agent::agent(options),
        #[cfg(feature = "kubernetes")]
        Command::Runner(args) => runner::runner(args),
        #[cfg(feature = "refkv")]
        Command::Refkv(_) => unreachable!("the store is started before anything else is looked at"),
    }
}
