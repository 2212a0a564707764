//! `group0-operator`: reads the arguments and runs the subcommand.

use clap::Parser as _;
use group0_operator::{
    args::{Arguments, Command, CrdArguments, LocalCommand, LocalOther, RunArguments},
    crd,
    error::Error,
    kubernetes, local,
};
use std::{fs, io::Write as _, process::ExitCode};
use tokio::runtime::Builder;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Crd(arguments) => write_crd(&arguments),
        Command::Local(command) => run_local(command),
        Command::Run(arguments) => run_in_kubernetes(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("group0-operator: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run_local(command: LocalCommand) -> Result<(), Error> {
    let arguments = match (command.other, command.perform) {
        (Some(LocalOther::Set(arguments)), _) => return local::set(&arguments),
        (None, Some(arguments)) => arguments,
        (None, None) => return Err(Error::mistake("local: name the file with -f and the folder with --dir")),
    };
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::failure(format!("the runtime cannot be started: {e}")))?;
    runtime.block_on(local::run(&arguments))
}

fn run_in_kubernetes(arguments: &RunArguments) -> Result<(), Error> {
    let filter = EnvFilter::new(without_secrets(&std::env::var("RUST_LOG").unwrap_or_default()));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| Error::failure(format!("the runtime cannot be started: {e}")))?;
    runtime.block_on(kubernetes::run(arguments))
}

/// What is logged. kube logs whole answers of the API server, Secrets included, where it cannot understand them: that has to be asked for by
/// name.
fn without_secrets(asked: &str) -> String {
    let asked = if asked.trim().is_empty() { "info" } else { asked };
    let unnamed = ["kube_client", "kube_runtime"].into_iter().filter(|target| !asked.contains(target));
    let quiet = unnamed.map(|target| format!("{target}=error"));
    std::iter::once(asked.to_owned()).chain(quiet).collect::<Vec<_>>().join(",")
}

fn write_crd(CrdArguments { dir }: &CrdArguments) -> Result<(), Error> {
    let text = crd::yaml().map_err(|e| Error::failure(format!("the CRD cannot be written as YAML: {e}")))?;
    match dir {
        None => std::io::stdout().write_all(text.as_bytes()).map_err(|e| Error::failure(format!("standard output: {e}"))),
        Some(dir) => {
            let path = dir.join(crd::FILE_NAME);
            fs::create_dir_all(dir)
                .and_then(|()| fs::write(&path, text))
                .map_err(|e| Error::failure(format!("{}: cannot be written: {e}", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kube_logs_of_secrets_is_asked_for_by_name() {
        assert_eq!(without_secrets(""), "info,kube_client=error,kube_runtime=error");
        assert_eq!(without_secrets("debug"), "debug,kube_client=error,kube_runtime=error");
        assert_eq!(without_secrets("info,kube_client=trace"), "info,kube_client=trace,kube_runtime=error");
    }
}
