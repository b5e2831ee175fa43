//! Measure: accumulate, and report at any moment.

use super::{BuildContext, EpochInfo, Problems};
use crate::signal::{Averages, Epoch, PsdSum, Spectrum};
use crate::table::{Table, TableSpec};

/// What only the engine knows about a condition: it saw the events and the stored samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConditionFacts {
    /// Events asked for, kept or not.
    pub n_events: u64,
    /// Median time between successive events, s; NaN with fewer than two.
    pub interval_median_s: f64,
    /// Shortest time between successive events, s; NaN with fewer than two.
    pub interval_min_s: f64,
    /// Fraction of stored EEG samples at the limit of their number type.
    pub saturated_fraction: f64,
    /// Stable codes of what the engine noticed.
    pub warnings: Vec<&'static str>,
}

/// What a Marker may look at when it reports.
#[derive(Debug)]
pub struct Report<'a> {
    /// Shape, channels and clock of the epochs.
    pub input: &'a EpochInfo,
    /// Which channels enter references, rejections and GMFA: EEG and not bad.
    pub enters: &'a [bool],
    /// Which channels are bad (and not interpolated): their cells stay empty.
    pub bad: &'a [bool],
    /// Condition names, in order of first appearance.
    pub conditions: &'a [String],
    /// Running sums of the kept epochs, one per condition.
    pub averages: &'a [Averages],
    /// Power spectral densities that Markers asked for ([`BuildContext::spectrum`]), each with one sum per condition.
    pub spectra: &'a [Vec<PsdSum>],
    /// What the engine knows about each condition; may be shorter than `conditions` when it knows nothing.
    pub events: &'a [ConditionFacts],
}

impl Report<'_> {
    /// The spectrum asked for under this number, for a condition; `None` before its first epoch.
    pub fn spectrum(&self, id: usize, condition: usize) -> Option<Spectrum> {
        self.spectra.get(id).and_then(|s| s.get(condition)).map(PsdSum::spectrum).filter(|s| s.n_epochs > 0)
    }
}

/// Accumulates kept epochs and can be read at any moment. What is a function of the averages alone needs no `observe`:
/// the engine keeps one [`Averages`] per condition for all markers.
pub trait Marker: Send {
    /// A kept epoch. Quiet: no allocation, lock, log or panic.
    fn observe(&mut self, _epoch: &Epoch) {}

    /// The tables as of now. May allocate; never called from `push`.
    fn report(&self, report: &Report<'_>) -> Vec<Table>;

    /// Remarks on channels, (channel, remark): they stand as `reason` in the table `channels` where nothing else does.
    fn channel_notes(&self, _report: &Report<'_>) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// Moves rows that grow with time (one per trial) out of the marker's bounded queue; called between pushes.
    fn drain(&mut self, _out: &mut Vec<Table>) {}

    /// Forgets all epochs.
    fn reset(&mut self) {}

    /// Bytes of its buffers, for `check`.
    fn memory_bytes(&self) -> u64 {
        0
    }
}

/// A Marker's plain-data description, as it stands in a recipe.
pub trait MarkerConfig {
    /// The tables it fills.
    fn tables(&self) -> &'static [&'static TableSpec];

    /// The tables that it fills under any settings, for `stimkit columns`.
    fn every_table(&self) -> &'static [&'static TableSpec] {
        self.tables()
    }

    /// Plans and allocates; reports every problem at once. `None` exactly when it reported one.
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>>;
}
