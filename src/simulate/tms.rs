//! A TMS-EEG recording with a known truth, made block by block: a [`TmsSimulator`] is a [`Source`] like any file.
//!
//! Every sample is the sum of a background, the evoked components of all pulses in reach (dipoles in a spherical head,
//! Gaussian in time), the artefacts of pulses and blinks, then clipped and quantised like an amplifier would. Evoked
//! activity and background are in average reference over all simulated electrodes; artefacts are not.

use super::background::{Background, Levels};
use super::config::TmsSimulation;
use super::random::Random;
use super::response::{Response, TrueComponent, add, evoked_at, lanes, true_components};
use super::scalp::Scalp;
use super::trials::{Pulse, Trials, draw_blinks};
use crate::flow::Source;
use crate::signal::{Block, Channel, ChannelKind, Event, EventName, LANES, Lanes, Recording, Segment, Stream};
use crate::unit::{Rate, Tick, Unit};
use crate::{Error, Result};
use std::f64::consts::PI;

/// Samples that are made at once.
const CHUNK: usize = 512;
/// Purpose of the random numbers.
const FAULTS: u64 = 13;

/// The recording itself: yields its samples block by block in constant memory, the same bits for any block size.
#[derive(Debug, Clone)]
pub struct TmsSimulator {
    pub(super) config: TmsSimulation,
    recording: Recording,
    pub(super) pulses: Vec<Pulse>,
    /// Markers without a pulse.
    pub(super) extra: Vec<i64>,
    pub(super) components: Vec<TrueComponent>,
    background: Background,
    response: Response,
    /// First sample of each blink, its course, and its map.
    blinks: Vec<i64>,
    blink: Vec<f64>,
    blink_map: Vec<Lanes>,
    flat: Vec<usize>,
    noisy: Vec<usize>,
    faults: Random,
    position: i64,
    length: i64,
    selected: Vec<usize>,
    chunk: Block,
}

impl TmsSimulation {
    /// Plans the recording.
    ///
    /// # Errors
    /// When values contradict each other or the room they need: all of them, one per line, each with its name.
    pub fn build(&self) -> Result<TmsSimulator> {
        self.check()?;
        TmsSimulator::new(self)
    }
}

impl TmsSimulator {
    /// Plans the recording; the values have been checked.
    pub(super) fn new(config: &TmsSimulation) -> Result<Self> {
        let scalp = Scalp::new(config.channels)?;
        let rate = Rate::from_hz(config.rate_hz)?;
        let length = (config.seconds * config.rate_hz).round() as i64;
        let Trials { pulses, extra } = Trials::draw(config, length)?;
        let components = true_components(config, &scalp);
        let find = |key: &str, names: &[String]| -> Result<Vec<usize>> {
            let at = |n: &str| scalp.names.iter().position(|own| own.eq_ignore_ascii_case(n));
            let one = |n: &String| {
                at(n).ok_or_else(|| {
                    Error::usage(format!("{key}: no channel `{n}` among the {} simulated", config.channels))
                })
            };
            names.iter().map(one).collect()
        };
        let levels = Levels {
            pink_uv: config.background_uv,
            exponent: config.background_exponent,
            alpha_uv: config.alpha_uv,
            alpha_hz: config.alpha_hz,
            sensor_uv: config.sensor_uv,
            line_hz: config.line_hz,
            line_uv: config.line_uv,
        };
        let mut background = Background::new(&scalp, config.rate_hz, levels, config.seed);
        background.reserve(CHUNK);
        let blink_len = (0.3 * config.rate_hz) as usize;
        let blink = (0..blink_len).map(|i| config.blink_uv * (PI * i as f64 / blink_len as f64).sin().powi(2));
        let forehead = scalp.nearness([0.0, 0.92, -0.39], 0.5);
        let largest = forehead.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        Ok(Self {
            recording: describe(config, &scalp, rate, length, &pulses, &extra),
            response: Response::new(config, &scalp, &components),
            blinks: draw_blinks(config, length),
            blink: blink.collect(),
            blink_map: lanes(&forehead.iter().map(|v| v / largest).collect::<Vec<_>>()),
            flat: find("flat", &config.flat)?,
            noisy: find("noisy", &config.noisy)?,
            faults: Random::new(config.seed, FAULTS),
            position: 0,
            length,
            selected: (0..config.channels).collect(),
            chunk: Block::new(config.channels, CHUNK),
            config: config.clone(),
            pulses,
            extra,
            components,
            background,
        })
    }

    /// The pulses, in order of time, with and without marker.
    pub fn pulses(&self) -> &[Pulse] {
        &self.pulses
    }

    /// The evoked components; none under sham.
    pub fn components(&self) -> &[TrueComponent] {
        &self.components
    }

    /// The brain's response at gain 1, for each channel, `time_ms` after a pulse, µV: 0 before it.
    pub fn evoked_uv(&self, time_ms: f64) -> Vec<f64> {
        let mut sum = vec![0.0; self.config.channels];
        evoked_at(&self.components, time_ms, &mut sum);
        sum
    }

    /// Makes the next `self.chunk.len()` samples of all channels.
    fn make(&mut self) {
        self.background.fill(&mut self.chunk);
        let (first, end) = (self.chunk.first(), self.chunk.end());
        let late = |starts: &[i64], len: usize| starts.partition_point(|&s| s + len as i64 <= first);
        for &start in self.blinks[late(&self.blinks, self.blink.len())..].iter().take_while(|&&s| s < end) {
            add(&mut self.chunk, start, &self.blink, 1.0, &self.blink_map);
        }
        let reach = self.response.len as i64;
        let from = self.pulses.partition_point(|p| p.tick + reach <= first);
        for pulse in self.pulses[from..].iter().take_while(|p| p.tick < end) {
            self.response.add(&mut self.chunk, pulse);
        }
        for sample in 0..self.chunk.len() {
            for &channel in &self.noisy {
                let value = self.chunk.get(channel, sample) + self.config.noisy_uv * self.faults.normal();
                self.chunk.set(channel, sample, value);
            }
        }
        let (limit, step) = (limit(&self.config), self.config.resolution_uv);
        for group in 0..self.chunk.groups() {
            digitise(self.chunk.group_mut(group), limit, step);
        }
        for &channel in &self.flat {
            (0..self.chunk.len()).for_each(|sample| self.chunk.set(channel, sample, 0.0));
        }
    }
}

impl Source for TmsSimulator {
    fn recording(&self) -> &Recording {
        &self.recording
    }

    fn select(&mut self, stream: usize, channels: &[usize]) -> Result<()> {
        let all = self.config.channels;
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
            self.make();
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
        self.background.reset();
        self.faults = Random::new(self.config.seed, FAULTS);
        Ok(())
    }

    fn progress(&self) -> (u64, u64) {
        let bytes = |samples: i64| samples.unsigned_abs() * self.selected.len() as u64 * 8;
        (bytes(self.position), bytes(self.length))
    }
}

/// The largest value the amplifier tells, µV; infinite where it has no range.
fn limit(config: &TmsSimulation) -> f64 {
    match (config.range_uv, config.resolution_uv) {
        (0.0, _) => f64::INFINITY,
        (range, 0.0) => range,
        (range, step) => (range / step + 1e-9).floor() * step,
    }
}

/// Rounds to multiples of `step` (unless 0) and clips at ± `limit`.
fn digitise(samples: &mut [Lanes], limit: f64, step: f64) {
    if step > 0.0 {
        samples.iter_mut().flatten().for_each(|v| *v = (*v / step).round() * step);
    }
    samples.iter_mut().flatten().for_each(|v| *v = v.clamp(-limit, limit));
}

fn describe(
    config: &TmsSimulation,
    scalp: &Scalp,
    rate: Rate,
    length: i64,
    pulses: &[Pulse],
    extra: &[i64],
) -> Recording {
    let channel = |(name, place): (&String, &[f64; 3])| Channel {
        position: Some(*place),
        range: (config.range_uv > 0.0).then(|| [-limit(config), limit(config)]),
        ..Channel::new(name, ChannelKind::Eeg, Unit::Microvolt)
    };
    let channels: Vec<Channel> = scalp.names.iter().zip(&scalp.places).map(channel).collect();
    let mut ticks: Vec<i64> = pulses.iter().filter_map(|p| p.marker).chain(extra.iter().copied()).collect();
    ticks.sort_unstable();
    let stream = Stream {
        rate,
        file_index: (0..channels.len()).collect(),
        channels,
        segments: vec![Segment { first: Tick(0), length: length.unsigned_abs(), start_s: 0.0 }],
    };
    Recording {
        name: "simulated-tms".into(),
        format: "simulation".into(),
        streams: vec![stream],
        main: 0,
        events: ticks.into_iter().map(|t| Event::new(Tick(t), EventName(0))).collect(),
        event_names: vec![config.event.clone()],
        event_is_stimulus: Vec::new(),
        start: None,
        line_hz: (config.line_uv > 0.0).then_some(config.line_hz),
        epoched: None,
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::read_all;
    use crate::simulate::Site;

    /// Short, with everything switched on.
    fn busy() -> TmsSimulation {
        TmsSimulation {
            channels: 19,
            rate_hz: 1000.0,
            seconds: 4.0,
            lead_s: 0.6,
            interval_s: 0.7,
            gain_sd: 0.2,
            trigger_jitter_ms: 2.0,
            recharge_uv: 500.0,
            blinks_per_min: 60.0,
            flat: vec!["T8".into()],
            noisy: vec!["f3".into()],
            resolution_uv: 0.1,
            ..TmsSimulation::default()
        }
    }

    fn rows(simulator: &mut TmsSimulator, channels: usize, block: usize) -> Vec<Vec<f64>> {
        read_all(simulator, channels, block).unwrap()
    }

    #[test]
    fn blocks_and_rewinds_do_not_matter_and_the_seed_does() {
        let mut simulator = busy().build().unwrap();
        let whole = rows(&mut simulator, 19, 4000);
        assert_eq!(whole[0].len(), 4000);
        for block in [1, 7, 511, 513, 1000] {
            simulator.rewind().unwrap();
            assert!(rows(&mut simulator, 19, block) == whole, "blocks of {block}");
        }
        let other = rows(&mut TmsSimulation { seed: 2, ..busy() }.build().unwrap(), 19, 500);
        assert!(other[0] != whole[0]);
        simulator.select(0, &[12, 3]).unwrap();
        assert!(rows(&mut simulator, 2, 100) == [whole[12].clone(), whole[3].clone()]);
        assert!(simulator.select(0, &[19]).is_err() && simulator.select(1, &[0]).is_err());
    }

    #[test]
    fn without_noise_every_trial_is_the_truth() {
        let config = TmsSimulation { seconds: 12.0, rate_hz: 2000.0, channels: 32, ..TmsSimulation::default() };
        let mut simulator = config.response_only().build().unwrap();
        let rows = rows(&mut simulator, 32, 700);
        assert!(simulator.pulses().len() >= 3);
        for pulse in simulator.pulses() {
            for offset in -400..1000 {
                let truth = simulator.evoked_uv(offset as f64 / 2.0);
                for (row, want) in rows.iter().zip(truth) {
                    assert!((row[(pulse.tick + offset) as usize] - want).abs() < 1e-12, "{offset}");
                }
            }
        }
    }

    #[test]
    fn each_component_peaks_where_and_when_it_says() {
        for site in [Site::M1, Site::Dlpfc, Site::Parietal] {
            let simulator = TmsSimulation { site, ..TmsSimulation::default() }.build().unwrap();
            let course =
                |channel: usize| (0..400).map(|t| simulator.evoked_uv(f64::from(t))[channel]).collect::<Vec<_>>();
            for TrueComponent { component, map_uv, peak } in simulator.components() {
                assert_eq!(map_uv[*peak], component.amplitude_uv);
                let course = course(*peak);
                let sign = component.amplitude_uv.signum();
                let near = component.latency_ms as usize - 10..component.latency_ms as usize + 11;
                let found = near.max_by(|&a, &b| (sign * course[a]).total_cmp(&(sign * course[b]))).unwrap();
                let (late, size) = (found as f64 - component.latency_ms, course[found] / component.amplitude_uv);
                // neighbours in time overlap a little
                assert!(late.abs() <= 1.0 && (size - 1.0).abs() < 0.1, "{}: {late} ms late, × {size}", component.name);
            }
        }
    }

    /// The mean over 150 noisy trials comes as close to the truth as the background lets it.
    #[test]
    fn the_mean_over_trials_approaches_the_truth() {
        let config = TmsSimulation {
            channels: 19,
            rate_hz: 500.0,
            seconds: 306.0,
            pulse_uv: 0.0,
            decay_uv: 0.0,
            muscle_uv: 0.0,
            blink_uv: 0.0,
            ..TmsSimulation::default()
        };
        let mut simulator = config.build().unwrap();
        let rows = rows(&mut simulator, 19, 5000);
        let pulses = simulator.pulses();
        let c3 = simulator.recording().main_stream().channels.iter().position(|c| c.name == "C3").unwrap();
        let mean = |offset: i64| {
            pulses.iter().map(|p| rows[c3][(p.tick + offset) as usize]).sum::<f64>() / pulses.len() as f64
        };
        let baseline = (-50..0).map(mean).sum::<f64>() / 50.0;
        let error =
            (0..150).map(|i| (mean(i) - baseline - simulator.evoked_uv(i as f64 * 2.0)[c3]).powi(2)).sum::<f64>()
                / 150.0;
        let spread = (simulator.config.background_uv.powi(2) + 20.0).sqrt() / (pulses.len() as f64).sqrt();
        assert!(pulses.len() >= 145);
        assert!(error.sqrt() < 2.0 * spread && error.sqrt() > 0.1 * spread, "{} against {spread}", error.sqrt());
    }

    #[test]
    fn the_pulse_clips_at_its_own_sample_and_digits_are_kept() {
        let mut simulator = busy().build().unwrap();
        let rows = rows(&mut simulator, 19, 640);
        let channels = simulator.recording().main_stream().channels.clone();
        let c3 = channels.iter().position(|c| c.name == "C3").unwrap();
        let [low, high] = channels[c3].range.unwrap();
        for pulse in simulator.pulses() {
            let at = pulse.tick as usize;
            assert_eq!(rows[c3][at], high);
            assert!(rows[c3][at - 1] < 500.0);
            // the recharge half a second later
            assert!(rows[c3][at + 500] > 250.0);
        }
        for value in rows.iter().flatten() {
            assert!((low..=high).contains(value));
            assert!((value / 0.1 - (value / 0.1).round()).abs() < 1e-6);
        }
    }

    #[test]
    fn sham_has_the_artefacts_and_no_response() {
        let config = TmsSimulation { seconds: 8.0, channels: 19, rate_hz: 1000.0, ..TmsSimulation::default() };
        let sham = TmsSimulation { sham: true, ..config.clone() };
        let silent = rows(&mut sham.clone().response_only().build().unwrap(), 19, 1000);
        assert!(silent.iter().flatten().all(|v| *v == 0.0));
        let response = rows(&mut config.clone().response_only().build().unwrap(), 19, 1000);
        let (real, sham) = (rows(&mut config.build().unwrap(), 19, 1000), rows(&mut sham.build().unwrap(), 19, 1000));
        for c in 0..19 {
            for t in 0..8000 {
                let clipped = real[c][t].abs() > 3000.0;
                assert!(clipped || (real[c][t] - sham[c][t] - response[c][t]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn markers_may_be_missing_too_many_and_off() {
        let config = TmsSimulation {
            missing_triggers: 2,
            extra_triggers: 3,
            trigger_jitter_ms: 4.0,
            ..TmsSimulation::default()
        };
        let simulator = config.build().unwrap();
        let pulses = simulator.pulses();
        let marked = pulses.iter().filter_map(|p| p.marker.map(|m| m - p.tick));
        assert!(marked.clone().all(|off| off.abs() <= 20) && marked.clone().any(|off| off != 0));
        assert_eq!(marked.count(), pulses.len() - 2);
        let events = &simulator.recording().events;
        assert_eq!(events.len(), pulses.len() - 2 + 3);
        assert!(events.windows(2).all(|w| w[0].tick <= w[1].tick));
        let intervals = pulses.windows(2).map(|w| (w[1].tick - w[0].tick) as f64 / 5000.0);
        assert!(intervals.clone().all(|s| (1.699..=2.301).contains(&s)));
        assert!(intervals.clone().fold(0.0, f64::max) - intervals.fold(9.0, f64::min) > 0.3);
    }

    #[test]
    fn poor_electrodes_are_poor() {
        let config = TmsSimulation { blink_uv: 0.0, ..busy() };
        let mut simulator = config.build().unwrap();
        let rows = rows(&mut simulator, 19, 300);
        let at = |n: &str| simulator.recording().main_stream().channels.iter().position(|c| c.name == n).unwrap();
        assert!(rows[at("T8")].iter().all(|v| *v == 0.0));
        let jump = |row: &[f64]| row[..500].windows(2).map(|w| (w[1] - w[0]).powi(2)).sum::<f64>();
        assert!(jump(&rows[at("F3")]) > 20.0 * jump(&rows[at("F4")]));
    }

    #[test]
    fn impossible_wishes_are_all_reported() {
        let config = TmsSimulation { rate_hz: f64::NAN, seconds: -1.0, decay_ms: 0.0, ..TmsSimulation::default() };
        let text = config.build().unwrap_err().to_string();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("decay_ms: 0 is not between 0.01 and 1000"));
        for config in [
            TmsSimulation { channels: 1, ..TmsSimulation::default() },
            TmsSimulation { flat: vec!["XY1".into()], ..TmsSimulation::default() },
            TmsSimulation { missing_triggers: 1000, ..TmsSimulation::default() },
        ] {
            assert_eq!(config.build().unwrap_err().kind(), crate::ErrorKind::Usage);
        }
    }

    #[test]
    fn a_simulation_reads_back_from_toml() {
        let config = busy();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<TmsSimulation>(&text).unwrap(), config);
        assert_eq!(toml::from_str::<TmsSimulation>("").unwrap(), TmsSimulation::default());
        assert!(toml::from_str::<TmsSimulation>("decay = 3").is_err());
    }

    #[test]
    fn the_truth_is_told_in_tables() {
        let config =
            TmsSimulation { missing_triggers: 1, extra_triggers: 1, seconds: 20.0, ..TmsSimulation::default() };
        let simulator = config.build().unwrap();
        let [tep, events, components]: [crate::table::Table; 3] = simulator.truth_tables().try_into().unwrap();
        assert_eq!((tep.name(), tep.len(), tep.columns().len()), ("truth_tep", 701, 65));
        assert_eq!(tep.number(200 + 45, "time_ms"), Some(45.0));
        let n45 = (0..6).find(|&r| components.number(r, "latency_ms") == Some(45.0)).unwrap();
        assert_eq!(components.number(n45, "amplitude_uv"), components.number(n45, "CP3"));
        assert!((tep.number(200 + 45, "CP3").unwrap() + 4.0).abs() < 0.2);
        assert_eq!(events.len(), simulator.pulses().len() + 1);
        assert_eq!((0..events.len()).filter(|&r| events.number(r, "marker_sample").is_none()).count(), 1);
        assert_eq!((0..events.len()).filter(|&r| events.number(r, "pulse") == Some(0.0)).count(), 1);
    }

    /// `cargo test --release --lib simulate::tms::tests::speed -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn speed() {
        let mut simulator = TmsSimulation::default().build().unwrap();
        let mut block = Block::new(64, 8192);
        let start = std::time::Instant::now();
        while simulator.read(&mut block).unwrap() {}
        println!("64 channels × 5 kHz × 60 s: {:.2} s", start.elapsed().as_secs_f64());
    }
}
