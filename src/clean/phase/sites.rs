//! What is followed: a channel, or a weighted sum of some.

use super::Phase;
use crate::flow::Problems;
use crate::names::nearest;
use crate::signal::{Channel, ChannelKind};
use crate::unit::Unit;

/// A weighted sum of channels.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub name: String,
    pub unit: Unit,
    terms: Vec<(usize, f64)>,
}

impl Site {
    /// Its value, channels being read by `get`.
    pub fn value(&self, get: impl Fn(usize) -> f64) -> f64 {
        match self.terms[..] {
            // not through a sum: 0 + x · 1 is x, but −0
            [(channel, 1.0)] => get(channel),
            _ => self.terms.iter().map(|&(channel, weight)| weight * get(channel)).sum(),
        }
    }
}

impl Phase {
    /// What to do where no channel is EEG.
    fn nothing_to_follow(&self, channels: &[Channel], bad: &[String]) -> String {
        const SHOWN: usize = 8;
        let eeg = channels.iter().filter(|c| c.kind == ChannelKind::Eeg).count();
        if eeg > 0 {
            return format!("all {eeg} EEG channels are said to be bad");
        }
        let named = |c: &Channel| {
            let bad = if bad.contains(&c.name) { ", bad" } else { "" };
            format!("{} ({}{bad})", c.name, c.kind.name())
        };
        let mut all: Vec<String> = channels.iter().take(SHOWN).map(named).collect();
        if channels.len() > SHOWN {
            all.push("…".to_owned());
        }
        let example = channels.first().map_or("C3", |c| c.name.as_str());
        format!(
            "there is no EEG channel to follow; here are {}. Name what is to be followed in the Stage itself, whatever its kind: \
             channels = [\"{example}\"] (with the built-in recipe: --set stream.phase.channels=[\"{example}\"])",
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        )
    }

    /// The sites among these channels; every problem at once.
    pub(super) fn sites(&self, channels: &[Channel], bad: &[String], problems: &mut Problems) -> Option<Vec<Site>> {
        let before = problems.list().len();
        let single =
            |c: usize| Site { name: channels[c].name.clone(), unit: channels[c].unit.clone(), terms: vec![(c, 1.0)] };
        if self.channels.is_empty() {
            let eeg = (0..channels.len()).filter(|&c| channels[c].kind == ChannelKind::Eeg);
            let sites: Vec<Site> = eeg.filter(|&c| !bad.contains(&channels[c].name)).map(single).collect();
            if sites.is_empty() {
                problems.add("channels", self.nothing_to_follow(channels, bad));
            }
            if !self.weights.is_empty() {
                problems.add("weights", "needs `channels`, by name");
            }
            return (problems.list().len() == before).then_some(sites);
        }
        let mut found = Vec::new();
        for name in &self.channels {
            match channels.iter().position(|c| c.name == *name) {
                Some(_) if bad.contains(name) => {
                    problems.add("channels", format!("channel {name:?} is said to be bad"))
                }
                Some(c) if found.contains(&c) => problems.add("channels", format!("channel {name:?} is there twice")),
                Some(c) => found.push(c),
                None => {
                    let names = channels.iter().map(|c| c.name.as_str());
                    let hint = nearest(name, names).map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
                    problems.add("channels", format!("there is no channel {name:?}{hint}"));
                }
            }
        }
        if self.weights.is_empty() {
            return (problems.list().len() == before).then(|| found.into_iter().map(single).collect());
        }
        if self.weights.len() != self.channels.len() {
            problems.add("weights", format!("{} weights for {} channels", self.weights.len(), self.channels.len()));
        }
        if !self.weights.iter().all(|w| w.is_finite()) || self.weights.iter().all(|w| *w == 0.0) {
            problems.add("weights", "must be finite, and not all 0");
        }
        if found.iter().any(|&c| channels[c].unit != channels[found[0]].unit) {
            problems.add("channels", "channels of different units cannot be added up");
        }
        if problems.list().len() > before {
            return None;
        }
        let name = self.name.clone().unwrap_or_else(|| self.channels[0].clone());
        // a channel without weight takes no part, not even with its NaN
        let terms = found.iter().copied().zip(self.weights.iter().copied()).filter(|(_, w)| *w != 0.0).collect();
        Some(vec![Site { name, unit: channels[found[0]].unit.clone(), terms }])
    }
}
