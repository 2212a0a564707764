//! The Python driver: `driver.py` as a child that is asked line by line.

use crate::harness::WAIT_MAX;
use std::{path::PathBuf, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Ends with this value at the latest.
pub struct Driver {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    /// Connects to each of the addresses.
    pub async fn connect(python: PathBuf, addresses: &[String]) -> Self {
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/driver.py")).args(addresses);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("the virtual environment has a Python");
        let input = process.stdin.take().expect("it is piped");
        let output = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut driver = Self { process, input, output };
        driver.answer("connect").await;
        driver
    }

    /// Asks, and demands that the answer is good.
    pub async fn ask(&mut self, command: &str) -> String {
        self.input.write_all(format!("{command}\n").as_bytes()).await.expect("the driver reads");
        self.answer(command).await
    }

    async fn answer(&mut self, command: &str) -> String {
        let line = timeout(WAIT_MAX, self.output.next_line()).await;
        let line = line.unwrap_or_else(|_| Ok(Some("failed: no answer".to_owned())));
        let line = line.expect("the driver writes text").unwrap_or_else(|| "failed: it ended".to_owned());
        assert!(line.starts_with("ok "), "Python driver, {command}: {line}");
        line["ok ".len()..].to_owned()
    }

    /// Ends it.
    pub async fn quit(mut self) {
        self.input.write_all(b"quit\n").await.expect("the driver reads");
        let ended = timeout(WAIT_MAX, self.process.wait()).await.expect("the driver ends when told");
        assert!(ended.expect("a child can be waited for").success(), "the Python driver did not end well");
    }
}
