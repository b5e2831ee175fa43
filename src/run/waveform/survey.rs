//! First pass: the strongest line of the spectrum, extremes, and what rounding looks like.

use super::Reader;
use super::columns;
use super::kind::{self, Kind, Look, Pieces, Told};
use crate::Result;
use crate::dsp::line_spectrum::LineSpectrum;
use crate::signal::{Channel, Stream};
use crate::table::Cell;

/// Samples of a spectrum's window at most: 2 MB per channel.
const LONGEST: usize = 1 << 18;
/// The window is this long where the recording and memory allow it, s.
const WINDOW_S: f64 = 8.0;

/// What a channel looks like as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    /// Where the fundamental is to be looked for, cycles per sample; `None`: there is no line that stands out.
    pub cycles: Option<f64>,
    /// What the channel holds; `None`: nothing.
    pub kind: Option<Kind>,
    /// The frequency of the envelope, cycles per sample, where there is one in this channel.
    pub beat: Option<f64>,
    /// Whether `cycles` was only told, and nothing in the spectrum stands out there.
    pub told_only: bool,
    /// Smallest step between two neighbouring samples that differ.
    pub quantum: f64,
    n: u64,
    sum: f64,
    squares: f64,
    peak: f64,
}

impl Survey {
    fn add(&mut self, x: &[f64], before: &mut f64) {
        for &x in x.iter() {
            if !x.is_finite() {
                continue;
            }
            self.n += 1;
            self.sum += x;
            self.squares += x * x;
            self.peak = self.peak.max(x.abs());
            let step = (x - *before).abs();
            if step > 0.0 && step < self.quantum {
                self.quantum = step;
            }
            *before = x;
        }
    }

    /// The row of a channel in which no episode was found.
    pub fn row(&self, channel: &Channel, stream: &Stream) -> Vec<Cell> {
        let n = self.n as f64;
        let rms = (self.squares / n).sqrt();
        let end = stream.segments.last().map(|s| s.start_s + stream.rate.seconds(s.length as f64));
        columns::row(vec![
            ("segment", 0_usize.into()),
            ("start_s", 0.0.into()),
            ("end_s", end.into()),
            ("channel", channel.name.clone().into()),
            ("unit", channel.unit.to_string().into()),
            ("rms", rms.into()),
            ("crest_factor", (self.peak / rms).into()),
            ("dc", self.mean().into()),
            ("verdict", "doubtful".into()),
            ("reason", "no_carrier".into()),
            ("kind", self.kind.map(Kind::name).into()),
        ])
    }

    /// Mean of all samples.
    pub fn mean(&self) -> f64 {
        self.sum / self.n as f64
    }

    /// Whether nothing but zeros was seen.
    pub fn is_silent(&self) -> bool {
        self.peak == 0.0 || self.n == 0
    }
}

/// Samples of a spectrum's window.
pub(super) fn window(reader: &Reader<'_>) -> usize {
    let longest = reader.segments().iter().map(|s| s.length).max().unwrap_or(0) as f64;
    let n = (WINDOW_S * reader.rate()).min(longest).max(64.0) as usize;
    (n.next_power_of_two() / if n.is_power_of_two() { 1 } else { 2 }).clamp(64, LONGEST)
}

/// Surveys all channels; what was told is not looked for.
pub(super) fn look(reader: &mut Reader<'_>, told: Told) -> Result<Vec<Survey>> {
    let (channels, rate) = (reader.channels(), reader.rate());
    let n = window(reader);
    let mut surveys = vec![Survey { quantum: f64::INFINITY, ..Survey::default() }; channels];
    let mut spectra: Vec<LineSpectrum> = (0..channels).map(|_| LineSpectrum::new(n)).collect();
    let mut pieces = vec![Pieces::new(rate); channels];
    let mut before = vec![f64::NAN; channels];
    let mut segment_before = usize::MAX;
    reader.pass(&mut |segment, _, rows| {
        for (c, row) in rows.iter().enumerate() {
            if segment != segment_before {
                spectra[c].restart();
            }
            surveys[c].add(row, &mut before[c]);
            row.iter().filter(|x| x.is_finite()).for_each(|x| pieces[c].push(*x));
            spectra[c].add(row);
        }
        segment_before = segment;
    })?;
    for ((survey, spectrum), pieces) in surveys.iter_mut().zip(&spectra).zip(&pieces) {
        kind::decide(survey, &Look::new(spectrum), pieces, told, rate);
    }
    Ok(surveys)
}
