//! What a driver costs a store while no call of it is held, and what the store sees of calls that are.
//!
//! One member of the built-in store with one client, which writes as fast as it is answered: each write is synced.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::driver::{Driver, Holding, Meant};
use super::{Times, milliseconds};
use crate::experiment;
use crate::host::process::ProcessId;
use crate::host::tracer::Operation;
use crate::platform::{Dial, Endpoint};
use crate::store::{self, Client, Secrets};

/// For how long the store may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// By how much syncs are slowed down, where they are.
const SLOW: Duration = Duration::from_millis(5);

/// A case, and which calls are meant in it.
const CASES: [(&str, Meant); 4] = [
    ("none meant", Meant::Nothing),
    ("syncs at another path meant", Meant::AtAnotherPath(Operation::Sync)),
    ("each sync 5 ms longer", Meant::All(Operation::Sync)),
    ("each write to a file 5 ms longer", Meant::All(Operation::Write)),
];

pub(super) async fn measure(
    drivers: &[Driver],
    folder: &Path,
    lasting: Duration,
) -> Result<Vec<Vec<String>>, String> {
    let words = ["STORE WITH ONE CLIENT", "WRITES/S", "P50", "P99", "P50 AGAINST NO DRIVER"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    let usual = write(&Member::start(folder, "usual")?, lasting).await?;
    rows.push(row("no driver".to_owned(), &usual, lasting, &usual));
    for &driver in drivers {
        for (case, meant) in CASES.into_iter().filter(|(_, meant)| driver.can(*meant)) {
            let what = format!("{}: {case}", driver.name());
            let data = format!("{}-{}", driver.name(), rows.len());
            let found = if driver.meets_open_files() {
                let member = Member::start(folder, &data)?;
                let holding = hold(driver, member.process, folder, meant).await?;
                let found = write(&member, lasting).await?;
                end(holding).await?;
                found
            } else {
                let this = ProcessId::of(std::process::id().cast_signed()).ok().flatten();
                let holding = hold(driver, this.ok_or("this process is gone")?, folder, meant).await?;
                let found = write(&Member::start(folder, &data)?, lasting).await?;
                end(holding).await?;
                found
            };
            rows.push(row(what, &found, lasting, &usual));
        }
    }
    let again = write(&Member::start(folder, "again")?, lasting).await?;
    rows.push(row("no driver, again".to_owned(), &again, lasting, &usual));
    Ok(rows)
}

async fn hold(
    driver: Driver,
    process: ProcessId,
    folder: &Path,
    meant: Meant,
) -> Result<Box<dyn Holding>, String> {
    let folder = folder.to_owned();
    let held = spawn_blocking(move || driver.hold(process, &folder, meant, SLOW)).await;
    held.map_err(|error| error.to_string())?
}

async fn end(holding: Box<dyn Holding>) -> Result<(), String> {
    spawn_blocking(move || holding.end()).await.map_err(|error| error.to_string())?
}

fn row(what: String, found: &Times, lasting: Duration, usual: &Times) -> Vec<String> {
    let [median, slowest] = [50, 99].map(|percent| found.percentile(percent));
    let more = (median.as_secs_f64() - usual.percentile(50).as_secs_f64()) * 1e3;
    vec![
        what,
        format!("{:.0}", found.0.len() as f64 / lasting.as_secs_f64()),
        milliseconds(median),
        milliseconds(slowest),
        format!("{more:+.2} ms"),
    ]
}

/// Writes until a write is acknowledged.
async fn first_write(client: &mut dyn Client) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Err(failure) = client.write("bench", 0, deadline).await else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(format!("the store does not take a write: {}", failure.reason()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long each write took, from the first one on that was acknowledged.
async fn write(member: &Member, lasting: Duration) -> Result<Times, String> {
    let mut client = member.client()?;
    first_write(&mut *client).await?;
    let until = Instant::now() + lasting;
    let mut times = Vec::new();
    while Instant::now() < until {
        let since = Instant::now();
        let written = client.write("bench", times.len() as u64, since + PATIENCE).await;
        written.map_err(|failure| format!("the store does not take a write: {}", failure.reason()))?;
        times.push(since.elapsed());
    }
    Times::of(times)
}

/// The only member of a store, which ends with this value.
struct Member {
    child: Child,
    process: ProcessId,
    address: SocketAddr,
}

impl Member {
    fn start(folder: &Path, data: &str) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot start a store: {error}");
        // Let go of before the store takes it; nobody else is given it again so soon (ip(7), ip_local_port_range).
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
        let address = address.map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["refkv", "--id=0"]).arg(format!("--listen={address}"));
        command.arg(format!("--peers=0={address}")).arg(format!("--data={}", folder.join(data).display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(failed)?;
        let process = ProcessId::of(child.id().cast_signed()).map_err(failed)?;
        let process = process.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(Self { child, process, address })
    }

    fn client(&self) -> Result<Box<dyn Client>, String> {
        let dial = Arc::new(Loopback(self.address));
        let store = serde_json::from_value::<experiment::Store>(serde_json::json!({"refkv": {}}));
        let store = store.map_err(|error| error.to_string())?;
        let adapter = store::open(&store, dial, &Secrets::none()).map_err(|error| error.to_string())?;
        Ok(adapter.client(Endpoint::Member(0)))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Loopback(SocketAddr);

#[async_trait]
impl Dial for Loopback {
    async fn dial(&self, _: Endpoint, _port: u16) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }

    fn names(&self, _: Endpoint) -> Vec<String> {
        vec!["localhost".to_owned()]
    }
}
