//! One window or several, in ms: how steps say which part of an epoch they look at.

use crate::flow::{EpochInfo, Problems};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Windows in ms around the event, both ends included. In a recipe `[-500, -10]` or `[[-500, -10], [50, 500]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a window [from, to] in ms, or a list of such windows")]
pub enum Windows {
    /// A single window.
    One([f64; 2]),
    /// Several; a sample in two of them counts once.
    Many(Vec<[f64; 2]>),
}

impl From<[f64; 2]> for Windows {
    fn from(window: [f64; 2]) -> Self {
        Self::One(window)
    }
}

impl<const N: usize> From<[[f64; 2]; N]> for Windows {
    fn from(windows: [[f64; 2]; N]) -> Self {
        Self::Many(windows.to_vec())
    }
}

impl Windows {
    /// The windows in the order written.
    pub fn as_slice(&self) -> &[[f64; 2]] {
        match self {
            Self::One(window) => std::slice::from_ref(window),
            Self::Many(windows) => windows,
        }
    }

    /// The sample ranges of the union: sorted, disjoint, not empty. Each window must lie inside the epoch;
    /// whatever does not is a problem at `key`, and then there are no ranges.
    pub fn ranges(&self, key: &str, input: &EpochInfo, problems: &mut Problems) -> Option<Vec<Range<usize>>> {
        if self.as_slice().is_empty() {
            problems.add(key, "needs at least one window");
            return None;
        }
        let inside: Vec<_> = self.as_slice().iter().map(|&w| input.window_inside(key, w, problems)).collect();
        let mut ranges = inside.into_iter().collect::<Option<Vec<_>>>()?;
        ranges.sort_by_key(|r| r.start);
        let mut union: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match union.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => union.push(range),
            }
        }
        Some(union)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{info, listed};
    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        w: Windows,
    }

    fn parse(text: &str) -> Result<Windows, String> {
        toml::from_str::<Holder>(text).map(|h| h.w).map_err(|e| e.to_string())
    }

    #[test]
    fn one_and_many_read_alike() {
        assert_eq!(parse("w = [-500, -10]").unwrap(), Windows::One([-500.0, -10.0]));
        assert_eq!(parse("w = [[-500, -10], [50, 500]]").unwrap(), [[-500.0, -10.0], [50.0, 500.0]].into());
        assert!(parse("w = 'all'").unwrap_err().contains("a window [from, to] in ms"));
    }

    #[test]
    fn the_union_counts_a_sample_once_and_knows_the_epoch() {
        let info = info(&["Cz"], 1000.0, -100, 201);
        let mut problems = Problems::default();
        let overlapping: Windows = [[10.0, 20.0], [-100.0, -90.0], [15.0, 30.0]].into();
        assert_eq!(overlapping.ranges("w", &info, &mut problems), Some(vec![0..11, 110..131]));
        assert!(problems.list().is_empty());
        assert_eq!(Windows::from([[-200.0, 0.0], [0.2, 0.8]]).ranges("w", &info, &mut problems), None);
        assert_eq!(Windows::Many(vec![]).ranges("w", &info, &mut problems), None);
        assert_eq!(
            listed(problems),
            [
                "w: -200…0 ms leaves the epoch, which is -100…100 ms",
                "w: 0.2…0.8 ms holds no sample at 1000 Hz",
                "w: needs at least one window"
            ]
        );
    }
}
