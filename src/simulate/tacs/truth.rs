//! The truth of a tACS recording as tables.

use super::Tacs;
use crate::signal::Recording;
use crate::table::{Cell, Column, Table, TableSpec};

/// When and how the current flowed.
pub static TRUTH_STIMULATION: TableSpec = TableSpec {
    name: "truth_stimulation",
    about: "Simulated stimulation, one row per stretch in which the current flows",
    series: true,
    columns: &[
        Column::new("segment", "", "Number of the stretch, from 1"),
        Column::new("start_s", "s", "When its first ramp begins"),
        Column::new("end_s", "s", "When its last ramp has ended"),
        Column::new("ramp_s", "s", "Length of each ramp"),
        Column::new("frequency_hz", "Hz", "True frequency on the recording's clock, mean over the stretch"),
        Column::new("ppm", "ppm", "How far that is from the nominal frequency"),
        Column::new("drift_ppm", "ppm", "Linear drift of the frequency from the first start to the last end"),
        Column::new("phase_deg", "deg", "Phase of the current's sine at the start, 0 to 360"),
        Column::new("current_ma", "mA", "Peak of the current's fundamental"),
        Column::new("thd_percent", "%", "Root of the harmonics' summed power over the fundamental"),
        Column::new("amplitude_mv", "mV", "Artefact's fundamental where it is largest, in the middle of the stretch"),
        Column::new("peak_channel", "", "That channel"),
        Column::new("drift_percent", "%", "Linear drift of the amplitude from the first start to the last end"),
        Column::new("am_percent", "%", "Largest amplitude modulation: breathing and heart together"),
        Column::new("breathing_percent", "%", "Amplitude modulation by breathing"),
        Column::new("breathing_hz", "Hz", "Its frequency"),
        Column::new("heart_percent", "%", "Amplitude modulation by the heart"),
        Column::new("heart_hz", "Hz", "Its frequency"),
    ],
};

/// What the current leaves at every channel.
pub static TRUTH_FIELD: TableSpec = TableSpec {
    name: "truth_field",
    about: "The simulated artefact's topography, one row per channel",
    series: true,
    columns: &[
        Column::new("channel", "", "Name of the channel"),
        Column::new("amplitude_mv", "mV", "Artefact's fundamental with its sign, before drift and modulation"),
        Column::new("limit_uv", "uV", "The amplifier clips at plus and minus this; empty: never"),
    ],
};

impl Tacs {
    /// `truth_stimulation`, `truth_field`, and the brain's.
    pub(super) fn truth_tables(&self, recording: &Recording) -> Vec<Table> {
        let names: Vec<&str> = recording.main_stream().channels.iter().map(|c| c.name.as_str()).collect();
        let mut tables = vec![self.true_stimulation(&names), self.true_field(&names)];
        tables.extend(self.rest.truth_tables(recording));
        tables
    }

    fn true_stimulation(&self, names: &[&str]) -> Table {
        let mut table = Table::new(&TRUTH_STIMULATION);
        let (config, current) = (&self.config, &self.current);
        let thd = config.harmonics.iter().map(|h| h * h).sum::<f64>().sqrt();
        for (number, &stretch) in (1_i64..).zip(&current.stretches) {
            let seconds = |tick: i64| tick as f64 / config.brain.rate_hz;
            let ppm = current.ppm(stretch);
            let middle = current.drift((stretch.first + stretch.end) / 2);
            let mut cells: Vec<Cell> = vec![number.into(), seconds(stretch.first).into(), seconds(stretch.end).into()];
            cells.extend([config.ramp_s.into(), (config.freq_hz * (1.0 + 1e-6 * ppm)).into(), ppm.into()]);
            cells.extend([config.drift_ppm, 360.0 * current.cycles(stretch.first).fract()].map(Cell::Number));
            cells.extend([config.current_ma, 100.0 * thd, config.artefact_mv * middle].map(Cell::Number));
            cells.push(names[self.peak].to_owned().into());
            cells.extend([config.drift_percent, config.breathing_percent + config.heart_percent].map(Cell::Number));
            cells.extend([config.breathing_percent, config.breathing_hz].map(Cell::Number));
            cells.extend([config.heart_percent, config.heart_hz].map(Cell::Number));
            table.push(None, cells);
        }
        table
    }

    fn true_field(&self, names: &[&str]) -> Table {
        let mut table = Table::new(&TRUTH_FIELD);
        for ((name, size), limit) in names.iter().zip(&self.field).zip(&self.amplifier.limits) {
            // infinite: an empty cell
            table.push(None, [Cell::from((*name).to_owned()), (1e-3 * size).into(), (*limit).into()]);
        }
        table
    }
}
