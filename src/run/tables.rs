//! The tables that the engine itself writes: `trials` and `channels`. Nothing disappears: every event that was asked for
//! and every channel of the recording has its row.

use super::epochs::TrialRow;
use super::input::Input;
use crate::flow::{ConditionFacts, Model, Report};
use crate::signal::{Channel, Evoked};
use crate::table::{Cell, Column, Table, TableSpec};

/// A row per event that was asked for.
pub static TRIALS: TableSpec = TableSpec {
    name: "trials",
    about: "A row per event that was asked for: kept, or dropped with its reason",
    series: false,
    columns: &[
        Column::new("trial", "", "0-based number among the events asked for, dropped ones included"),
        Column::new("onset_s", "s", "Time of the event from the start of the recording, gaps counted"),
        Column::new(
            "sample",
            "",
            "0-based index of the stored sample that the event falls on; of an epoch that came as one, its first sample",
        ),
        Column::new("residual_us", "us", "Stated onset minus the time of the epoch's sample 0"),
        Column::new("kept", "", "1: in the averages; 0: dropped"),
        Column::new(
            "reason",
            "",
            "Why it was dropped: start, end, gap (the window leaves the segment), late, non_finite, matched (one more than other conditions have), or the limit that was passed",
        ),
        Column::new("worst_channel", "", "Channel that decided, else the one with the largest peak-to-peak"),
        Column::new(
            "max_ptp_uv",
            "uV",
            "Peak-to-peak that decided; where another reason or none did, the largest of an entering channel over all measured samples",
        ),
    ],
};

/// A row per channel of the recording.
pub static CHANNELS: TableSpec = TableSpec {
    name: "channels",
    about: "A row per channel of the recording and condition: used, bad, interpolated or excluded, and how clean it is",
    series: false,
    columns: &[
        Column::new("channel", "", "Name as in the file"),
        Column::new("kind", "", "eeg, eog, ecg, emg, stim, trigger, misc"),
        Column::new("unit", "", "Unit of the samples; empty where the file leaves the scale unknown"),
        Column::new(
            "status",
            "",
            "used, bad (left out of reference, rejection and GMFA), interpolated, or excluded (not analysed)",
        ),
        Column::new("reason", "", "Why it is bad; of a used channel what a marker remarked"),
        Column::new(
            "noise_uv",
            "uV",
            "Single-trial noise: RMS of the plus-minus average times the square root of the trials",
        ),
        Column::new("rejected_trials", "", "Trials that were dropped because of this channel"),
        Column::new(
            "gap_step_uv",
            "uV",
            "Size of the mean's step from the last sample before the bridged pulse to the first one behind it",
        ),
        Column::new("decay_15ms_uv", "uV", "Size of the mean at 15 ms: mostly decay and muscle, not brain"),
        Column::new("decay_30ms_uv", "uV", "Size of the mean at 30 ms"),
        Column::new("line_uv", "uV", "Amplitude of the line frequency in the mean, least squares over the baseline"),
    ],
};

/// Every table that any recipe can write, for `stimkit columns`.
pub fn all_tables() -> Vec<&'static TableSpec> {
    let own: Vec<&TableSpec> = vec![&TRIALS, &CHANNELS];
    [own, super::waveform::TABLES.to_vec(), crate::clean::all_tables(), crate::mark::all_tables()].concat()
}

/// The `trials` table, conditions in order, trials in order.
pub(super) fn trials(mut rows: Vec<TrialRow>, channels: &[Channel]) -> Table {
    rows.sort_by_key(|r| (r.condition, r.trial));
    let mut table = Table::new(&TRIALS);
    for row in rows {
        let worst = row.worst_channel.and_then(|c| channels.get(c as usize)).map(|c| c.name.clone());
        table.push(
            Some(row.condition),
            [
                row.trial.into(),
                row.onset_s.into(),
                row.sample.into(),
                row.residual_us.into(),
                row.reason.is_none().into(),
                row.reason.map(|r| r.code).into(),
                worst.into(),
                row.max_ptp_uv.into(),
            ],
        );
    }
    table
}

/// What only the engine knows of each condition.
pub(super) fn facts(conditions: usize, events: &[(u16, f64)], saturated_fraction: f64) -> Vec<ConditionFacts> {
    (0..conditions)
        .map(|condition| {
            let mut onsets: Vec<f64> =
                events.iter().filter(|(c, _)| usize::from(*c) == condition).map(|(_, onset)| *onset).collect();
            onsets.sort_by(f64::total_cmp);
            let mut intervals = super::events::intervals(&onsets);
            intervals.sort_by(f64::total_cmp);
            let n = intervals.len();
            ConditionFacts {
                n_events: onsets.len() as u64,
                interval_median_s: if n == 0 { f64::NAN } else { (intervals[(n - 1) / 2] + intervals[n / 2]) / 2.0 },
                interval_min_s: intervals.first().copied().unwrap_or(f64::NAN),
                saturated_fraction,
                warnings: Vec::new(),
            }
        })
        .collect()
}

/// The `channels` table: analysed and excluded channels in file order, for every condition.
pub(super) fn channels(
    report: &Report<'_>,
    input: &Input,
    rejected: &[Vec<u64>],
    models: &[Model],
    refused: &[(String, String)],
    interpolated: &[bool],
    notes: &[(usize, String)],
) -> Table {
    let mut table = Table::new(&CHANNELS);
    let judged = models.iter().find(|m| m.name == "bad-channels");
    let line_hz = input.line_hz;
    for (condition, rejected) in rejected.iter().enumerate() {
        let averages = &report.averages[condition];
        let (mean, halves) = (averages.mean(), [averages.half(0), averages.half(1)]);
        let mut rows: Vec<(usize, Vec<Cell>)> = Vec::new();
        for (c, channel) in report.input.channels.iter().enumerate() {
            let verdict = judged.and_then(|m| m.values.get("channels")?.get(c));
            let said = |key: &str| verdict.and_then(|v| v.get(key)).cloned();
            let status = match (report.bad[c], interpolated[c]) {
                (true, _) => "bad",
                (false, true) => "interpolated",
                (false, false) => "used",
            };
            let why = refused.iter().find(|(name, _)| report.bad[c] && *name == channel.name);
            let reason = match (why, said("reason")) {
                (Some((_, why)), _) => Cell::from(format!("refused: {why}")),
                (_, Some(serde_json::Value::String(text))) if !text.is_empty() => Cell::from(text),
                _ if !channel.calibrated => Cell::from("uncalibrated"),
                _ if report.bad[c] || interpolated[c] => Cell::from("named"),
                _ => noted(notes, c),
            };
            let measured = (mean.n > 0).then(|| measures(&mean, &halves, c, line_hz));
            let [noise, step, at_15, at_30, line] = measured.unwrap_or([f64::NAN; 5]);
            rows.push((
                // what a Stage has added comes behind the channels of the file
                input.file_index.get(c).copied().unwrap_or(usize::MAX),
                vec![
                    channel.name.clone().into(),
                    channel.kind.name().into(),
                    channel.unit.to_string().into(),
                    status.into(),
                    reason,
                    noise.into(),
                    rejected[c].into(),
                    step.into(),
                    at_15.into(),
                    at_30.into(),
                    line.into(),
                ],
            ));
        }
        for (at, channel) in &input.excluded {
            let mut row = vec![
                channel.name.clone().into(),
                channel.kind.name().into(),
                channel.unit.to_string().into(),
                "excluded".into(),
            ];
            row.resize(CHANNELS.columns.len(), Cell::Missing);
            rows.push((*at, row));
        }
        rows.sort_by_key(|(at, _)| *at);
        for (_, row) in rows {
            table.push(Some(condition as u16), row);
        }
    }
    table
}

/// What the markers remarked on a channel.
fn noted(notes: &[(usize, String)], channel: usize) -> Cell {
    let mut said: Vec<&str> = notes.iter().filter(|(c, _)| *c == channel).map(|(_, note)| note.as_str()).collect();
    said.dedup();
    if said.is_empty() { Cell::Missing } else { said.join("; ").into() }
}

/// Noise, step over the gap, size at 15 and 30 ms, line amplitude of one channel.
fn measures(mean: &Evoked, halves: &[Evoked; 2], channel: usize, line_hz: Option<f64>) -> [f64; 5] {
    let x = mean.channel(channel);
    let noise = if halves.iter().all(|h| h.n > 0) {
        let (a, b) = (halves[0].channel(channel), halves[1].channel(channel));
        let power: f64 = a.iter().zip(b).map(|(a, b)| ((a - b) / 2.0).powi(2)).sum::<f64>() / a.len() as f64;
        power.sqrt() * (mean.n as f64).sqrt()
    } else {
        f64::NAN
    };
    // the bridged stretch that holds or touches the event
    let zero = (-mean.first).clamp(0, mean.len as i64 - 1) as usize;
    let step = match (mean.filled[..=zero].iter().rposition(|f| !f), mean.filled[zero..].iter().position(|f| !f)) {
        (Some(before), Some(after)) if after > 0 => (x[zero + after] - x[before]).abs(),
        _ => f64::NAN,
    };
    let at = |ms: f64| mean.window([ms - 0.5, ms + 0.5]).map_or(f64::NAN, |w| x[w.start + w.len() / 2].abs());
    let line = line_hz.map_or(f64::NAN, |hz| sine_amplitude(mean, x, hz));
    [noise, step, at(15.0), at(30.0), line]
}

/// Amplitude of a sine of `hz` in the samples before the event that were measured, by projection on sine and cosine.
fn sine_amplitude(mean: &Evoked, x: &[f64], hz: f64) -> f64 {
    let end = (-mean.first).clamp(0, mean.len as i64) as usize;
    let end = mean.filled[..end].iter().position(|f| *f).unwrap_or(end);
    // whole periods only, so that sine and cosine stay orthogonal to each other and to a constant
    let period = mean.clock.rate_hz() / hz;
    let n = ((end as f64 / period).floor() * period).round() as usize;
    if n < 8 {
        return f64::NAN;
    }
    let x = &x[end - n..end];
    let level = x.iter().sum::<f64>() / n as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, v) in x.iter().enumerate() {
        let (sin, cos) = (std::f64::consts::TAU * (i as f64 / period).fract()).sin_cos();
        re += (v - level) * cos;
        im += (v - level) * sin;
    }
    2.0 * re.hypot(im) / n as f64
}
