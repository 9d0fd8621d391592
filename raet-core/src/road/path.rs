//! Where a remote is reached and how long an answer takes to come.

use core::net::{IpAddr, SocketAddr};

use crate::config::Pace;
use crate::time::{Duration, Span};

/// An address as the engine compares and keeps it: v4-mapped ones unwrapped (H11), no flow label.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => {
                v6.set_flowinfo(0);
                SocketAddr::V6(v6)
            }
        },
        v4 @ SocketAddr::V4(_) => v4,
    }
}

/// The way to a remote.
#[derive(Clone, Hash)]
pub(crate) struct Path {
    pub(crate) address: SocketAddr,
    pub(crate) trip: RoundTrip,
}

impl Path {
    pub(crate) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            trip: RoundTrip {
                smoothed: 0,
                variation: 0,
            },
        }
    }
}

/// A running estimate of the round trip (RFC 6298, section 2), in microseconds. Only packets that
/// were sent once are measured (Karn), so a sample is never of the wrong copy.
#[derive(Clone, Copy, Hash)]
pub(crate) struct RoundTrip {
    /// Zero: nothing measured yet.
    smoothed: u32,
    variation: u32,
}

impl RoundTrip {
    pub(crate) fn sample(&mut self, trip: Span) {
        let trip = trip.as_micros().clamp(1, 60_000_000);
        if self.smoothed == 0 {
            *self = Self {
                smoothed: trip,
                variation: trip / 2,
            };
        } else {
            self.variation = self.variation / 4 * 3 + self.smoothed.abs_diff(trip) / 4;
            self.smoothed = (self.smoothed / 8 * 7 + trip / 8).max(1);
        }
    }

    pub(crate) fn smoothed(self) -> Option<Duration> {
        (self.smoothed > 0).then(|| Duration::from_micros(self.smoothed.into()))
    }

    /// How long to wait for an answer before asking again, between the limits of `pace`.
    pub(crate) fn patience(self, pace: &Pace) -> Span {
        let wait = u64::from(self.smoothed) + 4 * u64::from(self.variation);
        pace.bound(Span::from_micros(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_unwrapped() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:7530".parse().unwrap();
        let v4: SocketAddr = "10.0.0.1:7530".parse().unwrap();
        assert_eq!(plain(mapped), v4);
        assert_eq!(plain(v4), v4);
    }

    #[test]
    fn patience_follows_the_trip_between_its_limits() {
        let pace = Pace {
            timeout: Duration::ZERO,
            redo_min: Duration::from_millis(200),
            redo_max: Duration::from_millis(500),
        };
        let mut trip = RoundTrip {
            smoothed: 0,
            variation: 0,
        };
        assert!(trip.patience(&pace) == Span::new(pace.redo_min));
        trip.sample(Span::from_micros(100_000));
        assert!(trip.patience(&pace) == Span::from_micros(300_000));
        trip.sample(Span::from_micros(30_000_000));
        assert!(trip.patience(&pace) == Span::new(pace.redo_max));
    }
}
