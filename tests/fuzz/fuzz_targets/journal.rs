//! Any bytes: a journal that can be judged, or an error, never a panic.
#![no_main]

use seatrial::journal::read::Journal;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(journal) = Journal::parse(bytes) {
        let once = seatrial::judge::judge(&journal).to_json();
        assert_eq!(once, seatrial::judge::judge(&journal).to_json(), "judging twice says the same");
    }
});
