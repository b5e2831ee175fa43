//! A TMS-EEG recording with a known truth, made block by block: a [`TmsSimulator`] is a [`Source`](crate::flow::Source) like any file.
//!
//! Every sample is the sum of a background, the evoked components of all pulses in reach (dipoles in a spherical head,
//! Gaussian in time), the artefacts of pulses and blinks, then clipped and quantised like an amplifier would. Evoked
//! activity and background are in average reference over all simulated electrodes; artefacts are not.

use super::background::Background;
use super::blinks::Blinks;
use super::config::TmsSimulation;
use super::electrodes::Amplifier;
use super::response::{Response, TrueComponent, evoked_at, true_components};
use super::scalp::Scalp;
use super::simulator::{CHUNK, Play, Simulator, describe, length};
use super::trials::{Pulse, Trials};
use crate::Result;
use crate::signal::{Block, Event, EventName, Recording};
use crate::table::Table;
use crate::unit::Tick;

/// A simulated TMS-EEG recording.
pub type TmsSimulator = Simulator<Tms>;

/// What a TMS-EEG recording is made of.
#[derive(Debug, Clone)]
pub struct Tms {
    pub(super) config: TmsSimulation,
    pub(super) pulses: Vec<Pulse>,
    /// Markers without a pulse.
    pub(super) extra: Vec<i64>,
    pub(super) components: Vec<TrueComponent>,
    background: Background,
    response: Response,
    blinks: Blinks,
    amplifier: Amplifier,
}

impl TmsSimulation {
    /// Plans the recording.
    ///
    /// # Errors
    /// When values contradict each other or the room they need: all of them, one per line, each with its name.
    pub fn build(&self) -> Result<TmsSimulator> {
        self.check()?;
        let scalp = Scalp::new(self.channels)?;
        let length = length(self.seconds, self.rate_hz);
        let Trials { pulses, extra } = Trials::draw(self, length)?;
        let components = true_components(self, &scalp);
        let amplifier = Amplifier::new(&self.contacts(), &scalp, self.seed)?;
        let mut background = Background::new(&scalp, self.rate_hz, self.levels(), self.seed);
        background.reserve(CHUNK);
        let mut ticks: Vec<i64> = pulses.iter().filter_map(|p| p.marker).chain(extra.iter().copied()).collect();
        ticks.sort_unstable();
        let recording = Recording {
            events: ticks.into_iter().map(|t| Event::new(Tick(t), EventName(0))).collect(),
            event_names: vec![self.event.clone()],
            line_hz: (self.line_uv > 0.0).then_some(self.line_hz),
            ..describe("simulated-tms", &scalp, &amplifier.limits, self.rate_hz, length)?
        };
        let play = Tms {
            response: Response::new(self, &scalp, &components),
            blinks: Blinks::draw(self.blinking(), &scalp, self.rate_hz, length, self.seed),
            config: self.clone(),
            pulses,
            extra,
            components,
            background,
            amplifier,
        };
        Ok(Simulator::new(play, recording))
    }
}

impl Simulator<Tms> {
    /// The pulses, in order of time, with and without marker.
    pub fn pulses(&self) -> &[Pulse] {
        &self.play.pulses
    }

    /// The evoked components; none under sham.
    pub fn components(&self) -> &[TrueComponent] {
        &self.play.components
    }

    /// The brain's response at gain 1, for each channel, `time_ms` after a pulse, µV: 0 before it.
    pub fn evoked_uv(&self, time_ms: f64) -> Vec<f64> {
        self.play.evoked_uv(time_ms)
    }
}

impl Tms {
    /// As [`Simulator::evoked_uv`].
    pub(super) fn evoked_uv(&self, time_ms: f64) -> Vec<f64> {
        let mut sum = vec![0.0; self.config.channels];
        evoked_at(&self.components, time_ms, &mut sum);
        sum
    }
}

impl Play for Tms {
    fn make(&mut self, chunk: &mut Block) {
        self.background.fill(chunk);
        self.blinks.add(chunk);
        let (first, end, reach) = (chunk.first(), chunk.end(), self.response.len as i64);
        let from = self.pulses.partition_point(|p| p.tick + reach <= first);
        for pulse in self.pulses[from..].iter().take_while(|p| p.tick < end) {
            self.response.add(chunk, pulse);
        }
        self.amplifier.apply(chunk);
    }

    fn restart(&mut self) {
        self.background.reset();
        self.amplifier.restart();
    }

    /// `truth_tep` (at the simulation's `truth_rate_hz`, −200 to 500 ms), `truth_events` and `truth_components`.
    fn truth(&self, recording: &Recording) -> Vec<Table> {
        self.truth_tables(recording)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Source, read_all};
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
        let spread = (simulator.play.config.background_uv.powi(2) + 20.0).sqrt() / (pulses.len() as f64).sqrt();
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
