//! First pass: lines in the spectra of all channels, from windows that are spread over the recording.

use super::{Find, fold, segments};
use crate::dsp::fft::{Complex, RealFft};
use crate::dsp::line_spectrum::{LOBE, between};
use crate::dsp::window::{Symmetry, Window};
use crate::flow::Replay;
use crate::names::nearest;
use crate::signal::{Block, ChannelKind, LANES};
use crate::{Error, Result};
use std::ops::Range;

/// Windows, their length, and their most samples.
const WINDOWS: usize = 32;
const WINDOW_S: f64 = 4.0;
const LONGEST: usize = 1 << 15;
/// A line stands this far above the median of its neighbourhood, a ratio of powers.
const STANDS_OUT: f64 = 100.0;
/// The neighbourhood, in bins on either side.
const NEAR: Range<usize> = 8..60;
/// Lines that are followed before it gives up.
const CANDIDATES: usize = 3;
/// Half the width of what is taken for the mains, Hz.
const MAINS: f64 = 0.7;
/// Power of another line that is told of, over the first one's.
const OTHER: f64 = 1e-2;
/// Overtones that another line may be, and how near it lies to one, in bins.
const OVERTONES: usize = 100;
const ON_ONE: f64 = 2.0;

/// A line, and the channel to follow it in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carrier {
    /// Cycles per sample.
    pub cycles: f64,
    /// Index of the channel.
    pub channel: usize,
}

/// What stands out of the spectra.
pub(super) struct Look {
    /// The lines that may be stimulation, the strongest first; exactly one where the frequency was told.
    pub carriers: Vec<Carrier>,
    spectra: Spectra,
    lines: Vec<Line>,
}

/// A line that many channels share.
struct Line {
    /// Cycles per sample.
    cycles: f64,
    /// Sum over channels of its share of their power.
    score: f64,
}

impl Look {
    /// Lines beside those that are `known` (cycles per sample) and their overtones, nearly as strong as the first of them.
    pub fn others(&self, known: &[f64]) -> Vec<f64> {
        let bins = self.spectra.len as f64;
        let is = |cycles: f64, line: &Line| (line.cycles - cycles).abs() * bins <= ON_ONE;
        let of = |known: f64, line: &Line| (1..=OVERTONES).any(|k| is(fold(k as f64 * known, 1.0), line));
        let Some(first) = known.first().and_then(|known| self.lines.iter().find(|line| is(*known, line))) else {
            return Vec::new();
        };
        let other = |line: &&Line| line.score >= OTHER * first.score && !known.iter().any(|known| of(*known, line));
        self.lines.iter().filter(other).map(|line| line.cycles).collect()
    }
}

/// Looks for lines.
pub(super) fn look(stream: &mut dyn Replay, wanted: &Find) -> Result<Look> {
    let rate = stream.info().rate_hz();
    let told = match wanted.frequency_hz {
        Some(hz) if hz.is_finite() && hz > 0.0 => Some(fold(hz, rate)),
        Some(hz) => return Err(Error::usage(format!("stimulation.frequency_hz must be above 0; {hz} was given"))),
        None => None,
    };
    let samples = segments(stream).iter().map(|s| s.end - s.start).max().unwrap_or(0) as f64;
    if let (Some(hz), Some(cycles)) = (wanted.frequency_hz, told)
        && (cycles * samples < 2.0 || (0.5 - cycles) * samples < 2.0)
    {
        return Err(Error::data(format!(
            "{hz} Hz cannot be told from a level or from the Nyquist frequency: at {rate} Hz its alias is {} Hz",
            cycles * rate
        )));
    }
    let spectra = Spectra::read(stream)?;
    let named = match &wanted.channel {
        None => None,
        Some(name) => Some(stream.info().channels.iter().position(|c| c.name == *name).ok_or_else(|| {
            let names = stream.info().channels.iter().map(|c| c.name.as_str());
            let hint = nearest(name, names).map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
            Error::data(format!("stimulation.channel: there is no channel {name:?}{hint}"))
        })?),
    };
    let kinds: Vec<ChannelKind> = stream.info().channels.iter().map(|c| c.kind).collect();
    let n = spectra.len as f64;
    let carrier = |cycles: f64| {
        let channel = named.or_else(|| spectra.strongest((cycles * n).round() as usize, &kinds))?;
        Some(Carrier { cycles, channel })
    };
    let lines = spectra.lines(rate);
    let carriers = match told {
        Some(cycles) => carrier(cycles).into_iter().collect(),
        None => lines.iter().take(CANDIDATES).filter_map(|line| carrier(line.cycles)).collect(),
    };
    Ok(Look { carriers, lines, spectra })
}

struct Spectra {
    /// Samples of a window.
    len: usize,
    /// Summed power: channel, bin.
    power: Vec<Vec<f64>>,
    /// Whether many samples lie exactly at an extreme of their window.
    clipped: Vec<bool>,
}

impl Spectra {
    fn read(stream: &mut dyn Replay) -> Result<Self> {
        let (segments, channels) = (segments(stream), stream.info().channels.len());
        let longest = segments.iter().map(|s| s.end - s.start).max().unwrap_or(0) as usize;
        if longest < 64 {
            return Err(Error::data(format!("{longest} samples without a gap are too few to find stimulation in")));
        }
        let wish = (WINDOW_S * stream.info().rate_hz()).clamp(64.0, LONGEST as f64) as usize;
        let len = 1 << wish.min(longest).ilog2();
        let windows = places(&segments, len as i64);
        let mut fft = RealFft::new(len);
        let taper = Window::Hann.samples(len, Symmetry::Periodic);
        let mut found = Self { len, power: vec![vec![0.0; fft.bins()]; channels], clipped: vec![false; channels] };
        let (mut rows, mut filled) = (vec![vec![0.0; len]; channels], 0);
        let mut bins = vec![Complex::default(); fft.bins()];
        let mut block = Block::for_stream(stream.info());
        let mut windows = windows.into_iter().peekable();
        stream.rewind()?;
        while let Some(&start) = windows.peek() {
            stream.skip_to(start)?;
            if !stream.next(&mut block)? {
                break;
            }
            while let Some(&start) = windows.peek() {
                let from = (start + filled as i64).max(block.first());
                if from >= block.end() || start + filled as i64 != from {
                    // not yet, or a hole in it: the next one
                    if from < block.end() {
                        (filled, _) = (0, windows.next());
                        continue;
                    }
                    break;
                }
                let skip = (from - block.first()) as usize;
                let n = (len - filled).min(block.len() - skip);
                for (c, row) in rows.iter_mut().enumerate() {
                    let (samples, lane) = (&block.group(c / LANES)[skip..skip + n], c % LANES);
                    row[filled..filled + n].iter_mut().zip(samples).for_each(|(v, x)| *v = x[lane]);
                }
                filled += n;
                if filled == len {
                    rows.iter_mut().enumerate().for_each(|(c, row)| found.add(c, row, &taper, &mut fft, &mut bins));
                    (filled, _) = (0, windows.next());
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, channel: usize, row: &mut [f64], taper: &[f64], fft: &mut RealFft, bins: &mut [Complex]) {
        let n = row.len() as f64;
        let mean = row.iter().sum::<f64>() / n;
        if !mean.is_finite() {
            return;
        }
        let (low, high) = row.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let held = row.windows(2).filter(|p| p[0] == p[1] && (p[0] == low || p[0] == high)).count();
        self.clipped[channel] |= held as f64 > 1e-3 * n;
        row.iter_mut().zip(taper).for_each(|(x, w)| *x = (*x - mean) * w);
        fft.forward(row, bins);
        self.power[channel].iter_mut().zip(bins).for_each(|(p, z)| *p += z.norm_sqr());
    }

    /// Lines that many channels share, the strongest first: each channel counts by the line's share of its power.
    fn lines(&self, rate: f64) -> Vec<Line> {
        let bins = self.len / 2 + 1;
        let mut score = vec![0.0; bins];
        for power in &self.power {
            let all: f64 = power.iter().skip(2).sum();
            if all > 0.0 && all.is_finite() {
                score.iter_mut().zip(power).skip(2).for_each(|(s, p)| *s += p / all);
            }
        }
        let (mut left, mut found) = (score.clone(), Vec::new());
        for _ in 0..64 {
            let Some((at, &peak)) = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) else { break };
            if peak <= 0.0 {
                break;
            }
            let near = NEAR.flat_map(|d| [at.checked_sub(d), Some(at + d)]).flatten().filter(|k| (2..bins).contains(k));
            let mut near: Vec<f64> = near.map(|k| score[k]).collect();
            let stands = near.is_empty() || peak >= STANDS_OUT * crate::dsp::stats::median(&mut near);
            let hz = at as f64 / self.len as f64 * rate;
            let mains =
                [50.0, 60.0].iter().any(|m| (hz / m).round() >= 1.0 && (hz - (hz / m).round() * m).abs() < MAINS);
            if stands && !mains {
                found.extend(between(&score, at).map(|bin| Line { cycles: bin / self.len as f64, score: peak }));
            }
            left[at.saturating_sub(LOBE)..(at + LOBE + 1).min(bins)].fill(0.0);
        }
        found
    }

    /// The channel where bin `at` is largest: a copy of the stimulation if one has it, else one that is not clipped.
    fn strongest(&self, at: usize, kinds: &[ChannelKind]) -> Option<usize> {
        let size = |c: usize| {
            let power = &self.power[c];
            let lobe = at.saturating_sub(LOBE).min(power.len())..(at + LOBE + 1).min(power.len());
            power[lobe].iter().sum::<f64>()
        };
        let best = |keep: &dyn Fn(usize) -> bool| {
            let all = (0..kinds.len()).filter(|&c| keep(c) && size(c) > 0.0);
            all.max_by(|&a, &b| size(a).total_cmp(&size(b)))
        };
        let copy = |c: usize| {
            let all: f64 = self.power[c].iter().skip(2).sum();
            kinds[c] == ChannelKind::Stim && size(c) > 0.25 * all
        };
        best(&copy)
            .or_else(|| best(&|c| kinds[c] == ChannelKind::Eeg && !self.clipped[c]))
            .or_else(|| best(&|c| !self.clipped[c] && kinds[c] != ChannelKind::Trigger))
            .or_else(|| best(&|_| true))
    }
}

/// First samples of the windows: in order, none across a gap, none over another.
fn places(segments: &[Range<i64>], len: i64) -> Vec<i64> {
    let room: Vec<(i64, i64)> =
        segments.iter().map(|s| (s.start, s.end - s.start - len)).filter(|(_, room)| *room >= 0).collect();
    let all: i64 = room.iter().map(|r| r.1 + len).sum();
    let count = (all / len).clamp(1, WINDOWS as i64);
    let mut starts: Vec<i64> = Vec::new();
    for j in 0..count {
        let mut at =
            if count == 1 { 0 } else { (i128::from(all - len) * i128::from(j) / i128::from(count - 1)) as i64 };
        for &(first, room) in &room {
            if at < room + len {
                let start = first + at.min(room);
                if starts.last().is_none_or(|before| start >= before + len) {
                    starts.push(start);
                }
                break;
            }
            at -= room + len;
        }
    }
    starts
}
