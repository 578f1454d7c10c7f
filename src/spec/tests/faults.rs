//! What faults may not be asked for, alone and together.

use super::*;

#[test]
fn refuses_faults_that_contradict_each_other() {
    let steps = "    - {name: pause, at: 1s, for: 10s, fault: {processPause: {members: {ordinals: [0, 1]}}}}
    - {name: kill, at: 5s, fault: {podKill: {members: {ordinals: [1]}}}}
  hypothesis:";
    let found = problems(&GOOD.replace("  hypothesis:", steps));
    assert!(
        found.len() == 1 && found[0].contains("contradicts step `pause`, which hits ordinal 1"),
        "{found:#?}"
    );
    let apart = steps.replace("at: 5s", "at: 15s");
    assert_eq!(problems(&GOOD.replace("  hypothesis:", &apart)), Vec::<String>::new());
}

#[test]
fn refuses_what_a_member_whose_volumes_are_detached_cannot_show() {
    let told = |other: &str| {
        let steps = format!(
            "    - {{name: block, at: 1s, for: 10s, fault: {{volumeAttachBlock: {{members: {{ordinals: [1]}}}}}}}}
    - {{name: other, at: 5s, {other}}}
  hypothesis:"
        );
        problems(&GOOD.replace("  hypothesis:", &steps))
    };
    for (other, why) in [
        (
            "for: 10s, fault: {volumeAttachBlock: {members: {ordinals: [1, 2]}}}",
            "its volumes are detached already",
        ),
        ("fault: {podKill: {members: {ordinals: [1]}}}", "has no process"),
        ("for: 10s, fault: {processPause: {members: {ordinals: [1]}}}", "has no process"),
        ("for: 10s, fault: {schedulingBlock: {members: {ordinals: [1]}}}", "a pod that cannot be made"),
        (
            "for: 10s, fault: {apiDeny: {resources: [pods], members: {ordinals: [1]}}}",
            "a pod that cannot be made",
        ),
    ] {
        let found = told(other);
        assert!(
            found.len() == 1 && found[0].contains("contradicts step `block`") && found[0].contains(why),
            "{other}: {found:#?}"
        );
    }
    for other in [
        "for: 10s, fault: {volumeAttachBlock: {members: {ordinals: [2]}}}",
        "for: 10s, fault: {snapshotBlock: {members: {ordinals: [1]}}}",
    ] {
        assert_eq!(told(other), Vec::<String>::new(), "{other}");
    }
}

#[test]
fn refuses_what_contradicts_one_of_the_drivers_that_may_be_taken_and_says_to_name_another() {
    let told = |latency: &str, other: &str| {
        let steps = format!(
            "    - {{name: slow, at: 1s, for: 10s, fault: {{diskLatency: {{members: {{ordinals: [1]}}, {latency}}}}}}}
    - {{name: other, at: 5s, for: 10s, fault: {{{other}}}}}
  hypothesis:"
        );
        problems(&GOOD.replace("  hypothesis:", &steps))
    };
    let stall = "diskStall: {members: {ordinals: [1]}}";
    let broken =
        "diskError: {members: {ordinals: [1]}, error: EIO, operations: [sync, write], driver: dmError}";
    for (latency, other, why) in [
        ("delay: {fixed: 300ms}", stall, "a freeze waits for all that a slow device holds back"),
        ("delay: {fixed: 20ms}", broken, "are mapped otherwise already"),
    ] {
        let found = told(latency, other);
        assert!(found.len() == 1 && found[0].contains("contradicts step `slow`"), "{other}: {found:#?}");
        assert!(found[0].contains(why) && found[0].contains(": name another"), "{other}: {found:#?}");
        let named = told(&format!("{latency}, driver: syscall"), other);
        assert_eq!(named, Vec::<String>::new(), "{other}");
    }
    let traced = told("delay: {fixed: 20ms}", "processPause: {members: {ordinals: [1]}}");
    assert!(traced.len() == 1 && !traced[0].contains("name another"), "{traced:#?}");
}

#[test]
fn refuses_parameters_before_a_run_that_their_types_let_through() {
    let found = |fault: &str| {
        let step = format!("    - {{name: wrong, at: 9m, for: 10s, fault: {{{fault}}}}}\n  hypothesis:");
        problems(&GOOD.replace("  hypothesis:", &step))
    };
    let disk = |fault: &str, rest: &str| format!("{fault}: {{members: {{ordinals: [1]}}, {rest}}}");
    for (fault, field, instead) in [
        (disk("diskLatency", "delay: {fixed: 2h}"), "diskLatency.delay", "delay: {fixed: 20ms}"),
        (disk("diskLatency", "delay: {uniform: {min: 9ms, max: 2ms}}"), "diskLatency.delay", "exchange them"),
        (
            disk("diskLatency", &format!("delay: {{recorded: [{}]}}", ["2ms"; 1001].join(", "))),
            "diskLatency.delay",
            "write percentiles of them",
        ),
        (disk("diskLatency", "delay: {fixed: 2ms}, percent: 0"), "diskLatency.percent", "between 1 and 100"),
        (
            disk("diskLatency", "delay: {fixed: 2ms}, operations: []"),
            "diskLatency.operations",
            "operations: [sync]",
        ),
        (
            disk("diskLatency", "delay: {fixed: 2ms}, paths: [/wal]"),
            "diskLatency.paths",
            "paths: [\"wal/*\"]",
        ),
        (disk("diskError", "error: EIO, paths: [\"wal/[\"]"), "diskError.paths", "paths: [\"wal/*\"]"),
        (disk("diskError", "error: EIO, percent: 101"), "diskError.percent", "between 1 and 100"),
        (disk("diskError", "error: ENOSPC, operations: [read]"), "diskError.operations", "error: EIO"),
        (
            disk("diskLatency", "delay: {uniform: {min: 1ms, max: 2ms}}, driver: dmDelay"),
            "diskLatency.delay",
            "delay: {fixed: 20ms}, or driver: syscall",
        ),
        (
            disk("diskLatency", "delay: {fixed: 2ms}, driver: dmDelay, percent: 9"),
            "diskLatency.percent",
            "leave percent",
        ),
        (
            disk("diskLatency", "delay: {fixed: 2ms}, driver: fanotify"),
            "diskLatency.operations",
            "[read, write]",
        ),
        (
            disk("diskError", "error: EIO, driver: dmError"),
            "diskError.operations",
            "operations: [sync, write]",
        ),
        (disk("diskError", "error: ENOSPC, driver: dmError"), "diskError.error", "error: EIO"),
        (disk("diskFill", "to: {percent: 101}"), "diskFill.to", "to: {percent: 95}"),
        (disk("diskFill", "to: {inodesPercent: 0}"), "diskFill.to", "to: {inodesPercent: 95}"),
        (
            disk("diskThrottle", "claims: []"),
            "diskThrottle.writeIops",
            "writeIops: 20, or writeBandwidth: 1Mi",
        ),
        (disk("diskThrottle", "readIops: 0"), "diskThrottle.readIops", "readIops: 20"),
        (disk("diskThrottle", "writeBandwidth: 1k"), "diskThrottle.writeBandwidth", "writeBandwidth: 1Mi"),
        (disk("diskThrottle", "readBandwidth: 1MiB"), "diskThrottle.readBandwidth", "bytes such as 1Mi"),
        (disk("ioStress", "workers: 33"), "ioStress.workers", "workers: 4"),
        (disk("ioStress", "blockSize: 6Ki"), "ioStress.blockSize", "blockSize: 64Ki"),
        (disk("ioStress", "blockSize: 2Mi"), "ioStress.blockSize", "1Mi at most"),
        (disk("ioStress", "size: 100Ki"), "ioStress.size", "size: 32Mi"),
        (disk("ioStress", "size: 2Gi"), "ioStress.size", "1Gi at most"),
        (disk("ioStress", "writePercent: 101"), "ioStress.writePercent", "writePercent: 50"),
        (disk("ioStress", "rate: 0"), "ioStress.rate", "rate: 200"),
        (disk("writeStall", "frozen: 1h, gap: 1s"), "writeStall.frozen", "frozen: 50ms"),
        (disk("writeStall", "frozen: 50ms, gap: 0ms"), "writeStall.gap", "gap: 50ms"),
        (disk("networkDelay", "delay: 0ms"), "networkDelay.delay", "delay: 100ms"),
        (disk("networkDelay", "delay: 6s"), "networkDelay.delay", "at most 5 s"),
        (disk("networkDelay", "delay: 5ms, jitter: 6ms"), "networkDelay.jitter", "no more than `delay`"),
        (disk("networkDelay", "delay: 4s, jitter: 2100ms"), "networkDelay.jitter", "at most 2 s"),
        (disk("networkLoss", "loss: 100%"), "networkLoss.loss", "networkPartition"),
        (disk("networkLoss", "loss: 0%"), "networkLoss.loss", "loss: 5%"),
        (disk("networkLoss", "loss: 5"), "networkLoss.loss", "loss: 5%"),
        (disk("networkLoss", "loss: 5%, burst: 1"), "networkLoss.burst", "burst: 5"),
        (disk("networkLoss", "loss: 90%, burst: 2"), "networkLoss.burst", "write longer ones"),
        (disk("networkBandwidth", "rate: 1kbit"), "networkBandwidth.rate", "rate: 10mbit"),
        (disk("networkBandwidth", "rate: 40gbit"), "networkBandwidth.rate", "8kbit to 10gbit"),
        ("apiDeny: {resources: []}".into(), "apiDeny.resources", "resources: [pods]"),
    ] {
        let told = found(&fault);
        assert_eq!(told.len(), 1, "{fault}: {told:#?}");
        assert!(told[0].contains(&format!(": spec.steps[1].fault.{field}: ")), "{fault}: {told:#?}");
        assert!(told[0].contains(instead), "{fault}: {told:#?}");
    }
    assert_eq!(found(&disk("writeStall", "frozen: 1h, gap: 0ms")).len(), 2, "all at once");
}

#[test]
fn destroys_nothing_unless_the_document_says_that_it_is_meant_and_warns_then() {
    let step = |said: &str| {
        let fault = format!("claimDelete: {{members: {{ordinals: [1]}}{said}}}");
        GOOD.replace(
            "  hypothesis:",
            &format!("    - {{name: lose, at: 9m, fault: {{{fault}}}}}\n  hypothesis:"),
        )
    };
    for said in ["", ", destroysData: false"] {
        let found = problems(&step(said));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains(": spec.steps[1].fault.claimDelete.destroysData: "), "{found:#?}");
        assert!(found[0].contains("write destroysData: true if that is meant"), "{found:#?}");
    }
    let off = |said: &str| {
        let lasting =
            step(said).replace("claimDelete", "nodeDown").replace("at: 9m, fault", "at: 9m, for: 1m, fault");
        lasting.replace("ordinals: [1]}", "ordinals: [1]}, outOfService: true")
    };
    let found = problems(&off(""));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains(": spec.steps[1].fault.nodeDown.destroysData: "), "{found:#?}");
    let warned = experiment(&document(&off(", destroysData: true"))).unwrap().warnings();
    assert!(warned.len() == 1 && warned[0].contains("detaches volumes by force"), "{warned:#?}");
    let accepted = experiment(&document(&step(", destroysData: true"))).unwrap();
    let warnings = accepted.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].starts_with("step lose destroys data: claimDelete deletes claims"), "{warnings:#?}");
    assert_eq!(experiment(&document(GOOD)).unwrap().warnings(), Vec::<String>::new());
}

#[test]
fn says_that_a_power_loss_needs_a_sandbox() {
    let step = |said: &str| {
        let fault = format!("powerLoss: {{members: {{ordinals: [1]}}{said}}}");
        let step = format!("    - {{name: power, at: 9m, fault: {{{fault}}}}}\n  hypothesis:");
        experiment(&document(&GOOD.replace("  hypothesis:", &step))).unwrap().needs_sandbox()
    };
    for said in ["", ", unsynced: lost"] {
        let why = step(said).expect("no agent finds the devices");
        assert!(why.starts_with("step power: powerLoss: an agent does not find the block devices"), "{why}");
    }
    let why = step(", unsynced: torn").expect("no cluster has such volumes");
    assert!(
        why.starts_with("step power: powerLoss: writes are torn only on volumes that a sandbox makes"),
        "{why}"
    );
}

#[test]
fn refuses_blocks_of_volumes_where_there_are_no_claims_to_tell_them_by() {
    let step = |fault: &str| {
        let lasting = if fault.starts_with("claimDelete") { "" } else { "for: 10s, " };
        let text = format!("    - {{name: block, at: 9m, {lasting}fault: {{{fault}}}}}\n  hypothesis:");
        GOOD.replace("  hypothesis:", &text)
    };
    for (fault, nothing) in [
        ("volumeAttachBlock: {members: {ordinals: [1]}}", Some("attach")),
        ("provisionBlock: {}", Some("deny")),
        ("snapshotBlock: {}", Some("deny")),
        ("apiDeny: {resources: [pods, volumeSnapshots]}", Some("deny")),
        ("claimDelete: {members: {ordinals: [1]}, destroysData: true}", Some("delete")),
        ("schedulingBlock: {}", None),
    ] {
        let parsed = document(&step(fault));
        let experiment = experiment(&parsed).unwrap();
        let with_claims = against_target(&parsed, &experiment, &facts(), None);
        assert!(with_claims.is_ok(), "{fault}");
        let without =
            against_target(&parsed, &experiment, &TargetFacts { claims: Vec::new(), ..facts() }, None);
        let found: Vec<_> = without.err().unwrap_or_default().iter().map(ToString::to_string).collect();
        let told = nothing.map(|what| {
            format!("spec.steps[1].fault: `etcd` has no claim templates, so there is nothing to {what}")
        });
        assert_eq!(found.len(), usize::from(told.is_some()), "{fault}: {found:#?}");
        assert!(told.is_none_or(|told| found[0].contains(&told)), "{fault}: {found:#?}");

        let pods = step(fault).replace("statefulSet: etcd", "pods: {selector: {matchLabels: {app: etcd}}}");
        let found = problems(&pods);
        assert_eq!(found.len(), usize::from(nothing.is_some()), "{fault}: {found:#?}");
        assert!(found.iter().all(|told| told.contains("needs a StatefulSet")), "{fault}: {found:#?}");
    }
}

#[test]
fn judges_every_alternative_and_says_which_it_is() {
    let soak = "    - name: soak
      at: 1s
      for: 10s
      oneOf:
        - {fault: {processPause: {members: {ordinals: [0, 7]}}}}
        - {weight: 2, fault: {podKill: {members: {ordinals: [1]}}}}
  hypothesis:";
    let text = GOOD.replace("  hypothesis:", soak);
    let experiment = experiment(&document(&text)).unwrap();
    let found = crate::spec::against_target(&document(&text), &experiment, &facts(), None).unwrap_err();
    assert!(
        found.len() == 1 && found[0].to_string().contains("spec.steps[1].oneOf[0].fault: ordinal 7 does not"),
        "{found:#?}"
    );
    let other = "    - {name: kill, at: 5s, fault: {podKill: {members: {ordinals: [0]}}}}\n  hypothesis:";
    let found = problems(&text.replace("  hypothesis:", other));
    assert!(
        found.len() == 1 && found[0].contains("may contradict step `soak`, which may hit ordinal 0"),
        "{found:#?}"
    );
    let found = problems(&text.replace("weight: 2", "wait: 2"));
    assert!(
        found.len() == 1 && found[0].contains("spec.steps[1].oneOf[1].wait: unknown field"),
        "{found:#?}"
    );
    let attach = text.replace("podKill: {members: {ordinals: [1]}}", "podEvict: {members: {count: 1}}");
    let experiment = super::experiment(&document(&attach)).unwrap();
    let found = against_sandbox(&document(&attach), &experiment, &std::collections::BTreeMap::new());
    let found = found.unwrap_err();
    assert!(found[0].to_string().contains("spec.steps[1].oneOf[1].fault: `podEvict` is done"), "{found:#?}");
}

#[test]
fn refuses_what_no_statefulset_can_be_changed_to() {
    let told = |action: &str| {
        let steps = format!("    - {{name: change, for: 5s, action: {action}}}\n  hypothesis:");
        let text = GOOD.replace("  hypothesis:", &steps);
        let found = problems(&text);
        if found.is_empty() {
            let asked = experiment(&document(&text)).unwrap();
            let against = against_sandbox(&document(&text), &asked, &std::collections::BTreeMap::new());
            return against.map_or_else(|p| p.iter().map(ToString::to_string).collect(), |()| Vec::new());
        }
        found
    };
    for (action, words) in [
        (
            "{setEnv: {container: etcd, name: 'A=B', value: x}}",
            "setEnv.name: `A=B` is not the name of a variable",
        ),
        ("{setEnv: {container: etcd, name: '', value: x}}", "write for example LOG_LEVEL"),
        ("{scale: {replicas: 20000}}", "scale.replicas: 20000 replicas are too many: write at most 10000"),
        ("{scale: {replicas: 101}}", "101 replicas are too many for a sandbox: write at most 100"),
        ("{setImage: {container: etcd, image: x}}", "`setImage` is done through an API server"),
    ] {
        let found = told(action);
        assert!(found.len() == 1 && found[0].contains(words), "{action}: {found:#?}");
    }
    for action in ["{scale: {replicas: 5}}", "{setEnv: {container: etcd, name: LOG_LEVEL, value: ''}}"] {
        assert_eq!(told(action), Vec::<String>::new(), "{action}");
    }
}
