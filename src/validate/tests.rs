//! Each mistake of a user, with its place and its remedy.

use super::*;
use expect_test::{Expect, expect};

const GOOD: &str = "\
apiVersion: group0.dev/v1alpha1
kind: Group0Upgrade
metadata:
  name: demo
spec:
  clusterRef:
    statefulSets: [db]
";

fn refused(text: &str, why: &Expect) {
    why.assert_eq(&upgrade(text).unwrap_err().to_string());
}

#[test]
fn the_example_is_accepted() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/upgrade.yaml");
    let object = upgrade(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(object.spec.cluster_ref.admin_port, 7001);
}

#[test]
fn an_unknown_field_is_refused_where_it_stands() {
    refused(
        &format!("{GOOD}  pacing:\n    bakeSecnds: 5\n"),
        &expect!["line 9, column 5: spec.pacing.bakeSecnds: unknown field; known are bakeSeconds, minSecondsBetweenNodes"],
    );
    refused(
        &format!("{GOOD}extra: 1\n"),
        &expect!["line 8, column 1: extra: unknown field; known are apiVersion, kind, metadata, spec, status"],
    );
}

#[test]
fn a_wrong_value_is_refused_with_what_it_must_be() {
    refused(
        &format!("{GOOD}  mode: automatic\n"),
        &expect!["line 8, column 9: spec.mode: must be one of Automatic, Supervised, is 'automatic'"],
    );
    refused(
        &format!("{GOOD}  pacing:\n    bakeSeconds: 86401\n"),
        &expect!["line 9, column 18: spec.pacing.bakeSeconds: must be a whole number from 0 to 86400, is 86401"],
    );
    refused(
        &format!("{GOOD}  deadlines: {{rpc: 5 minutes}}\n"),
        &expect!["line 8, column 20: spec.deadlines.rpc: must be a duration like 90s, 5m or 1h30m, is '5 minutes'"],
    );
    refused(&format!("{GOOD}  paused: 1\n"), &expect!["line 8, column 11: spec.paused: must be true or false, is 1"]);
    refused(
        &GOOD.replace("[db]", "[]"),
        &expect!["line 7, column 19: spec.clusterRef.statefulSets: must have 1 to 16 entries, has 0"],
    );
    refused(
        &GOOD.replace("[db]", "[db, db]"),
        &expect!["spec.clusterRef.statefulSets: a StatefulSet is named twice; name it once"],
    );
    refused(
        &GOOD.replace("statefulSets: [db]", "container: db"),
        &expect!["line 7, column 5: spec.clusterRef.statefulSets: is required and not there; add it"],
    );
}

#[test]
fn another_kind_of_file_is_refused() {
    refused(
        "apiVersion: v1\nkind: Pod\n",
        &expect![[
            r"line 1, column 1: this is no Group0Upgrade: its apiVersion is 'v1'; it must begin with 'apiVersion: group0.dev/v1alpha1' and 'kind: Group0Upgrade'"
        ]],
    );
    refused(
        "just text",
        &expect![[
            r"line 1, column 1: this is no Group0Upgrade: it has no 'apiVersion'; it must begin with 'apiVersion: group0.dev/v1alpha1' and 'kind: Group0Upgrade'"
        ]],
    );
    refused(
        "",
        &expect![
            "line 1, column 1: this is no Group0Upgrade: it has no 'apiVersion'; it must begin with 'apiVersion: group0.dev/v1alpha1' and 'kind: Group0Upgrade'"
        ],
    );
    refused("a: [1", &expect!["line 1, column 4: unclosed bracket '['; correct the file"]);
    refused(
        &format!("{GOOD}{GOOD}"),
        &expect!["line 8, column 1: duplicate mapping key `apiVersion` is not allowed here; correct the file"],
    );
    refused(
        &format!("{GOOD}---\n{GOOD}"),
        &expect!["line 9, column 1: only single YAML document expected but multiple found; correct the file"],
    );
}

#[test]
fn what_no_schema_can_say_is_refused_too() {
    refused(
        &format!("{GOOD}  window: {{start: '08:00', end: '09:00', timeZone: Mars/Base}}\n"),
        &expect!["spec.window.timeZone: 'Mars/Base' is not in the IANA database; Europe/Berlin is"],
    );
    refused(
        &format!("{GOOD}  overrides: [{{guard: NodesReachable, reason: x, expiresAt: 2030-01-01T00:00:00Z}}]\n"),
        &expect![
            "spec.overrides: 'NodesReachable' is no guard that can be overridden; these can: OnDelete, OrderedReady, TemplateChanged, Scaling, OneBudget, LeftoverRun, ClockOff, OneRelease, DiskFull, ForeignMembers, DonorBehindKnownCommit"
        ],
    );
}
