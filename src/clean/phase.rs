//! `phase`: the phase of a rhythm at every sample, from the past alone, and triggers at a phase that is wanted.

mod bank;
mod learn;
mod sites;
#[cfg(test)]
mod tests;
mod trigger;

use crate::flow::{BuildContext, Model, Problems, Stage, StageConfig, StreamFit, Watch};
use crate::signal::{Block, Channel, ChannelKind, LANES, StreamInfo};
use crate::table::TableSpec;
use crate::unit::Unit;
use bank::Bank;
use learn::Learnt;
use serde::{Deserialize, Serialize};
use sites::Site;
pub use trigger::{TRIGGERS, Tracker, Trigger};

/// Phase and amplitude of a rhythm, as channels behind those that come in: `<name> phase` in deg and `<name> amplitude` in the
/// channel's unit, with method `kalman` also `<name> phase_sd` in deg. Every input sample gives a value, and nothing looks ahead: the
/// phase at sample n is that of the band at n as far as samples up to n can tell. 0° is the peak, 90° the falling zero crossing,
/// ±180° the trough, −90° the rising zero crossing.
///
/// * `echt`: calibrated endpoint-corrected Hilbert transform (Osmers & Kolossa 2026, arXiv:2601.13962), one FIR filter; band
///   f ± f/4, order 2, window 1 s: see [`crate::dsp::echt`]. Above 1 kHz its taps lie `stride` samples apart and see means of
///   that many, which its calibration knows.
/// * `phastimate`: autoregressive prediction and Hilbert transform in a window of 500 ms (Zrenner et al. 2020,
///   10.1016/j.neuroimage.2020.116761), band `band_hz`: see [`crate::dsp::phastimate`]. Some 0.1 ms per sample and site.
/// * `kalman`: oscillators in noise (Wodeyara et al. 2021, 10.7554/eLife.68803), parameters by EM on the calibration; the posterior's
///   circular standard deviation says how sure a phase is: see [`crate::dsp::sspe`].
///
/// **Calibration.** The first `calibrate_s` of the stream (or a saved Model) give what was not said: the rhythm's own frequency
/// (a wrong one turns the phase of `echt` by some 30° per Hz), the amplitude at `min_percentile`, the oscillators.
/// The frequency is one for all sites: the centre of gravity, ±1 Hz around the highest bin within `band_hz`, of what the
/// spectrum times frequency (Welch, 4 s) has above its median in the band.
///
/// **Triggers.** With `target_deg` a row of the table `triggers` tells when the phase predicted `advance_ms` ahead crossed the target from
/// below, while the amplitude was at least the gate's and the last trigger at least `refractory_ms` ago.
///
/// **Edges.** NaN until the window is full, so for 1 s (`echt`) or 0.5 s (`phastimate`) after the start and after every gap, and
/// wherever the window holds a sample that is not finite; `kalman` takes such a sample as missing, and starts at once, unsure.
/// A channel said to be bad is left out, or refused where it is named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phase {
    /// How. Default `echt`.
    pub method: Method,
    /// Channels that are followed; none: every EEG channel.
    pub channels: Vec<String>,
    /// One weight per channel makes them one site: `[1, -0.25, -0.25, -0.25, -0.25]` is a Laplacian. None: each channel alone.
    pub weights: Vec<f64>,
    /// Name of that one site. Default: its first channel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the rhythm lies, Hz. Default 7…13.
    pub band_hz: [f64; 2],
    /// Its frequency, Hz. Default: learnt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_hz: Option<f64>,
    /// Seconds at the start that are learnt from. Default 60.
    pub calibrate_s: f64,
    /// `echt`: order of the band-pass. Default 2.
    pub order: usize,
    /// `echt`: the window, s. Default 1.
    pub window_s: f64,
    /// `echt`: samples per tap. Default: 1 up to 1 kHz, above as many as leave 250 taps per second and 25 per cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// `kalman`: where the background's oscillators start, Hz. Default \[1\].
    pub background_hz: Vec<f64>,
    /// Triggers at this phase, deg. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_deg: Option<f64>,
    /// No trigger below this amplitude, µV. Default 0.
    pub min_uv: f64,
    /// No trigger below this percentile of the calibration's amplitudes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_percentile: Option<f64>,
    /// No trigger for so long after one, ms. Default 500.
    pub refractory_ms: f64,
    /// How long the stimulator takes, ms: the trigger comes so much earlier. Default 0.
    pub advance_ms: f64,
    /// Triggers that may wait between two drains. Default 4096.
    pub queue: u32,
}

impl Default for Phase {
    fn default() -> Self {
        Self {
            method: Method::Echt,
            channels: Vec::new(),
            weights: Vec::new(),
            name: None,
            band_hz: [7.0, 13.0],
            frequency_hz: None,
            calibrate_s: 60.0,
            order: 2,
            window_s: 1.0,
            stride: None,
            background_hz: vec![1.0],
            target_deg: None,
            min_uv: 0.0,
            min_percentile: None,
            refractory_ms: 500.0,
            advance_ms: 0.0,
            queue: 4096,
        }
    }
}

/// How the phase is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Calibrated endpoint-corrected Hilbert transform.
    Echt,
    /// Autoregressive prediction and Hilbert transform.
    Phastimate,
    /// State-space oscillators.
    Kalman,
}

impl Phase {
    /// Channels that it adds per site.
    fn outputs(&self) -> &'static [&'static str] {
        match self.method {
            Method::Kalman => &["phase", "amplitude", "phase_sd"],
            _ => &["phase", "amplitude"],
        }
    }

    /// Whether something must be learnt before it can run.
    pub fn learns(&self) -> bool {
        let frequency = self.frequency_hz.is_none() && self.method == Method::Echt;
        frequency || self.method == Method::Kalman || self.min_percentile.is_some() && self.target_deg.is_some()
    }

    /// Everything about the keys that does not depend on the channels.
    fn check(&self, rate_hz: f64, problems: &mut Problems) {
        let [low, high] = self.band_hz;
        if !(low > 0.0 && high > low && high < rate_hz / 2.0) {
            problems.add("band_hz", format!("{low}…{high} Hz is no band between 0 and {} Hz", rate_hz / 2.0));
        }
        if let Some(f) = self.frequency_hz.filter(|f| !(*f >= low && *f <= high)) {
            problems.add("frequency_hz", format!("{f} Hz does not lie within band_hz, {low}…{high} Hz"));
        }
        if self.learns() && !(self.calibrate_s >= 10.0 && self.calibrate_s <= 3600.0) {
            problems.add("calibrate_s", format!("{} is not between 10 and 3600 s", self.calibrate_s));
        }
        if self.background_hz.len() >= crate::dsp::sspe::MOST
            || !self.background_hz.iter().all(|f| *f >= 0.0 && *f < low)
        {
            let most = crate::dsp::sspe::MOST - 1;
            problems.add(
                "background_hz",
                format!("{:?}: at most {most} frequencies below the band, {low} Hz", self.background_hz),
            );
        }
        for (key, value, most) in [
            ("min_uv", self.min_uv, 1e6),
            ("min_percentile", self.min_percentile.unwrap_or(0.0), 100.0),
            ("refractory_ms", self.refractory_ms, 3.6e6),
            ("advance_ms", self.advance_ms, 1000.0),
        ] {
            if !(0.0..=most).contains(&value) {
                problems.add(key, format!("{value} is not between 0 and {most}"));
            }
        }
        if let Some(target) = self.target_deg.filter(|t| !(-360.0..=360.0).contains(t)) {
            problems.add("target_deg", format!("{target} is not between -360 and 360"));
        }
        if !(1..=1_000_000).contains(&self.queue) {
            problems.add("queue", format!("{} is not between 1 and 1000000 triggers", self.queue));
        }
    }

    /// Sites, what is known about them, and their estimators; `None` where a problem was reported.
    fn plan(
        &self,
        rate_hz: f64,
        channels: &[Channel],
        bad: &[String],
        model: Option<&Model>,
        problems: &mut Problems,
    ) -> Option<(Vec<Site>, Learnt, Bank)> {
        let before = problems.list().len();
        self.check(rate_hz, problems);
        let sites = self.sites(channels, bad, problems);
        if problems.list().len() > before {
            return None;
        }
        let sites = sites?;
        let learnt = Learnt::of(self, &sites, model, problems)?;
        match Bank::new(self, rate_hz, &learnt) {
            Ok(bank) => Some((sites, learnt, bank)),
            Err(error) => {
                problems.add("", error.message());
                None
            }
        }
    }
}

impl StageConfig for Phase {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let (sites, _, bank) =
            self.plan(input.rate_hz(), &input.channels, &context.bad, context.model.as_ref(), problems)?;
        let added = sites.iter().flat_map(|site| {
            self.outputs().iter().map(|what| {
                let unit = if *what == "amplitude" { site.unit.clone() } else { Unit::Other("deg".to_owned()) };
                Channel::new(format!("{} {what}", site.name), ChannelKind::Misc, unit)
            })
        });
        let channels: Vec<Channel> = input.channels.iter().cloned().chain(added).collect();
        Some(Box::new(Follow {
            own: input.channels.len(),
            width: self.outputs().len(),
            values: vec![0.0; sites.len()],
            sites,
            bank,
            end: (0, 0),
            output: StreamInfo { channels: channels.into(), ..input.clone() },
        }))
    }

    /// A site may need any channels, and what it adds stands behind all of them.
    fn joins_channels(&self) -> bool {
        true
    }

    fn fit(
        &self,
        input: &StreamInfo,
        context: &mut BuildContext,
        problems: &mut Problems,
    ) -> Option<Box<dyn StreamFit>> {
        if !self.learns() {
            return None;
        }
        let before = problems.list().len();
        self.check(input.rate_hz(), problems);
        let sites = self.sites(&input.channels, &context.bad, problems)?;
        (problems.list().len() == before).then(|| learn::fit(self.clone(), sites))
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        trigger::watch(self, input, output, context)
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&TRIGGERS];
        if self.target_deg.is_some() { &TABLES } else { &[] }
    }
}

/// The Stage.
struct Follow {
    /// Channels that come in.
    own: usize,
    /// Channels added per site.
    width: usize,
    sites: Vec<Site>,
    values: Vec<f64>,
    bank: Bank,
    /// Segment and sample that follow the last block.
    end: (u32, i64),
    output: StreamInfo,
}

impl Stage for Follow {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.start(input.segment(), input.first(), input.len());
        self.end = (out.segment(), out.end());
        for g in 0..input.groups() {
            out.group_mut(g).copy_from_slice(input.group(g));
        }
        for i in 0..input.len() {
            for (value, site) in self.values.iter_mut().zip(&self.sites) {
                *value = site.value(|c| input.group(c / LANES)[i][c % LANES]);
            }
            for (s, estimate) in self.bank.push(&self.values).iter().enumerate() {
                let told = [estimate.phase_deg, estimate.amplitude, estimate.phase_sd_deg];
                for (k, value) in told.into_iter().take(self.width).enumerate() {
                    out.set(self.own + s * self.width + k, i, value);
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.end.0, self.end.1, 0);
    }

    fn reset(&mut self) {
        self.bank.reset();
        self.end = (0, 0);
    }

    fn memory_bytes(&self) -> u64 {
        self.bank.memory_bytes()
    }

    fn notes(&self) -> String {
        self.bank.notes()
    }
}
