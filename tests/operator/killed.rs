//! The operator killed after each single write and node verb of a run, and followed by another one.

use crate::{
    operator::{Operator, Start},
    proxy::{Fate, Proxy},
    scene::Scene,
};
use serde_json::json;
use std::{env, time::Duration};
use tokio::time::timeout;

/// Of a run's writes and verbs; the environment asks for others: `GROUP0_KILLS=1-` is all of them.
const SAMPLE: [usize; 4] = [1, 6, 13, 23];

/// Where a node's Admin service listens, and where the proxy does for it.
const ADMIN: u16 = 7001;
const ADMIN_PROXIED: u16 = 7002;

/// How long a run may take to reach its next write.
const WRITE_MAX: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_finished_by_the_next_operator_whichever_write_was_the_last() {
    for number in 1.. {
        if !is_asked(number) {
            if number > 200 {
                return;
            }
            continue;
        }
        match killed_after(number).await {
            Some(Killed::After(write)) => eprintln!("killed after write {number}: {write}"),
            Some(Killed::Never) => return eprintln!("a run has {} writes", number - 1),
            None => return,
        }
    }
}

enum Killed {
    After(String),
    Never,
}

fn is_asked(number: usize) -> bool {
    match env::var("GROUP0_KILLS") {
        Ok(range) => {
            let (first, last) = range.split_once('-').unwrap_or((&range, &range));
            number >= first.parse().unwrap_or(1) && number <= last.parse().unwrap_or(usize::MAX)
        }
        Err(_) => SAMPLE.contains(&number),
    }
}

async fn killed_after(number: usize) -> Option<Killed> {
    let scene = Scene::new(1).await?;
    let rule = move |asked: &crate::proxy::Asked| if asked.write == number { Fate::Unanswered } else { Fate::Passed };
    let mut proxy = Proxy::start(scene.client.clone(), scene.host(), scene.folder.path(), Box::new(rule)).await;
    proxy.before_node((scene.pod, ADMIN_PROXIED).into(), (scene.pod, ADMIN).into()).await;
    let first = Operator::start(&Start { kubeconfig: proxy.kubeconfig.clone(), ..scene.start(0) });
    scene.upgrade(json!({"clusterRef": {"adminPort": ADMIN_PROXIED}})).await;
    let mut stuck = proxy.stuck();
    tokio::select! {
        reached = timeout(WRITE_MAX, stuck.wait_for(|stuck| *stuck)) => drop(reached.expect("a write in time").unwrap()),
        _ = scene.complete() => return Some(Killed::Never),
    }
    first.kill().await;
    let write = proxy.writes()[number - 1].clone();
    let second = scene.operator(0);
    scene.complete().await;
    assert_eq!(scene.starts(1), [2], "killed after write {number}, {write}");
    second.terminate().await;
    Some(Killed::After(write))
}
