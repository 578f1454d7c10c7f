//! What is done to packets, and the numbers by which the kernel is told.

use std::time::Duration;

use netlink_bindings::tc::{
    NetemLossAttrs, OpNewqdiscDo, OptionsMsg, Request, TcNetemGemodel, TcNetemQopt, TcRatespec, TcTbfQopt,
};

use super::{ETHERNET, Link, TICK, Tree, at};

/// Packets that may wait for their time at once; more would be lost, which is not what a delay is for.
const WAITING: u32 = 100_000;
/// What comes too fast waits for up to this part of a second.
const QUEUE_PER_SECOND: u64 = 2;
/// A queue holds some packets, however slow it is.
const FEWEST_WAITING: u64 = 3;
/// What may go at once after a pause: this part of a second's worth.
const BURST_PER_SECOND: u64 = 100;
/// What comes on top of the longest packet on its way (an Ethernet header with tags).
const HEADER: u64 = 32;

/// What is done to packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shaper {
    /// Each waits for so long, by up to so much more or less.
    Delay {
        /// The mean.
        delay: Duration,
        /// The most by which it differs.
        jitter: Duration,
    },
    /// Some are lost.
    Loss {
        /// How many of a million.
        millionths: u32,
        /// How many in a row, in the mean.
        burst: Option<u32>,
    },
    /// Together they are no faster than this.
    Rate {
        /// Bytes in a second.
        bytes: u64,
    },
}

impl Shaper {
    /// The name of the discipline that does it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Delay { .. } | Self::Loss { .. } => "netem",
            Self::Rate { .. } => "tbf",
        }
    }

    /// How the kernel is told, on an interface with this longest packet.
    pub fn settings(&self, mtu: u32) -> Settings {
        match self {
            Self::Delay { delay, jitter } => Settings::Netem(Netem {
                latency: ticks(*delay),
                jitter: ticks(*jitter),
                loss: Loss::Random(0),
            }),
            Self::Loss { millionths, burst } => {
                Settings::Netem(Netem { latency: 0, jitter: 0, loss: Loss::of(*millionths, *burst) })
            }
            Self::Rate { bytes } => {
                let longest = u64::from(mtu) + HEADER;
                let burst = (bytes / BURST_PER_SECOND).max(longest);
                let queue = (bytes / QUEUE_PER_SECOND).max(FEWEST_WAITING * longest);
                Settings::Tbf { rate: narrow(*bytes), burst: narrow(burst), limit: narrow(burst + queue) }
            }
        }
    }
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() / TICK.as_nanos()).unwrap_or(u32::MAX)
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A discipline and everything that it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// tc-netem(8)
    Netem(Netem),
    /// tc-tbf(8)
    Tbf {
        /// Bytes in a second.
        rate: u32,
        /// Bytes at once.
        burst: u32,
        /// Bytes that may wait.
        limit: u32,
    },
}

/// What netem is told, times in ticks; everything else that it can do is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netem {
    latency: u32,
    jitter: u32,
    loss: Loss,
}

/// Which packets are lost; probabilities are parts of `u32::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Each with this probability.
    Random(u32),
    /// By Gilbert's model: all while it is bad, none while it is good, with the probabilities that a packet makes it bad, and good.
    Gilbert { to_bad: u32, to_good: u32 },
}

impl Loss {
    fn of(millionths: u32, burst: Option<u32>) -> Self {
        let part = |of: u64, all: u64| narrow((of * u64::from(u32::MAX) + all / 2) / all);
        let (lost, kept) = (u64::from(millionths), 1_000_000 - u64::from(millionths.min(999_999)));
        match burst {
            None => Self::Random(part(lost, 1_000_000)),
            // So many in a row are lost in the mean, and so many times more or less in a row arrive.
            Some(burst) => Self::Gilbert {
                to_bad: part(lost, kept * u64::from(burst)),
                to_good: part(1, u64::from(burst.max(1))),
            },
        }
    }
}

impl Settings {
    /// The most bytes that may go through in this time.
    pub fn most_in(&self, time: Duration) -> Option<u64> {
        match self {
            Self::Netem(_) => None,
            Self::Tbf { rate, burst, .. } => {
                let steady = u128::from(*rate) * time.as_nanos() / 1_000_000_000;
                Some(u64::try_from(steady).unwrap_or(u64::MAX).saturating_add(u64::from(*burst)))
            }
        }
    }

    /// Asks for it below the class of a tree.
    pub(super) fn request(&self, link: &Link, tree: Tree) -> OpNewqdiscDo<'static> {
        let place = at(link, tree.leaf(), tree.class());
        let mut request = Request::new().set_create().set_excl().op_newqdisc_do(&place);
        match self {
            Self::Netem(Netem { latency, jitter, loss }) => {
                let header = TcNetemQopt {
                    latency: *latency,
                    jitter: *jitter,
                    limit: WAITING,
                    loss: if let Loss::Random(probability) = loss { *probability } else { 0 },
                    ..TcNetemQopt::new()
                };
                let mut options = request.encode().nested_options_netem(&header);
                if let Loss::Gilbert { to_bad, to_good } = loss {
                    let model = TcNetemGemodel { p: *to_bad, r: *to_good, ..TcNetemGemodel::new() };
                    options = options.nested_loss().push_ge(model).end_nested();
                }
                options.end_nested();
            }
            Self::Tbf { rate, burst, limit } => {
                let settings = TcTbfQopt {
                    rate: TcRatespec { linklayer: ETHERNET, rate: *rate, ..TcRatespec::new() },
                    limit: *limit,
                    ..TcTbfQopt::new()
                };
                request.encode().nested_options_tbf().push_parms(settings).push_burst(*burst).end_nested();
            }
        }
        request
    }

    /// What the kernel says that a discipline was told; `None` of one that is none of ours.
    pub(super) fn of(options: &OptionsMsg<'_>) -> Option<Self> {
        match options {
            OptionsMsg::Netem(header, options) => {
                let mut models = options.get_loss().ok().into_iter().flatten().flatten();
                let model = models.find_map(|model| match model {
                    NetemLossAttrs::Ge(model) => Some(Loss::Gilbert { to_bad: model.p, to_good: model.r }),
                    NetemLossAttrs::Gi(_) => None,
                });
                Some(Self::Netem(Netem {
                    latency: header.latency,
                    jitter: header.jitter,
                    loss: model.unwrap_or(Loss::Random(header.loss)),
                }))
            }
            OptionsMsg::Tbf(options) => {
                let told = options.get_parms().ok()?;
                // The burst is kept as the time that it takes, and so not to the byte.
                Some(Self::Tbf { rate: told.rate.rate, burst: 0, limit: told.limit })
            }
            _ => None,
        }
    }

    /// Whether this is what was read back, as far as that can be told.
    pub(super) fn is_told(&self, read: &Self) -> bool {
        match (self, read) {
            (Self::Tbf { rate, limit, .. }, Self::Tbf { rate: read_rate, limit: read_limit, .. }) => {
                (rate, limit) == (read_rate, read_limit)
            }
            (wanted, read) => wanted == read,
        }
    }
}
