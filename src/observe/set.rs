//! A StatefulSet as it was seen.

/// A StatefulSet, or what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Grows with every change of it, by whomever.
    pub version: u64,
    /// How many pods it is to have.
    pub replicas: u32,
    /// Whether its template turns the flag on.
    pub flag: bool,
    /// Whether its template holds the feature back.
    pub hold: bool,
    /// Whether its template has flag or hold, and not from us: what others say there is not ours to take back.
    pub kept: bool,
    /// Its template without our variables, hashed.
    pub template_hash: String,
    /// Whether its owner's manifest says `OnDelete`: pods are made again only when they are deleted.
    pub on_delete: bool,
    /// Whether `podManagementPolicy` is `Parallel`.
    pub parallel: bool,
    /// Whether its controller has seen the present template.
    pub settled: bool,
    /// The upgrade that says it owns it.
    pub owner: Option<Owner>,
}

/// Who owns a StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The UID of the object.
    pub uid: String,
    /// Whether that object exists.
    pub exists: bool,
}
