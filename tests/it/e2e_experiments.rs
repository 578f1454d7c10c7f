//! Every shipped experiment, run as a person runs it, against real stores.

use std::path::Path;

use crate::e2e_fixture::{Desk, Done, Seat, experiments_in, inside, shipped, text_of};
use crate::e2e_recorded::{all_reverted, recorded, report_in};
use crate::gallery;
use crate::node_shaping::kernel_has_netem;
use crate::vm;

/// The seed of every run here, so that a run that went wrong can be repeated.
const SEED: &str = "7";

fn run(desk: &Desk, file: &Path, out: &str) -> Done {
    let _seat = Seat::take();
    desk.run(&[
        "run".as_ref(),
        file.as_os_str(),
        "--seed".as_ref(),
        SEED.as_ref(),
        "--out".as_ref(),
        out.as_ref(),
    ])
}

/// Runs a shipped experiment and expects every claim to hold. What it left is in `out`.
fn passes(file: &str) -> Desk {
    let desk = Desk::new();
    let done = run(&desk, &shipped(file), "out").exits(0);
    assert!(done.out.starts_with("PASS  ") && !done.out.contains(" on no member"), "{}", done.out);
    let report = report_in(&desk.path("out"));
    assert!(report["workload"]["ok"].as_u64() > Some(500), "clients were served: {}", report["workload"]);
    gallery::show(file, &desk.path("out"));
    desk
}

/// Judges the run again with stricter budgets: what measured nothing would pass all the same.
fn fails_with(desk: &Desk, budgets: &[(&str, &str)], claims: &[&str]) {
    let journal = text_of(&desk.path("out/journal.jsonl"));
    let (mut header, lines) =
        journal.split_once('\n').map(|(first, rest)| (first.to_owned(), rest)).expect("lines");
    for (budget, stricter) in budgets {
        assert!(header.contains(budget), "no budget {budget} in {header}");
        header = header.replace(budget, stricter);
    }
    desk.write("strict.jsonl", format!("{header}\n{lines}"));
    let done = desk.run(&["judge", "strict.jsonl"]).exits(10);
    for claim in claims {
        let fails = |line: &str| line.trim_start().starts_with("Fail ") && line.ends_with(claim);
        assert!(done.out.lines().any(fails), "`{claim}` is not red in\n{}", done.out);
    }
}

#[test]
fn quickstart_passes() {
    let run = recorded();
    assert!(run.done.out.starts_with("PASS  quickstart"), "{}", run.done.out);
    all_reverted(&run.folder);
    gallery::show("experiments/quickstart.yaml", &run.folder);
}

#[test]
fn etcd_leader_cut_passes() {
    passes("experiments/etcd/leader-cut.yaml");
}

/// Where the kernel lacks netem, which tc is asked for, nothing is broken and the command says what to do.
fn is_refused_without_netem(file: &str, step: &str, fault: &str) {
    assert!(!vm::is_here(), "the virtual machine is there for its netem");
    let desk = Desk::new();
    let done = run(&desk, &shipped(file), "out").exits(22);
    let why = "this kernel has no netem (CONFIG_NET_SCH_NETEM): load the module sch_netem";
    let told = format!("step {step} cannot be done here: {fault}: {why}");
    assert!(done.err.contains(&told), "{}", done.err);
    assert!(!desk.path("out/report.json").exists(), "nothing was run");
}

#[test]
fn etcd_slow_network_passes_or_is_refused_by_a_kernel_without_netem() {
    if !kernel_has_netem() {
        return is_refused_without_netem("experiments/etcd/slow-network.yaml", "slow-leader", "networkDelay");
    }
    let proof = proof_in(&passes("experiments/etcd/slow-network.yaml"));
    let shortest = number_before(" to ", &proof);
    assert!(proof.starts_with("netem on eth0: ") && shortest > 39.0, "{proof}");
}

#[test]
fn etcd_lossy_network_passes_or_is_refused_by_a_kernel_without_netem() {
    if !kernel_has_netem() {
        return is_refused_without_netem(
            "experiments/etcd/lossy-network.yaml",
            "lossy-leader",
            "networkLoss",
        );
    }
    let proof = proof_in(&passes("experiments/etcd/lossy-network.yaml"));
    let [came, lost] = [" packets came", " lost"].map(|words| number_before(words, &proof));
    assert!(proof.starts_with("netem on eth0: ") && (0.05..0.2).contains(&(lost / came)), "{proof}");
}

/// What the report of a run says to prove its only step, which was in force for all of its time and is taken back.
fn proof_in(desk: &Desk) -> String {
    all_reverted(&desk.path("out"));
    let report = report_in(&desk.path("out"));
    let steps = report["steps"].as_array().expect("a report has steps");
    assert!(steps.len() == 1 && steps[0]["unproven"].is_null(), "{steps:#?}");
    let proof = steps[0]["proof"].as_str().expect("it is proven").to_owned();
    println!("{proof}");
    proof
}

/// The number before these words.
fn number_before(words: &str, text: &str) -> f64 {
    let before = text.split_once(words).and_then(|(before, _)| before.split_whitespace().last());
    let number = before.and_then(|number| number.parse().ok());
    assert!(number.is_some(), "no number before `{words}` in `{text}`");
    number.expect("just checked")
}

/// It passes in the virtual machine as well (`vm_experiments`), of whose kernel it is known that it has netem.
#[test]
fn refkv_slow_network_passes_or_is_refused_by_a_kernel_without_netem() {
    if !kernel_has_netem() {
        return is_refused_without_netem(
            "experiments/refkv/slow-network.yaml",
            "slow-leader",
            "networkDelay",
        );
    }
    let desk = passes("experiments/refkv/slow-network.yaml");
    let proof = proof_in(&desk);
    assert!(proof.starts_with("netem on eth0: "), "{proof}");
    // A busy machine lets them wait longer, and none wait shorter.
    let [shortest, longest] = [" to ", " ms"].map(|words| number_before(words, &proof));
    assert!(shortest > 39.0 && longest >= shortest, "{proof}");
    fails_with(
        &desk,
        &[(r#""max":"1s""#, r#""max":"41ms""#), (r#""min":"40ms""#, r#""min":"1ms""#)],
        &["half of the commits wait for the network, and no longer than a user waits"],
    );
}

#[test]
fn refkv_lossy_network_passes_or_is_refused_by_a_kernel_without_netem() {
    if !kernel_has_netem() {
        return is_refused_without_netem(
            "experiments/refkv/lossy-network.yaml",
            "lossy-leader",
            "networkLoss",
        );
    }
    let desk = passes("experiments/refkv/lossy-network.yaml");
    let proof = proof_in(&desk);
    assert!(proof.starts_with("netem on eth0: "), "{proof}");
    let [came, lost] = [" packets came", " lost"].map(|words| number_before(words, &proof));
    // One of ten, of hundreds.
    assert!(came > 300.0 && (0.05..0.2).contains(&(lost / came)), "{proof}");
    fails_with(
        &desk,
        &[(r#""max":"1s""#, r#""max":"1ms""#)],
        &["half of the commits do not wait for what is lost"],
    );
}

#[test]
fn postgres_power_cut_passes() {
    let run = passes("experiments/postgres/power-cut.yaml");
    let budgets = [(r#""recoverWithin":"25s""#, r#""recoverWithin":"100ms""#)];
    // The lag is good for as long as its bound after the last answer, so a quick restart leaves it green.
    fails_with(&run, &budgets, &["the primary is back soon, and a standby that writes wait for follows it"]);
}

/// A member ended whenever it was started, and the run knows of what.
pub fn ends_of_failed_syncs(run: &Path) {
    let journal = text_of(&run.join("journal.jsonl"));
    assert!(journal.contains("or more calls answered with the error, and the container has ended since"));
    let restarts = journal.split("\"restarts\":").skip(1).filter_map(|rest| {
        let digits = rest.split(|other: char| !other.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok()
    });
    assert!(restarts.max() >= Some(2), "a container that was started again had its syncs fail, too");
}

/// Whether each of so many members tells in its proof what became of what it had not synced.
fn told_of_tears(run: &Path, members: u32) -> bool {
    let journal = text_of(&run.join("journal.jsonl"));
    let proofs: Vec<_> = journal.lines().filter(|line| line.contains("; unsynced writes: ")).collect();
    (0..members).all(|member| proofs.iter().any(|line| line.contains(&format!(".power-cut.1.{member}\""))))
}

#[test]
fn every_shipped_experiment_is_run_by_a_test() {
    let here = text_of(&shipped("tests/it/e2e_experiments.rs"));
    let in_cluster = ["attach", "claims", "nodes", "stores"]
        .map(|name| text_of(&shipped(&format!("tests/it/cluster_{name}.rs"))));
    for file in experiments_in("experiments") {
        let name = inside(&file);
        let is_run = here.contains(&format!("passes(\"{name}\")"))
            || name == "experiments/quickstart.yaml"
            || in_cluster.iter().any(|tests| tests.contains(&format!("\"{name}\"")))
            || name.starts_with(BUGS);
        assert!(is_run, "no test runs {name}");
    }
}

/// Experiments that turn on one bug of the built-in store each.
const BUGS: &str = "experiments/refkv/bugs";

/// The bug is found by the check that the file names in a line `# caught by: SLI`.
#[test]
fn every_bug_is_caught_by_the_check_meant_for_it() {
    for file in experiments_in(BUGS) {
        let text = text_of(&file);
        let sli = text
            .lines()
            .find_map(|line| line.strip_prefix("# caught by: "))
            .unwrap_or_else(|| panic!("{} does not say what catches it", file.display()))
            .trim();
        let desk = Desk::new();
        run(&desk, &file, "out").exits(10);
        let report = report_in(&desk.path("out"));
        let claims = report["claims"].as_array().expect("claims");
        let failed: Vec<_> = claims
            .iter()
            .filter(|claim| claim["verdict"] == "Fail")
            .filter_map(|claim| claim["sli"].as_str())
            .collect();
        // What is lost is often read stale as well: others may fail beside it.
        assert!(failed.contains(&sli), "{} is caught by {failed:?}", file.display());
        gallery::show(&inside(&file), &desk.path("out"));
    }
}

/// The same experiments with the same seed and without the bug: it is the bug that is caught.
#[test]
fn without_its_bug_every_experiment_passes() {
    for file in experiments_in(BUGS) {
        let text = text_of(&file);
        let without: String =
            text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("- --bug=")).collect();
        assert!(without.len() < text.len(), "{} turns on no bug", file.display());
        let desk = Desk::new();
        desk.write("without.yaml", without);
        run(&desk, &desk.path("without.yaml"), "out").exits(0);
    }
}

/// Those that take longer than continuous integration has: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn refkv_rolling_restart_meets_a_pause_and_passes() {
        let file = "experiments/refkv/rolling-restart.yaml";
        passes("experiments/refkv/rolling-restart.yaml");
        let text = text_of(&shipped(file));
        assert!(text.contains("when: {pod: {any: {}, is: Terminating}"), "the pause waits for the restart");
    }

    #[test]
    fn etcd_power_cut_passes() {
        passes("experiments/etcd/power-cut.yaml");
    }

    #[test]
    fn etcd_slow_fsync_passes() {
        passes("experiments/etcd/slow-fsync.yaml");
    }

    #[test]
    fn etcd_disk_stall_passes() {
        passes("experiments/etcd/disk-stall.yaml");
    }

    #[test]
    fn postgres_slow_fsync_passes() {
        let run = passes("experiments/postgres/slow-fsync.yaml");
        let budgets = [(r#""max":"1s""#, r#""max":"51ms""#), (r#""max":"3s""#, r#""max":"1ms""#)];
        let claims =
            ["half of the commits take that long, and no longer than a user waits", "standbys are not late"];
        fails_with(&run, &budgets, &claims);
    }

    #[test]
    fn etcd_disk_throttle_passes() {
        passes("experiments/etcd/disk-throttle.yaml");
    }

    #[test]
    fn etcd_rolling_kill_passes() {
        passes("experiments/etcd/rolling-kill.yaml");
    }

    #[test]
    fn etcd_narrow_network_passes() {
        passes("experiments/etcd/narrow-network.yaml");
    }

    #[test]
    fn refkv_slow_fsync_passes() {
        passes("experiments/refkv/slow-fsync.yaml");
    }

    #[test]
    fn refkv_slow_follower_passes() {
        passes("experiments/refkv/slow-follower.yaml");
    }

    #[test]
    fn refkv_disk_stall_passes() {
        passes("experiments/refkv/disk-stall.yaml");
    }

    #[test]
    fn refkv_disk_full_passes() {
        passes("experiments/refkv/disk-full.yaml");
    }

    #[test]
    fn refkv_power_cut_passes() {
        passes("experiments/refkv/power-cut.yaml");
    }

    #[test]
    fn etcd_slow_follower_passes() {
        passes("experiments/etcd/slow-follower.yaml");
    }

    #[test]
    fn etcd_follower_pause_passes() {
        passes("experiments/etcd/follower-pause.yaml");
    }

    #[test]
    fn etcd_disk_full_passes() {
        passes("experiments/etcd/disk-full.yaml");
    }

    #[test]
    fn etcd_failed_fsync_passes() {
        let desk = passes("experiments/etcd/failed-fsync.yaml");
        ends_of_failed_syncs(&desk.path("out"));
    }

    #[test]
    fn etcd_inodes_full_passes() {
        passes("experiments/etcd/inodes-full.yaml");
    }

    #[test]
    fn etcd_read_only_passes() {
        passes("experiments/etcd/read-only.yaml");
    }

    #[test]
    fn etcd_io_stress_passes() {
        passes("experiments/etcd/io-stress.yaml");
    }

    #[test]
    fn etcd_nightly_soak_passes_and_its_plan_says_what_it_does() {
        let desk = passes("experiments/etcd/nightly-soak.yaml");
        let steps = report_in(&desk.path("out"))["steps"].as_array().expect("steps").clone();
        assert!(steps.len() == 5 && steps.iter().all(|step| step["unproven"].is_null()), "{steps:#?}");
        let file = shipped("experiments/etcd/nightly-soak.yaml");
        let plan: [&std::ffi::OsStr; 6] = [
            "plan".as_ref(),
            file.as_os_str(),
            "--seed".as_ref(),
            SEED.as_ref(),
            "-o".as_ref(),
            "json".as_ref(),
        ];
        let plan: serde_json::Value = serde_json::from_str(&desk.run(&plan).exits(0).out).expect("a plan");
        let faults = |list: &serde_json::Value| {
            let list = list.as_array().expect("a list").clone();
            list.iter().map(|one| one["fault"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
        };
        let report = report_in(&desk.path("out"));
        assert_eq!(faults(&plan["occurrences"]), faults(&report["steps"]));
        // Each began once everything had recovered from the one before: when that was over for two seconds at least.
        for pair in steps.windows(2) {
            let [ended, chosen] =
                [&pair[0]["ended"], &pair[1]["chosen"]].map(|moment| moment.as_u64().expect("a moment"));
            assert!(chosen >= ended + 2_000_000_000, "{pair:#?}");
        }
        fails_with(
            &desk,
            &[
                (r#""longestOutage":"10s""#, r#""longestOutage":"1ms""#),
                (r#""min":"60%""#, r#""min":"100%""#),
            ],
            &["two of three pods are Ready nearly all of the time, in any half minute"],
        );
    }

    #[test]
    fn etcd_rolling_restart_passes() {
        passes("experiments/etcd/rolling-restart.yaml");
    }

    #[test]
    fn etcd_halves_passes() {
        passes("experiments/etcd/halves.yaml");
    }

    #[test]
    fn etcd_one_way_passes() {
        passes("experiments/etcd/one-way.yaml");
    }

    #[test]
    fn etcd_torn_writes_passes() {
        let desk = passes("experiments/etcd/torn-writes.yaml");
        assert!(told_of_tears(&desk.path("out"), 3), "every member tells what it lost");
    }

    #[test]
    fn postgres_slow_standby_passes() {
        passes("experiments/postgres/slow-standby.yaml");
    }

    #[test]
    fn postgres_disk_stall_passes() {
        passes("experiments/postgres/disk-stall.yaml");
    }

    #[test]
    fn postgres_attach_block_passes() {
        passes("experiments/postgres/attach-block.yaml");
    }

    #[test]
    fn postgres_disk_full_passes() {
        passes("experiments/postgres/disk-full.yaml");
    }

    /// The same power cut, where PostgreSQL is told to acknowledge what it has not synced.
    #[test]
    fn postgres_that_acknowledges_before_it_syncs_is_caught_by_a_power_cut() {
        let (synced, at_leisure) = (
            "            - -cshared_buffers",
            "            - -csynchronous_commit=off\n            - -cwal_writer_delay=10s\n",
        );
        let text = text_of(&shipped("experiments/postgres/power-cut.yaml"));
        assert!(text.contains(synced), "where settings are");
        let desk = Desk::new();
        desk.write("careless.yaml", text.replacen(synced, &format!("{at_leisure}{synced}"), 1));
        run(&desk, &desk.path("careless.yaml"), "out").exits(10);
        let report = report_in(&desk.path("out"));
        let claims = report["claims"].as_array().expect("claims");
        let failed = |claim: &&serde_json::Value| claim["verdict"] == "Fail" && claim["sli"] == "durability";
        assert!(claims.iter().any(|claim| failed(&claim)), "{claims:#?}");
    }
}
