//! What a pipeline is built for: which channels come in, at which rate, in which segments.

use crate::names::nearest;
use crate::recipe::{Line, Names, Recipe};
use crate::signal::{Channel, ChannelKind, Epoching, Recording, Segment, StreamInfo};
use crate::unit::{Clock, Rate, Unit};
use crate::{Error, Result};
use std::sync::Arc;

/// Most samples in one input block: small enough that the blocks of all Stages stay in the second-level cache.
pub const BLOCK: usize = 512;

/// What a pipeline is built for.
#[derive(Debug, Clone)]
pub struct Input {
    /// Clock, channels and block size of what will be pushed.
    pub info: StreamInfo,
    /// Segments, where they are known beforehand; times of events are told by them.
    pub segments: Vec<Segment>,
    /// Names that `Event::name` points to.
    pub event_names: Vec<String>,
    /// Line frequency in Hz, where known.
    pub line_hz: Option<f64>,
    /// Where the input comes in epochs, one per segment: each is cued at its first sample and measured as it is.
    pub epoched: Option<Epoching>,
    /// Place in the file of each channel.
    pub file_index: Vec<usize>,
    /// Channels of the recording that are not analysed, with their place in the file.
    pub excluded: Vec<(usize, Channel)>,
}

impl Input {
    /// A live input: `rate_hz`, channels, most samples per push, and the names of the events that will be cued.
    ///
    /// # Errors
    /// When the rate cannot be used.
    pub fn live(rate_hz: f64, channels: Vec<Channel>, max_block: usize, event_names: &[&str]) -> Result<Self> {
        let clock = Clock::stored(Rate::from_hz(rate_hz)?);
        let file_index = (0..channels.len()).collect();
        Ok(Self {
            file_index,
            excluded: Vec::new(),
            info: StreamInfo { clock, channels: channels.into(), max_block: max_block.clamp(1, BLOCK) },
            segments: Vec::new(),
            event_names: event_names.iter().map(|&n| n.to_owned()).collect(),
            line_hz: None,
            epoched: None,
        })
    }

    /// The recipe's channels of a recording's main stream, and their indices there.
    ///
    /// # Errors
    /// When no channel is left; the message names `--channels` and what the file holds.
    pub fn of(recording: &Recording, recipe: &Recipe) -> Result<(Self, Vec<usize>)> {
        let stream = recording.main_stream();
        let chosen = choose(&stream.channels, recipe)?;
        let named = !recipe.input.channels.is("eeg");
        let channels: Arc<[Channel]> = chosen
            .iter()
            .map(|&i| {
                let mut channel = stream.channels[i].clone();
                // named by the user, in µV and of no other kind: then it is to be analysed as EEG
                if named && channel.kind == ChannelKind::Misc && channel.unit == Unit::Microvolt {
                    channel.kind = ChannelKind::Eeg;
                }
                channel
            })
            .collect();
        let info = StreamInfo { clock: Clock::stored(stream.rate), channels, max_block: BLOCK };
        let input = Self {
            info,
            segments: stream.segments.clone(),
            event_names: recording.event_names.clone(),
            line_hz: match &recipe.input.line {
                Line::Hz(hz) => Some(*hz),
                Line::Named(name) => recording.line_hz.filter(|_| name == "auto"),
            },
            epoched: recording.epoched.clone(),
            file_index: chosen.iter().map(|&i| stream.file_index[i]).collect(),
            excluded: (0..stream.channels.len())
                .filter(|i| !chosen.contains(i))
                .map(|i| (stream.file_index[i], stream.channels[i].clone()))
                .collect(),
        };
        Ok((input, chosen))
    }

    /// Seconds from the start of the recording to a tick, gaps counted.
    pub fn seconds_at(&self, tick: f64) -> f64 {
        let rate = self.info.clock.input;
        let at = self.segments.partition_point(|s| s.first.0 as f64 <= tick).max(1) - 1;
        match self.segments.get(at) {
            Some(s) => s.start_s + rate.seconds(tick - s.first.0 as f64),
            None => rate.seconds(tick),
        }
    }
}

fn choose(channels: &[Channel], recipe: &Recipe) -> Result<Vec<usize>> {
    let wanted = &recipe.input.channels;
    for pattern in &recipe.input.exclude {
        if !channels.iter().any(|c| crate::names::glob(pattern, &c.name)) {
            let near = nearest(pattern, channels.iter().map(|c| c.name.as_str()));
            let error = Error::data(format!("no channel to exclude is called {pattern}"));
            return Err(near.map_or(error, |n| {
                Error::data(format!("no channel to exclude is called {pattern}; did you mean {n}?"))
            }));
        }
    }
    let excluded = |c: &Channel| recipe.input.exclude.iter().any(|p| crate::names::glob(p, &c.name));
    let listing = || {
        let names: Vec<String> = channels.iter().take(40).map(|c| format!("{} ({})", c.name, c.kind.name())).collect();
        let more = if channels.len() > 40 { ", …" } else { "" };
        format!("it holds {}{more}", names.join(", "))
    };
    if wanted.is("eeg") {
        let eeg: Vec<usize> =
            (0..channels.len()).filter(|&i| channels[i].kind == ChannelKind::Eeg && !excluded(&channels[i])).collect();
        if eeg.is_empty() {
            return Err(Error::data(format!("no channel can be recognised as EEG; {}", listing()))
                .with_hint("name the channels to analyse with --channels A,B,…"));
        }
        return Ok(eeg);
    }
    for pattern in wanted.list() {
        if !channels.iter().any(|c| crate::names::glob(pattern, &c.name)) {
            let near = nearest(pattern, channels.iter().map(|c| c.name.as_str()));
            let hint = near.map_or_else(listing, |n| format!("did you mean {n}?"));
            return Err(Error::data(format!("no channel is called {pattern}")).with_hint(hint));
        }
    }
    let chosen: Vec<usize> =
        (0..channels.len()).filter(|&i| Names::matches(wanted, &channels[i].name) && !excluded(&channels[i])).collect();
    if chosen.is_empty() {
        return Err(Error::data("--exclude leaves no channel").with_hint(listing()));
    }
    Ok(chosen)
}
