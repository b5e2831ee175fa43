//! Which events an analysis is about.
//!
//! Without a name: if the file has one kind of stimulus marker, that one; else the kinds of which at least 90 % sit at a
//! constant lag under 5 ms from pulses found in the signal; else the caller is shown the table of events and asked.

use crate::clean::detect::{self, Detection, TrainRule};
use crate::flow::Source;
use crate::recipe::Names;
use crate::signal::{Event, EventName, Recording};
use crate::table::{Column, Table, TableSpec};
use crate::unit::{Rate, Tick};
use crate::{Error, ErrorKind, Result, Warning};

/// A kind of event: how many, how far apart.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Kind {
    /// Name.
    pub name: String,
    /// Events of this name, duplicates 0–1 sample apart counted once.
    pub count: usize,
    /// Of these 0–1 sample duplicates that were dropped.
    pub duplicates: usize,
    /// Median time from one to the next, s.
    pub interval_median_s: Option<f64>,
    /// Shortest time from one to the next, s.
    pub interval_min_s: Option<f64>,
    /// Longest time from one to the next, s.
    pub interval_max_s: Option<f64>,
}

/// The recording's events in order of time, duplicates (same name, 0–1 sample apart) once.
pub fn deduplicated(recording: &Recording) -> Vec<Event> {
    let mut events = recording.events.clone();
    events.sort_by_key(|e| e.tick);
    let mut last = vec![None::<Tick>; recording.event_names.len()];
    events.retain(|e| match last.get_mut(e.name.0 as usize) {
        Some(last) => {
            let twice = last.is_some_and(|t| e.tick.0 - t.0 <= 1);
            if !twice {
                *last = Some(e.tick);
            }
            !twice
        }
        None => true,
    });
    events
}

/// Every kind of event, in order of first appearance.
pub fn kinds(recording: &Recording) -> Vec<Kind> {
    let events = deduplicated(recording);
    let stream = recording.main_stream();
    (0..)
        .map(EventName)
        .zip(&recording.event_names)
        .map(|(id, name)| {
            let times: Vec<f64> = events.iter().filter(|e| e.name == id).map(|e| stream.seconds_at(e.tick)).collect();
            let all = recording.events.iter().filter(|e| e.name == id).count();
            kind_of(name, times, all)
        })
        // what an epoch was cut around has a name, and perhaps no event
        .filter(|kind| kind.count > 0)
        .collect()
}

/// A kind from the times of its events, of `all` with duplicates (0: as many as times).
fn kind_of(name: &str, times: Vec<f64>, all: usize) -> Kind {
    let mut gaps = intervals(&times);
    gaps.sort_by(f64::total_cmp);
    Kind {
        name: name.to_owned(),
        count: times.len(),
        duplicates: all.saturating_sub(times.len()),
        interval_median_s: middle(&gaps),
        interval_min_s: gaps.first().copied(),
        interval_max_s: gaps.last().copied(),
    }
}

/// What was chosen.
#[derive(Debug)]
pub struct Choice {
    /// Names to cut around.
    pub names: Vec<String>,
    /// Pulses found in the signal, where they were looked for.
    pub detected: Option<Vec<Event>>,
    /// What the user should know about the choice.
    pub warnings: Vec<Warning>,
}

/// Name of events that were found in the signal.
pub const DETECTED: &str = "pulse";

/// Settles `auto` and `detect`. Pulses are looked for on `channels` of the main stream, which stay selected.
///
/// # Errors
/// When no rule decides: the message holds the table of events and names `--event`.
pub fn choose(
    wanted: &Names,
    recording: &Recording,
    source: &mut dyn Source,
    channels: &[usize],
    config: &detect::Detect,
) -> Result<Choice> {
    let detected = |source: &mut dyn Source| -> Result<Detection> {
        let asked = "say which events with --event NAME";
        let found =
            detect::detect(source, channels, config).map_err(|e| e.of_kind(ErrorKind::Data).with_hint(asked))?;
        source.rewind()?;
        Ok(found)
    };
    let as_events = |found: &Detection| {
        let name = EventName(recording.event_names.len() as u32);
        found.pulses.iter().map(|p| Event::new(p.tick, name)).collect::<Vec<_>>()
    };
    if wanted.is("detect") {
        let found = detected(source)?;
        if found.pulses.is_empty() {
            return Err(Error::data(format!("no pulse was found in the signal: {}", told(&found)))
                .with_hint("lower the threshold with --threshold, or name the events with --event"));
        }
        let unmet = config.expected.filter(|n| *n != found.pulses.len());
        let warning = |n| Warning::new("W_EXPECTED", format!("{n} pulses were expected; {}", told(&found)));
        return Ok(Choice {
            names: vec![DETECTED.to_owned()],
            detected: Some(as_events(&found)),
            warnings: unmet.map(warning).into_iter().collect(),
        });
    }
    if !wanted.is("auto") {
        let names: Vec<String> = recording.event_names.iter().filter(|n| wanted.matches(n)).cloned().collect();
        if names.is_empty() {
            return Err(undecided(recording, &format!("no event is called {}", wanted.list().join(" or "))));
        }
        return Ok(Choice { names, detected: None, warnings: Vec::new() });
    }
    let kinds: Vec<Kind> =
        kinds(recording).into_iter().filter(|k| k.count > 0 && recording.is_stimulus(&k.name)).collect();
    if let [only] = kinds.as_slice() {
        return Ok(Choice { names: vec![only.name.clone()], detected: None, warnings: Vec::new() });
    }
    // where pulses cannot be looked for (a low rate), several kinds of markers are a question all the same
    let found = match detected(source) {
        Err(error) if kinds.is_empty() => return Err(error),
        Err(_) => {
            return Err(undecided(
                recording,
                "several kinds of markers, and pulses cannot be looked for in this signal",
            ));
        }
        Ok(found) => found,
    };
    if kinds.is_empty() {
        if found.pulses.is_empty() {
            return Err(Error::data(format!(
                "the file has no stimulus marker, and no pulse was found: {}",
                told(&found)
            ))
            .with_hint("lower the threshold with --threshold, or cut by the clock with --set cut.every_ms=2000"));
        }
        let n = found.pulses.len();
        let warning = Warning::new(
            "W_PULSES_DETECTED",
            format!("the file has no stimulus marker; {n} pulses found in the signal are used"),
        );
        return Ok(Choice {
            names: vec![DETECTED.to_owned()],
            detected: Some(as_events(&found)),
            warnings: vec![warning],
        });
    }
    let (rate, pulses) = (recording.main_stream().rate, found.ticks());
    let near: Vec<String> = kinds
        .iter()
        .filter(|kind| {
            let at = recording.event_names.iter().position(|n| *n == kind.name);
            let ticks: Vec<Tick> =
                deduplicated(recording).iter().filter(|e| Some(e.name.0 as usize) == at).map(|e| e.tick).collect();
            sits_at_pulses(&ticks, &pulses, rate)
        })
        .map(|k| k.name.clone())
        .collect();
    if near.is_empty() {
        let why = if found.pulses.is_empty() {
            "no pulse was found in the signal to tell which"
        } else {
            "none sits at the pulses found in the signal"
        };
        return Err(undecided(recording, &format!("{} kinds of markers, and {why}", kinds.len())));
    }
    Ok(Choice { names: near, detected: None, warnings: Vec::new() })
}

/// Whether at least 90 % of the markers have a pulse at one constant lag (±0.5 ms around the median) under 5 ms.
fn sits_at_pulses(markers: &[Tick], pulses: &[Tick], rate: Rate) -> bool {
    let matched = detect::match_events(pulses, markers, rate, 5.0);
    let lag = |&(f, m): &(usize, usize)| 1e3 * rate.seconds((pulses[f].0 - markers[m].0) as f64);
    let constant = matched.pairs.iter().filter(|p| (lag(p) - matched.lag_median_ms).abs() <= 0.5).count();
    !markers.is_empty() && constant * 10 >= markers.len() * 9
}

/// What a search did, in a few words.
pub fn told(found: &Detection) -> String {
    if let Some(reason) = &found.reason {
        return reason.clone();
    }
    let mut thresholds = found.thresholds_uv.clone();
    thresholds.sort_by(f64::total_cmp);
    let relaxed = if found.relaxed > 0 { format!(", lowered {} times", found.relaxed) } else { String::new() };
    format!(
        "{} pulses found in the signal; thresholds {:.0} to {:.0} uV{relaxed}, at least {} channels",
        found.pulses.len(),
        thresholds.first().copied().unwrap_or(f64::NAN),
        thresholds.last().copied().unwrap_or(f64::NAN),
        found.channels_needed,
    )
}

/// Other kinds of stimulus markers than `cut` that sit at pulses in the signal; without `cut` all that do. Nothing is looked for
/// where there is no other kind. What cannot be found out is nobody's error here.
pub(super) fn at_pulses_beside(
    cut: Option<&Names>,
    recording: &Recording,
    source: &mut dyn Source,
    channels: &[usize],
    config: &detect::Detect,
) -> Result<Vec<String>> {
    let mut others = stimuli(recording);
    others.retain(|kind| cut.is_none_or(|c| !c.matches(&kind.name)));
    if others.is_empty() {
        return Ok(Vec::new());
    }
    source.rewind()?;
    let Ok(found) = detect::detect(source, channels, config) else { return Ok(Vec::new()) };
    source.rewind()?;
    let (events, rate, pulses) = (deduplicated(recording), recording.main_stream().rate, found.ticks());
    let ticks = |name: &str| {
        let id = recording.event_names.iter().position(|n| n == name);
        events.iter().filter(|e| Some(e.name.0 as usize) == id).map(|e| e.tick).collect::<Vec<_>>()
    };
    others.retain(|kind| sits_at_pulses(&ticks(&kind.name), &pulses, rate));
    Ok(others.into_iter().map(|kind| kind.name).collect())
}

/// How these events come, where it is not one by one: `TMS: paired_3ms`.
pub(super) fn in_trains(recording: &Recording, names: &[String]) -> Option<String> {
    let events = deduplicated(recording);
    let told: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let id = recording.event_names.iter().position(|n| n == name)?;
            let ticks: Vec<Tick> = events.iter().filter(|e| e.name.0 as usize == id).map(|e| e.tick).collect();
            let how = trains(&ticks, recording.main_stream().rate)?;
            (how != "single").then(|| format!("{name} events come as {how}"))
        })
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Kinds of events that may be stimuli.
pub(super) fn stimuli(recording: &Recording) -> Vec<Kind> {
    kinds(recording).into_iter().filter(|k| k.count > 0 && recording.is_stimulus(&k.name)).collect()
}

/// The table of events, and the question which of them is meant.
pub(super) fn undecided(recording: &Recording, why: &str) -> Error {
    Error::data(with_table(recording, why)).with_hint("say which with --event NAME")
}

fn with_table(recording: &Recording, why: &str) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{why}\n  {:<24} {:>7} {:>18}", "event", "count", "median interval s");
    for kind in kinds(recording) {
        let interval = kind.interval_median_s.map_or_else(String::new, |s| format!("{s:.3}"));
        let _ = write!(text, "\n  {:<24} {:>7} {interval:>18}", kind.name, kind.count);
    }
    if recording.event_names.is_empty() {
        text.push_str("\n  (none)");
    }
    text
}

/// Stretches to cut within that no event begins: an error where there is none at all, else a warning; both with the table of events.
pub(super) fn unmet(recording: &Recording, within: &Names) -> Result<Option<Warning>> {
    let met = |pattern: &String| recording.event_names.iter().any(|name| crate::names::glob(pattern, name));
    let names = within.list();
    let unmet: Vec<&str> = names.iter().filter(|p| !met(p)).map(String::as_str).collect();
    if unmet.is_empty() {
        return Ok(None);
    }
    let why = format!("no event is called {}", unmet.join(" or "));
    let slots = names.iter().map(|_| "\"NAME\"").collect::<Vec<_>>().join(",");
    let hint = format!(
        "the events that begin the stretches to cut are named by --set cut.within=[{slots}], those that are compared by from and to of \
         the marker: --set marker.after-effect.from=NAME --set marker.after-effect.to=NAME"
    );
    if unmet.len() == names.len() {
        return Err(Error::data(with_table(recording, &why)).with_hint(hint));
    }
    let have: Vec<String> = kinds(recording).iter().map(|k| format!("{:?} ({})", k.name, k.count)).collect();
    Ok(Some(Warning::new("W_NO_EVENT", format!("{why}; there are {}; {hint}", have.join(", ")))))
}

/// Times from one to the next, in whole nanoseconds: a difference of decimals should not show binary dust.
pub(super) fn intervals(times_s: &[f64]) -> Vec<f64> {
    times_s.windows(2).map(|w| ((w[1] - w[0]) * 1e9).round() / 1e9).collect()
}

/// Median of sorted values.
fn middle(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    (n > 0).then(|| (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0)
}

/// A row per kind of event.
pub static EVENTS: TableSpec = TableSpec {
    name: "events",
    about: "A row per kind of event in the file, and one for the pulses found in the signal",
    series: false,
    columns: &[
        Column::new("event", "", "Name as in the file; `pulse`: found in the signal"),
        Column::new("count", "", "How many, duplicates 0-1 sample apart counted once"),
        Column::new("duplicates", "", "Duplicates that were not counted"),
        Column::new("first_s", "s", "Time of the first"),
        Column::new("last_s", "s", "Time of the last"),
        Column::new("interval_median_s", "s", "Median time from one to the next"),
        Column::new("interval_min_s", "s", "Shortest time from one to the next"),
        Column::new("interval_max_s", "s", "Longest time from one to the next"),
        Column::new("trains", "", "How they come: single, pairs, bursts; several joined by +"),
        Column::new("follows", "", "Kind of event that at least 90 % of them follow within 100 ms"),
        Column::new("lag_median_ms", "ms", "Median time from that event"),
        Column::new("lag_min_ms", "ms", "Shortest time from that event"),
        Column::new("lag_max_ms", "ms", "Longest time from that event"),
        Column::new("pulse_lag_median_ms", "ms", "Median time from the event to the pulse in the signal (--detect)"),
        Column::new("pulse_lag_min_ms", "ms", "Shortest (most negative) such time"),
        Column::new("pulse_lag_max_ms", "ms", "Longest such time"),
        Column::new("unmatched", "", "Events without a pulse within 5 ms (--detect)"),
        Column::new("unmatched_pulses", "", "Pulses without such an event within 5 ms (--detect)"),
    ],
};

/// A row per event.
pub static EVENT_LIST: TableSpec = TableSpec {
    name: "event_list",
    about: "A row per event in the file, and per pulse found in the signal",
    series: true,
    columns: &[
        Column::new("event", "", "Name as in the file; `pulse`: found in the signal"),
        Column::new("onset_s", "s", "Time from the start of the recording, gaps counted"),
        Column::new("sample", "", "0-based index of the nearest stored sample"),
        Column::new("fraction", "", "Stated onset minus that sample, in samples"),
        Column::new("duration_s", "s", "Duration; 0 where the file gives none"),
    ],
};

/// The `events` table of a recording.
pub fn summary(recording: &Recording, pulses: Option<&[Tick]>) -> Table {
    let events = deduplicated(recording);
    let stream = recording.main_stream();
    let ticks_of = |id: EventName| events.iter().filter(|e| e.name == id).map(|e| e.tick).collect::<Vec<_>>();
    let mut table = Table::new(&EVENTS);
    let rate_hz = stream.rate.hz();
    let mut row = |kind: &Kind, ticks: &[Tick], follows: Option<(&str, [f64; 3])>, at_pulses: Option<AtPulses>| {
        let lag = follows.map(|f| f.1);
        let pulse = at_pulses.as_ref().and_then(|p| p.lag_ms);
        table.push(
            None,
            [
                kind.name.clone().into(),
                kind.count.into(),
                kind.duplicates.into(),
                ticks.first().map(|t| stream.seconds_at(*t)).into(),
                ticks.last().map(|t| stream.seconds_at(*t)).into(),
                kind.interval_median_s.into(),
                kind.interval_min_s.into(),
                kind.interval_max_s.into(),
                trains(ticks, stream.rate).into(),
                follows.map(|f| f.0.to_owned()).into(),
                lag.map(|l| l[0]).into(),
                lag.map(|l| l[1]).into(),
                lag.map(|l| l[2]).into(),
                pulse.map(|l| l[0]).into(),
                pulse.map(|l| l[1]).into(),
                pulse.map(|l| l[2]).into(),
                at_pulses.as_ref().map(|p| p.unmatched).into(),
                at_pulses.as_ref().map(|p| p.unmatched_pulses).into(),
            ],
        );
    };
    for (i, kind) in kinds(recording).iter().enumerate() {
        let ticks = ticks_of(EventName(i as u32));
        let follows = (0..recording.event_names.len())
            .filter(|j| *j != i)
            .filter_map(|j| {
                Some((recording.event_names[j].as_str(), follows(&ticks, &ticks_of(EventName(j as u32)), rate_hz)?))
            })
            .min_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        row(kind, &ticks, follows, pulses.map(|p| at_pulses(&ticks, p, stream.rate)));
    }
    if let Some(pulses) = pulses {
        row(&kind_of(DETECTED, pulses.iter().map(|t| stream.seconds_at(*t)).collect(), 0), pulses, None, None);
    }
    table
}

/// The `event_list` table of a recording.
pub fn list(recording: &Recording, pulses: Option<&[Tick]>) -> Table {
    let stream = recording.main_stream();
    let mut events: Vec<(String, Event)> =
        recording.events.iter().map(|e| (recording.event_name(e.name).to_owned(), *e)).collect();
    let found = pulses.into_iter().flatten();
    events.extend(found.map(|t| (DETECTED.to_owned(), Event::new(*t, EventName(u32::MAX)))));
    events.sort_by_key(|(_, e)| e.tick);
    let mut table = Table::new(&EVENT_LIST);
    for (name, e) in events {
        let onset = stream.seconds_at(e.tick) + stream.rate.seconds(e.fraction);
        table.push(None, [name.into(), onset.into(), e.tick.0.into(), e.fraction.into(), e.duration_s.into()]);
    }
    table
}

/// Median, shortest and longest lag in ms behind the last `leaders` event, where at least 90 % follow within 100 ms.
fn follows(ticks: &[Tick], leaders: &[Tick], rate_hz: f64) -> Option<[f64; 3]> {
    let mut lags: Vec<f64> = ticks
        .iter()
        .filter_map(|t| {
            leaders.get(leaders.partition_point(|l| l < t).checked_sub(1)?).map(|l| (t.0 - l.0) as f64 * 1e3 / rate_hz)
        })
        .filter(|lag| *lag <= 100.0)
        .collect();
    lags.sort_by(f64::total_cmp);
    let enough = !ticks.is_empty() && lags.len() * 10 >= ticks.len() * 9;
    enough.then(|| Some([middle(&lags)?, *lags.first()?, *lags.last()?])).flatten()
}

struct AtPulses {
    lag_ms: Option<[f64; 3]>,
    unmatched: usize,
    unmatched_pulses: usize,
}

fn at_pulses(ticks: &[Tick], pulses: &[Tick], rate: Rate) -> AtPulses {
    let matched = detect::match_events(pulses, ticks, rate, 5.0);
    let lags = matched.pairs.iter().map(|&(f, m)| 1e3 * rate.seconds((pulses[f].0 - ticks[m].0) as f64));
    let (low, high) = lags.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), l| (a.min(l), b.max(l)));
    AtPulses {
        lag_ms: (!matched.pairs.is_empty()).then_some([matched.lag_median_ms, low, high]),
        unmatched: matched.unmatched_markers.len(),
        unmatched_pulses: matched.unmatched_found.len(),
    }
}

/// How events come, `single` or `pair + burst of 3` say; nothing where there are none.
fn trains(ticks: &[Tick], rate: Rate) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for train in detect::name_trains(ticks, rate, &TrainRule::default()) {
        let name = train.name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join(" + "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_no_event_begins_are_told_with_the_events_that_there_are() {
        let recording = |names: &[&str]| Recording {
            name: "x".to_owned(),
            format: "memory".to_owned(),
            main: 0,
            streams: vec![crate::signal::Stream {
                rate: Rate::new(1000, 1).unwrap(),
                channels: Vec::new(),
                file_index: Vec::new(),
                segments: Vec::new(),
            }],
            events: (0..names.len() as u32).map(|i| Event::new(Tick(i64::from(i)), EventName(i))).collect(),
            event_names: names.iter().map(|n| (*n).to_owned()).collect(),
            event_is_stimulus: vec![true; names.len()],
            start: None,
            line_hz: None,
            epoched: None,
            warnings: Vec::new(),
        };
        let within = Names::Many(vec!["pre".to_owned(), "post".to_owned()]);
        assert!(unmet(&recording(&["pre", "post", "S  1"]), &within).unwrap().is_none());
        let told = unmet(&recording(&["pre", "S  1"]), &within).unwrap().unwrap();
        assert!(told.message.contains("called post; there are") && told.message.contains("\"S  1\" (1)"), "{told:?}");
        let told = unmet(&recording(&["S  1"]), &within).unwrap_err().to_string();
        assert!(told.contains("called pre or post") && told.contains("S  1") && told.contains("cut.within"), "{told}");
    }
}
