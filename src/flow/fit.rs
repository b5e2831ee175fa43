//! Look at everything, then freeze: calibrate, freeze, run. Epochs freeze into a Step, streams into a Stage.

use super::{BuildContext, EpochInfo, Problems, Step};
use crate::Result;
use crate::signal::{Block, Epoch, Event, LANES, Segment, StreamInfo};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a Fit learnt, as plain data that can be saved and used live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The Fit's name in recipes.
    pub name: String,
    /// Channels it was fitted on, by name.
    pub channels: Vec<String>,
    /// The learnt values.
    pub values: serde_json::Value,
}

/// Epochs that can be read as often as a Fit likes.
pub trait Rewind {
    /// Back to the first epoch.
    ///
    /// # Errors
    /// When the spool fails.
    fn rewind(&mut self) -> Result<()>;

    /// The next epoch into `out`; `false` at the end.
    ///
    /// # Errors
    /// When the spool fails.
    fn next(&mut self, out: &mut Epoch) -> Result<bool>;
}

/// Looks at everything, then freezes into a Step.
pub trait Fit: Send {
    /// Reads the spool as often as it needs, and learns.
    ///
    /// # Errors
    /// When the data cannot support the fit (too few epochs, no channel left).
    fn fit(&mut self, spool: &mut dyn Rewind) -> Result<Model>;

    /// The Step that applies a model.
    ///
    /// # Errors
    /// When the model is not of this Fit or these channels.
    fn freeze(&self, model: &Model) -> Result<Box<dyn Step>>;
}

/// A Fit's plain-data description, as it stands in a recipe.
pub trait FitConfig {
    /// Plans; reports every problem at once. `None` exactly when it reported one.
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Fit>>;
}

/// A stream that can be read as often as a [`StreamFit`] likes: what comes into the Stage that is to be fitted.
pub trait Replay {
    /// Clock, channels and block size.
    fn info(&self) -> &StreamInfo;

    /// Segments of the recording, in ticks (the stored samples).
    fn segments(&self) -> &[Segment];

    /// Events of the recording, in ticks, in order of time.
    fn events(&self) -> &[Event];

    /// Names that [`Event::name`] points to.
    fn event_names(&self) -> &[String];

    /// Back to the first sample.
    ///
    /// # Errors
    /// When the source cannot be read twice, or fails.
    fn rewind(&mut self) -> Result<()>;

    /// The next block (never empty, never across segments) into `out`, which has room for `info().max_block` samples; `false` at
    /// the end.
    ///
    /// # Errors
    /// When the source fails, or the user interrupts.
    fn next(&mut self, out: &mut Block) -> Result<bool>;

    /// What lies before sample `first` (of this stream's clock) is not needed: `next` may go on there, or not.
    ///
    /// # Errors
    /// When the source fails.
    fn skip_to(&mut self, _first: i64) -> Result<()> {
        Ok(())
    }

    /// From now on blocks hold this channel alone (`None`: all of them again); `false` where the stream cannot spare itself the
    /// others. Rewinds.
    ///
    /// # Errors
    /// When the source fails.
    fn alone(&mut self, _channel: Option<usize>) -> Result<bool> {
        Ok(false)
    }

    /// One channel within `ranges` (samples; in order, apart from each other), block by block: segment, first sample, samples.
    /// Samples beside the ranges may be handed over too. Leaves the stream to be rewound.
    ///
    /// # Errors
    /// As [`Replay::next`].
    fn each_row(
        &mut self,
        channel: usize,
        ranges: &[Range<i64>],
        take: &mut dyn FnMut(usize, i64, &[f64]),
    ) -> Result<()> {
        let alone = self.alone(Some(channel))?;
        let (place, channels) = if alone { (0, 1) } else { (channel, self.info().channels.len()) };
        let mut block = Block::new(channels, self.info().max_block);
        let mut row = Vec::with_capacity(block.capacity());
        self.rewind()?;
        for range in ranges {
            self.skip_to(range.start)?;
            while block.end() < range.end && self.next(&mut block)? {
                row.clear();
                row.extend(block.group(place / LANES).iter().map(|x| x[place % LANES]));
                take(block.segment() as usize, block.first(), &row);
            }
        }
        if alone {
            self.alone(None)?;
        }
        Ok(())
    }

    /// Another recording of the same channels without stimulation, where one was given: it went through the same Stages.
    fn quiet(&mut self) -> Option<&mut dyn Replay> {
        None
    }
}

/// Looks at the whole stream, then freezes into the Stage of the same config through a [`Model`].
pub trait StreamFit: Send {
    /// Reads the stream as often as it needs, and learns.
    ///
    /// # Errors
    /// When the data cannot support the fit (no stimulation found, no stretch without it, …).
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model>;
}
