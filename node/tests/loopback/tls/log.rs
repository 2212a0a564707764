//! What the nodes of this process log, for tests that wait for a line.

use std::{
    io::{self, Write},
    sync::LazyLock,
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

static LINES: LazyLock<watch::Sender<String>> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).with_writer(|| Writer);
    subscriber.init();
    watch::Sender::default()
});

struct Writer;

impl Write for Writer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LINES.send_modify(|lines| lines.push_str(&String::from_utf8_lossy(text)));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From here on, lines are kept.
pub fn watch() -> watch::Receiver<String> {
    LINES.subscribe()
}

/// Waits for a line that has all of these.
pub async fn until(mut log: watch::Receiver<String>, parts: &[&str]) {
    let found = log.wait_for(|lines| lines.lines().any(|line| parts.iter().all(|part| line.contains(part))));
    let found = timeout(Duration::from_secs(10), found).await.is_ok();
    assert!(found, "no line with {parts:?} in:\n{}", LINES.borrow().as_str());
}
