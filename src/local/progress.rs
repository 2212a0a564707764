//! Live progress: a table drawn anew on a terminal, a line for each change elsewhere.

use crate::{
    args::Output,
    crd::{Group0UpgradeStatus, NodeStatus},
};
use rustix::termios::tcgetwinsize;
use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    time::Instant,
};

/// Where progress goes.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    on_terminal: bool,
    output: Output,
    /// Lines of the table that is on the screen.
    drawn: usize,
    last: String,
}

impl Progress {
    /// Onto standard output.
    pub fn new(output: Output) -> Self {
        let on_terminal = output == Output::Text && io::stdout().is_terminal();
        Self { started: Instant::now(), on_terminal, output, drawn: 0, last: String::new() }
    }

    /// Shows this status, if it shows anything new.
    pub fn show(&mut self, status: &Group0UpgradeStatus) {
        let text = match self.output {
            Output::Json => serde_json::to_string(status).unwrap_or_default(),
            Output::Text if self.on_terminal => fitted(&table(status), columns()),
            Output::Text => line(status),
        };
        if text == self.last {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let output = if self.on_terminal {
            let up = if self.drawn > 0 { format!("\x1b[{}F\x1b[J", self.drawn) } else { String::new() };
            format!("{up}{text}")
        } else if self.output == Output::Json {
            format!("{text}\n")
        } else {
            format!("{seconds:7.3} s  {text}\n")
        };
        self.drawn = if self.on_terminal { text.lines().count() } else { 0 };
        self.last = text;
        // Whoever reads may be gone: the upgrade goes on.
        let mut out = io::stdout().lock();
        let _ = out.write_all(output.as_bytes()).and_then(|()| out.flush());
    }
}

/// What the terminal is wide, if it says so.
fn columns() -> usize {
    tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into()).filter(|columns| *columns > 0).unwrap_or(usize::MAX)
}

/// Each line is cut where the terminal would break it: a broken one takes more of the screen than is taken back.
fn fitted(text: &str, columns: usize) -> String {
    text.lines().map(|line| line.chars().take(columns).collect::<String>() + "\n").collect()
}

fn line(status: &Group0UpgradeStatus) -> String {
    let Group0UpgradeStatus { phase, progress, step, message, .. } = status;
    let nodes: Vec<_> = status.nodes.iter().map(|node| format!("{} {}", node.pod_name, node.step)).collect();
    let what = match (step.as_str(), message.as_str()) {
        ("", message) => message.to_owned(),
        (step, message) if message.is_empty() || message == step => step.to_owned(),
        (step, message) => format!("{step}: {message}"),
    };
    format!("{:<13} {progress}  {what}  [{}]", phase.to_string(), nodes.join(", "))
}

fn table(status: &Group0UpgradeStatus) -> String {
    let Group0UpgradeStatus { phase, progress, step, message, .. } = status;
    let mut text =
        format!("{phase} {progress}  {step}\n  {:<12} {:<5} {:<26} {:<28} {}\n", "NODE", "FLAG", "STATE", "STEP", "BLOCKED BY");
    for node in &status.nodes {
        text += &row(node);
    }
    let _ = writeln!(text, "{message}");
    text
}

fn row(node: &NodeStatus) -> String {
    let flag = match node.flag {
        Some(true) => "on",
        Some(false) => "off",
        None => "?",
    };
    let state = node.upgrade_state.as_deref().unwrap_or("?");
    format!("  {:<12} {flag:<5} {state:<26} {:<28} {}\n", node.pod_name, node.step, node.blocked_by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_one_of_the_terminal() {
        let message = "x".repeat(100);
        let status = Group0UpgradeStatus { message, nodes: vec![NodeStatus::default()], ..Group0UpgradeStatus::default() };
        let (whole, fitted) = (table(&status), fitted(&table(&status), 40));
        assert_eq!(whole.lines().count(), fitted.lines().count());
        assert!(fitted.lines().all(|line| line.chars().count() <= 40), "{fitted}");
        assert!(fitted.ends_with(&format!("{}\n", "x".repeat(40))), "{fitted}");
    }
}
