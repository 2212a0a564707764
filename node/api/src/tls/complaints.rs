//! Who has been complained of: whoever tries again five times a second, is told of once a minute.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// After so long a complaint is news again.
const REPEAT_EVERY: Duration = Duration::from_mins(1);
/// Addresses that are remembered; past this all are forgotten, and some things are said twice.
const ADDRESSES_MAX: usize = 1024;

/// The last complaint of each address.
#[derive(Debug, Default)]
pub struct Complaints {
    last: Mutex<HashMap<IpAddr, (String, Instant)>>,
}

impl Complaints {
    /// Whether to say this now.
    pub fn is_news(&self, of: IpAddr, why: &str, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.get(&of).is_some_and(|(said, at)| said == why && now.saturating_duration_since(*at) < REPEAT_EVERY);
        if !known {
            if last.len() >= ADDRESSES_MAX {
                last.clear();
            }
            last.insert(of, (why.to_owned(), now));
        }
        !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_minute() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let [one, two] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        assert!(complaints.is_news(one, "no TLS", start));
        assert!(!complaints.is_news(one, "no TLS", start + REPEAT_EVERY / 2));
        assert!(complaints.is_news(two, "no TLS", start));
        assert!(complaints.is_news(one, "no certificate", start));
        assert!(complaints.is_news(one, "no certificate", start + REPEAT_EVERY));
    }
}
