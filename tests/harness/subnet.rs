//! A /24 of 127.0.0.0/8 that no other test on this machine has.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// A host of the subnet that no node has; listening there is the lock on the subnet.
const LOCK_HOST: u8 = 254;
/// Any port above 1023 does; nodes may use it on their own addresses.
const LOCK_PORT: u16 = 7000;
/// Ports of a node, which must be free on the first address.
const NODE_PORTS: [u16; 5] = [7000, 7001, 9042, 9180, 10000];
/// More subnets taken than this is a machine with another problem.
const TRIES_MAX: u32 = 1000;

/// Taken until dropped.
pub struct Subnet {
    prefix: (u8, u8),
    _lock: TcpListener,
}

impl Subnet {
    /// Takes one.
    pub fn take() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let start = process::id().wrapping_mul(31);
        for _ in 0..TRIES_MAX {
            let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (100 * 250);
            let subnet = Self::try_take((
                100 + u8::try_from(number / 250).expect("below 100"),
                1 + u8::try_from(number % 250).expect("below 250"),
            ));
            if let Some(subnet) = subnet {
                return subnet;
            }
        }
        panic!("no free subnet in 127.0.0.0/8 after {TRIES_MAX} tries")
    }

    fn try_take(prefix: (u8, u8)) -> Option<Self> {
        let host = |last| Ipv4Addr::new(127, prefix.0, prefix.1, last);
        let lock = TcpListener::bind((host(LOCK_HOST), LOCK_PORT)).ok()?;
        let free = NODE_PORTS.iter().all(|&port| TcpListener::bind((host(1), port)).is_ok());
        free.then_some(Self { prefix, _lock: lock })
    }

    /// The address of a node, counted from 0.
    pub fn host(&self, index: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, self.prefix.0, self.prefix.1, u8::try_from(index + 1).expect("clusters of tests are small"))
    }
}
