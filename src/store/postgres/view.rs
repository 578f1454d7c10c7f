//! How a member sees itself.
//!
//! Needs no rights where nobody is promoted. Which timeline a standby receives is shown to members of `pg_monitor` alone;
//! for others it is the newest one that the standby has written down, which after a promotion may take minutes.

use tokio::time::Instant;

use super::connection::Rows;
use super::primaries::Primaries;
use super::synchronous;
use crate::api::{MemberSample, Role};
use crate::platform::Endpoint;

/// Asks everything at once. `pg_walfile_name` is the one function that tells a primary's timeline right after a promotion.
pub(super) const QUESTION: &str = "
SELECT NOT pg_is_in_recovery() AS is_primary,
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli::bigint FROM pg_stat_wal_receiver),
                          (SELECT greatest(timeline_id, min_recovery_end_timeline)::bigint
                             FROM pg_control_checkpoint(), pg_control_recovery()))
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
       END AS timeline,
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint, 0)
            ELSE (pg_current_wal_insert_lsn() - '0/0')::bigint
       END AS position,
       CASE WHEN pg_is_in_recovery()
            THEN (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), '0/0') - '0/0')::bigint
            ELSE (pg_current_wal_flush_lsn() - '0/0')::bigint
       END AS flushed,
       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE coalesce(status, 'streaming') = 'streaming') AS receives,
       current_setting('wal_block_size')::bigint AS block,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       to_regclass('seatrial_workload') IS NOT NULL AS has_table";

/// What a member said.
pub(super) struct View {
    pub(super) is_primary: bool,
    pub(super) timeline: u64,
    pub(super) has_table: bool,
    /// Up to where it has the log on its disk: what a primary has written, or a standby has received.
    pub(super) flushed: u64,
    position: u64,
    /// Whether a standby takes itself for connected to whom it follows, which it does for as long as
    /// `wal_receiver_timeout` where nobody says otherwise.
    receives: bool,
    commit: String,
    standbys: String,
}

impl View {
    /// Reads the answer to [`QUESTION`].
    pub(super) fn of(rows: &Rows) -> Result<Self, String> {
        let row = rows.first().ok_or("the answer has no row")?;
        let wrong = |error: tokio_postgres::Error| format!("the answer is not understood: {error}");
        let number = |column: &str| {
            let value: i64 = row.try_get(column).map_err(wrong)?;
            Ok::<_, String>(value.cast_unsigned())
        };
        Ok(Self {
            is_primary: row.try_get("is_primary").map_err(wrong)?,
            timeline: number("timeline")?,
            has_table: row.try_get("has_table").map_err(wrong)?,
            flushed: number("flushed")?,
            position: end_of_record(number("position")?, number("block")?),
            receives: row.try_get("receives").map_err(wrong)?,
            commit: row.try_get("synchronous_commit").map_err(wrong)?,
            standbys: row.try_get("synchronous_standby_names").map_err(wrong)?,
        })
    }

    /// The same as every store says it, of a member that was asked at this time. Through the Service it is not known who
    /// answered.
    pub(super) fn sample(
        self,
        endpoint: Endpoint,
        primaries: &Primaries,
        heartbeat: Option<u64>,
        asked: Instant,
    ) -> MemberSample {
        let own = match endpoint {
            Endpoint::Member(ordinal) => Some(ordinal),
            Endpoint::Service => None,
        };
        let leader = if self.is_primary {
            own
        } else {
            primaries.followed(self.timeline, self.flushed, asked).filter(|_| self.receives)
        };
        let writes_need = own.filter(|_| self.is_primary);
        MemberSample::Answer {
            role: if self.is_primary { Role::Leader } else { Role::Follower },
            term: self.timeline,
            leader,
            position: self.position,
            heartbeat,
            voter: false,
            writes_need: writes_need
                .map(|own| synchronous::needs(&self.commit, &self.standbys, own, primaries)),
        }
    }
}

/// Where the newest record ends. A primary tells where the next one will begin, which at the start of a page is behind
/// that page's header, and which no standby reaches before there is such a record: `XLogPageHeaderData` takes 24 bytes, at
/// the start of a file 40 (access/xlog_internal.h).
fn end_of_record(next: u64, block: u64) -> u64 {
    match next % block.max(1) {
        header @ (24 | 40) => next - header,
        _ => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_an_empty_page_is_no_record() {
        let (block, file) = (8192, 0x0300_0000);
        assert_eq!(end_of_record(file + 40, block), file);
        assert_eq!(end_of_record(file + 8192 + 24, block), file + 8192);
        assert_eq!(end_of_record(file + 8192 + 64, block), file + 8192 + 64);
        assert_eq!(end_of_record(file + 8192, block), file + 8192);
    }
}
