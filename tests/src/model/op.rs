//! What applications do, and the weather: drawn, and made simpler when it broke a rule.

use quickcheck::{Arbitrary, Gen};

use super::ESTATES;

/// What an application, or the weather, does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// This one reaches for that one.
    Connect(usize, usize),
    /// This one sends that one a message of so many bytes.
    Send(usize, usize, usize, Manner),
    /// The message accepted so many before the last is given up.
    Cancel(usize),
    /// This one forgets that one.
    Forget(usize, usize),
    /// This one begins an allow with that one.
    Allow(usize, usize),
    /// This one asks that one for a sign of life.
    Alive(usize, usize),
    /// This one dies and comes back with what it has stored.
    Restart(usize),
    /// This one takes no messages, or does again.
    Deaf(usize),
    /// Of a hundred datagrams so many are lost from now on, and as many doubled and late.
    Weather(u8),
    /// So many milliseconds pass.
    Wait(u64),
}

/// How a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// By default.
    Plain,
    /// In one session only.
    Once,
    /// With so many milliseconds to arrive.
    Within(u64),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut below = |end: u64| u64::arbitrary(g) % end;
        let one = below(ESTATES as u64) as usize;
        let two = (one + 1 + below(ESTATES as u64 - 1) as usize) % ESTATES;
        match below(20) {
            0 | 1 => Self::Connect(one, two),
            2..=7 => {
                let manner = match below(6) {
                    0 => Manner::Once,
                    1 => Manner::Within(below(3000)),
                    _ => Manner::Plain,
                };
                let most = [1, 30, 900, 2500][below(4) as usize];
                Self::Send(one, two, below(most) as usize, manner)
            }
            8 => Self::Cancel(below(4) as usize),
            9 => Self::Forget(one, two),
            10 => Self::Allow(one, two),
            11 => Self::Alive(one, two),
            12 => Self::Restart(one),
            13 => Self::Deaf(one),
            14 => Self::Weather([0, 10, 30, 60, 100][below(5) as usize]),
            _ => Self::Wait([10, 300, 2000, 15_000][below(4) as usize]),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let simpler = match *self {
            Self::Send(one, two, len, manner) if len > 0 || manner != Manner::Plain => vec![
                Self::Send(one, two, len / 2, manner),
                Self::Send(one, two, len, Manner::Plain),
            ],
            Self::Wait(time) if time > 1 => vec![Self::Wait(time / 2)],
            Self::Weather(loss) if loss > 0 => vec![Self::Weather(loss / 2)],
            _ => Vec::new(),
        };
        Box::new(simpler.into_iter().filter({
            let same = *self;
            move |op| *op != same
        }))
    }
}
