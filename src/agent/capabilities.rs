//! What this node can do, found out by doing it where it hurts nobody.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::machine::Machine;
use crate::api::{ErrorDriver, LatencyDriver};
use crate::fault::disk_error::DiskError;
use crate::fault::disk_fill::DiskFill;
use crate::fault::disk_latency::DiskLatency;
use crate::fault::disk_read_only::DiskReadOnly;
use crate::fault::disk_stall::DiskStall;
use crate::fault::disk_throttle::DiskThrottle;
use crate::fault::io_stress::IoStress;
use crate::fault::kubelet_stop::{self, KubeletStop};
use crate::fault::mapped_disk;
use crate::fault::network_bandwidth::NetworkBandwidth;
use crate::fault::network_delay::NetworkDelay;
use crate::fault::network_loss::NetworkLoss;
use crate::fault::network_partition::NetworkPartition;
use crate::fault::network_shaping;
use crate::fault::pod_kill::PodKill;
use crate::fault::power_loss::PowerLoss;
use crate::fault::process_pause::ProcessPause;
use crate::fault::volume_detach_stuck::VolumeDetachStuck;
use crate::fault::write_stall::WriteStall;
use crate::fault::{Kind, by};
use crate::host::freeze::panics_when_somebody_waits;
use crate::host::freezer::CgroupId;
use crate::host::gate::{self, Unasked};
use crate::host::load;
use crate::host::nftables;
use crate::host::process::ProcessId;
use crate::host::throttle;
use crate::undo::guardian::Launch;

/// A capability's name and number (capabilities(7)).
const CAP_SYS_PTRACE: (&str, u32) = ("CAP_SYS_PTRACE", 19);
const CAP_SYS_ADMIN: (&str, u32) = ("CAP_SYS_ADMIN", 21);

/// For how long an empty cgroup may take to freeze.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the node can do, and why it cannot do the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// The kernel's release.
    pub kernel: String,
    /// `v1`, `v2`, `hybrid` or `none`.
    pub cgroups: String,
    /// Faults by name.
    pub faults: Vec<String>,
    /// `NAME: REASON`.
    pub missing: Vec<String>,
}

impl Capabilities {
    /// Tries everything out. Blocks, for a fraction of a second.
    pub(super) fn probe(machine: &Machine, guardian: &Launch) -> Self {
        let handles = own_handle();
        let guarded = guardian.check(&machine.undo_dir).map_err(|error| error.to_string());
        let frozen = freezer(machine);
        let cut = nftables::works_here().map_err(|error| {
            format!("cannot make an nftables table: {error}; the kernel needs nf_tables, 5.12 or later")
        });
        let mut found = Self {
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            cgroups: machine.hierarchies.version().to_owned(),
            faults: Vec::new(),
            missing: Vec::new(),
        };
        found.tell(PodKill::NAME, [&handles]);
        found.tell(ProcessPause::NAME, [&handles, &guarded, &frozen]);
        let kubelet = kubelet_stop::host::kubelet().map(drop).map_err(|error| error.to_string());
        found.tell(KubeletStop::NAME, [&handles, &guarded, &kubelet]);
        found.tell(NetworkPartition::NAME, [&handles, &guarded, &cut]);
        for fault in [NetworkDelay::NAME, NetworkLoss::NAME, NetworkBandwidth::NAME] {
            let shaped = network_shaping::host::obstacle(fault).map_or(Ok(()), Err);
            found.tell(fault, [&handles, &guarded, &shaped]);
        }
        let (traced, asked) = (may_trace(), may_be_asked(&machine.undo_dir));
        let mapped = |kind| mapped_disk::host::obstacle(kind).map_or(Ok(()), Err);
        let both = [&handles, &guarded];
        let delays = [
            (LatencyDriver::Syscall.name(), &traced),
            (LatencyDriver::DmDelay.name(), &mapped("delay")),
            (LatencyDriver::Fanotify.name(), &asked),
        ];
        found.tell_drivers(DiskLatency::NAME, both, delays);
        let errors = [
            (ErrorDriver::Syscall.name(), &traced),
            (ErrorDriver::DmError.name(), &mapped("flakey")),
            (ErrorDriver::Fanotify.name(), &asked),
        ];
        found.tell_drivers(DiskError::NAME, both, errors);
        let frozen = may_freeze();
        found.tell(DiskStall::NAME, [&handles, &guarded, &frozen]);
        found.tell(WriteStall::NAME, [&handles, &guarded, &frozen]);
        let throttled = throttle::obstacle(&machine.hierarchies).map_or(Ok(()), Err);
        found.tell(DiskThrottle::NAME, [&handles, &guarded, &throttled]);
        found.tell(DiskFill::NAME, [&handles, &guarded]);
        found.tell(DiskReadOnly::NAME, [&handles, &guarded, &has(CAP_SYS_ADMIN)]);
        let counted = load::obstacle().map_or(Ok(()), Err);
        found.tell(IoStress::NAME, [&handles, &guarded, &throttled, &counted]);
        found.tell(VolumeDetachStuck::NAME, [&handles, &guarded]);
        let no_devices = Err("the agent does not find the block devices of volumes yet".to_owned());
        found.tell(PowerLoss::NAME, [&no_devices]);
        found
    }

    fn tell<const N: usize>(&mut self, fault: &str, needs: [&Result<(), String>; N]) {
        match needs.into_iter().find_map(|need| need.as_ref().err()) {
            None => self.faults.push(fault.to_owned()),
            Some(reason) => self.missing.push(format!("{fault}: {reason}")),
        }
    }

    /// Tells each driver of a fault, and the fault itself where there is any.
    fn tell_drivers<const N: usize>(
        &mut self,
        fault: &str,
        needs: [&Result<(), String>; 2],
        drivers: [(&str, &Result<(), String>); N],
    ) {
        for (driver, need) in drivers {
            self.tell(&by(fault, driver), [needs[0], needs[1], need]);
        }
        let whys =
            drivers.iter().filter_map(|(driver, need)| Some(format!("{driver}: {}", need.as_ref().err()?)));
        let whys: Vec<String> = whys.collect();
        let any = if whys.len() < N { Ok(()) } else { Err(whys.join("; ")) };
        self.tell(fault, [needs[0], needs[1], &any]);
    }
}

/// Whether the kernel would ask a process before reads and writes (fanotify(7)); `folder` is any.
fn may_be_asked(folder: &Path) -> Result<(), String> {
    let folder =
        fs::File::open(folder).map_err(|error| format!("cannot open {}: {error}", folder.display()))?;
    match gate::is_possible_on(&folder) {
        // The kernel knows what is meant, and volumes are on other filesystems.
        Ok(()) | Err(Unasked::Filesystem) => Ok(()),
        Err(why @ (Unasked::Kernel | Unasked::Right | Unasked::Other(_))) => Err(why.to_string()),
    }
}

/// Whether processes of others may be traced (ptrace(2)).
fn may_trace() -> Result<(), String> {
    // Where there is no such file, nobody restricts it.
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if scope.trim() == "3" {
        return Err("nobody may trace processes on this node: kernel.yama.ptrace_scope is 3".to_owned());
    }
    has(CAP_SYS_PTRACE)
}

/// Whether filesystems may be frozen (ioctl_fsfreeze).
fn may_freeze() -> Result<(), String> {
    if panics_when_somebody_waits() {
        let why = "this node panics when a process waits for long, as writers on a frozen volume do: set kernel.hung_task_panic to 0";
        return Err(why.to_owned());
    }
    has(CAP_SYS_ADMIN)
}

/// Whether this process has a capability.
fn has((name, number): (&str, u32)) -> Result<(), String> {
    let own = procfs::process::Process::myself().and_then(|own| own.status());
    match own {
        Ok(status) if status.capeff & (1 << number) != 0 => Ok(()),
        Ok(_) => Err(format!("the agent lacks {name}")),
        Err(error) => Err(format!("cannot read the agent's own capabilities: {error}")),
    }
}

fn own_handle() -> Result<(), String> {
    let own = ProcessId::of(std::process::id().cast_signed()).and_then(|own| match own {
        Some(own) => own.open(),
        None => Ok(None),
    });
    match own {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("the agent does not find itself in /proc".to_owned()),
        Err(error) => {
            Err(format!("cannot open a process by descriptor: {error}; the kernel must be 5.4 or later"))
        }
    }
}

/// Without any freezer, processes are stopped by signals, which needs no more than handles.
fn freezer(machine: &Machine) -> Result<(), String> {
    let Some(top) = machine.hierarchies.freezer_top() else {
        return Ok(());
    };
    let folder = top.join(format!("seatrial-probe-{}", std::process::id()));
    let tried = fs::create_dir(&folder).and_then(|()| freeze_and_thaw(&folder));
    let removed = fs::remove_dir(&folder);
    tried.and(removed).map_err(|error| format!("cannot freeze a cgroup below {}: {error}", top.display()))
}

fn freeze_and_thaw(folder: &Path) -> io::Result<()> {
    let freezer = CgroupId::at(folder)?.open()?.ok_or(io::ErrorKind::NotFound)?;
    let frozen = freezer.freeze(PATIENCE)?;
    if freezer.thaw(PATIENCE)? && frozen { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}
