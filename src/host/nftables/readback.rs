//! What the kernel holds of a cut.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;

use netlink_bindings::nftables::{ExprOps, IterableRuleAttrs, Request};

use super::encode::header;
use super::layout::Table;
use crate::host::netlink::socket::Socket;

/// A table as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The comments of its rules, in order, with the packets that each has counted.
    pub rules: Vec<(String, Option<u64>)>,
    /// The keys of its sets that have not expired.
    pub sets: BTreeMap<String, BTreeSet<Vec<u8>>>,
}

impl Reading {
    /// Packets that rules have counted so far.
    pub fn packets(&self) -> u64 {
        self.rules.iter().filter_map(|(_, packets)| *packets).sum()
    }

    /// How many addresses are meant, counted once per direction.
    pub fn addresses(&self) -> usize {
        ["from4", "from6", "to4", "to6"].iter().filter_map(|set| self.sets.get(*set)).map(BTreeSet::len).sum()
    }

    /// What of `table` is missing here or too much, in words; `None` where both are the same.
    pub fn difference(&self, table: &Table) -> Option<String> {
        let expected: Vec<&String> = table.rules.iter().map(|rule| &rule.name).collect();
        let found: Vec<&String> = self.rules.iter().map(|(name, _)| name).collect();
        if expected != found {
            return Some(format!("expected {} rules, found {}: {found:?}", expected.len(), found.len()));
        }
        table.sets.iter().find_map(|set| {
            let expected: BTreeSet<Vec<u8>> = set.keys.iter().cloned().collect();
            match self.sets.get(set.name) {
                Some(found) if *found == expected => None,
                Some(found) => {
                    Some(format!("set {} holds {} keys, expected {}", set.name, found.len(), expected.len()))
                }
                None => Some(format!("set {} is missing", set.name)),
            }
        })
    }
}

pub(super) fn exists(reader: &Socket, table: &str) -> io::Result<bool> {
    let mut request = Request::new().op_gettable_do(&header());
    request.encode().push_name_bytes(table.as_bytes());
    match reader.query(&request, |_| Ok(())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn names(reader: &Socket) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    reader.query(&Request::new().op_gettable_dump(&header()), |(_, table)| {
        names.insert(text(table.get_name())?);
        Ok(())
    })?;
    Ok(names)
}

pub(super) fn read(reader: &Socket, table: &str) -> io::Result<Option<Reading>> {
    /// A dump that is interrupted by a change elsewhere is repeated; nobody changes rulesets this often for long.
    const TRIES: usize = 16;
    let mut tries = 0;
    loop {
        tries += 1;
        match read_once(reader, table) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && tries < TRIES => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => return result.map(Some),
        }
    }
}

fn read_once(reader: &Socket, table: &str) -> io::Result<Reading> {
    if !exists(reader, table)? {
        return Err(io::ErrorKind::NotFound.into());
    }
    let name = CString::new(table)?;
    let mut reading = Reading::default();
    let mut rules = Request::new().op_getrule_dump(&header());
    rules.encode().push_table(&name);
    reader.query(&rules, |(_, rule)| {
        reading.rules.push((comment(&rule), packets(&rule)));
        Ok(())
    })?;
    let mut sets = Request::new().op_getset_dump(&header());
    sets.encode().push_table(&name);
    reader.query(&sets, |(_, set)| {
        reading.sets.insert(text(set.get_name())?, BTreeSet::new());
        Ok(())
    })?;
    for (set, keys) in &mut reading.sets {
        let mut elements = Request::new().op_getsetelem_dump(&header());
        elements.encode().push_table(&name).push_set_bytes(set.as_bytes());
        reader.query(&elements, |(_, list)| {
            // A set without elements is answered by a message without a list.
            let Ok(list) = list.get_elements() else {
                return Ok(());
            };
            for element in list.get_elem() {
                let key = element.get_key().and_then(|key| key.get_value()).map_err(io::Error::other)?;
                keys.insert(key.to_vec());
            }
            Ok(())
        })?;
    }
    Ok(reading)
}

fn text(name: Result<&std::ffi::CStr, netlink_bindings::utils::ErrorContext>) -> io::Result<String> {
    Ok(name.map_err(io::Error::other)?.to_string_lossy().into_owned())
}

fn comment(rule: &IterableRuleAttrs<'_>) -> String {
    let data = rule.get_userdata().unwrap_or_default();
    String::from_utf8_lossy(data.get(2..).unwrap_or_default()).trim_end_matches('\0').to_owned()
}

fn packets(rule: &IterableRuleAttrs<'_>) -> Option<u64> {
    rule.get_expressions().ok()?.get_elem().find_map(|expression| match expression.get_data() {
        Ok(ExprOps::Counter(counter)) => counter.get_packets().ok(),
        _ => None,
    })
}
