//! The tables of `waveform`: what each column means.

use crate::table::{Cell, Column, TableSpec};

/// A row per episode of stimulation and channel.
pub static WAVEFORM: TableSpec = TableSpec {
    name: "waveform",
    about: "A row per episode of stimulation and channel: what the waveform was",
    series: false,
    columns: &[
        Column::new(
            "segment",
            "",
            "Number of the episode in its channel, from 0; a gap in the recording or in the stimulation ends one",
        ),
        Column::new(
            "start_s",
            "s",
            "Start from the beginning of the recording: where the ramp leaves zero, else the first sample above 5 %",
        ),
        Column::new("end_s", "s", "End: where the ramp comes to zero, else behind the last sample above 5 %"),
        Column::new("channel", "", "Name as in the file"),
        Column::new("unit", "", "Unit of amplitude, rms, dc: fs are shares of full scale"),
        Column::new("frequency_hz", "Hz", "Fundamental by harmonic least squares over the plateau"),
        Column::new(
            "frequency_sd_hz",
            "Hz",
            "Its standard deviation under white noise of the residual's size (Cramér–Rao)",
        ),
        Column::new(
            "offset_ppm",
            "ppm",
            "Distance from the frequency that --expect or --frequency tells; empty where none was told",
        ),
        Column::new("amplitude", "", "Peak amplitude of the fundamental, in `unit`"),
        Column::new("rms", "", "Root mean square over the plateau, in `unit`"),
        Column::new("crest_factor", "", "Largest absolute value over rms"),
        Column::new("dc", "", "Constant part, in `unit`"),
        Column::new("thd", "", "Harmonics 2 to 10 (below 0.45 of the rate) over the fundamental, amplitudes"),
        Column::new("thd_n", "", "Everything but constant and fundamental over the fundamental, RMS"),
        Column::new(
            "phase_deg",
            "deg",
            "Phase of the fundamental against the first channel's; 0 for the first channel",
        ),
        Column::new("phase_jitter_deg", "deg", "SD of the phase of blocks of about 1 s about a straight line"),
        Column::new(
            "ramp_up_s",
            "s",
            "Time from zero to the plateau along the line through 10 to 90 %; 0 where it is shorter than can be seen",
        ),
        Column::new("plateau_s", "s", "Time between the ramps"),
        Column::new("ramp_down_s", "s", "Time from the plateau to zero"),
        Column::new("ripple", "", "(max − min) / (max + min) of the amplitude of blocks of about 1 s"),
        Column::new(
            "clipped_fraction",
            "",
            "Share of the plateau's samples in flat tops: runs at the extreme that are longer than rounding explains",
        ),
        Column::new(
            "verdict",
            "",
            "ok; deviates: an expectation was missed; doubtful: one could not be compared, or see reason",
        ),
        Column::new(
            "reason",
            "",
            "no_carrier, clipped, dropouts, phase_jumps, unsteady: the amplitude of blocks of about 1 s changes by more than 5 % of its mean, or the recording begins or ends within a ramp; short, those of the kind's own table, and the expectations that were missed or not_comparable",
        ),
        Column::new("peak", "", "Largest absolute value, in `unit`"),
        Column::new("charge_balance", "", "(Q+ − Q−) / (Q+ + Q−) over the plateau's whole cycles: 0 is balanced"),
        Column::new("net_charge", "", "Integral over the plateau's whole cycles, in `unit` times seconds (mA: mC)"),
        Column::new(
            "phase_drift_deg",
            "deg",
            "Largest distance of a block's phase from a straight line: a clock that changes",
        ),
        Column::new("ramp_up_r2", "", "How straight the ramp is: R² of its envelope between 10 and 90 %"),
        Column::new("ramp_down_r2", "", "The same of the ramp down"),
        Column::new(
            "dropouts",
            "",
            "Times at which the envelope fell below half the plateau and came back within the episode",
        ),
        Column::new(
            "phase_jumps",
            "",
            "Steps of the phase by more than 20 degrees from one stretch of the envelope to the next",
        ),
        Column::new(
            "kind",
            "",
            "sine; am, ti: also in `envelope`; noise: also in `noise`; dc: also in `level`; empty where nothing was found",
        ),
    ],
};

/// A row per expectation, episode and channel.
pub static EXPECTATIONS: TableSpec = TableSpec {
    name: "expectations",
    about: "A row per line of the protocol, episode and channel: expected and measured",
    series: false,
    columns: &[
        Column::new("channel", "", "Name as in the file"),
        Column::new("expected", "", "What --expect tells, in `unit`"),
        Column::new("measured", "", "What was measured, in `unit`"),
        Column::new("tolerance", "", "Largest difference that is let pass, in `unit`"),
        Column::new(
            "verdict",
            "",
            "met, missed (also where no stimulation was found), or not_comparable (no full scale was told, or this was not measured)",
        ),
        Column::new("segment", "", "Number of the episode"),
        Column::new(
            "item",
            "",
            "frequency, amplitude, peak, rms, band_low, band_high, envelope, depth, beat, level, ramp_up, ramp_down, duration",
        ),
        Column::new("unit", "", "Unit of the three numbers"),
    ],
};

/// A row per modulated carrier, or pair of carriers that beat.
pub static ENVELOPE: TableSpec = TableSpec {
    name: "envelope",
    about: "A row per amplitude-modulated carrier (am) or pair of carriers that beat (ti), by least squares over the plateau",
    series: false,
    columns: &[
        Column::new("segment", "", "Number of the episode, as in `waveform`"),
        Column::new("start_s", "s", "Start of the episode"),
        Column::new("end_s", "s", "End of the episode"),
        Column::new("channel", "", "Name as in the file"),
        Column::new("channel_b", "", "The channel of the second carrier; empty where both are in one"),
        Column::new("kind", "", "am: a carrier with sidebands; ti: two carriers"),
        Column::new("unit", "", "Unit of amplitudes and modulation"),
        Column::new("carrier_hz", "Hz", "The carrier (am), the lower of two (ti)"),
        Column::new("carrier_sd_hz", "Hz", "Its standard deviation under white noise of the residual's size"),
        Column::new("envelope_hz", "Hz", "Frequency of the envelope: of the modulation (am), the beat f2 − f1 (ti)"),
        Column::new("envelope_sd_hz", "Hz", "Its standard deviation"),
        Column::new("carrier_amplitude", "", "Peak amplitude of the carrier, in `unit`"),
        Column::new("carrier_b_amplitude", "", "Peak amplitude of the second carrier, in `unit`; empty for am"),
        Column::new("envelope_max", "", "Largest envelope, in `unit`; of the sum of both channels where there are two"),
        Column::new("envelope_min", "", "Smallest envelope, in `unit`"),
        Column::new("modulation", "", "Largest less smallest envelope, in `unit`; two carriers: 2 min(|E1|, |E2|)"),
        Column::new("depth", "", "(max − min) / (max + min) of the envelope"),
        Column::new(
            "envelope_thd",
            "",
            "Harmonics 2 to 10 of the envelope over its fundamental; empty for ti, whose envelope is no sine",
        ),
        Column::new(
            "intermodulation_db",
            "dB",
            "Power at the envelope's own frequency over that of the carriers and sidebands: what a nonlinear output adds; the larger of two channels",
        ),
        Column::new("intermodulation_floor_db", "dB", "What noise of the residual's size alone would show there"),
        Column::new("third_order_db", "dB", "The larger of 2 f1 − f2 and 2 f2 − f1 over both carriers; empty for am"),
        Column::new(
            "crosstalk_db",
            "dB",
            "The larger share of the other channel's carrier, over its own; empty in one channel",
        ),
        Column::new("verdict", "", "ok, or doubtful: see reason"),
        Column::new(
            "reason",
            "",
            "intermodulation: above −60 dB; noise_hides_intermodulation: the floor is above it; no_envelope: none was found; short",
        ),
    ],
};

/// A row per episode of noise.
pub static NOISE: TableSpec = TableSpec {
    name: "noise",
    about: "A row per episode of noise stimulation (tRNS): size, band, distribution and stationarity over the plateau",
    series: false,
    columns: &[
        Column::new("segment", "", "Number of the episode, as in `waveform`"),
        Column::new("start_s", "s", "Start of the episode"),
        Column::new("end_s", "s", "End of the episode"),
        Column::new("channel", "", "Name as in the file"),
        Column::new("unit", "", "Unit of rms and peak_to_peak"),
        Column::new("rms", "", "Root mean square about the mean, in `unit`"),
        Column::new("peak_to_peak", "", "Largest less smallest sample, in `unit`"),
        Column::new(
            "low_hz",
            "Hz",
            "Where the spectrum falls to half its level in the band: lower edge; 0 where it does not",
        ),
        Column::new("high_hz", "Hz", "Upper edge; the Nyquist frequency where it does not fall"),
        Column::new("in_band", "", "Share of the power within the band"),
        Column::new(
            "flatness",
            "",
            "Geometric over arithmetic mean of the spectrum in the band, without the bias of its estimation: 1 is flat",
        ),
        Column::new("skewness", "", "Third standardised moment: 0 for a normal distribution"),
        Column::new(
            "excess_kurtosis",
            "",
            "Fourth standardised moment less 3: 0 for a normal distribution, −1.2 for an even one",
        ),
        Column::new("skewness_z", "", "Skewness over its standard deviation in normal noise of this autocorrelation"),
        Column::new("kurtosis_z", "", "The same of the kurtosis: beyond ±4 the noise is not normal"),
        Column::new("clipped_fraction", "", "Share of samples at the extremes, where these are too many for a tail"),
        Column::new("autocorrelation", "", "Autocorrelation at a lag of one sample"),
        Column::new(
            "repeat",
            "",
            "Largest autocorrelation beyond 50 ms: near 1 where a short piece is played again and again",
        ),
        Column::new("repeat_s", "s", "Its lag; lags up to a quarter of the spectrum's window (2 s) are seen"),
        Column::new(
            "stationarity",
            "",
            "Variance of the power of blocks of 1 s over what stationary normal noise of this spectrum has: 1 is stationary",
        ),
        Column::new("verdict", "", "ok, or doubtful: see reason"),
        Column::new(
            "reason",
            "",
            "clipped, dropouts, unsteady (the recording begins or ends within a ramp), short, repeats (repeat above 0.5), not_stationary",
        ),
    ],
};

/// A row per episode of direct current.
pub static LEVEL: TableSpec = TableSpec {
    name: "level",
    about: "A row per episode of direct current (tDCS): level, drift, ripple and charge",
    series: false,
    columns: &[
        Column::new("segment", "", "Number of the episode, as in `waveform`"),
        Column::new("start_s", "s", "Start of the episode"),
        Column::new("end_s", "s", "End of the episode"),
        Column::new("channel", "", "Name as in the file"),
        Column::new("unit", "", "Unit of level and ripple"),
        Column::new("level", "", "Mean over the plateau with its sign, in `unit`"),
        Column::new("drift_per_min", "", "Slope of a line through the plateau, in `unit` per minute"),
        Column::new("ripple_rms", "", "Root mean square about that line, in `unit`"),
        Column::new("ripple_peak_to_peak", "", "Largest less smallest sample of the plateau, in `unit`"),
        Column::new("charge", "", "Integral over the whole episode with its ramps, in `unit` times seconds (mA: mC)"),
        Column::new("verdict", "", "ok, or doubtful: see reason"),
        Column::new(
            "reason",
            "",
            "dropouts, reversals (the sign changed), unsteady as in `waveform`, ripple (RMS above 5 % of the level), short",
        ),
    ],
};

/// A row per train of bursts.
pub static BURSTS: TableSpec = TableSpec {
    name: "bursts",
    about: "A row per channel whose stimulation goes on and off: the train of its bursts",
    series: false,
    columns: &[
        Column::new("segment", "", "Number of the first episode of the train, as in `waveform`"),
        Column::new("start_s", "s", "Start of the first burst"),
        Column::new("end_s", "s", "End of the last"),
        Column::new("channel", "", "Name as in the file"),
        Column::new("bursts", "", "Number of bursts"),
        Column::new("on_s", "s", "Median length of a burst"),
        Column::new("on_sd_s", "s", "Standard deviation of the lengths"),
        Column::new("period_s", "s", "Median time from start to start"),
        Column::new("period_sd_s", "s", "Its standard deviation"),
        Column::new("duty", "", "Time on over whole time from the first start to the last, and a period"),
        Column::new("regular", "", "1 where no period is more than 5 % (or a cell of the envelope) from the median"),
    ],
};

/// All tables, in the order of the report.
pub static TABLES: [&TableSpec; 6] = [&WAVEFORM, &EXPECTATIONS, &ENVELOPE, &NOISE, &LEVEL, &BURSTS];

/// A row of `waveform` from cells by name; the others are empty.
pub(super) fn row(cells: Vec<(&str, Cell)>) -> Vec<Cell> {
    let mut row = vec![Cell::Missing; WAVEFORM.columns.len()];
    for (name, cell) in cells {
        if let Some(at) = WAVEFORM.columns.iter().position(|c| c.name == name) {
            row[at] = cell;
        }
    }
    row
}
