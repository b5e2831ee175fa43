//! The quality check of cleaning: what is left of the artefact, what could have been seen, and what was lost with it.
//!
//! No method in one channel's time course can tell sidebands of a modulated artefact from the brain (Noury, Hipp and Siegel 2016,
//! 10.1016/j.neuroimage.2016.03.065), so results during stimulation are artefacts until shown otherwise. Every cleaning method
//! returns [`watch`] from its `watch`; it sees what goes in and what comes out, and fills the table [`TACS`], one row per episode
//! of stimulation and channel.
//!
//! **Windows.** The cleaned samples of the plateau are demodulated at the fundamental and its harmonics (up to the fifth, those
//! that do not fold onto another), 16 s at a time (8 or 4 s where episodes or what lies between are short) under a Hann window with half
//! overlap, so that the fundamental falls on a bin. The same is done without stimulation: before, between and after the episodes
//! (1 s beside them left out), or in a recording that was given for this.
//!
//! **Changes.** The power in a band is the mean over windows of |Z\[b\]|² summed over bins; its degrees of freedom follow from the
//! number of windows, their overlap, and the measured spectrum (bins of a Hann window correlate by 2/3 and 1/6). The ratio of the powers with and
//! without stimulation is F-distributed if nothing changed. Bands are each harmonic (3 bins), and beside the fundamental ±0.15–0.4 Hz
//! (breathing; both sides, above, below), ±0.8–2 Hz (heart), and for whatever else modulates ±0.4–0.8, ±2–4 and ±4–8 Hz, where a change must
//! exceed 3 dB, because the brain's own rhythms change too. Losses count at the fundamental and beside it. Sidebands of the harmonics are not looked at: they are as much
//! smaller as the harmonics are.
//!
//! **Impropriety.** An artefact's amplitude modulation lies along its carrier, what the brain adds is circular (Schreier and
//! Scharf 2010, 10.1017/CBO9780511815911, ch. 2): r is the correlation of upper and lower sidebands in the frame of the raw artefact of the channel;
//! impropriety_db = 10 log₁₀ (1 + r)/(1 − r) is in-phase over quadrature power, both sidebands scaled to equal power. This needs no data without stimulation.
//!
//! **Verdict.** A test counts at 1 % over all tests of the row (Bonferroni), and a change must exceed 1 dB as well. `unusable`: more than
//! 0.1 % of the samples clipped, or a clipped run over 10 ms, or the channel is flat, not finite, or refused by the method.
//! `doubtful`: any clipping; a change that counts, up or down; impropriety that counts; nothing to compare with; fewer than four windows on
//! either side. Else `no_residue_found`, which means what it says: `detection_floor_uv` tells what could have been found.
//!
//! Memory: per frequency of stimulation about 140 kB per channel whatever the rate (9 MB for 64), and 0.8 kB per episode and channel.

mod bands;
mod boxes;
mod clip;
mod demodulate;
mod judge;
mod plan;
mod table;
#[cfg(test)]
mod tests;
mod watcher;

pub use table::{TABLES, TACS};

use crate::flow::{BuildContext, Watch};
use crate::signal::StreamInfo;

/// What the check must be told of the method that cleaned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Method {
    /// Its name in recipes.
    pub name: &'static str,
    /// Width in Hz of what it removes around each harmonic, where it is known: 1/L for a fit over L seconds.
    pub notch_hz: Option<f64>,
    /// The frequency that was asked for, Hz: `offset_ppm` counts from it, and where it lies above half the rate the frequency
    /// in the table is its neighbour, not the alias.
    pub nominal_hz: Option<f64>,
    /// Channels that it left as they were, with the reason in one word.
    pub refused: Vec<(String, String)>,
}

impl Method {
    /// A method of which nothing more is known.
    pub fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }
}

/// The check of a cleaning Stage. Episodes are those of `context.stimulation`, in samples of the cleaned stream; segments those of
/// `context.segments`. `None` where no stimulation is known, or where the Stage changes the rate or the channels.
pub fn watch(
    input: &StreamInfo,
    output: &StreamInfo,
    context: &BuildContext,
    method: Method,
) -> Option<Box<dyn Watch>> {
    let (clock, stimulation) = context.stimulation.as_ref()?;
    let same = input.clock == output.clock && *clock == input.clock && input.channels.len() == output.channels.len();
    same.then(|| -> Box<dyn Watch> {
        Box::new(watcher::Quality::new(input, stimulation.clone(), &context.segments, method))
    })
}
