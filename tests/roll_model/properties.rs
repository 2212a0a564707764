//! What must always hold, and what must be reachable.

use crate::{
    search::Search,
    world::{Breach, World},
};
use stateright::Property;

/// The invariants.
pub fn always() -> Vec<Property<Search>> {
    vec![
        Property::always("never two down by our act", |_, world: &World| world.broken != Some(Breach::TwoTaken)),
        Property::always("nothing proceeds before the point of no return is stored", |_, world: &World| {
            world.broken != Some(Breach::ProceedTooEarly)
        }),
        Property::always("nothing proceeds in a cancelled run", |_, world: &World| {
            world.broken != Some(Breach::ProceedAfterCancel)
        }),
        Property::always("the journal explains what harms", |_, world: &World| world.broken != Some(Breach::Unexplained)),
        Property::always("every state ends well", |search: &Search, world: &World| search.ends_well(world)),
    ]
}

/// The `sometimes` properties; a setup names those that it must reach.
pub fn reachable() -> Vec<Property<Search>> {
    vec![
        Property::sometimes("complete", |_, world: &World| world.is_goal() && world.enabled),
        Property::sometimes("cancelled", |_, world: &World| world.is_goal() && !world.enabled),
        Property::sometimes("cancelled too late", |_, world: &World| {
            world.is_goal() && world.enabled && world.object.as_ref().is_some_and(|object| object.cancel)
        }),
        Property::sometimes("two operators act", |_, world: &World| {
            world.operators.iter().all(|process| process.leads && process.answers.len() > 3)
        }),
        Property::sometimes("an act of an older operator is still to come", |_, world: &World| {
            let newest = world.pods.iter().map(|pod| u64::from(pod.now.epoch)).max();
            world.late.iter().any(|(_, epoch)| Some(*epoch) < newest)
        }),
    ]
}
