//! The table of the workload, and the statements on it.

use super::connection::Rows;
use crate::store::{Failure, Listing};

/// Makes the table. Two clients that find it missing must not make it both: `IF NOT EXISTS` alone does not prevent that.
pub(super) const CREATE: &str = r#"
DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('seatrial_workload'));
    CREATE TABLE IF NOT EXISTS seatrial_workload (key text COLLATE "C" PRIMARY KEY, value bigint NOT NULL);
END $$"#;

/// What the member that is asked holds.
pub(super) const READ: &str = "
SELECT (SELECT value FROM seatrial_workload WHERE key = $1) AS value, NULL::text AS refused";

/// The same, if it is the primary.
pub(super) const READ_AT_PRIMARY: &str = "
SELECT (SELECT value FROM seatrial_workload WHERE key = $1) AS value,
       CASE WHEN pg_is_in_recovery() THEN 'it is a standby, whose reads may be old' END AS refused";

/// What there is where there is no table, if the member is the primary and has none either: the Service may have given
/// another one before.
pub(super) const NOTHING_AT_PRIMARY: &str = "
SELECT NULL::bigint AS value,
       CASE WHEN pg_is_in_recovery() THEN 'it is a standby, whose reads may be old'
            WHEN to_regclass('seatrial_workload') IS NOT NULL THEN 'another member had no table yet, or it came meanwhile'
       END AS refused";

/// Sets a key.
pub(super) const WRITE: &str = "
INSERT INTO seatrial_workload VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Sets a key if it has the value `$2`, or does not exist where that is NULL, and gives the value that it has then; no
/// row where it does not exist. What another client does to the row meanwhile is waited for and seen, because the
/// row is locked before it is compared (INSERT, "ON CONFLICT Clause").
pub(super) const COMPARE_AND_SET: &str = "
INSERT INTO seatrial_workload AS held
SELECT $1, $3 WHERE $2 IS NULL OR EXISTS (SELECT FROM seatrial_workload WHERE key = $1)
ON CONFLICT (key) DO UPDATE SET value = CASE WHEN held.value = $2 THEN excluded.value ELSE held.value END
RETURNING value";

/// Everything below a prefix.
pub(super) const LIST: &str = "SELECT key, value FROM seatrial_workload WHERE starts_with(key, $1)";

/// Removes everything below a prefix.
pub(super) const REMOVE: &str = "DELETE FROM seatrial_workload WHERE starts_with(key, $1)";

/// Drops the table if nothing is in it, and nothing can come into it meanwhile.
pub(super) const DROP_IF_EMPTY: &str = "
DO $$ BEGIN
    LOCK TABLE seatrial_workload;
    IF NOT EXISTS (SELECT FROM seatrial_workload) THEN DROP TABLE seatrial_workload; END IF;
END $$";

/// A value as the table holds it.
pub(super) fn stored(value: u64) -> Result<i64, Failure> {
    i64::try_from(value).map_err(|_| Failure::NotApplied(format!("{value} is more than a bigint holds")))
}

/// The answer to a read.
pub(super) fn value_read(rows: &Rows) -> Result<Option<u64>, Failure> {
    let strange = |_| Failure::NotApplied("the answer to a read is not understood".into());
    let Some(row) = rows.first() else { return Ok(None) };
    if let Some(why) = row.try_get("refused").map_err(strange)? {
        return Err(Failure::NotApplied(why));
    }
    let value: Option<i64> = row.try_get("value").map_err(strange)?;
    value.map(number).transpose().map_err(Failure::NotApplied)
}

/// What a key holds after a compare-and-set.
pub(super) fn value_after(rows: &Rows) -> Result<Option<u64>, String> {
    let Some(row) = rows.first() else { return Ok(None) };
    let value = row.try_get("value").map_err(|_| "the answer to a compare-and-set is not understood")?;
    number(value).map(Some)
}

/// The answer to a listing.
pub(super) fn listing(rows: &Rows) -> Result<Listing, Failure> {
    let strange = |_| Failure::NotApplied("a row of the listing is not understood".into());
    let mut listing = Listing::default();
    for row in rows {
        let key = row.try_get("key").map_err(strange)?;
        let value: i64 = row.try_get("value").map_err(strange)?;
        match u64::try_from(value) {
            Ok(value) => {
                listing.values.insert(key, value);
            }
            Err(_) => listing.foreign.push(key),
        }
    }
    Ok(listing)
}

fn number(value: i64) -> Result<u64, String> {
    u64::try_from(value)
        .map_err(|_| format!("the value {value} is negative: somebody else writes to this table"))
}
