//! Tables `entrainment`, `arnold` and `phase_power`: does the brain keep the stimulation's time?
//!
//! Each window is demodulated at the stimulation's frequency f, `z = Σ w[i] x[i] e^{−iφ[i]}` with w Hann's window and φ the
//! stimulation's phase; the angle of z is by how much the EEG leads it. One window is one sample: its bandwidth is one over
//! its length, so windows that do not overlap are independent as far as the signal forgets its phase from one to the next (an
//! alpha rhythm does within a second or so). The sum of directions gives
//!
//! * PLV `R = |Σ e^{iθ}| / n` beside what chance gives, `√(π/4n)`, and Rayleigh's p;
//! * PPC `(n R² − 1) / (n − 1)`, which is 0 on average without locking, whatever n.
//!
//! The phase is that of the episode that a window lies in, else of the last one before it, extrapolated; before the first
//! episode it is extrapolated back, which is the null. It is not carried into another segment.
//!
//! **During stimulation a residue of the artefact is perfectly phase-locked**: those rows say `valid` 0, and table `tacs` says
//! what is left of the artefact. A window just behind an episode is touched by filters with look-ahead: leave a margin.
//! An Arnold tongue (entrainment grows with intensity, and with closeness to the brain's own frequency: Ali, Sellers &
//! Fröhlich 2013, 10.1523/JNEUROSCI.5867-12.2013) is a map over recordings: `arnold` has their rows, and no fit.

mod power;
mod reference;

pub use self::power::PHASE_POWER;
use self::power::PhasePower;
use self::reference::Reference;
use super::bands::Bands;
use super::rhythm::alpha_peak;
use crate::dsp::locking::{Locking, chance, consistency, rayleigh};
use crate::dsp::window::{Symmetry, Window};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::names::{glob, nearest};
use crate::signal::{Epoch, PsdConfig};
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Columns of `entrainment`.
pub static ENTRAINMENT: TableSpec = TableSpec {
    name: "entrainment",
    about: "How far a channel keeps to the phase of one kind of stimulation, in one condition",
    series: false,
    columns: &[
        Column::new("stimulus", "", "Number of the kind of stimulation (one frequency, one strength), from 1"),
        Column::new("frequency_hz", "Hz", "Its frequency, as it stands in the samples"),
        Column::new("multiple", "", "The EEG was demodulated at so many times that frequency"),
        Column::new("channel", "", "EEG channel, as the file spells it"),
        Column::new("n_windows", "", "Windows behind the row"),
        Column::new("n_eff", "", "Independent ones: duration times bandwidth, what overlaps counted once"),
        Column::new("bandwidth_hz", "Hz", "One over the length of a window"),
        Column::new("plv", "", "Length of the mean of unit vectors, EEG phase minus stimulation phase, 0 to 1"),
        Column::new("null_expectation", "", "Mean PLV of n_eff windows without any locking"),
        Column::new("ppc", "", "Pairwise phase consistency (n R^2 - 1)/(n - 1): 0 on average without locking"),
        Column::new("p", "", "Rayleigh's test with n_eff; not corrected for the number of channels"),
        Column::new("phase_deg", "", "Mean EEG phase minus stimulation phase, degrees, positive where the EEG leads"),
        Column::new("amplitude_uv", "uV", "Mean amplitude of the EEG at that frequency, locked or not"),
        Column::new("valid", "", "0 where a residue of the artefact may be all that is locked"),
        Column::new("reason", "", "Why not valid, or why there is no value; for the null that it is one"),
    ],
};

/// Columns of `arnold`.
pub static ARNOLD: TableSpec = TableSpec {
    name: "arnold",
    about: "One point of an Arnold tongue: how far from the brain's own frequency, how strong, how locked",
    series: false,
    columns: &[
        Column::new("stimulus", "", "Number of the kind of stimulation, as in `entrainment`"),
        Column::new("channel", "", "EEG channel; `mean`: over those that have a value"),
        Column::new("frequency_hz", "Hz", "Frequency of the stimulation"),
        Column::new("iaf_hz", "Hz", "Individual alpha frequency at rest, over channels (Corcoran et al. 2018)"),
        Column::new("delta_hz", "Hz", "Frequency of the stimulation minus iaf_hz"),
        Column::new("intensity_ma", "", "Strength of the current as told, mA; empty where it was not"),
        Column::new("artefact_uv", "uV", "Amplitude of the artefact in the channel where it was largest"),
        Column::new("episodes", "", "Episodes of this kind"),
        Column::new("plv", "", "As in `entrainment`"),
        Column::new("ppc", "", "As in `entrainment`"),
        Column::new("n_eff", "", "As in `entrainment`"),
        Column::new("null_expectation", "", "As in `entrainment`"),
        Column::new("valid", "", "As in `entrainment`"),
    ],
};

/// `use = "entrainment"`. Channels that are bad, not finite, without signal, or bridged within the window have no phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EntrainmentConfig {
    /// Channels by name or glob; empty: all EEG channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Length of a window within the epoch; by default all of it. Its bandwidth is one over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<f64>,
    /// Multiples of the stimulation's frequency that are looked at: the first is `arnold`'s.
    pub multiples: Vec<u32>,
    /// The condition at rest whose spectrum gives the individual alpha frequency, by name or glob.
    pub rest: String,
    /// Peak current, mA, where it is known: for `arnold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intensity_ma: Option<f64>,
    /// Bands whose power is binned by the stimulation's phase; at least twice as wide as the stimulation's frequency. By
    /// default beta 13–30 and gamma 30–45 Hz.
    pub power_hz: Bands,
    /// Random turns of the phase, epoch by epoch, for the p of `phase_power`; 0: none.
    pub surrogates: usize,
}

impl Default for EntrainmentConfig {
    fn default() -> Self {
        let bands = [("beta", [13.0, 30.0]), ("gamma", [30.0, 45.0])];
        Self {
            channels: Vec::new(),
            window_ms: None,
            multiples: vec![1],
            rest: "pre".to_owned(),
            intensity_ma: None,
            power_hz: Bands(bands.into_iter().map(|(name, band)| (name.to_owned(), band)).collect()),
            surrogates: 200,
        }
    }
}

/// Fewest cycles in a window: below, Hann's window lets 0 Hz through.
const CYCLES: f64 = 3.0;
/// What a window's sum must exceed, as a share of what it adds up: below it is rounding.
const FLAT: f64 = 1e-13;

impl MarkerConfig for EntrainmentConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        if self.power_hz.0.is_empty() { &self.every_table()[..2] } else { self.every_table() }
    }

    fn every_table(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 3] = [&ENTRAINMENT, &ARNOLD, &PHASE_POWER];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let channels = eeg_channels(&self.channels, input, problems);
        let rate_hz = input.rate_hz();
        let window = self.window_ms.map_or(input.len as f64, |ms| (ms * rate_hz / 1e3).round());
        if !(8.0..=input.len as f64).contains(&window) {
            let (have, len) = (input.len as f64 * 1e3 / rate_hz, window * 1e3 / rate_hz);
            problems.add("window_ms", format!("{len} ms is not between 8 samples and the epoch's {have} ms"));
        }
        if self.multiples.is_empty() || self.multiples.iter().any(|k| !(1..=64).contains(k)) {
            problems.add("multiples", format!("{:?} are not numbers from 1 to 64", self.multiples));
        }
        if self.intensity_ma.is_some_and(|ma| !(ma > 0.0 && ma.is_finite())) {
            problems.add("intensity_ma", format!("{:?} mA is no current", self.intensity_ma));
        }
        let Some((clock, stimulation)) = context.stimulation.clone() else {
            problems.add("", "needs a Stage before it that finds the stimulation, `harmonics` say");
            return None;
        };
        let reference = Reference::new(clock, stimulation, context.segments.clone());
        for kind in &reference.kinds {
            let cycles = kind.frequency_hz * window / rate_hz;
            if cycles < CYCLES {
                let hz = kind.frequency_hz;
                problems.add("window_ms", format!("holds {cycles:.2} cycles of {hz:.3} Hz; {CYCLES} are needed"));
            }
            let top = self.multiples.iter().max().copied().unwrap_or(1);
            if kind.frequency_hz * f64::from(top) >= rate_hz / 2.0 {
                let hz = kind.frequency_hz * f64::from(top);
                problems
                    .add("multiples", format!("{hz:.3} Hz needs a rate above {:.3} Hz; here {rate_hz} Hz", 2.0 * hz));
            }
        }
        let spectrum = context.spectrum(&PsdConfig::default(), input, problems);
        let shape = (input.conditions, reference.kinds.len(), channels.len());
        let power = PhasePower::new(&self.power_hz, self.surrogates, input, shape, context.seed, problems);
        let (power, spectrum) = power.zip(spectrum).filter(|_| problems.list().len() == before)?;
        let window = window as usize;
        Some(Box::new(Entrainment {
            taper: Window::Hann.samples(window, Symmetry::Periodic),
            turn: vec![[0.0; 2]; window],
            sums: vec![Sum::default(); shape.0 * shape.1 * shape.2 * self.multiples.len()],
            groups: vec![Group::default(); shape.0 * shape.1],
            seen: vec![Seen { last_end: i64::MIN, ..Seen::default() }; shape.0],
            rate_hz,
            config: self.clone(),
            spectrum,
            reference,
            channels,
            power,
        }))
    }
}

/// EEG channels that fit one of the patterns, all where there is none; a problem for a pattern that none fits.
pub(super) fn eeg_channels(patterns: &[String], input: &EpochInfo, problems: &mut Problems) -> Vec<usize> {
    let eeg = || (0..input.channels.len()).filter(|&c| input.is_eeg(c));
    let name = |c: usize| input.channels[c].name.as_str();
    for pattern in patterns.iter().filter(|p| !eeg().any(|c| glob(p, name(c)))) {
        let hint = nearest(pattern, eeg().map(name)).map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
        problems.add("channels", format!("there is no EEG channel {pattern:?}{hint}"));
    }
    eeg().filter(|&c| patterns.is_empty() || patterns.iter().any(|p| glob(p, name(c)))).collect()
}

/// One channel, one multiple, one kind, one condition.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    locking: Locking,
    amplitude: f64,
}

/// Windows of one kind in one condition.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    windows: u64,
    during: u64,
    before: u64,
    /// Windows, what overlaps counted once.
    fresh: f64,
}

/// Epochs of one condition.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    epochs: u64,
    elsewhere: u64,
    /// First sample after the last window.
    last_end: i64,
}

struct Entrainment {
    config: EntrainmentConfig,
    rate_hz: f64,
    spectrum: usize,
    reference: Reference,
    channels: Vec<usize>,
    taper: Vec<f64>,
    /// `w cos φ`, `w sin φ`, refilled.
    turn: Vec<[f64; 2]>,
    /// `[condition][kind][channel][multiple]`
    sums: Vec<Sum>,
    /// `[condition][kind]`
    groups: Vec<Group>,
    seen: Vec<Seen>,
    power: PhasePower,
}

impl Entrainment {
    /// `Σ w x e^{−iφ}` of a window without its mean; `None` where it has no phase.
    fn demodulate(turn: &[[f64; 2]], x: &[f64]) -> Option<[f64; 2]> {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let (mut re, mut im, mut size) = (0.0, 0.0, 0.0);
        for (x, [c, s]) in x.iter().zip(turn) {
            let v = x - mean;
            re += v * c;
            im -= v * s;
            size += v.abs() + FLAT * x.abs();
        }
        let there = re.hypot(im) > FLAT * size && size.is_finite();
        there.then_some([re, im])
    }

    fn place_of_sum(&self, condition: usize, kind: usize) -> usize {
        (condition * self.reference.kinds.len() + kind) * self.channels.len() * self.config.multiples.len()
    }
}

impl Marker for Entrainment {
    fn observe(&mut self, epoch: &Epoch) {
        let condition = usize::from(epoch.condition);
        let Some(seen) = self.seen.get_mut(condition) else { return };
        seen.epochs += 1;
        let (first, len) = (Reference::first_sample(epoch), self.taper.len());
        let Some(place) = self.reference.place(epoch.clock, first, epoch.len()) else {
            seen.elsewhere += 1;
            return;
        };
        for from in (0..=epoch.len() - len).step_by(len) {
            let Some(place) = self.reference.place(epoch.clock, first + from as i64, len) else { continue };
            let (start, end) = (first + from as i64, first + (from + len) as i64);
            let group = &mut self.groups[condition * self.reference.kinds.len() + place.kind];
            let seen = &mut self.seen[condition];
            group.windows += 1;
            group.during += u64::from(place.during);
            group.before += u64::from(place.before);
            group.fresh += ((end - start.max(seen.last_end)).max(0) as f64 / len as f64).min(1.0);
            seen.last_end = end;
            let at = self.place_of_sum(condition, place.kind);
            if epoch.filled[from..from + len].contains(&true) {
                continue;
            }
            let multiples = self.config.multiples.len();
            for (m, &multiple) in self.config.multiples.iter().enumerate() {
                for (i, (turn, w)) in self.turn.iter_mut().zip(&self.taper).enumerate() {
                    let cycles = f64::from(multiple) * (place.start + place.step * i as f64);
                    let (sin, cos) = (TAU * (cycles - cycles.floor())).sin_cos();
                    *turn = [w * cos, w * sin];
                }
                for (slot, &c) in self.channels.iter().enumerate().filter(|(_, c)| !epoch.bad[**c]) {
                    let x = &epoch.channel(c)[from..from + len];
                    let Some([re, im]) = Self::demodulate(&self.turn, x) else { continue };
                    let sum = &mut self.sums[at + slot * multiples + m];
                    if sum.locking.add(re, im) {
                        sum.amplitude += re.hypot(im);
                    }
                }
            }
        }
        self.power.observe(epoch, &place, condition, &self.channels);
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let (mut table, mut arnold) = (Table::new(&ENTRAINMENT), Table::new(&ARNOLD));
        let is_rest = |name: &String| glob(&self.config.rest, name);
        let spectrum = report.conditions.iter().position(is_rest).and_then(|c| report.spectrum(self.spectrum, c));
        let iaf = spectrum.and_then(|s| alpha_peak(&s, &self.channels, report.bad));
        let gain = 2.0 / self.taper.iter().sum::<f64>();
        for (condition, seen) in self.seen.iter().enumerate().filter(|(_, s)| s.epochs > 0) {
            let id = u16::try_from(condition).ok();
            if seen.elsewhere == seen.epochs {
                let found = if self.reference.kinds.is_empty() { "no_stimulation" } else { "other_segment" };
                let mut cells = vec![Cell::Missing; ENTRAINMENT.columns.len()];
                (cells[4], cells[13], cells[14]) = (0_u64.into(), false.into(), found.into());
                table.push(id, cells);
            }
            for (k, kind) in self.reference.kinds.iter().enumerate() {
                let group = self.groups[condition * self.reference.kinds.len() + k];
                if group.windows == 0 {
                    continue;
                }
                let (valid, reason) = group.verdict();
                let mut mean = [0.0; 4];
                for (slot, &c) in self.channels.iter().enumerate() {
                    for (m, &multiple) in self.config.multiples.iter().enumerate() {
                        let at = self.place_of_sum(condition, k) + slot * self.config.multiples.len() + m;
                        let Sum { locking, amplitude } = self.sums[at];
                        let n = locking.n as f64 * group.fresh / group.windows as f64;
                        let plv = locking.plv();
                        let ppc = plv.and_then(|r| consistency(r, n));
                        let name = || Cell::from(report.input.channels[c].name.clone());
                        let reason = match () {
                            () if locking.n > 0 => reason.clone(),
                            () if report.bad.get(c).copied().unwrap_or(false) => Some("bad".to_owned()),
                            () => Some("no_phase".to_owned()),
                        };
                        table.push(
                            id,
                            [
                                (k + 1).into(),
                                kind.frequency_hz.into(),
                                multiple.into(),
                                name(),
                                locking.n.into(),
                                n.into(),
                                (self.rate_hz / self.taper.len() as f64).into(),
                                plv.into(),
                                chance(n).into(),
                                ppc.into(),
                                plv.and_then(|r| rayleigh(r, n)).into(),
                                locking.angle().map(f64::to_degrees).into(),
                                plv.map(|_| gain * amplitude / locking.n as f64).into(),
                                (valid && plv.is_some()).into(),
                                reason.into(),
                            ],
                        );
                        let row = plv.zip(ppc).filter(|_| m == 0);
                        if let Some((plv, ppc)) = row {
                            mean = [mean[0] + 1.0, mean[1] + plv, mean[2] + ppc, mean[3] + n];
                            arnold.push(id, self.point(k, name(), iaf, (plv, ppc, n), valid));
                        }
                    }
                }
                if mean[0] > 0.0 {
                    let [plv, ppc, n] = [1, 2, 3].map(|i| mean[i] / mean[0]);
                    arnold.push(id, self.point(k, "mean".into(), iaf, (plv, ppc, n), valid));
                }
            }
        }
        let mut tables = vec![table, arnold];
        if !self.config.power_hz.0.is_empty() {
            tables.push(self.power.table(report, &self.reference.kinds, &self.channels));
        }
        tables
    }

    fn reset(&mut self) {
        self.sums.fill(Sum::default());
        self.groups.fill(Group::default());
        self.seen.fill(Seen { last_end: i64::MIN, ..Seen::default() });
        self.power.reset();
    }

    fn memory_bytes(&self) -> u64 {
        let sums = self.sums.len() * size_of::<Sum>() + self.groups.len() * size_of::<Group>();
        (sums + 24 * self.taper.len()) as u64 + self.power.memory_bytes()
    }
}

impl Group {
    fn verdict(&self) -> (bool, Option<String>) {
        let Self { windows, during, before, .. } = *self;
        match () {
            () if during == windows => (false, Some("during_stimulation: see tacs".to_owned())),
            () if during > 0 => (false, Some(format!("during_stimulation in {during} of {windows} windows: see tacs"))),
            () if before > 0 => (true, Some("before_stimulation: the null".to_owned())),
            () => (true, None),
        }
    }
}

impl Entrainment {
    fn point(
        &self,
        kind: usize,
        channel: Cell,
        iaf: Option<f64>,
        (plv, ppc, n): (f64, f64, f64),
        valid: bool,
    ) -> Vec<Cell> {
        let stimulus = &self.reference.kinds[kind];
        vec![
            (kind + 1).into(),
            channel,
            stimulus.frequency_hz.into(),
            iaf.into(),
            iaf.map(|iaf| stimulus.frequency_hz - iaf).into(),
            self.config.intensity_ma.into(),
            stimulus.amplitude.into(),
            stimulus.episodes.into(),
            plv.into(),
            ppc.into(),
            n.into(),
            chance(n).into(),
            valid.into(),
        ]
    }
}

#[cfg(test)]
mod tests;
