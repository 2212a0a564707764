//! What a configuration means, as transcripts: the file and the environment in, the effective values or the error out.

use group0_node::config::{Config, Layers, default_path};
use std::fmt::Write as _;

fn read(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let layers = Layers::parse(file).map_err(|error| error.to_string())?;
    Config::read(layers.with_environment(environment)).map_err(|error| error.to_string())
}

fn transcript(config: &Config) -> String {
    let Config { listen, broadcast, cql, broadcast_rpc, admin, api, prometheus, seeds, flag, hold, .. } = config;
    let mut text = String::new();
    writeln!(text, "{} in {} ({}/{})", config.cluster_name, config.workdir.display(), config.data_center, config.rack)
        .expect("a string");
    writeln!(text, "peers {listen} as {broadcast}, cql {cql} as {broadcast_rpc}").expect("a string");
    writeln!(text, "admin {admin}, api {api}, prometheus {prometheus}").expect("a string");
    writeln!(text, "seeds {seeds:?}, flag {flag:?}, hold {hold}, injections {:?}", config.injections).expect("a string");
    write!(text, "unknown {:?}", config.unknown).expect("a string");
    text
}

fn shows(file: &str, environment: &[(&str, &str)], expected: &str) {
    let shown = read(file, environment).map_or_else(|error| error, |config| transcript(&config));
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(shown, expected.join("\n"), "\nfile:\n{file}\nenvironment: {environment:?}");
}

#[test]
fn nothing_at_all_is_a_configuration() {
    shows(
        "",
        &[],
        r"Test Cluster in /var/lib/group0 (datacenter1/rack1)
        peers 127.0.0.1:7000 as 127.0.0.1, cql 127.0.0.1:9042 as 127.0.0.1
        admin 127.0.0.1:7001, api 127.0.0.1:10000, prometheus 127.0.0.1:9180
        seeds [], flag None, hold false, injections {}
        unknown []",
    );
}

#[test]
fn a_file_of_the_reference_is_understood() {
    shows(
        r"
cluster_name: 'prod'
workdir: /data
listen_address: 127.7.0.3
rpc_address: 127.7.0.3
api_address: 127.0.0.1
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: '127.7.0.1, node-2.example:7100'
consistent_cluster_management: 'True'
experimental_features: [udf]
error_injections_at_startup: [before_group0_founded, {name: after_group0_final, value: 1}]
",
        &[],
        r#"prod in /data (datacenter1/rack1)
        peers 127.7.0.3:7000 as 127.7.0.3, cql 127.7.0.3:9042 as 127.7.0.3
        admin 127.7.0.3:7001, api 127.0.0.1:10000, prometheus 127.7.0.3:9180
        seeds ["127.7.0.1", "node-2.example:7100"], flag Some(true), hold false, injections {"after_group0_final", "before_group0_founded"}
        unknown ["experimental_features"]"#,
    );
}

#[test]
fn the_environment_wins() {
    shows(
        "listen_address: 127.0.0.9\nseeds: [127.0.0.9]\nconsistent_cluster_management: True\ncluster_name: one",
        &[
            ("GROUP0_LISTEN_ADDRESS", "0.0.0.0"),
            ("GROUP0_BROADCAST_ADDRESS", "10.1.2.3"),
            ("GROUP0_STORAGE_PORT", "7100"),
            ("GROUP0_SEEDS", "a, b"),
            ("GROUP0_CONSISTENT_CLUSTER_MANAGEMENT", "False"),
            ("GROUP0_CONSISTENT_CLUSTER_MANAGEMENT_HOLD", "true"),
            ("GROUP0_ERROR_INJECTIONS_AT_STARTUP", "[{name: before_proceed}]"),
            ("GROUP0_CLUSTER_NAME", "42"),
            ("GROUP0_SERVICE_HOST", "10.0.0.1"),
            ("GROUP0_PORT", "tcp://10.0.0.1:9042"),
            ("GROUP0_PORT_9042_TCP_ADDR", "10.0.0.1"),
            ("GROUP0_CLUSTER_SERVICE_PORT_CQL", "9042"),
            ("GROUP0_LOG_FORMAT", "json"),
            ("GROUP0_FAILURE_DETECTOR_TIMEOUT_MS", "60000"),
            ("CLUSTER_NAME", "other"),
        ],
        r#"42 in /var/lib/group0 (datacenter1/rack1)
        peers 0.0.0.0:7100 as 10.1.2.3, cql 0.0.0.0:9042 as 10.1.2.3
        admin 0.0.0.0:7001, api 0.0.0.0:10000, prometheus 0.0.0.0:9180
        seeds ["a", "b"], flag Some(false), hold true, injections {"before_proceed"}
        unknown ["failure_detector_timeout_ms"]"#,
    );
}

/// Neither root nor anybody else comes to the end of that path: what is there cannot be known.
#[test]
fn a_file_that_may_not_be_seen_is_not_taken_for_none() {
    let workdir = tempfile::tempdir().expect("a directory");
    assert_eq!(default_path(workdir.path()), None);
    std::os::unix::fs::symlink("conf", workdir.path().join("conf")).expect("a link to itself");
    let path = default_path(workdir.path()).expect("something may be there");
    assert!(Layers::read(Some(&path), []).expect_err("it cannot be read").to_string().contains("conf/scylla.yaml"));
}

#[test]
fn seeds_are_those_of_the_last_layer_that_names_any() {
    let seeds = |file: &str, environment: &[(&str, &str)]| read(file, environment).expect(file).seeds;
    let provider = "[{class_name: Simple, parameters: [{seeds: 'c'}]}]";
    let files = ["seeds: [a, b]", "seed_provider: [{parameters: [{seeds: 'a,b'}]}]"];
    for file in files {
        assert_eq!(seeds(file, &[]), ["a", "b"], "{file}");
        for nothing in ["", " "] {
            let nothing = [("GROUP0_SEEDS", nothing), ("GROUP0_SEED_PROVIDER", nothing)];
            assert_eq!(seeds(file, &nothing), ["a", "b"], "{file}");
        }
        assert_eq!(seeds(file, &[("GROUP0_SEEDS", "c")]), ["c"], "{file}");
        assert_eq!(seeds(file, &[("GROUP0_SEED_PROVIDER", provider)]), ["c"], "{file}");
    }
    assert_eq!(seeds(&files.join("\n").replacen("a, b", "d", 1), &[]), ["d"], "the shorter key wins");
    assert!(seeds("", &[("GROUP0_SEEDS", "")]).is_empty() && seeds("seeds: []\nseed_provider: ", &[]).is_empty());
    assert!(read("seeds: a", &[("GROUP0_SEED_PROVIDER", "c")]).expect_err("a text").contains("'seed_provider'"));
}

#[test]
fn mistakes_are_named() {
    let mistakes = [
        ("storage_port: 70000", "Bad configuration: storage_port is 70000, expected a number from 0 to 65535"),
        ("listen_address: nowhere", r#"Bad configuration: listen_address is "nowhere", expected an IP address"#),
        (
            "consistent_cluster_management: maybe",
            r#"Bad configuration: consistent_cluster_management is "maybe", expected true or false"#,
        ),
        ("num_tokens: 0", "Bad configuration: num_tokens is 0; at least 1 is needed"),
        ("raft_tick_in_ms: 0", "Bad configuration: raft_tick_in_ms is 0, which is no time at all"),
        ("seeds: {a: b}", "Bad configuration: invalid value in 'seeds'"),
        ("seed_provider: [{class_name: Simple, seeds: a}]", "Bad configuration: invalid value in 'seed_provider'"),
        ("seed_provider: a", "Bad configuration: invalid value in 'seed_provider'"),
        ("seed_provider: [{parameters: [{seeds: }]}]", "Bad configuration: invalid value in 'seeds'"),
        ("[a, b]", "Bad configuration: expected `key: value` lines"),
        (
            "endpoint_snitch: Ec2Snitch",
            "Bad configuration: endpoint_snitch is Ec2Snitch, expected SimpleSnitch or GossipingPropertyFileSnitch",
        ),
        (
            "listen_address: 0.0.0.0",
            "Bad configuration: broadcast_address is 0.0.0.0, which nobody can connect to: set it to an address of this node",
        ),
        (
            "server_encryption_options: {internode_encryption: all}",
            "Bad configuration: server_encryption_options.certificate is missing; encryption needs certificate, keyfile and truststore",
        ),
        (
            "server_encryption_options: {internode_encryption: dc}",
            "Bad configuration: server_encryption_options.internode_encryption is dc, expected none or all",
        ),
        (
            "server_encryption_options: {internode_encryption: all, require_client_auth: false}",
            "Bad configuration: server_encryption_options.require_client_auth is false, but both sides always prove who they are: \
             set it to true or leave it out",
        ),
        (
            "server_encryption_options: {internode_encryption: all, certificate: c, keyfile: k, truststore: t, server_name: a b}",
            "Bad configuration: server_encryption_options.server_name is a b: invalid dns name",
        ),
        (
            "admin_encryption_options: {enabled: true, certificate: c, keyfile: k}",
            "Bad configuration: admin_encryption_options.truststore is missing; encryption needs certificate, keyfile and truststore",
        ),
        ("admin_encryption_options: true", "Bad configuration: admin_encryption_options is true, expected a map"),
        (
            "client_encryption_options: {enabled: true}",
            "Bad configuration: client_encryption_options.enabled is true, but this release has no TLS for CQL",
        ),
        ("enable_error_injections: often", r#"Bad configuration: enable_error_injections is "often", expected true or false"#),
        ("recovery_leader: [a]", r#"Bad configuration: recovery_leader is ["a"], expected a host id"#),
    ];
    for (file, expected) in mistakes {
        assert_eq!(read(file, &[]).expect_err(file), expected, "{file}");
    }
    let error = read("a: 1\na: 2", &[]).expect_err("a key twice");
    assert!(error.contains("duplicate"), "{error}");
}

#[test]
fn rack_and_data_center_come_from_the_property_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("scylla.yaml");
    std::fs::write(&path, "endpoint_snitch: org.apache.cassandra.locator.GossipingPropertyFileSnitch").expect("written");
    let load = || Layers::read(Some(&path), []).and_then(Config::read);
    assert!(load().expect_err("no file").to_string().contains("cassandra-rackdc.properties"));
    std::fs::write(directory.path().join("cassandra-rackdc.properties"), "# where\ndc = east\nrack=r7\nprefer_local=true\n")
        .expect("written");
    let config = load().expect("complete");
    assert_eq!((config.data_center.as_str(), config.rack.as_str()), ("east", "r7"));
    let error = Layers::read(Some(&directory.path().join("missing.yaml")), []).expect_err("no such file");
    assert!(error.to_string().starts_with("cannot read the configuration"), "{error}");
}

#[test]
fn the_effective_values_are_shown_and_compared() {
    let (one, two) = (read("cluster_name: a", &[]).expect("fine"), read("cluster_name: b", &[]).expect("fine"));
    assert_eq!(one.effective["cluster_name"], "a");
    assert_eq!(one.effective["storage_port"], "7000");
    assert_eq!(one.changed_keys(&two), ["cluster_name"]);
}

#[test]
fn whose_place_a_node_takes_is_a_host_id() {
    let (lost, other) = ("6f1d5a40-0000-4000-8000-000000000001", "6f1d5a40-0000-4000-8000-000000000002");
    let file = format!("replace_node_first_boot: {lost}\nignore_dead_nodes_for_replace: '{other}'");
    let replaced = read(&file, &[]).unwrap().replaces.unwrap();
    assert_eq!(
        (replaced.host.to_string(), replaced.ignore.iter().map(ToString::to_string).collect()),
        (lost.to_owned(), vec![other.to_owned()])
    );
    let wrong = read("", &[("GROUP0_REPLACE_NODE_FIRST_BOOT", "db-0")]).unwrap_err();
    assert_eq!(wrong, "Bad configuration: replace_node_first_boot is \"db-0\", expected a host id");
}

#[test]
fn whoever_has_errors_injected_at_startup_may_inject_others_later() {
    let may = |file: &str| read(file, &[]).expect(file).enable_injections;
    assert!(!may("") && !may("error_injections_at_startup: []"));
    assert!(may("enable_error_injections: true") && may("error_injections_at_startup: [before_left]"));
    assert!(!may("error_injections_at_startup: [before_left]\nenable_error_injections: false"));
}
