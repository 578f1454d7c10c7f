//! A table as the netlink messages that make, change and remove it.

use std::ffi::CString;
use std::time::Duration;

use netlink_bindings::nftables::{
    Chained, CmpOps, MetaKeys, Nfgenmsg, PushExprListAttrs, Registers, SetFlags, TableFlags, VerdictCode,
};
use netlink_bindings::traits::Pusher;

use super::batch::Batch;
use super::layout::{INPUT, Load, OUTPUT, Rule, Set, Table, Test, Then};

/// `NF_INET_LOCAL_IN` and `NF_INET_LOCAL_OUT`, where a pod's own packets pass.
const HOOKS: [(&str, u32); 2] = [(INPUT, 1), (OUTPUT, 3)];
/// Before connection tracking and everybody else's filters, which begin at -300.
const PRIORITY: i32 = -310;
/// An attribute's length is a 16-bit number; this many elements stay far below it.
const ELEMENTS_PER_MESSAGE: usize = 500;
/// How nft(8) tells a comment in a rule's user data (`NFTNL_UDATA_RULE_COMMENT`).
const COMMENT: u8 = 0;

pub(super) fn header() -> Nfgenmsg {
    Nfgenmsg { nfgen_family: nix::libc::NFPROTO_INET as u8, ..Default::default() }
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).expect("the zero bytes are gone")
}

pub(super) fn install(name: &str, table: &Table, lifetime: Duration) -> Batch {
    let c_name = c_string(name);
    Batch::of(|batch| {
        batch
            .request()
            .set_create()
            .set_excl()
            .op_newtable_do(&header())
            .encode()
            .push_name(&c_name)
            .push_flags(TableFlags::Owner as u32);
        for (chain, hook) in
            HOOKS.into_iter().filter(|(chain, _)| table.rules.iter().any(|rule| rule.chain == *chain))
        {
            batch
                .request()
                .set_create()
                .op_newchain_do(&header())
                .encode()
                .push_table(&c_name)
                .push_name(&c_string(chain))
                .nested_hook()
                .push_num(hook)
                .push_priority(PRIORITY)
                .end_nested()
                .push_policy(VerdictCode::Accept as u32)
                .push_type(c"filter");
        }
        for (id, set) in (1..).zip(&table.sets) {
            batch
                .request()
                .set_create()
                .op_newset_do(&header())
                .encode()
                .push_table(&c_name)
                .push_name(&c_string(set.name))
                .push_flags(if set.expires { SetFlags::Timeout as u32 } else { 0 })
                .push_key_type(set.key_type)
                .push_key_len(set.key_len)
                .push_id(id);
            fill(batch, name, set, lifetime);
        }
        for rule in &table.rules {
            add_rule(batch, name, rule);
        }
    })
}

pub(super) fn exchange(name: &str, table: &Table, lifetime: Duration) -> Batch {
    let c_name = c_string(name);
    Batch::of(|batch| {
        for set in table.sets.iter().filter(|set| set.expires) {
            // Without elements, the message removes all of them.
            batch
                .request()
                .op_delsetelem_do(&header())
                .encode()
                .push_table(&c_name)
                .push_set(&c_string(set.name));
            fill(batch, name, set, lifetime);
        }
    })
}

pub(super) fn remove(table: &str) -> Batch {
    Batch::of(|batch| {
        batch.request().op_deltable_do(&header()).encode().push_name(&c_string(table));
    })
}

fn fill(batch: &mut Chained, table: &str, set: &Set, lifetime: Duration) {
    // The kernel wants milliseconds in network order here, and the bindings write this one number in the host's.
    let timeout = (lifetime.as_millis() as u64).max(1).to_be();
    for keys in set.keys.chunks(ELEMENTS_PER_MESSAGE) {
        let request = batch.request().set_create().op_newsetelem_do(&header());
        let mut elements = request
            .into_encoder()
            .push_table(&c_string(table))
            .push_set(&c_string(set.name))
            .nested_elements();
        for key in keys {
            let mut element = elements.nested_elem();
            if set.expires {
                element = element.push_timeout(timeout);
            }
            elements = element.nested_key().push_value(key).end_nested().end_nested();
        }
        elements.end_nested();
    }
}

fn add_rule(batch: &mut Chained, table: &str, rule: &Rule) {
    let mut comment = vec![COMMENT, rule.name.len() as u8 + 1];
    comment.extend(rule.name.as_bytes());
    comment.push(0);
    let request = batch.request().set_create().set_append().op_newrule_do(&header());
    let attributes = request
        .into_encoder()
        .push_table(&c_string(table))
        .push_chain(&c_string(rule.chain))
        .push_userdata(&comment);
    let mut expressions = attributes.nested_expressions();
    for test in &rule.tests {
        expressions = add_test(expressions, test);
    }
    if rule.then != Then::Accept {
        expressions = expressions.nested_elem().nested_data_counter().end_nested().end_nested();
    }
    match rule.then {
        Then::Accept => decide(expressions, VerdictCode::Accept),
        Then::Drop => decide(expressions, VerdictCode::Drop),
        Then::Steer(priority) => steer(expressions, priority),
    }
    .end_nested();
}

fn decide<Prev: Pusher>(
    expressions: PushExprListAttrs<Prev>,
    verdict: VerdictCode,
) -> PushExprListAttrs<Prev> {
    expressions
        .nested_elem()
        .nested_data_immediate()
        .push_dreg(Registers::RegVerdict as u32)
        .nested_data()
        .nested_verdict()
        .push_code(verdict as u32)
        .end_nested()
        .end_nested()
        .end_nested()
        .end_nested()
}

/// The kernel takes the priority in the host's byte order.
fn steer<Prev: Pusher>(expressions: PushExprListAttrs<Prev>, priority: u32) -> PushExprListAttrs<Prev> {
    expressions
        .nested_elem()
        .nested_data_immediate()
        .push_dreg(REGISTER)
        .nested_data()
        .push_value(&priority.to_ne_bytes())
        .end_nested()
        .end_nested()
        .end_nested()
        .nested_elem()
        .nested_data_meta()
        .push_key(MetaKeys::Priority as u32)
        .push_sreg(REGISTER)
        .end_nested()
        .end_nested()
}

const REGISTER: u32 = Registers::Reg1 as u32;

fn add_test<Prev: Pusher>(expressions: PushExprListAttrs<Prev>, test: &Test) -> PushExprListAttrs<Prev> {
    match test {
        Test::Equals(load, value) => compare(add_load(expressions, *load), CmpOps::Eq, value),
        Test::Within(load, low, high) => {
            let loaded = add_load(expressions, *load);
            compare(compare(loaded, CmpOps::Gte, low), CmpOps::Lte, high)
        }
        // The bindings mix up two attributes of a lookup: what they call the set's id is the source register
        // (`NFTA_LOOKUP_SREG` in linux/netfilter/nf_tables.h). The set itself is found by its name.
        Test::In(load, name) => add_load(expressions, *load)
            .nested_elem()
            .nested_data_lookup()
            .push_set(&c_string(name))
            .push_set_id(REGISTER)
            .end_nested()
            .end_nested(),
    }
}

fn compare<Prev: Pusher>(
    expressions: PushExprListAttrs<Prev>,
    how: CmpOps,
    value: &[u8],
) -> PushExprListAttrs<Prev> {
    expressions
        .nested_elem()
        .nested_data_cmp()
        .push_sreg(REGISTER)
        .push_op(how as u32)
        .nested_data()
        .push_value(value)
        .end_nested()
        .end_nested()
        .end_nested()
}

fn add_load<Prev: Pusher>(expressions: PushExprListAttrs<Prev>, load: Load) -> PushExprListAttrs<Prev> {
    let expression = expressions.nested_elem();
    match load {
        Load::Meta(key) => {
            expression.nested_data_meta().push_dreg(REGISTER).push_key(key as u32).end_nested().end_nested()
        }
        Load::Payload { base, offset, len } => expression
            .nested_data_payload()
            .push_dreg(REGISTER)
            .push_base(base as u32)
            .push_offset(offset)
            .push_len(len)
            .end_nested()
            .end_nested(),
    }
}
