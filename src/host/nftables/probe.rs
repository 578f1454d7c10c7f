//! Whether this kernel can do what cuts need.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Cut, Grip, exists, remove};
use crate::host::network_namespace::in_a_new_one;

const TABLE: &str = "seatrial-probe";
const LIFETIME: Duration = Duration::from_secs(10);

/// Makes a cut of every kind in a network namespace of its own, reads it back and removes it.
pub fn works_here() -> io::Result<()> {
    in_a_new_one(|| try_out(&everything()))
}

fn everything() -> Cut {
    let members = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    Cut {
        from: members.clone(),
        to: members.clone(),
        ports: vec![1],
        strangers: true,
        spared_from: members.clone(),
        spared_to: members,
    }
}

fn try_out(cut: &Cut) -> io::Result<()> {
    let grip = Grip::open()?;
    let table = cut.table();
    grip.install(TABLE, &table, LIFETIME)?;
    let reading = grip.read(TABLE)?.ok_or(io::ErrorKind::NotFound)?;
    if let Some(difference) = reading.difference(&table) {
        return Err(io::Error::other(format!("a table is not as it was made: {difference}")));
    }
    remove(&grip.owner, TABLE)?;
    if exists(&grip.reader, TABLE)? {
        return Err(io::Error::other("a table is still there after its removal"));
    }
    Ok(())
}
