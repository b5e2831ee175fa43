//! The truth of a simulation as tables.

use super::tms::Tms;
use crate::signal::Recording;
use crate::table::{Cell, Column, Table, TableSpec};

/// Span of the true response, ms.
const SPAN_MS: [f64; 2] = [-200.0, 500.0];

/// The brain's response without noise, artefacts and filters.
pub static TRUTH_TEP: TableSpec = TableSpec {
    name: "truth_tep",
    about: "The simulated evoked response at gain 1, one row per time, average reference over all channels",
    series: true,
    columns: &[Column::new("time_ms", "ms", "Time after the pulse")],
};

/// Pulses and markers.
pub static TRUTH_EVENTS: TableSpec = TableSpec {
    name: "truth_events",
    about: "Simulated pulses and markers, one row each",
    series: true,
    columns: &[
        Column::new("sample", "", "0-based sample of the pulse, or of a marker without one"),
        Column::new("onset_s", "s", "Its time from the start of the recording"),
        Column::new("pulse", "", "1 where there was a pulse"),
        Column::new("marker_sample", "", "0-based sample of the marker; empty where it is missing"),
        Column::new("gain", "", "Gain of the brain's response in this trial; 0 under sham"),
    ],
};

/// Components of the response.
pub static TRUTH_COMPONENTS: TableSpec = TableSpec {
    name: "truth_components",
    about: "Simulated components, one row each, with their size at every channel",
    series: true,
    columns: &[
        Column::new("component", "", "Name of the component"),
        Column::new("latency_ms", "ms", "When it peaks"),
        Column::new("width_ms", "ms", "Standard deviation of its Gaussian course"),
        Column::new("amplitude_uv", "uV", "Its peak at the channel where it is largest"),
        Column::new("peak_channel", "", "That channel"),
        Column::new("source_x", "", "Place of its dipole in units of the head's radius, to the right"),
        Column::new("source_y", "", "The same, towards the nasion"),
        Column::new("source_z", "", "The same, upwards"),
    ],
};

impl Tms {
    pub(super) fn truth_tables(&self, recording: &Recording) -> Vec<Table> {
        let names: Vec<&str> = recording.main_stream().channels.iter().map(|c| c.name.as_str()).collect();
        vec![self.true_tep(&names), self.true_events(), self.true_components(&names)]
    }

    fn true_tep(&self, names: &[&str]) -> Table {
        let mut table = Table::with_columns(&TRUTH_TEP, channel_columns(names, "Response"));
        let rate_hz = self.config.truth_rate_hz;
        let Some((first, last)) = crate::unit::window_offsets(SPAN_MS, rate_hz) else { return table };
        for sample in first..=last {
            let time_ms = sample as f64 * 1e3 / rate_hz;
            let values = self.evoked_uv(time_ms);
            table.push(None, std::iter::once(Cell::Number(time_ms)).chain(values.into_iter().map(Cell::Number)));
        }
        table
    }

    fn true_events(&self) -> Table {
        let rate_hz = self.config.rate_hz;
        let mut rows: Vec<(i64, [Cell; 5])> = Vec::new();
        for p in &self.pulses {
            let onset = p.tick as f64 / rate_hz;
            rows.push((p.tick, [p.tick.into(), onset.into(), true.into(), p.marker.into(), p.gain.into()]));
        }
        for &tick in &self.extra {
            let onset = tick as f64 / rate_hz;
            rows.push((tick, [tick.into(), onset.into(), false.into(), tick.into(), Cell::Missing]));
        }
        rows.sort_by_key(|(tick, _)| *tick);
        let mut table = Table::new(&TRUTH_EVENTS);
        rows.into_iter().for_each(|(_, cells)| table.push(None, cells));
        table
    }

    fn true_components(&self, names: &[&str]) -> Table {
        let mut table = Table::with_columns(&TRUTH_COMPONENTS, channel_columns(names, "Size at its peak"));
        for truth in &self.components {
            let c = &truth.component;
            let source = crate::signal::montage::position_of(&c.under).map(|p| p.map(|v| v * c.depth));
            let mut cells: Vec<Cell> = vec![c.name.clone().into(), c.latency_ms.into(), c.width_ms.into()];
            cells.extend([c.amplitude_uv.into(), names[truth.peak].to_owned().into()]);
            cells.extend((0..3).map(|axis| Cell::from(source.map(|p| p[axis]))));
            cells.extend(truth.map_uv.iter().map(|&v| Cell::Number(v)));
            table.push(None, cells);
        }
        table
    }
}

fn channel_columns(names: &[&str], about: &str) -> Vec<Column> {
    names.iter().map(|&name| Column::dynamic(name, "uV", format!("{about} at {name}"))).collect()
}
