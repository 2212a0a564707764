//! A node whose machine is a script: it sends what a test hands it, tells the test every input, and replies by a function.

use group0_core::{
    ids::{HostId, Incarnation, Now},
    io::{Destination, Effects, Header, Input, Path, Reply, Send},
};
use group0_node::{
    config::{Config, Layers},
    driver::Machine,
    node::{self, Running},
};
use std::{
    net::SocketAddr,
    path::Path as FilePath,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// What it replies to an input.
pub type Replies = fn(&Input) -> Vec<Reply>;

struct Script {
    tell: mpsc::UnboundedSender<Input>,
    next: Arc<Mutex<Vec<Effects>>>,
    replies: Replies,
}

impl Machine for Script {
    fn step(&mut self, _: Now, input: Input) -> Effects {
        let handed: Vec<_> = self.next.lock().expect("no test panics with it").drain(..).collect();
        let reply = (self.replies)(&input);
        drop(self.tell.send(input));
        handed.into_iter().fold(Effects { reply, ..Effects::default() }, Effects::then)
    }
}

/// The node, and both ends of its script.
pub struct Toy {
    /// The node.
    pub running: Running,
    inputs: mpsc::UnboundedReceiver<Input>,
    next: Arc<Mutex<Vec<Effects>>>,
}

impl Toy {
    /// On that address and any port.
    pub async fn start(address: &str, workdir: &FilePath, replies: Replies) -> Self {
        Self::start_at(address, 0, workdir, replies).await
    }

    /// On that address and port.
    pub async fn start_at(address: &str, port: u16, workdir: &FilePath, replies: Replies) -> Self {
        Self::start_with(address, &format!("storage_port: {port}"), workdir, replies).await
    }

    /// On that address, with these keys besides.
    pub async fn start_with(address: &str, keys: &str, workdir: &FilePath, replies: Replies) -> Self {
        let text = format!(
            "{{listen_address: {address}, admin_port: 0, api_port: 0, prometheus_port: 0, workdir: '{}', {keys}}}",
            workdir.display()
        );
        let config = Layers::parse(&text).and_then(Config::read).expect("a good configuration");
        let (tell, inputs) = mpsc::unbounded_channel();
        let next = Arc::new(Mutex::new(Vec::new()));
        let script = Script { tell, next: Arc::clone(&next), replies };
        let running = node::start(config, |_, _, _| Ok((script, Effects::default()))).await.expect("it starts");
        Self { running, inputs, next }
    }

    /// Hands effects to the driver.
    pub fn hand(&self, effects: Effects) {
        self.next.lock().expect("no test panics with it").push(effects);
        self.running.port.tell(Input::Wake);
    }

    /// Hands only sends to the driver.
    pub fn send(&self, send: Vec<Send>) {
        self.hand(Effects { send, ..Effects::default() });
    }

    /// Hands over sends, and blocks its thread until the driver, which has another, has carried them out.
    pub fn send_and_block(&self, send: Vec<Send>) {
        self.send(send);
        self.block_until_taken();
        // What is handed over from here on is of a later turn: it is taken when the turn before it has been carried out.
        self.send(vec![]);
        self.block_until_taken();
    }

    fn block_until_taken(&self) {
        while !self.next.lock().expect("no test panics with it").is_empty() {
            std::thread::yield_now();
        }
    }

    /// The next input that is not about time.
    pub async fn next(&mut self) -> Input {
        loop {
            let next = timeout(Duration::from_secs(10), self.inputs.recv()).await;
            match next.expect("something happens in ten seconds").expect("the driver runs") {
                Input::Wake | Input::Measured { .. } => {}
                input => return input,
            }
        }
    }

    /// Where peers reach it.
    pub fn destination(&self) -> Destination {
        Destination { address: self.running.addresses.peer }
    }
}

/// A header that says nothing special.
pub fn header() -> Header {
    Header {
        cluster: "c".to_owned(),
        from: HostId::of(1),
        from_address: SocketAddr::from(([127, 0, 0, 1], 7000)),
        to: Some(HostId::of(2)),
        incarnation: Incarnation(0),
        path: Path { hops: 1, fsyncs: 2 },
    }
}

/// Nothing is replied.
pub fn silent(_: &Input) -> Vec<Reply> {
    Vec::new()
}
