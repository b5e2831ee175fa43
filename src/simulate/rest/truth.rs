//! The truth of a resting recording as tables.

use super::{CLOSED, OPEN, Rest};
use crate::signal::Recording;
use crate::table::{Cell, Column, Table, TableSpec};

/// What each channel's spectrum is made of.
pub static TRUTH_SPECTRUM: TableSpec = TableSpec {
    name: "truth_spectrum",
    about: "What spectra are made of, one row per channel and state of the eyes; flat channels are empty",
    series: true,
    columns: &[
        Column::new("channel", "", "Name of the channel"),
        Column::new("exponent", "", "Exponent of its 1/f activity: power falls as f^-exponent from 0.1 Hz up"),
        Column::new("alpha_hz", "Hz", "Frequency of the alpha rhythm"),
        Column::new("alpha_uv", "uV", "Root mean square of the alpha rhythm here"),
        Column::new("alpha_width_hz", "Hz", "Width of its Lorentzian peak at half power"),
        Column::new("background_uv", "uV", "Root mean square of the 1/f activity here"),
        Column::new("white_uv", "uV", "Root mean square of white noise here"),
        Column::new("coupled_uv", "uV", "Root mean square of the coupled pair here"),
        Column::new("beta_uv", "uV", "Root mean square of the independent beta sources here"),
    ],
};

/// Who leads whom.
pub static TRUTH_COUPLING: TableSpec = TableSpec {
    name: "truth_coupling",
    about: "Simulated pairs of sources, one row each: the coupled one and the independent one",
    series: true,
    columns: &[
        Column::new("channel_a", "", "Channel where the first source is largest"),
        Column::new("channel_b", "", "Channel where the second source is largest"),
        Column::new("band_low_hz", "Hz", "Lower end of their band"),
        Column::new("band_high_hz", "Hz", "Upper end of their band"),
        Column::new("coherency", "", "Size of the sources' coherency at every frequency; 0 where they are independent"),
        Column::new("lag_ms", "ms", "How much later the second does what the first did"),
        Column::new(
            "phase_deg",
            "deg",
            "Phase of the first ahead of the second in the middle of the band, -180 to 180",
        ),
        Column::new("leads", "", "The channel that leads; empty where none does"),
    ],
};

impl Rest {
    /// `truth_spectrum` and `truth_coupling`.
    pub(in crate::simulate) fn truth_tables(&self, recording: &Recording) -> Vec<Table> {
        let names: Vec<String> =
            recording.main_stream().channels[..self.config.channels].iter().map(|c| c.name.clone()).collect();
        vec![self.true_spectrum(&names), self.true_coupling(&names)]
    }

    fn true_spectrum(&self, names: &[String]) -> Table {
        let mut table = Table::new(&TRUTH_SPECTRUM);
        let (config, rhythms) = (&self.config, &self.rhythms);
        let states: &[(Option<u16>, f64)] = match rhythms.eyes.block {
            0 => &[(None, 1.0)],
            _ => &[(Some(CLOSED), 1.0), (Some(OPEN), rhythms.eyes.open_gain)],
        };
        for &(state, gain) in states {
            for (c, name) in names.iter().enumerate() {
                let mut cells = vec![Cell::from(name.clone())];
                if self.amplifier.flat.contains(&c) {
                    cells.resize(TRUTH_SPECTRUM.columns.len(), Cell::Missing);
                } else {
                    let alpha_uv = gain * rhythms.topographies[0].map_uv[c].abs();
                    let white_uv = config.sensor_uv.hypot(self.amplifier.contact_noise_uv(c));
                    let values = [config.background_exponent, config.alpha_hz, alpha_uv, config.alpha_width_hz];
                    let others = [self.background.pink_uv(c), white_uv, rhythms.pair_uv(c), rhythms.beta_uv(c)];
                    cells.extend(values.into_iter().chain(others).map(Cell::Number));
                }
                table.push(state, cells);
            }
        }
        table
    }

    fn true_coupling(&self, names: &[String]) -> Table {
        let mut table = Table::new(&TRUTH_COUPLING);
        let (config, rhythms) = (&self.config, &self.rhythms);
        let channel = |source: usize| names[rhythms.topographies[source].peak].clone();
        let band = config.pair_band_hz;
        if config.pair_uv > 0.0 {
            let lag_s = rhythms.lag as f64 / config.rate_hz;
            let cycles = 0.5 * (band[0] + band[1]) * lag_s;
            let leads = (rhythms.lag > 0 && config.pair_coherency > 0.0).then(|| channel(1));
            let mut cells: Vec<Cell> = vec![channel(1).into(), channel(2).into(), band[0].into(), band[1].into()];
            cells.extend([config.pair_coherency.into(), (1e3 * lag_s).into()]);
            cells.extend([Cell::Number(360.0 * (cycles - cycles.round())), leads.into()]);
            table.push(None, cells);
        }
        let band = config.beta_band_hz;
        if config.beta_uv > 0.0 {
            let mut cells: Vec<Cell> = vec![channel(3).into(), channel(4).into(), band[0].into(), band[1].into()];
            cells.extend([Cell::Number(0.0), Cell::Missing, Cell::Missing, Cell::Missing]);
            table.push(None, cells);
        }
        table
    }
}
