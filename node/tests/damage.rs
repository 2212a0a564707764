//! Flipped bits in the database of a real node, as a crash and as a shutdown leave it: each is noticed and named, or has no effect on
//! what is loaded. Above all, never is an older state taken for the last one that was made durable.

use group0_core::io::Image;
use group0_node::{
    config::{Config, Layers},
    cql::client::CqlClient,
    disk::{Disk, DiskError, FILE},
};
use std::{fs, net::SocketAddr, path::Path};
use tempfile::TempDir;

/// The header of the database and both of its commit slots.
const HEADER: usize = 320;
/// Places in the rest of it.
const PLACES: usize = 400;

/// In memory where the machine has such a place: nothing here asks what a disk does, thousands of times.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

fn config(address: &str, workdir: &Path) -> Config {
    let text = format!(
        "{{listen_address: {address}, storage_port: 0, admin_port: 0, api_port: 0, prometheus_port: 0, workdir: '{}'}}",
        workdir.display()
    );
    Layers::parse(&text).and_then(Config::read).expect("a good configuration")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a directory").map(|entry| entry.expect("a file")) {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

fn copied(from: &TempDir) -> TempDir {
    let to = folder();
    copy(from.path(), to.path());
    to
}

/// The work directory of a node that has changed its schema: while it runs, and after it has ended well.
async fn databases(address: &str) -> [TempDir; 2] {
    let stopped = folder();
    let running = group0_node::run(config(address, stopped.path())).await.expect("it starts");
    let cql = SocketAddr::new(address.parse().expect("an address"), 9042);
    let mut client = loop {
        match CqlClient::connect(cql).await {
            Ok(client) => break client,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let keyspace = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";
    client.query(keyspace).await.expect("changed");
    for number in 0..20 {
        client.query(&format!("CREATE TABLE ks.t{number} (a int PRIMARY KEY, b text)")).await.expect("changed");
    }
    let crashed = copied(&stopped);
    running.stop().await;
    [crashed, stopped]
}

fn load(workdir: &Path) -> Result<Image, DiskError> {
    Disk::open(workdir).and_then(|disk| disk.load())
}

/// A bit of each byte of the header, and of bytes all over the rest.
fn places(length: usize) -> impl Iterator<Item = (usize, u8)> {
    let rest = (HEADER..length).step_by((length - HEADER) / PLACES);
    (0..HEADER).chain(rest).map(|place| (place, 1 << (place % 8)))
}

/// Whether it was noticed, at the first start and, since a supervisor starts it again, at the second one.
fn is_noticed(whole: &TempDir, image: &Image, place: usize, bit: u8) -> bool {
    let workdir = copied(whole);
    let path = workdir.path().join(FILE);
    let mut bytes = fs::read(&path).expect("the database");
    bytes[place] ^= bit;
    fs::write(&path, bytes).expect("written");
    for start in 0..2 {
        match load(workdir.path()) {
            Ok(loaded) => {
                assert!(loaded == *image, "bit {bit} of byte {place}, start {start}: another state was loaded");
                return start > 0;
            }
            Err(error @ (DiskError::Corrupt { .. } | DiskError::Format { .. })) => {
                assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            }
            Err(error) => unreachable!("bit {bit} of byte {place}, start {start}: {error}"),
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_noticed_or_changes_nothing() {
    for whole in databases("127.24.0.1").await {
        let undamaged = copied(&whole);
        let image = load(undamaged.path()).expect("undamaged");
        let length = fs::metadata(whole.path().join(FILE)).expect("the database").len();
        let places: Vec<_> = places(usize::try_from(length).expect("a small file")).collect();
        let noticed = places.iter().filter(|(place, bit)| is_noticed(&whole, &image, *place, *bit)).count();
        println!("{noticed} of {} flipped bits were noticed", places.len());
        assert!(noticed > 0 && noticed < places.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_which_database_is_damaged_and_what_to_do() {
    let [crashed, _] = databases("127.24.0.2").await;
    let path = crashed.path().join(FILE);
    let mut bytes = fs::read(&path).expect("the database");
    // Every page: wherever the last transaction was put.
    bytes.iter_mut().skip(4096).step_by(512).for_each(|byte| *byte ^= 1);
    fs::write(&path, bytes).expect("written");
    for _ in 0..2 {
        let error = group0_node::run(config("127.24.0.2", crashed.path())).await.expect_err("it does not start").to_string();
        assert!(error.contains(&path.display().to_string()) && error.contains("is corrupt"), "{error}");
        assert!(error.contains("replace this node by a new one"), "{error}");
    }
}
