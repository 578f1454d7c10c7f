//! `seatrial bench cluster`: how fast and how small what is installed in a cluster is.
//!
//! Faults go through the API server to the agents and back, exactly as a run's do. Memory is read from `/proc` where the
//! pods' processes are this machine's, and asked of the kubelets elsewhere.

mod experiments;
mod memory;

use super::super::args;
use super::super::console;
use super::super::exit::Exit;
use super::super::proving_ground::{Installed, ProvingGround, node_of, with_ground};
use super::super::wish::{Fault, proven, taken_back, wish};
use super::latency::{self, RUN};
use super::table;
use crate::experiment::Group;
use crate::platform::kubernetes::cluster::Cluster;
use crate::platform::kubernetes::nodes::Injections;
use crate::platform::{Cluster as _, Nodes};
use memory::{Row, sizes};

/// How long faults stay while memory is read.
const HELD: std::time::Duration = std::time::Duration::from_mins(5);
/// What an agent that does nothing may take, and a controller with fifty experiments.
const AGENT: u64 = 12 << 20;
const CONTROLLER: u64 = 40 << 20;

pub(super) fn cluster(args: &args::BenchCluster) -> Exit {
    if args.rounds == 0 {
        return console::error("nothing can be measured in 0 rounds", Exit::Usage);
    }
    let what = "makes a namespace, starts pods in it and breaks those";
    with_ground(&args.operated, "bench", what, async |ground| measure(ground, args).await)
}

async fn measure(ground: &ProvingGround, args: &args::BenchCluster) -> Result<Exit, String> {
    let installed = &ground.installed;
    let agents = installed.agents().await?;
    let mut rows = vec![
        Row::of(
            format!("agent, idle, largest of {}", agents.len()),
            sizes(ground, &agents).await?,
            Some(AGENT),
        ),
        Row::of("controller that leads, idle", sizes(ground, &[installed.leader().await?]).await?, None),
    ];

    console::say("starting pods to break");
    let node = node_of(&agents[0]);
    ground.start("spread", 3, None).await?;
    ground.start("packed", args.injections.max(1) as usize, Some(node)).await?;
    ground.ready("spread", 3).await?;
    ground.ready("packed", args.injections.max(1) as usize).await?;
    let nodes = ground.run(RUN)?;

    console::say(format_args!("{} injections of each fault", args.rounds));
    let target = follow(ground, "spread").await?;
    let latencies = latency::measure(&nodes, &target, args.rounds).await?;
    console::data(table::render(&latencies));
    rows.push(Row::of(
        format!("agent, after these injections, largest of {}", agents.len()),
        sizes(ground, &agents).await?,
        None,
    ));
    if args.injections > 0 {
        rows.extend(with_injections(ground, &nodes, args.injections, installed).await?);
    }
    if args.experiments > 0 {
        console::say(format_args!("{} experiments at once", args.experiments));
        rows.extend(experiments::measure(ground, args.experiments).await?);
    }
    console::data(format_args!("\n{}", table::render(&memory::table(rows))));
    Ok(Exit::Pass)
}

async fn follow(ground: &ProvingGround, set: &str) -> Result<crate::api::Snapshot, String> {
    let group = Group::StatefulSet(set.to_owned());
    let cluster = Cluster::follow(ground.client(), &ground.namespace, &group, None).await;
    let cluster = cluster.map_err(|error| error.to_string())?;
    Ok(cluster.snapshots().borrow().clone())
}

/// The agent of one node with so many Injections in force there, half of each fault.
async fn with_injections(
    ground: &ProvingGround,
    nodes: &Injections,
    count: u32,
    installed: &Installed,
) -> Result<Vec<Row>, String> {
    let target = follow(ground, "packed").await?;
    let mut statuses = nodes.statuses().await.map_err(|error| error.to_string())?;
    let mut specs = Vec::new();
    for (round, pod) in (0..).zip(&target.pods) {
        let fault = Fault::ALL[round as usize % Fault::ALL.len()];
        let spec = wish(RUN, round, fault, &target, pod, HELD);
        nodes.apply(spec.clone()).await.map_err(|error| error.to_string())?;
        proven(&mut statuses, &spec).await?;
        specs.push(spec);
    }
    let node = target.pods.first().map(|pod| pod.node.clone()).unwrap_or_default();
    let agents = installed.agents().await?;
    let agent = agents.into_iter().find(|agent| node_of(agent) == node);
    let agent = agent.ok_or_else(|| format!("the agent on {node} is not Ready any more"))?;
    let mut rows = vec![Row::of(
        format!("agent, with {count} injections in force"),
        sizes(ground, &[agent]).await?,
        None,
    )];
    rows.extend(
        memory::guardians(&ground.namespace)
            .map(|sizes| Row::of(format!("each of {} guardians, largest", sizes.len()), sizes, None)),
    );
    for spec in specs.iter().map(taken_back) {
        nodes.apply(spec.clone()).await.map_err(|error| error.to_string())?;
        proven(&mut statuses, &spec).await?;
        nodes.forget(&spec.name).await.map_err(|error| error.to_string())?;
    }
    Ok(rows)
}
