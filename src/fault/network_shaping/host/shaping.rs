//! What is known of shaped packets while they are shaped.
//!
//! A look reads the table and the disciplines back, looks for interfaces that have none, and sends a probe to everybody who
//! is meant. No fewer packets may have come to the disciplines than probes were handed to devices; of a delay also the times
//! count that probes have waited, and of a rate the bytes that went through. A delay is in force when the first probe has
//! waited, and a rate when something had to wait for it. Where no probe can be sent, the settings alone count for a delay and
//! a loss.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::{Error, KERNEL_MARGIN, Reach, Target, shaper, steering};
use crate::api::{self, HostFault};
use crate::fault::host::{Effect, HostError, Look};
use crate::host::nftables::Steering;
use crate::host::process::held::Held;
use crate::host::traffic_control::{self, Counted, Link, Probes, Shaper};
use crate::node::LocatedPod;

/// Where probes go when no port is named: `discard` (RFC 863), where nobody minds one byte.
const PROBE_PORT: u16 = 9;
/// An address that nobody has (RFC 5737), for a probe that stands for every stranger.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// For how long a look waits for a first probe.
const PATIENCE: Duration = Duration::from_millis(300);
/// After its delay a probe has this long to be sent: a machine may be busy.
const GRACE: Duration = Duration::from_secs(1);
/// By how much less than asked for a probe may have waited: clocks are read at different places.
const TOLERANCE: Duration = Duration::from_millis(1);

/// Packets are being shaped.
#[derive(Debug)]
pub(super) struct Shaping {
    target: Target,
    reach: Reach,
    probes: Probes,
    shaper: Shaper,
    steering: Steering,
    since: Instant,
    /// Bytes that had gone through each interface's discipline when this began to look.
    bytes_before: Option<Vec<u64>>,
    /// Whether it has been in force, as far as could be seen.
    is_shown: bool,
    /// Probes that were handed to the disciplines.
    handed: u64,
    /// When the first of them was heard of.
    first_handed: Option<Instant>,
    /// When probes were heard of last that had waited, and the shortest and the longest of those times.
    waited: Option<(Instant, Duration, Duration)>,
}

impl Shaping {
    pub(super) fn new(
        target: Target,
        reach: Reach,
        probes: Probes,
        shaper: Shaper,
        steering: Steering,
    ) -> Self {
        Self {
            target,
            reach,
            probes,
            shaper,
            steering,
            since: Instant::now(),
            bytes_before: None,
            is_shown: false,
            handed: 0,
            first_handed: None,
            waited: None,
        }
    }

    /// Whether the kernel still holds and applies everything, or what contradicts that.
    fn verify(&mut self) -> Result<Look, String> {
        let table = &self.target.table;
        let reading = self
            .reach
            .grip
            .read(table)
            .map_err(|error| format!("cannot read the nftables table {table}: {error}"))?
            .ok_or_else(|| format!("the nftables table {table} is gone"))?;
        if let Some(difference) = reading.difference(&self.steering.table()) {
            return Err(format!("the nftables table {table} is not as it was made: {difference}"));
        }
        if self.steering.is_nothing() {
            return Err("no other member has an address, so that no packet is meant".to_owned());
        }
        self.probe()?;
        let counted = self.count()?;
        let came: u64 = counted.iter().map(Counted::came).sum();
        if came < self.handed {
            return Err(format!(
                "of {} that left the pod, only {came} {} shaped",
                api::counted(self.handed, "probe"),
                api::are(came)
            ));
        }
        let shown = match self.shaper {
            Shaper::Delay { delay, jitter } => self.waits(delay, jitter)?,
            Shaper::Loss { .. } => Some(String::new()),
            Shaper::Rate { .. } => self.speeds(&counted)?,
        };
        let Some(shown) = shown else { return Ok(Look::NotYet) };
        self.is_shown = true;
        let sum = |of: fn(&Counted) -> u64| counted.iter().map(of).sum::<u64>();
        let names: Vec<&str> = self.target.links.iter().map(|link| link.name.as_str()).collect();
        let probes = match self.handed {
            0 => "; no probe possible: shown by its settings alone".to_owned(),
            probes => format!(", {probes} of them probes"),
        };
        Ok(Look::Holds(format!(
            "{} on {}: {} came{probes}; {} waiting, {} lost{shown}",
            self.shaper.kind(),
            names.join(", "),
            api::counted(came, "packet"),
            sum(|counted| counted.waiting),
            sum(|counted| counted.dropped),
        )))
    }

    /// Sends a probe to everybody who is meant, and hears of earlier ones; the first time it waits a moment for them.
    fn probe(&mut self) -> Result<(), String> {
        let port = self.steering.ports.first().copied().unwrap_or(PROBE_PORT);
        let mut towards: BTreeSet<IpAddr> = self.steering.to.iter().copied().collect();
        if self.steering.everybody {
            towards.insert(STRANGER);
        }
        for address in towards {
            self.probes.send(address, port);
        }
        let is_first = self.bytes_before.is_none();
        let until = Instant::now() + if is_first { PATIENCE } else { Duration::ZERO };
        loop {
            let seen = self.probes.hear().map_err(|error| format!("cannot hear of probes: {error}"))?;
            self.handed += seen.handed;
            if self.handed > 0 {
                self.first_handed.get_or_insert_with(Instant::now);
            }
            if let (Some(&least), Some(&most)) = (seen.waited.iter().min(), seen.waited.iter().max()) {
                self.waited = Some((Instant::now(), least, most));
            }
            let is_known = match self.shaper {
                Shaper::Delay { .. } => self.waited.is_some(),
                Shaper::Loss { .. } | Shaper::Rate { .. } => self.handed > 0,
            };
            let left = until.saturating_duration_since(Instant::now());
            if is_known || left.is_zero() {
                return Ok(());
            }
            self.probes.wait(left);
        }
    }

    /// What went through the discipline of each interface; every one that is up has to have ours.
    fn count(&mut self) -> Result<Vec<Counted>, String> {
        // Before the counters are read, so that the time that passes until they are read again is never counted short.
        let now = Instant::now();
        let found = traffic_control::read(&self.reach.route)
            .map_err(|error| format!("cannot read the queueing disciplines of the pod: {error}"))?;
        let up = traffic_control::links(&self.reach.route)
            .map_err(|error| format!("cannot list the interfaces of the pod: {error}"))?;
        let is_ours = |link: &Link| self.target.links.iter().any(|ours| ours.index == link.index);
        if let Some(new) = up.iter().find(|link| !is_ours(link)) {
            return Err(format!("interface {} has come up, and what leaves by it is not shaped", new.name));
        }
        let of = |link: &Link| {
            let settings = self.shaper.settings(link.mtu);
            traffic_control::counted(&found, link, self.target.tree, &settings)
        };
        let counted = self.target.links.iter().map(of).collect::<Result<Vec<_>, _>>()?;
        if self.bytes_before.is_none() {
            self.since = now;
            self.bytes_before = Some(counted.iter().map(|counted| counted.bytes).collect());
        }
        Ok(counted)
    }

    /// What the times of probes show; `None` while it cannot be known yet whether they wait.
    fn waits(&mut self, delay: Duration, jitter: Duration) -> Result<Option<String>, String> {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        // By then a probe that is handed over has been sent.
        let due = delay + jitter + GRACE;
        // One is sent with every look: so long without any, none can be sent now.
        self.waited.take_if(|(heard, ..)| heard.elapsed() > 2 * due);
        if let Some((_, least, most)) = self.waited {
            if least + TOLERANCE < delay.saturating_sub(jitter) {
                return Err(format!("a probe waited only {:.1} ms", milliseconds(least)));
            }
            let (least, most) = (milliseconds(least), milliseconds(most));
            return Ok(Some(format!("; probes waited {least:.1} to {most:.1} ms")));
        }
        let may_come = match self.first_handed {
            Some(first) => first.elapsed() < due,
            None => self.since.elapsed() < GRACE,
        };
        Ok(match self.handed {
            _ if may_come && !self.is_shown => None,
            0 => Some(String::new()),
            _ => Some("; the device has told no times lately: shown by its settings and packets".to_owned()),
        })
    }

    /// How fast it was, or where it was faster than it may be; `None` while nothing had to wait for the rate, which then
    /// slows nobody down.
    fn speeds(&self, counted: &[Counted]) -> Result<Option<String>, String> {
        let time = self.since.elapsed();
        let before = self.bytes_before.iter().flatten();
        let (mut bytes, mut overlimits) = (0, 0);
        for ((link, counted), before) in self.target.links.iter().zip(counted).zip(before) {
            let sent = counted.bytes.saturating_sub(*before);
            let most = self.shaper.settings(link.mtu).most_in(time).unwrap_or(u64::MAX);
            // One packet may have been on its way when counting began.
            if sent > most + u64::from(link.mtu) {
                let seconds = time.as_secs_f64();
                return Err(format!(
                    "{sent} bytes left by {} in {seconds:.1} s, at most {most} may",
                    link.name
                ));
            }
            bytes += sent;
            overlimits += counted.overlimits;
        }
        let seconds = time.as_secs_f64();
        let told = format!(
            "; {bytes} bytes in {seconds:.1} s, {} one had to wait",
            api::counted(overlimits, "time")
        );
        Ok((self.is_shown || overlimits > 0).then_some(told))
    }
}

impl Effect for Shaping {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        self.verify().unwrap_or_else(Look::Fails)
    }

    fn change(&mut self, wanted: &HostFault, left: Duration) -> Result<(), HostError> {
        let HostFault::Shape(traffic) = wanted else { return Err(HostError::AnotherFault) };
        let wanted = steering(traffic, self.target.tree);
        let is_same = wanted.everybody == self.steering.everybody && wanted.ports == self.steering.ports;
        if !is_same || shaper(&traffic.shape) != self.shaper {
            return Err(Error::Unchangeable.into());
        }
        let table = &self.target.table;
        self.reach
            .grip
            .exchange(table, &wanted.table(), left + KERNEL_MARGIN)
            .map_err(|source| Error::Exchange { table: table.clone(), source })?;
        self.steering = wanted;
        Ok(())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.reach.descriptors()
    }

    fn into_held(self: Box<Self>) -> Held {
        self.reach.into()
    }
}
