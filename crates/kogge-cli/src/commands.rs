//! The verbs, one file each.

pub(crate) mod audit;
pub(crate) mod copy;
pub(crate) mod copy_all;
pub(crate) mod credential;
pub(crate) mod login;
pub(crate) mod manifest;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod registry;
pub(crate) mod repo;
pub(crate) mod role;
pub(crate) mod scope_map;
pub(crate) mod tag;
pub(crate) mod token;

use std::process::ExitCode;

use crate::args::{Command, GlobalArgs};
use crate::context::Context;
use crate::doctor;
use crate::error::{Error, Result};

/// Runs a verb to its end and gives the exit code: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 network.
/// `program` is the whole command line, which completions are made from. Starts a runtime of its own, so it must not
/// be called within one.
pub fn run(command: Command, global: GlobalArgs, program: clap::Command) -> ExitCode {
    // Another part of the process may have set it already: that is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(command, &Context::new(global), program)),
        Err(error) => Err(Error::general("cannot start the runtime").because(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

async fn dispatch(command: Command, ctx: &Context, program: clap::Command) -> Result<()> {
    match command {
        Command::Login(args) => login::login(args, ctx).await,
        Command::Logout(args) => login::logout(&args.registry, ctx).await,
        Command::Repo(command) => repo::run(command, ctx).await,
        Command::Tag(command) => tag::run(command, ctx).await,
        Command::Manifest(command) => manifest::run(command, ctx).await,
        Command::Pull(args) => pull::run(args, ctx).await,
        Command::Push(args) => push::run(args, ctx).await,
        Command::Copy(args) if args.all || args.all_tags => copy_all::run(args, ctx).await,
        Command::Copy(args) => copy::run(args, ctx).await,
        Command::Doctor(args) => doctor::run(args, ctx).await,
        Command::Registry(args) => registry::run(args, ctx).await,
        Command::Credential(args) => credential::run(args, ctx).await,
        Command::Token(args) => token::run(args, ctx).await,
        Command::ScopeMap(args) => scope_map::run(args, ctx).await,
        Command::Role(args) => role::run(args, ctx).await,
        Command::Audit(args) => audit::run(args, ctx).await,
        Command::Completions(args) => completions(args.shell, program),
    }
}

fn completions(shell: clap_complete::Shell, mut program: clap::Command) -> Result<()> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    crate::output::raw(&script)
}
