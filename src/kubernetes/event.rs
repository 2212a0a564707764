//! An [`Event`] → one of `events.k8s.io`. Pure.

use crate::act::Event;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event as ApiEvent, EventType};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The API server refuses an event with a longer note.
const MAX_NOTE_BYTES: usize = 1024;
const CUT: &str = "…";

/// About the object and, if it is about one, a pod of this namespace.
///
/// The recorder takes what differs in its note only for a repetition, and tells it with the first one's note: the removal of another host, the
/// hash of another plan. What was done is therefore named with a digest of the text.
pub fn told(event: &Event, namespace: &str) -> ApiEvent {
    let pod = event.pod.as_ref().map(|name| ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(name.clone()),
        namespace: Some(namespace.into()),
        ..ObjectReference::default()
    });
    let mut digest = DefaultHasher::new();
    event.message.hash(&mut digest);
    ApiEvent {
        type_: if event.is_warning { EventType::Warning } else { EventType::Normal },
        reason: event.reason.into(),
        note: Some(bounded(&event.message)),
        action: format!("{}-{:016x}", event.reason, digest.finish()),
        secondary: pod,
    }
}

fn bounded(text: &str) -> String {
    if text.len() <= MAX_NOTE_BYTES {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_NOTE_BYTES - CUT.len());
    text.get(..end).unwrap_or_default().to_owned() + CUT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(message: &str) -> ApiEvent {
        told(&Event { reason: "RemoveHost", pod: Some("db-0".into()), message: message.into(), is_warning: false }, "ns")
    }

    #[test]
    fn what_differs_in_its_text_only_is_no_repetition() {
        assert_eq!(told_of("have db-0 remove x").action, told_of("have db-0 remove x").action);
        assert_ne!(told_of("have db-0 remove x").action, told_of("have db-0 remove y").action);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_to_what_the_api_server_takes() {
        let note = told_of(&"ä".repeat(700)).note.unwrap();
        assert!(note.len() <= 1024 && note.len() > 1020 && note.ends_with("ä…"), "{} bytes", note.len());
        assert_eq!(told_of("short").note.as_deref(), Some("short"));
    }
}
