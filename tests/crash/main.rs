//! Real processes, killed at every persisted step, before and after the step is durable: of an [`upgrade`], of a host's [`departure`], and of
//! what people order for [`recovery`]. Clients change the schema all the while.

mod departure;
#[path = "../harness/mod.rs"]
mod harness;
mod recovery;
mod upgrade;

use group0_core::io::Point;
use std::collections::BTreeSet;

/// Which side of the transaction the process dies on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Side {
    /// The name of the injection.
    fn of(self, point: Point) -> String {
        match self {
            Self::Before => format!("before_{}", point.name()),
            Self::After => format!("after_{}", point.name()),
        }
    }
}

#[test]
fn no_point_is_forgotten() {
    let others = [departure::TESTED, recovery::TESTED].concat();
    let tested = upgrade::TESTED.iter().copied().chain(others.iter().map(|point| point.name()));
    let all: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
    assert_eq!(tested.collect::<BTreeSet<_>>(), all, "every point is a test here");
}
