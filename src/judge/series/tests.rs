use super::*;

fn series(kind: Kind, points: &[(Nanos, Sample)]) -> Series {
    let mut series = Series::new(kind);
    for &(at, sample) in points {
        series.push(Point { at, sample, why: format!("at {at}") });
    }
    series
}

fn bad_times(series: &Series, window: Window) -> Vec<(Nanos, Nanos)> {
    series
        .outages(&[window], &|value| value < 10)
        .into_iter()
        .map(|outage| (outage.from, outage.to))
        .collect()
}

const GOOD: Sample = Sample::Value(10);
const BAD: Sample = Sample::Value(5);

#[test]
fn an_average_weighs_values_by_their_time() {
    let series = series(Kind::Changes, &[(0, GOOD), (60, Sample::Value(0))]);
    assert_eq!(series.measure(&[Window::new(0, 100)]).value, Some(6));
    let both = [Window::new(50, 60), Window::new(60, 70)];
    assert_eq!(series.measure(&both).value, Some(5));
}

#[test]
fn a_change_is_exact_but_a_look_is_not() {
    let points = [(0, GOOD), (10, BAD), (20, BAD), (30, GOOD)];
    let window = Window::new(0, 100);
    assert_eq!(bad_times(&series(Kind::Changes, &points), window), [(10, 30)]);
    assert_eq!(bad_times(&series(Kind::Looks, &points), window), [(0, 30)]);
}

#[test]
fn an_outage_counts_from_the_windows_beginning_and_beyond_its_end() {
    let series = series(Kind::Looks, &[(0, GOOD), (10, BAD), (40, GOOD)]);
    assert_eq!(bad_times(&series, Window::new(20, 30)), [(20, 40)]);
    assert_eq!(bad_times(&series, Window::new(5, 15)), [(5, 40)]);
    assert_eq!(bad_times(&series, Window::new(40, 90)), []);
}

#[test]
fn what_was_not_sampled_neither_begins_nor_ends_an_outage() {
    let gap = Sample::NotSampled;
    let healthy = series(Kind::Looks, &[(0, GOOD), (10, gap), (20, GOOD)]);
    assert_eq!(bad_times(&healthy, Window::new(0, 30)), []);
    let lost = series(Kind::Looks, &[(0, GOOD), (10, BAD), (20, gap), (30, GOOD)]);
    assert_eq!(bad_times(&lost, Window::new(0, 40)), [(0, 30)]);
}

#[test]
fn a_rate_that_is_told_after_the_window_is_about_the_time_before() {
    let points = [(0, GOOD), (10, GOOD), (30, BAD), (40, GOOD)];
    let window = Window::new(0, 29);
    assert_eq!(bad_times(&series(Kind::Looks, &points), window), []);
    assert_eq!(bad_times(&series(Kind::Rates, &points), window), [(10, 40)]);
    assert_eq!(bad_times(&series(Kind::Rates, &points), Window::new(0, 10)), [], "nobody waited yet");
}

#[test]
fn an_outage_that_never_ends_lasts_to_the_last_sample() {
    let series = series(Kind::Looks, &[(0, GOOD), (10, BAD), (50, Sample::Unreachable)]);
    assert_eq!(bad_times(&series, Window::new(0, 20)), [(0, 50)]);
}

#[test]
fn windows_that_share_an_outage_count_it_once() {
    let series = series(Kind::Looks, &[(0, GOOD), (10, BAD), (50, GOOD)]);
    let outages = series.outages(&[Window::new(0, 20), Window::new(30, 60)], &|value| value < 10);
    assert_eq!(outages.len(), 1);
    assert_eq!((outages[0].from, outages[0].to), (0, 50));
}

#[test]
fn looks_say_nothing_about_a_long_silence() {
    let series = series(Kind::Looks, &[(0, GOOD), (10 * SILENCE, GOOD)]);
    let measure = series.measure(&[Window::new(0, 10 * SILENCE)]);
    assert_eq!(measure.unknown_time, 9 * SILENCE);
}

#[test]
fn forgetting_keeps_the_value_that_is_in_force() {
    let mut series = series(Kind::Changes, &[(0, BAD), (10, GOOD), (50, BAD)]);
    let window = Window::new(30, 60);
    let before = series.measure(&[window]);
    series.forget(30);
    assert_eq!(series.measure(&[window]).value, before.value);
    assert_eq!(series.points.len(), 2);
}

#[test]
fn a_value_about_the_time_before_it_counts_for_that() {
    let series = series(Kind::RareLooks, &[(0, GOOD), (10, Sample::Value(30)), (20, Sample::Value(0))]);
    let mean = |from, to| series.mean_before(&[Window::new(from, to)]).0;
    assert_eq!(
        (mean(0, 10), mean(10, 20), mean(5, 15), mean(0, 99)),
        (Some(30), Some(0), Some(15), Some(15))
    );
    assert_eq!(mean(20, 30), None);
}

#[test]
fn a_value_makes_the_time_before_it_known_unless_that_was_long() {
    const S: Nanos = LONG_SILENCE / 3;
    let gap = LONG_SILENCE + 1;
    let points = [(0, Sample::NotSampled), (S, Sample::Value(30)), (S + gap, Sample::Value(10))];
    let mut series = series(Kind::RareLooks, &points);
    let known = |series: &Series, from, to| series.mean_before(&[Window::new(from, to)]).1;
    assert_eq!((known(&series, 0, S), known(&series, S, S + gap)), (S, 0));
    assert_eq!(series.mean_before(&[Window::new(S, S + gap)]).0, Some(10), "it counts all the same");
    let end = S + gap;
    assert_eq!(known(&series, end, end + 10 * S), LONG_SILENCE, "nothing newer is there yet");
    series.push(Point { at: end + S, sample: Sample::NotSampled, why: String::new() });
    assert_eq!(known(&series, end, end + 10 * S), 0);
    assert_eq!(Series::new(Kind::RareLooks).mean_before(&[Window::new(0, S)]), (None, 0));
}
