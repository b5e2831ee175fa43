//! Blinks: when, how they run and where they are seen.

use super::check::Checks;
use super::random::Random;
use super::response::{add, lanes};
use super::scalp::Scalp;
use crate::signal::{Block, Lanes};
use std::f64::consts::PI;

/// Purpose of the random numbers.
const BLINKS: u64 = 12;

/// How large and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blinking {
    /// Where they are largest, µV.
    pub blink_uv: f64,
    pub blinks_per_min: f64,
}

impl Blinking {
    /// Adds what is wrong with the values.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("blinks_per_min", self.blinks_per_min, 0.0, 100.0);
        checks.amplitudes(&[("blink_uv", self.blink_uv)]);
    }
}

/// The blinks of a recording.
#[derive(Debug, Clone)]
pub(super) struct Blinks {
    /// First sample of each.
    pub starts: Vec<i64>,
    course: Vec<f64>,
    map: Vec<Lanes>,
}

impl Blinks {
    /// Draws when they happen: at random, at least half a second apart.
    pub fn draw(wish: Blinking, scalp: &Scalp, rate_hz: f64, length: i64, seed: u64) -> Self {
        let len = (0.3 * rate_hz) as usize;
        let course = (0..len).map(|i| wish.blink_uv * (PI * i as f64 / len as f64).sin().powi(2)).collect();
        let forehead = scalp.nearness([0.0, 0.92, -0.39], 0.5);
        let largest = forehead.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let map = lanes(&forehead.iter().map(|v| v / largest).collect::<Vec<_>>());
        Self { starts: starts(wish, rate_hz, length, seed), course, map }
    }

    /// Adds those that are seen in `chunk`.
    pub fn add(&self, chunk: &mut Block) {
        let (first, end) = (chunk.first(), chunk.end());
        let from = self.starts.partition_point(|&s| s + self.course.len() as i64 <= first);
        for &start in self.starts[from..].iter().take_while(|&&s| s < end) {
            add(chunk, start, &self.course, 1.0, &self.map);
        }
    }
}

fn starts(wish: Blinking, rate_hz: f64, length: i64, seed: u64) -> Vec<i64> {
    let mut starts = Vec::new();
    if wish.blink_uv == 0.0 || wish.blinks_per_min == 0.0 {
        return starts;
    }
    let (mut random, mut at_s) = (Random::new(seed, BLINKS), 0.0);
    loop {
        at_s += 0.5 - (60.0 / wish.blinks_per_min - 0.5).max(0.0) * (1.0 - random.uniform()).ln();
        let tick = (at_s * rate_hz) as i64;
        if tick >= length {
            return starts;
        }
        starts.push(tick);
    }
}
