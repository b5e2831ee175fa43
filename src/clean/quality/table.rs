//! The table `tacs`.

use super::judge::Judged;
use crate::table::{Cell, Column, TableSpec};

/// The tables of a cleaning method.
pub static TABLES: [&TableSpec; 1] = [&TACS];

/// One row per episode of stimulation and channel.
pub static TACS: TableSpec = TableSpec {
    name: "tacs",
    about: "What cleaning left of the stimulation's artefact, by episode and channel, with a verdict",
    series: false,
    columns: &[
        Column::new("segment", "", "Number of the episode of stimulation, from 0"),
        Column::new("start_s", "s", "Where the episode begins, ramp included; gaps count"),
        Column::new("end_s", "s", "Where it ends"),
        Column::new("channel", "", "Channel"),
        Column::new("method", "", "What cleaned it"),
        Column::new("frequency_hz", "Hz", "Frequency of the stimulation as it was found"),
        Column::new("offset_ppm", "ppm", "How far that is from the nominal frequency; empty where none was told"),
        Column::new("artefact_uv", "uV", "Amplitude (zero to peak) of the fundamental before cleaning, plateau"),
        Column::new(
            "attenuation_db",
            "dB",
            "Power at the fundamental and harmonics before cleaning over after; the brain's own power bounds it",
        ),
        Column::new(
            "residual_db",
            "dB",
            "Largest change of power at the fundamental or a harmonic, against data without stimulation",
        ),
        Column::new(
            "sideband_db",
            "dB",
            "Largest change beside the fundamental: 0.15-0.4 Hz (breathing; both sides, above, below) or 0.8-2 Hz (heart)",
        ),
        Column::new(
            "impropriety_db",
            "dB",
            "Power of the sidebands along the carrier over power across it: above 0 amplitude modulation, below 0 phase modulation",
        ),
        Column::new(
            "clipped_fraction",
            "",
            "Fraction of raw samples at the limits of the file's numbers, in flat tops or in runs of equal samples over 10 ms",
        ),
        Column::new(
            "detection_floor_uv",
            "uV",
            "Smallest amplitude of a residue at the fundamental that would have been seen half of the time; at least half a step of integer numbers",
        ),
        Column::new(
            "verdict",
            "",
            "Of the plateau, ramps are not judged. no_residue_found: no change above 1 dB that chance (1 %, all tests of the row) does not \
             explain, no clipping; unusable: clipped, flat, refused; else doubtful",
        ),
        Column::new("reason", "", "Why not better; empty where no residue was found"),
        Column::new("score", "", "-log10 of p"),
        Column::new(
            "p",
            "",
            "How often chance gives as strong a residue: the smallest of all tests of the row, corrected for their number",
        ),
        Column::new("breathing_db", "dB", "Change of power at 0.15-0.4 Hz on both sides of the fundamental"),
        Column::new("heart_db", "dB", "Change of power at 0.8-2 Hz on both sides of the fundamental"),
        Column::new(
            "brain_loss_db",
            "dB",
            "Largest loss of power at the fundamental or beside it: what the method also took from the brain, and chance",
        ),
        Column::new("notch_hz", "Hz", "Width of what the method removes around each harmonic, where it is known"),
        Column::new("longest_run_ms", "ms", "Longest run of clipped samples"),
        Column::new("quantisation_uv", "uV", "Step of the file's integer numbers; empty where samples lie on no grid"),
        Column::new("window_s", "s", "Length of the windows"),
        Column::new("n_windows", "", "Windows during stimulation, overlapping by half"),
        Column::new("n_windows_free", "", "Windows without stimulation"),
        Column::new(
            "compared_with",
            "",
            "Where the windows without stimulation are from: recording, given, or empty for none",
        ),
        Column::new(
            "other_db",
            "dB",
            "Largest change beside the fundamental at 0.4-0.8, 2-4 or 4-8 Hz, both sides: other modulations; above 3 dB and chance: band_change",
        ),
    ],
};

/// What a row says besides the judgement.
pub(super) struct Row<'a> {
    pub episode: usize,
    pub start_s: f64,
    pub end_s: f64,
    pub channel: &'a str,
    pub method: &'static str,
    pub frequency_hz: f64,
    pub offset_ppm: Option<f64>,
    pub notch_hz: Option<f64>,
    pub window_s: f64,
    pub windows: u32,
    pub free: u32,
    pub compared_with: &'static str,
}

impl Row<'_> {
    pub fn cells(self, judged: Judged) -> [Cell; 29] {
        [
            self.episode.into(),
            self.start_s.into(),
            self.end_s.into(),
            self.channel.to_owned().into(),
            self.method.into(),
            self.frequency_hz.into(),
            self.offset_ppm.into(),
            judged.artefact_uv.into(),
            judged.attenuation_db.into(),
            judged.residual_db.into(),
            judged.sideband_db.into(),
            judged.impropriety_db.into(),
            judged.clipped_fraction.into(),
            judged.floor_uv.into(),
            judged.verdict.into(),
            judged.reason.into(),
            judged.score.into(),
            judged.p.into(),
            judged.breathing_db.into(),
            judged.heart_db.into(),
            judged.loss_db.into(),
            self.notch_hz.into(),
            judged.run_ms.into(),
            judged.step_uv.into(),
            self.window_s.into(),
            self.windows.into(),
            self.free.into(),
            self.compared_with.into(),
            judged.other_db.into(),
        ]
    }
}
