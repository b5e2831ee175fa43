//! What every simulation has in common: a [`Simulator`] turns a [`Play`] that makes samples into a
//! [`Source`](crate::flow::Source) like any file.

use super::scalp::Scalp;
use crate::flow::Source;
use crate::signal::{Block, Channel, ChannelKind, Event, LANES, Recording, Segment, Stream};
use crate::table::Table;
use crate::unit::{Rate, Tick, Unit};
use crate::{Error, Result};

/// Samples that are made at once.
pub(super) const CHUNK: usize = 512;

/// Makes the samples of one kind of simulation, and knows the truth.
pub trait Play: Clone + Send {
    /// Makes the samples that follow those made last: overwrites all of `chunk`, at most 512 of all channels.
    fn make(&mut self, chunk: &mut Block);
    /// Back to sample 0.
    fn restart(&mut self);
    /// What was simulated, as tables; conditions are indices into the recording's event names.
    fn truth(&self, recording: &Recording) -> Vec<Table>;
}

/// A simulated recording: yields its samples block by block in constant memory, the same bits for any block size.
#[derive(Debug, Clone)]
pub struct Simulator<P> {
    pub(super) play: P,
    recording: Recording,
    position: i64,
    length: i64,
    selected: Vec<usize>,
    chunk: Block,
}

impl<P: Play> Simulator<P> {
    /// The recording that `play` makes.
    pub(super) fn new(play: P, recording: Recording) -> Self {
        let stream = recording.main_stream();
        let (channels, length) = (stream.channels.len(), stream.len() as i64);
        let selected = (0..channels).collect();
        Self { play, recording, position: 0, length, selected, chunk: Block::new(channels, CHUNK) }
    }

    /// What was simulated, one table per `truth_….csv`.
    pub fn truth_tables(&self) -> Vec<Table> {
        self.play.truth(&self.recording)
    }
}

impl<P: Play> Source for Simulator<P> {
    fn recording(&self) -> &Recording {
        &self.recording
    }

    fn select(&mut self, stream: usize, channels: &[usize]) -> Result<()> {
        let all = self.chunk.channels();
        if stream != 0 || channels.iter().any(|&c| c >= all) {
            return Err(Error::usage(format!("a simulation has one stream of {all} channels")));
        }
        self.selected = channels.to_vec();
        self.rewind()
    }

    fn read(&mut self, out: &mut Block) -> Result<bool> {
        let len = (out.capacity() as i64).min(self.length - self.position).max(0) as usize;
        out.start(0, self.position, len);
        if len == 0 {
            return Ok(false);
        }
        let mut done = 0;
        while done < len {
            let part = CHUNK.min(len - done);
            self.chunk.start(0, self.position, part);
            self.play.make(&mut self.chunk);
            for (to, &from) in self.selected.iter().enumerate() {
                let source = self.chunk.group(from / LANES);
                let target = &mut out.group_mut(to / LANES)[done..done + part];
                target.iter_mut().zip(source).for_each(|(t, s)| t[to % LANES] = s[from % LANES]);
            }
            done += part;
            self.position += part as i64;
        }
        Ok(true)
    }

    fn rewind(&mut self) -> Result<()> {
        self.position = 0;
        self.play.restart();
        Ok(())
    }

    fn progress(&self) -> (u64, u64) {
        let bytes = |samples: i64| samples.unsigned_abs() * self.selected.len() as u64 * 8;
        (bytes(self.position), bytes(self.length))
    }
}

/// Samples in a recording of `seconds`.
pub(super) fn length(seconds: f64, rate_hz: f64) -> i64 {
    (seconds * rate_hz).round() as i64
}

/// What a simulated recording says of itself: EEG channels that saturate at ± `limits`, no events yet.
///
/// # Errors
/// When the rate is none.
pub(super) fn describe(name: &str, scalp: &Scalp, limits: &[f64], rate_hz: f64, length: i64) -> Result<Recording> {
    let places = scalp.names.iter().zip(&scalp.places).zip(limits);
    let channel = |((name, place), limit): ((&String, &[f64; 3]), &f64)| Channel {
        position: Some(*place),
        range: limit.is_finite().then_some([-limit, *limit]),
        ..Channel::new(name, ChannelKind::Eeg, Unit::Microvolt)
    };
    let channels: Vec<Channel> = places.map(channel).collect();
    let stream = Stream {
        rate: Rate::from_hz(rate_hz)?,
        file_index: (0..channels.len()).collect(),
        channels,
        segments: vec![Segment { first: Tick(0), length: length.unsigned_abs(), start_s: 0.0 }],
    };
    Ok(Recording {
        name: name.into(),
        format: "simulation".into(),
        streams: vec![stream],
        main: 0,
        events: Vec::<Event>::new(),
        event_names: Vec::new(),
        event_is_stimulus: Vec::new(),
        start: None,
        line_hz: None,
        epoched: None,
        warnings: Vec::new(),
    })
}
