//! Whether a member lets in as many connections as a workload may need.
//!
//! A client whose answers do not come opens another connection, up to [`OPEN`]: in the very stall that is measured. A
//! workload that takes every connection then would keep out those whom the store is there for, and its own writes as well.

use super::connection::{OPEN, Rows};

/// Connections for each member besides those of clients: who asks it how it is, the heartbeat, and whoever reads in the
/// end.
const OTHERS: u32 = 4;

/// How many connections there are for a user without special rights. Those that an administrator reserves for others
/// came with version 16.
pub(super) const QUESTION: &str = "
SELECT current_setting('max_connections')::bigint
       - current_setting('superuser_reserved_connections')::bigint
       - coalesce(current_setting('reserved_connections', true)::bigint, 0) AS room";

/// The answer to [`QUESTION`]; none where it is not understood.
pub(super) fn told(rows: &Rows) -> Option<u32> {
    let room: i64 = rows.first()?.try_get("room").ok()?;
    Some(u32::try_from(room).unwrap_or(0))
}

/// Why so many clients of a group are too many for this room.
pub(super) fn lack(clients: u32, members: u32, room: u32) -> Option<String> {
    let (each, others) = (OPEN as u32, members.saturating_mul(OTHERS));
    let needed = clients.saturating_mul(each).saturating_add(others);
    if needed <= room {
        return None;
    }
    let fewer = match room.saturating_sub(others) / each {
        0 => String::new(),
        most => format!("write at most `clients: {most}`, or "),
    };
    Some(format!(
        "while its answers do not come, PostgreSQL would get up to {needed} connections ({each} of each client, and \
         {OTHERS} for each member), and max_connections leaves {room}: {fewer}raise max_connections"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_could_take_every_connection_are_too_many() {
        assert_eq!(lack(28, 3, 97), None);
        let why = lack(29, 3, 97).expect("99 are more than 97");
        assert!(why.contains("up to 99 connections") && why.contains("`clients: 28`, or raise"), "{why}");
        let why = lack(1, 3, 14).expect("15 are more than 14");
        assert!(why.ends_with("leaves 14: raise max_connections"), "{why}");
    }
}
