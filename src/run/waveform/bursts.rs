//! Stimulation that goes on and off: which pauses are meant, and what the train of bursts is.

use crate::dsp::stats;
use std::ops::Range;

/// Pauses within an episode are a train from this many bursts on.
const FEWEST: usize = 3;
/// Periods of a train are this near to their median, or this many cells of the envelope.
const REGULAR: f64 = 0.05;
const CELLS: f64 = 2.0;

/// The bursts of an episode from where its envelope is strong (samples, in order; cells of `cell`); empty where its pauses are not
/// regular, and so are dropouts.
pub(super) fn train(runs: &[Range<i64>], cell: usize) -> Vec<Range<i64>> {
    // the first and the last may have begun before, and end after
    let starts: Vec<f64> = runs.iter().skip(1).map(|r| r.start as f64).collect();
    let lengths: Vec<f64> = runs.iter().skip(1).rev().skip(1).map(|r| (r.end - r.start) as f64).collect();
    let slack = CELLS * cell as f64;
    let meant = runs.len() > FEWEST && even(&differences(&starts), slack) && even(&lengths, slack);
    if meant { runs.to_vec() } else { Vec::new() }
}

fn differences(x: &[f64]) -> Vec<f64> {
    x.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn even(x: &[f64], slack: f64) -> bool {
    let middle = stats::median(&mut x.to_vec());
    x.iter().all(|v| (v - middle).abs() <= (REGULAR * middle).max(slack))
}

/// A train: times in samples.
#[derive(Debug, Clone)]
pub(super) struct Train {
    pub start: f64,
    pub end: f64,
    pub bursts: usize,
    pub on: [f64; 2],
    pub period: [f64; 2],
    pub duty: f64,
    pub regular: bool,
}

impl Train {
    /// Of bursts (start and end, in order); `None` with fewer than two.
    pub fn new(bursts: &[[f64; 2]], slack: f64) -> Option<Self> {
        let ([first, ..], [.., last]) = (bursts, bursts) else { return None };
        if bursts.len() < 2 {
            return None;
        }
        let lengths: Vec<f64> = bursts.iter().map(|b| b[1] - b[0]).collect();
        let periods = differences(&bursts.iter().map(|b| b[0]).collect::<Vec<_>>());
        let middle = |x: &[f64]| [stats::median(&mut x.to_vec()), if x.len() > 1 { stats::sd(x, 1) } else { f64::NAN }];
        let period = middle(&periods);
        Some(Self {
            start: first[0],
            end: last[1],
            bursts: bursts.len(),
            on: middle(&lengths),
            duty: lengths.iter().sum::<f64>() / (last[0] - first[0] + period[0]),
            regular: even(&periods, slack),
            period,
        })
    }
}
