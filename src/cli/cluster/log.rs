//! The log of a runner as the journal's lines, each once, whatever connections do.
//!
//! The kubelet puts its own time before each line; after a broken connection the log is read again from the second of
//! the newest line, and what was there before is left out by those times. A runner that is started again tells the journal
//! from its first line on; what was there before is left out by the numbers of its lines, and so is a line in the middle of
//! which the runner was killed.

use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(700);
/// How many lines may be waiting.
const BACKLOG: usize = 4096;
/// The container of a runner's pod.
const CONTAINER: &str = "runner";

/// Which lines were taken.
#[derive(Debug, Default)]
struct Taken {
    newest: Option<Timestamp>,
    /// Lines up to here were taken over an earlier connection.
    floor: Option<Timestamp>,
    /// The number of the newest line of the journal that has one.
    index: Option<u64>,
}

/// A line of a journal, as far as it tells which one it is.
#[derive(Deserialize)]
struct Numbered {
    index: Option<u64>,
}

impl Taken {
    /// Another connection begins.
    fn reconnect(&mut self) {
        self.floor = self.newest;
    }

    /// The journal's line in a line of the log, if there is one and it is new.
    fn take<'a>(&mut self, raw: &'a str) -> Option<&'a str> {
        let (time, line) = raw.split_once(' ')?;
        let time: Timestamp = time.parse().ok()?;
        if self.floor.is_some_and(|floor| time <= floor) {
            return None;
        }
        self.newest = self.newest.max(Some(time));
        if !line.starts_with('{') {
            return None;
        }
        let Numbered { index } = serde_json::from_str(line).ok()?;
        if index.is_some() && index <= self.index {
            return None;
        }
        self.index = index.or(self.index);
        Some(line)
    }
}

/// Follows the log of a pod, which need not run yet, until nobody listens.
pub(super) fn follow(pods: Api<Pod>, pod: String) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let mut taken = Taken::default();
        while !sender.is_closed() {
            taken.reconnect();
            let parameters = LogParams {
                container: Some(CONTAINER.into()),
                follow: true,
                timestamps: true,
                since_time: taken.newest,
                ..LogParams::default()
            };
            if let Ok(stream) = pods.log_stream(&pod, &parameters).await {
                let mut lines = stream.lines();
                // A connection that breaks is made again; what it lacked is read again.
                while let Ok(Some(raw)) = lines.try_next().await {
                    if let Some(line) = taken.take(&raw)
                        && sender.send(line.to_owned()).await.is_err()
                    {
                        return;
                    }
                }
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = sender.closed() => return,
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_journals_lines_are_taken() {
        let mut taken = Taken::default();
        let lines = [
            ("2026-01-01T00:00:00.1Z {\"time\":1}", Some("{\"time\":1}")),
            ("2026-01-01T00:00:00.2Z WARN something of our own", None),
            ("no time at all", None),
            ("", None),
            ("2026-01-01T00:00:00.200000001Z {\"a b\": 2}", Some("{\"a b\": 2}")),
        ];
        for (raw, line) in lines {
            assert_eq!(taken.take(raw), line, "{raw}");
        }
    }

    #[test]
    fn what_is_read_again_is_left_out() {
        let mut taken = Taken::default();
        let read = |taken: &mut Taken, from: u32| -> Vec<u32> {
            let told = (from..6).map(|n| (n, format!("2026-01-01T00:00:0{n}.5Z {{}}")));
            told.filter(|(_, raw)| taken.take(raw).is_some()).map(|(n, _)| n).collect()
        };
        assert_eq!(read(&mut taken, 3), [3, 4, 5]);
        taken.reconnect();
        assert_eq!(read(&mut taken, 3), [0_u32; 0]);
        assert!(taken.take("2026-01-01T00:00:05.500000001Z {}").is_some(), "the next one is new");
    }

    #[test]
    fn what_a_runner_tells_that_was_started_again_is_taken_from_the_line_in_which_it_was_killed() {
        let mut taken = Taken::default();
        let mut told = Vec::new();
        let killed = ["{\"time\":0,\"index\":1}", "{\"index\":2,\"time\":5}", "{\"index\":3,\"ti"];
        let again = [killed[0], killed[1], "{\"index\":3,\"time\":7}", "{\"time\":9,\"index\":4}"];
        for (second, line) in (10..).zip(killed.into_iter().chain(again)) {
            let raw = format!("2026-01-01T00:00:{second}Z {line}");
            told.extend(taken.take(&raw).map(str::to_owned));
        }
        assert_eq!(told, [killed[0], killed[1], again[2], again[3]]);
        // Lines of the first schema that are no operations have no number.
        assert!(taken.take("2026-01-01T00:01:00Z {\"time\":9}").is_some());
    }

    #[test]
    fn lines_of_the_same_moment_are_all_taken_over_one_connection() {
        let mut taken = Taken::default();
        assert!(taken.take("2026-01-01T00:00:00Z {}").is_some());
        assert!(taken.take("2026-01-01T00:00:00Z {}").is_some());
    }
}
