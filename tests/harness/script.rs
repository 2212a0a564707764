//! A script of what is done to a StatefulSet of three pods, its budget and the upgrade of it, with how each deed ends: played against the
//! simulator's Kubernetes and against a real API server, it must end the same.
//!
//! A line is a deed, `->` and its outcome, `done` or `refused`. Deeds of an operator name the versions and UIDs that it saw at the last
//! `see`. `settle` waits until all pods are Ready, and `state -> …` says how things are, pods compared with the last `see`.

use std::fmt;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The operator makes the StatefulSet its upgrade's.
    Own,
    /// Nobody's.
    Disown,
    /// It puts the flag into the template.
    Flag,
    /// It takes it out.
    Unflag,
    /// It changes the StatefulSet without changing anything.
    TouchSet,
    /// The same of a pod.
    TouchPod(usize),
    /// It evicts a pod.
    Evict(usize),
    /// It writes the upgrade's status.
    Write,
    /// A person deletes a pod.
    DeletePod(usize),
    /// A person changes the template.
    Template,
    /// A person changes the upgrade.
    Edit,
    /// A person deletes it.
    Delete,
    /// A person makes it.
    Create,
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether the template has the flag.
    pub flag: bool,
    /// Who owns the StatefulSet: none, this upgrade, or one that is gone.
    pub owner: &'static str,
    /// Of each pod whether it is another one than was seen.
    pub another: Vec<bool>,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pods: Vec<_> = self.another.iter().map(|another| if *another { "another" } else { "same" }).collect();
        write!(f, "flag {}, owner {}, pods {}", if self.flag { "yes" } else { "no" }, self.owner, pods.join(" "))
    }
}

/// What a script is played against.
pub trait Cluster {
    /// Remembers versions and UIDs.
    async fn see(&mut self);
    /// Waits until all pods are Ready.
    async fn settle(&mut self);
    /// Does it, or says why it is refused.
    async fn attempt(&mut self, deed: Deed) -> Result<(), String>;
    /// How things are.
    async fn state(&mut self) -> State;
}

/// Plays it; the lines that end otherwise than they say.
pub async fn play(cluster: &mut impl Cluster, script: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (step, expected) = line.split_once(" -> ").unwrap_or((line, ""));
        let actual = match step {
            "see" => {
                cluster.see().await;
                String::new()
            }
            "settle" => {
                cluster.settle().await;
                String::new()
            }
            "state" => cluster.state().await.to_string(),
            step => match cluster.attempt(deed(step)).await {
                Ok(()) => "done".into(),
                Err(why) => format!("refused, {why}"),
            },
        };
        if actual != expected && !(expected == "refused" && actual.starts_with("refused")) {
            wrong.push(format!("{line}: {actual}"));
        }
    }
    wrong
}

fn deed(step: &str) -> Deed {
    let (verb, pod) = step.split_once(' ').unwrap_or((step, "0"));
    let pod = pod.parse().expect("the number of a pod");
    match verb {
        "own" => Deed::Own,
        "disown" => Deed::Disown,
        "flag" => Deed::Flag,
        "unflag" => Deed::Unflag,
        "touch-set" => Deed::TouchSet,
        "touch-pod" => Deed::TouchPod(pod),
        "evict" => Deed::Evict(pod),
        "write" => Deed::Write,
        "delete-pod" => Deed::DeletePod(pod),
        "template" => Deed::Template,
        "edit" => Deed::Edit,
        "delete" => Deed::Delete,
        "create" => Deed::Create,
        other => unreachable!("no such deed: {other}"),
    }
}

/// Each script with its name.
pub fn scripts() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/scripts");
    let files = std::fs::read_dir(folder).expect("the folder of scripts").map(|file| file.expect("a file").path());
    let mut scripts: Vec<_> =
        files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("text"))).collect();
    assert!(!scripts.is_empty(), "no script in {folder}");
    scripts.sort();
    scripts
}
