//! What seeds decide.

use super::*;

fn step(json: &str) -> Step {
    serde_json::from_str(json).expect("a valid step")
}

const CHOICE: &str = r#"{"name":"soak","every":"20s","times":100,"oneOf":[
    {"weight":3,"fault":{"podKill":{"members":{"count":1}}}},
    {"for":"5s","fault":{"processPause":{"members":{"count":1}}}}]}"#;

#[test]
fn alternatives_are_chosen_by_weight_and_by_the_seed_alone() {
    let step = step(CHOICE);
    let places = |seed| (0..1000).map(|n| alternative(&step, seed, n).0).collect::<Vec<_>>();
    let first = places(7).into_iter().filter(|&place| place == 0).count();
    assert!((700..800).contains(&first), "{first} of 1000 by a weight of 3 to 1");
    assert_eq!(places(7), places(7));
    assert_ne!(places(7), places(8));
}

/// A seed must mean the same a year later: these were drawn by the first version.
#[test]
fn a_seed_chooses_what_it_has_always_chosen() {
    let step = step(CHOICE);
    let places: String = (0..16).map(|n| alternative(&step, 42, n).0.to_string()).collect();
    assert_eq!(places, "0110100000100101");
}

fn apart(jitter: &str) -> Step {
    step(&format!(
        r#"{{"name":"soak","every":{{"mean":"1m","jitter":"{jitter}"}},"times":3,
            "fault":{{"podKill":{{"members":{{"count":1}}}}}}}}"#
    ))
}

fn gaps(jitter: &str, seed: u64) -> Vec<u128> {
    let step = apart(jitter);
    (1..=4000).map(|occurrence| gap(&step, seed, occurrence).as_millis()).collect()
}

#[test]
fn exponential_gaps_have_their_mean_and_their_long_tail() {
    let gaps = gaps("exponential", 7);
    let mean = gaps.iter().sum::<u128>() / 4000;
    assert!((57_000..63_000).contains(&mean), "{mean} ms");
    // e^-1, e^-3 and 1 - e^-0.1 of them.
    let share = |is: &dyn Fn(u128) -> bool| gaps.iter().filter(|gap| is(**gap)).count();
    let longer = share(&|gap| gap > 60_000);
    assert!((1370..1570).contains(&longer), "{longer} of 4000 are longer than the mean");
    let much = share(&|gap| gap > 180_000);
    assert!((150..250).contains(&much), "{much} of 4000 are longer than three times the mean");
    let short = share(&|gap| gap < 6_000);
    assert!((320..440).contains(&short), "{short} of 4000 are shorter than a tenth of the mean");
}

#[test]
fn uniform_gaps_are_from_half_the_mean_to_one_and_a_half() {
    let gaps = gaps("uniform", 7);
    assert!(gaps.iter().all(|gap| (30_000..=90_000).contains(gap)));
    let mean = gaps.iter().sum::<u128>() / 4000;
    assert!((59_000..61_000).contains(&mean), "{mean} ms");
    assert!(gaps.iter().any(|&gap| gap < 32_000) && gaps.iter().any(|&gap| gap > 88_000));
}

#[test]
fn gaps_are_drawn_by_the_seed_alone_and_none_where_there_is_no_jitter() {
    assert_eq!(gaps("exponential", 7), gaps("exponential", 7));
    assert_ne!(gaps("exponential", 7), gaps("exponential", 8));
    assert_eq!(gap(&step(CHOICE), 7, 3), std::time::Duration::from_secs(20));
}

/// A seed must mean the same a year later: these were drawn by the first version.
#[test]
fn a_seed_waits_for_as_long_as_it_has_always_waited() {
    let drawn = |jitter| gaps(jitter, 42).into_iter().take(4).collect::<Vec<_>>();
    assert_eq!(drawn("exponential"), [157_886, 96_846, 80_774, 34_347]);
    assert_eq!(drawn("uniform"), [62_718, 46_739, 89_724, 64_347]);
}
