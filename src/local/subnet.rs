//! Where the nodes of a local cluster listen: 127.a.b.1, .2, … with the usual ports, all of them free when they are chosen.

use super::folder::{self, Folder};
use crate::error::Error;
use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    str::FromStr,
};

/// CQL, between nodes, REST, metrics; beside the Admin service, whose port is in spec.
const PORTS: [u16; 4] = [9042, 7000, 10000, 9180];
/// Subnets tried before giving up.
const TRIES: u64 = 64;

/// The first three bytes of every node's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet(u8, u8);

impl Subnet {
    /// The address of a node.
    pub fn address(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0, self.1, u8::try_from(index + 1).unwrap_or(u8::MAX))
    }

    /// The first port of these nodes that is taken.
    fn taken(self, nodes: &[u32], admin_port: u16) -> Option<(SocketAddrV4, io::Error)> {
        let ports = || PORTS.into_iter().chain([admin_port]);
        let mut sockets = nodes.iter().flat_map(|i| ports().map(|port| SocketAddrV4::new(self.address(*i), port)));
        sockets.find_map(|socket| TcpListener::bind(socket).err().map(|error| (socket, error)))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "127.{}.{}", self.0, self.1)
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<Vec<u8>> = text.trim().split('.').map(|part| part.parse().ok()).collect();
        match bytes.as_deref() {
            Some([127, a, b]) => Ok(Self(*a, *b)),
            _ => Err(format!("'{text}' is no subnet of this machine: write 127.a.b with a and b from 0 to 255")),
        }
    }
}

/// The subnet of this folder: as recorded, else as asked for, else one in which these nodes, which do not run, find their ports
/// free.
pub fn choose(folder: &Folder, asked: Option<Subnet>, resting: &[u32], admin_port: u16) -> Result<Subnet, Error> {
    let recorded = folder::read(&folder.subnet())?;
    let recorded = recorded.map(|text| text.parse::<Subnet>().map_err(|why| unreadable(folder, &why))).transpose()?;
    match (recorded, asked) {
        (Some(recorded), Some(asked)) if recorded != asked => Err(Error::mistake(format!(
            "--subnet {asked}: the cluster in {} has {recorded}; leave --subnet out or name another folder",
            folder.path().display()
        ))),
        (Some(subnet), _) | (None, Some(subnet)) => {
            let other = if recorded.is_some() { "" } else { ", or choose other addresses with --subnet 127.a.b" };
            subnet.taken(resting, admin_port).map_or(Ok(()), |(socket, error)| Err(port_taken(socket, &error, other)))?;
            Ok(subnet)
        }
        (None, None) => candidates(folder).find(|subnet| subnet.taken(resting, admin_port).is_none()).ok_or_else(none_free),
    }
}

fn unreadable(folder: &Folder, why: &str) -> Error {
    Error::failure(format!("{}: {why}; correct or remove the file", folder.subnet().display()))
}

fn port_taken(socket: SocketAddrV4, error: &io::Error, other: &str) -> Error {
    Error::mistake(format!("port {} of {} cannot be used: {error}; end what listens there{other}", socket.port(), socket.ip()))
}

fn none_free() -> Error {
    Error::failure(format!("no free subnet found in {TRIES} tries; choose one with --subnet 127.a.b"))
}

/// In an order of each folder's own, so that clusters of several folders seldom meet.
fn candidates(folder: &Folder) -> impl Iterator<Item = Subnet> {
    let path = folder.path().to_owned();
    (0..TRIES).map(move |attempt| {
        let mut hasher = DefaultHasher::new();
        (&path, attempt, std::process::id()).hash(&mut hasher);
        let [a, b, ..] = hasher.finish().to_le_bytes();
        Subnet(a.clamp(10, 250), b)
    })
}
