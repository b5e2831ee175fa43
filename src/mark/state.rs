//! Table `state`: each kept trial's power by band before its event, for what depends on the state that a pulse meets.

use super::bands::{self, Bands};
use crate::dsp::multitaper::Tapers;
use crate::dsp::periodogram::Periodogram;
use crate::dsp::window::Window;
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::Epoch;
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Columns of `state`.
pub static STATE: TableSpec = TableSpec {
    name: "state",
    about: "Power of one channel in one band before one kept trial's event",
    series: true,
    columns: &[
        Column::new("trial", "", "0-based number of the event among those asked for, as in `trials`"),
        Column::new("onset_s", "s", "Time of the event from the start of the recording, gaps counted"),
        Column::new("channel", "", "Channel, named as in the file"),
        Column::new("band", "", "Name of the band"),
        Column::new("low_hz", "Hz", "Start of the band, included"),
        Column::new("high_hz", "Hz", "End of the band, not included"),
        Column::new(
            "power_uv2",
            "uV2",
            "Power in the band; empty for a bad channel, or where a sample of the window is bridged or not finite",
        ),
    ],
};

/// `use = "state"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateConfig {
    /// The stretch that is looked at, both ends included, relative to the event. Default −1000…−10 ms.
    pub window_ms: [f64; 2],
    /// Its taper, as in Welch's method. Default `hamming`.
    pub taper: Window,
    /// The bands. Default delta 1–4, theta 4–8, alpha 8–13, beta 13–30, gamma 30–45 Hz.
    pub bands_hz: Bands,
    /// Trials that may wait between two drains. Default 256.
    pub queue: u32,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { window_ms: [-1000.0, -10.0], taper: Window::Hamming, bands_hz: Bands::default(), queue: 256 }
    }
}

impl MarkerConfig for StateConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&STATE];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let window = input.window_inside("window_ms", self.window_ms, problems);
        let resolution_hz = window.as_ref().map(|w| input.rate_hz() / w.len() as f64);
        let mut groups = Vec::new();
        for (name, band) in &self.bands_hz.0 {
            let key = format!("bands_hz.{name}");
            if let (true, Some(apart)) = (bands::check(&key, *band, input.rate_hz(), problems), resolution_hz) {
                // within 1e-9 of a bin, as everywhere
                let [low, high] = band.map(|hz| (hz / apart - 1e-9).ceil() as usize);
                if low == high {
                    problems.add(&key, format!("{}…{} Hz holds none of the bins, {apart} Hz apart", band[0], band[1]));
                }
                groups.push(low..high);
            }
        }
        if !(1..=1_000_000).contains(&self.queue) {
            problems.add("queue", format!("{} is not between 1 and 1000000 trials", self.queue));
        }
        let window = window.filter(|_| problems.list().len() == before)?;
        let tapers = Tapers::window(self.taper, window.len());
        if !tapers.weights.iter().chain(&tapers.samples).all(|v| v.is_finite()) {
            problems.add("taper", format!("{:?} is no window", self.taper));
            return None;
        }
        let periodogram = Periodogram::new(Arc::new(tapers), input.rate_hz(), false);
        let (queue, rows) = (self.queue as usize, input.channels.len() * groups.len());
        let names = input.channels.iter().map(|c| c.name.clone()).collect();
        Some(Box::new(State {
            resolution_hz: input.rate_hz() / window.len() as f64,
            density: vec![0.0; periodogram.bins()],
            groups: groups.into_iter().map(|g| g.start..g.end.min(periodogram.bins())).collect(),
            bands: self.bands_hz.clone(),
            queue: Vec::with_capacity(queue),
            powers: Vec::with_capacity(queue * rows),
            lost: 0,
            window,
            periodogram,
            names,
        }))
    }
}

struct State {
    window: Range<usize>,
    periodogram: Periodogram,
    resolution_hz: f64,
    names: Vec<String>,
    bands: Bands,
    /// Bins of each band.
    groups: Vec<Range<usize>>,
    /// One channel's density, refilled.
    density: Vec<f64>,
    /// Condition, trial and onset; never grows beyond its capacity.
    queue: Vec<(u16, u64, f64)>,
    /// Of each trial in the queue, channel by channel, band by band.
    powers: Vec<f64>,
    /// Trials that found the queue full.
    lost: u64,
}

impl Marker for State {
    fn observe(&mut self, epoch: &Epoch) {
        if self.queue.len() == self.queue.capacity() {
            self.lost += 1;
            return;
        }
        self.queue.push((epoch.condition, epoch.trial, epoch.onset_s));
        let bridged = epoch.filled[self.window.clone()].contains(&true);
        for c in 0..self.names.len() {
            self.density.fill(0.0);
            let measured = !bridged
                && !epoch.bad[c]
                && self.periodogram.add(&epoch.channel(c)[self.window.clone()], &mut self.density);
            for bins in &self.groups {
                let power = self.density[bins.clone()].iter().sum::<f64>() * self.resolution_hz;
                self.powers.push(if measured { power } else { f64::NAN });
            }
        }
    }

    /// No rows, only the columns: rows leave through `drain`.
    fn report(&self, _: &Report<'_>) -> Vec<Table> {
        vec![Table::new(&STATE)]
    }

    fn drain(&mut self, out: &mut Vec<Table>) {
        if self.queue.is_empty() && self.lost == 0 {
            return;
        }
        let mut table = Table::new(&STATE);
        let mut powers = self.powers.drain(..);
        for (condition, trial, onset_s) in self.queue.drain(..) {
            for name in &self.names {
                for ((band, [low, high]), power) in self.bands.0.iter().zip(&mut powers) {
                    let cells: [Cell; 7] = [
                        trial.into(),
                        onset_s.into(),
                        name.clone().into(),
                        band.clone().into(),
                        (*low).into(),
                        (*high).into(),
                        power.into(),
                    ];
                    table.push(Some(condition), cells);
                }
            }
        }
        if self.lost > 0 {
            // nothing disappears: a row says how many did not fit
            let note: Cell = format!("{} trials lost: the queue was full", self.lost).into();
            let none = || Cell::Missing;
            table.push(None, [none(), none(), note, none(), none(), none(), none()]);
            self.lost = 0;
        }
        out.push(table);
    }

    fn reset(&mut self) {
        self.queue.clear();
        self.powers.clear();
        self.lost = 0;
    }

    fn memory_bytes(&self) -> u64 {
        let queue = self.queue.capacity() * size_of::<(u16, u64, f64)>();
        (queue + 8 * (self.powers.capacity() + self.density.len())) as u64 + self.periodogram.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, number};
    use super::*;
    use std::f64::consts::TAU;

    fn config(text: &str) -> StateConfig {
        toml::from_str(&format!("{text}\n[bands_hz]\ntheta = [4, 8]\nalpha = [8, 13]\nbeta = [13, 30]")).unwrap()
    }

    fn kit() -> Kit {
        Kit::new(&["Cz", "Pz"], 250.0, [-1200.0, 0.0])
    }

    fn noise(seed: u32, n: usize) -> Vec<f64> {
        let mut s = seed;
        let next = |_| {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(s) / 4_294_967_296.0 - 0.5
        };
        (0..n).map(next).collect()
    }

    /// tests/reference/state.py
    fn feed(kit: &mut Kit, marker: &mut dyn Marker, trial: u64) {
        let x = [1, 2].map(|c| noise(100 * trial as u32 + c, kit.info.len));
        kit.feed(marker, trial, 0, |c, i, ms| {
            20.0 * x[c][i] + 5.0 * c as f64 + 3.0 * (trial + 1) as f64 * (TAU * 10.3 * ms / 1e3).sin()
        });
    }

    #[test]
    fn powers_are_scipy_s() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/state.json");
        let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let want: Vec<f64> = golden["power_uv2"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let mut kit = kit();
        let mut marker = kit.build(&config(""));
        (0..3).for_each(|trial| feed(&mut kit, &mut *marker, trial));
        let mut out = Vec::new();
        marker.drain(&mut out);
        marker.drain(&mut out);
        assert_eq!((out.len(), out[0].len(), want.len()), (1, 18, 18));
        for (row, want) in want.iter().enumerate() {
            let power = number(&out[0], row, "power_uv2");
            assert!((power - want).abs() <= 1e-10 * want, "row {row}: {power} {want}");
        }
        let last = ["channel", "band"].map(|column| out[0].text(17, column).unwrap());
        assert_eq!(last, ["Pz", "beta"]);
        let last = ["trial", "onset_s", "low_hz", "high_hz"].map(|column| number(&out[0], 17, column));
        assert_eq!(last, [2.0, 8.0, 13.0, 30.0]);
        assert!(kit.report(&*marker)[0].is_empty(), "rows leave once");
    }

    #[test]
    fn what_was_not_measured_is_empty_and_what_is_lost_is_told() {
        let mut kit = kit();
        let mut marker = kit.build(&config("queue = 2"));
        kit.bad[0] = true;
        kit.feed(&mut *marker, 0, 0, |_, i, _| if i == 60 { f64::NAN } else { 1.0 });
        kit.bad[0] = false;
        kit.feed(&mut *marker, 1, 0, |c, i, ms| if (c, i) == (1, 60) { f64::NAN } else { ms.sin() });
        feed(&mut kit, &mut *marker, 2);
        let mut out = Vec::new();
        marker.drain(&mut out);
        let filled: Vec<bool> = (0..12).map(|row| out[0].number(row, "power_uv2").is_some()).collect();
        assert_eq!(filled, [[false; 6], [true, true, true, false, false, false]].concat());
        assert_eq!((out[0].len(), out[0].text(12, "channel")), (13, Some("1 trials lost: the queue was full")));
        // a pulse that was bridged within the window
        kit.bridge([-500.0, -490.0]);
        feed(&mut kit, &mut *marker, 3);
        marker.drain(&mut out);
        assert!((0..6).all(|row| out[1].number(row, "power_uv2").is_none()));
        feed(&mut kit, &mut *marker, 4);
        marker.reset();
        marker.drain(&mut out);
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn every_problem_is_told() {
        let text = "queue = 0\nwindow_ms = [-1000, -12]\n[bands_hz]\nfine = [8.1, 8.4]\nbeta = [30, 13]";
        assert_eq!(
            kit().problems(&toml::from_str::<StateConfig>(text).unwrap()),
            [
                "bands_hz.fine: 8.1…8.4 Hz holds none of the bins, 1.0080645161290323 Hz apart",
                "bands_hz.beta: 30…13 Hz is no band: from a frequency to a higher one",
                "queue: 0 is not between 1 and 1000000 trials",
            ]
        );
        assert!(kit().problems(&config("window_ms = [-1300, -10]"))[0].contains("leaves the epoch"));
    }
}
