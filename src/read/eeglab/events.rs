//! Events from `EEG.event`: what happened, where the recording was cut, and what each epoch was cut around.

use super::channels::name_of;
use super::dataset::Dataset;
use crate::Result;
use crate::read::events::EventBook;
use crate::read::mat::{Mat, Node};
use crate::read::text::{Defects, visible};
use crate::signal::{Recording, Segment};
use crate::unit::{Rate, Tick};

/// Latencies beyond this are none.
const FARTHEST: f64 = (1_u64 << 50) as f64;
/// More events than these are not kept: a file that has them is noise.
const MOST_EVENTS: usize = 1_000_000;
/// What an event without a type is called, and an epoch without an event.
const NAMELESS: &str = "event";
const NO_EVENT: &str = "epoch";

/// An event: samples from the first (fractions allowed), duration in samples.
#[derive(Debug, Clone)]
struct Found {
    latency: f64,
    duration: f64,
    name: u32,
}

/// A cut: the first sample after it, and how many samples were lost there (0 where nobody knows).
#[derive(Debug, Clone, Copy)]
struct Cut {
    first: i64,
    lost: f64,
}

/// The events of a dataset.
#[derive(Debug, Clone, Default)]
pub(super) struct Events {
    names: Vec<String>,
    found: Vec<Found>,
    cuts: Vec<Cut>,
}

/// Reads `EEG.event`.
pub(super) fn read(set: &mut Dataset, rate: Rate, defects: &mut Defects) -> Result<Events> {
    let mut events = Events::default();
    let Some(array) = set.array("event")? else {
        defects.warn("W_SET_NO_EVENTS", "the dataset has no field EEG.event; there are no events");
        return Ok(events);
    };
    if array.count == 0 {
        return Ok(events);
    }
    let records = set.mat.records(&array)?.filter(|r| r.field("latency").is_some());
    let Some(mut records) = records else {
        defects.warn("W_SET_NO_EVENTS", "EEG.event is no list of events with latencies; there are no events");
        return Ok(events);
    };
    let place = |name: &str| records.field(name);
    let (kind, latency, duration) = (place("type"), place("latency"), place("duration"));
    let mut index = std::collections::HashMap::<String, u32>::new();
    let (mut nowhere, mut nameless, mut controls, mut nodes) = (0_u64, 0_u64, 0_u64, Vec::new());
    while records.next(&mut set.mat, &mut nodes)? {
        if events.found.len() + events.cuts.len() >= MOST_EVENTS {
            let message = format!("{} events beyond the first {MOST_EVENTS} are left out", records.left + 1);
            defects.warn("W_TOO_MANY_EVENTS", message);
            break;
        }
        let node = |field: Option<usize>| field.and_then(|i| nodes.get(i)).copied();
        let name = name_of(&mut set.mat, node(kind))?;
        let at = scalar(&mut set.mat, node(latency))?.filter(|x| x.abs() < FARTHEST);
        let lasts = scalar(&mut set.mat, node(duration))?.filter(|d| (0.0..FARTHEST).contains(d)).unwrap_or(0.0);
        let Some(at) = at else {
            nowhere += 1;
            continue;
        };
        if is_boundary(&name) {
            // 1-based, and often between two samples: the next segment begins with the later one
            events.cuts.push(Cut { first: (at - 0.5).floor() as i64, lost: lasts });
            continue;
        }
        let (mut name, changed) = visible(&name, &[]);
        controls += u64::from(changed);
        if name.is_empty() {
            nameless += 1;
            name = NAMELESS.to_owned();
        }
        let next = events.names.len() as u32;
        let name = *index.entry(name).or_insert_with_key(|name| {
            events.names.push(name.clone());
            next
        });
        events.found.push(Found { latency: at - 1.0, duration: rate.seconds(lasts), name });
    }
    let mut tell = |count: u64, code: &'static str, what: &str| {
        if count > 0 {
            defects.warn(code, format!("{count} {what}"));
        }
    };
    tell(nowhere, "W_SET_EVENT_LATENCY", "event(s) have no latency; left out");
    tell(nameless, "W_SET_EVENT_TYPE", "event(s) have no type; called 'event'");
    tell(controls, "W_SET_CONTROL_CHARACTER", "event type(s) hold control characters; they are shown, never executed");
    Ok(events)
}

fn scalar(mat: &mut Mat, node: Option<Node>) -> Result<Option<f64>> {
    node.map_or(Ok(None), |node| mat.scalar(node))
}

/// A cut in the recording; -99 where event types are numbers.
fn is_boundary(name: &str) -> bool {
    name.eq_ignore_ascii_case("boundary") || name == "-99"
}

impl Events {
    /// The segments of a continuous recording of `samples` samples.
    pub(super) fn segments(&mut self, samples: u64, rate: Rate) -> Vec<Segment> {
        self.cuts.sort_by_key(|cut| cut.first);
        let mut segments = vec![Segment { first: Tick(0), length: samples, start_s: 0.0 }];
        for cut in &self.cuts {
            let lost_s = rate.seconds(cut.lost);
            let Some(last) = segments.last_mut() else { break };
            if cut.first <= 0 || cut.first as u64 >= samples {
                continue;
            }
            if cut.first == last.first.0 {
                last.start_s += lost_s;
                continue;
            }
            last.length = (cut.first - last.first.0) as u64;
            let start_s = last.start_s + rate.seconds(last.length as f64) + lost_s;
            segments.push(Segment { first: Tick(cut.first), length: samples - cut.first as u64, start_s });
        }
        segments
    }

    /// Warns of cuts within epochs: EEGLAB leaves such epochs out.
    pub(super) fn note_boundaries_inside(&self, points: u64, samples: u64, defects: &mut Defects) {
        let inside =
            |cut: &&Cut| (0..samples as i64).contains(&cut.first) && !(cut.first as u64).is_multiple_of(points.max(1));
        let count = self.cuts.iter().filter(inside).count();
        if count > 0 {
            defects.warn("W_SET_BOUNDARY_IN_EPOCH", format!("{count} boundary event(s) lie within epochs"));
        }
    }

    /// Places the events on the recording's clock.
    pub(super) fn write_into(self, recording: &mut Recording, samples: u64, defects: &mut Defects) {
        let mut book = EventBook::default();
        let stream = &recording.streams[0];
        let mut outside = 0_u64;
        for event in &self.found {
            let tick = (event.latency + 0.5).floor();
            outside += u64::from(!(0.0..samples as f64).contains(&tick));
            let onset_s = stream.seconds_at(Tick(tick as i64)) + stream.rate.seconds(event.latency - tick);
            book.add(onset_s, event.duration, &self.names[event.name as usize], true);
        }
        if outside > 0 {
            let message =
                format!("{outside} event(s) lie before the first or after the last sample; they keep their place");
            defects.warn("W_SET_EVENT_OUTSIDE", message);
        }
        book.write_into(recording, defects);
    }

    /// The event nearest to each epoch's time zero, within half a sample.
    fn at_zero(&self, first: i64, points: u64, epochs: u64) -> Vec<Option<u32>> {
        let mut at: Vec<Option<u32>> = vec![None; epochs as usize];
        for event in &self.found {
            let tick = (event.latency + 0.5).floor() as i64;
            let epoch = tick.div_euclid(points as i64);
            let zero = epoch.saturating_mul(points as i64).saturating_sub(first);
            if tick == zero
                && let Some(slot) = usize::try_from(epoch).ok().and_then(|i| at.get_mut(i))
            {
                slot.get_or_insert(event.name);
            }
        }
        at
    }
}

/// What each epoch was cut around: the first event at latency 0 in `EEG.epoch`, else in `EEG.event`, else `epoch`.
pub(super) fn conditions(
    set: &mut Dataset,
    events: &Events,
    first: i64,
    points: u64,
    epochs: u64,
    defects: &mut Defects,
) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::with_capacity(epochs as usize);
    let records = match set.array("epoch")? {
        Some(array) => set.mat.records(&array)?.filter(|r| r.left == epochs),
        None => None,
    };
    if let Some(mut records) = records {
        let (latency, kind) = (records.field("eventlatency"), records.field("eventtype"));
        let mut nodes = Vec::new();
        while records.next(&mut set.mat, &mut nodes)? {
            let node = |field: Option<usize>| field.and_then(|i| nodes.get(i)).copied();
            let name = match (node(latency), node(kind)) {
                (Some(latency), Some(kind)) => around(&mut set.mat, latency, kind)?,
                _ => String::new(),
            };
            names.push(visible(&name, &[]).0);
        }
    }
    names.resize(epochs as usize, String::new());
    let at_zero = events.at_zero(first, points, epochs);
    let mut without = 0_u64;
    for (name, event) in names.iter_mut().zip(at_zero) {
        if name.is_empty() {
            let found = event.and_then(|e| events.names.get(e as usize));
            without += u64::from(found.is_none());
            *name = found.map_or(NO_EVENT, String::as_str).to_owned();
        }
    }
    if without > 0 {
        defects.warn(
            "W_SET_EPOCH_EVENT",
            format!("{without} of {epochs} epochs have no event at time zero; their condition is '{NO_EVENT}'"),
        );
    }
    Ok(names)
}

/// The type of the first event whose latency is 0 ms: either list may be a cell, an array or one value.
fn around(mat: &mut Mat, latencies: Node, kinds: Node) -> Result<String> {
    let index = match items(mat, latencies)? {
        Some(items) => {
            let mut zero = None;
            for (k, item) in items.into_iter().enumerate() {
                if mat.scalar(item)?.is_some_and(is_zero) {
                    zero = Some(k);
                    break;
                }
            }
            zero
        }
        None => {
            let array = mat.array(latencies)?;
            let numbers = mat.numbers(&array)?;
            let mut zero = None;
            if let Some(numbers) = numbers {
                for k in 0..numbers.count.min(MOST_IN_EPOCH as u64) {
                    if is_zero(mat.number(&numbers, k)?) {
                        zero = Some(k as usize);
                        break;
                    }
                }
            }
            zero
        }
    };
    let Some(index) = index else { return Ok(String::new()) };
    if let Some(items) = items(mat, kinds)? {
        return name_of(mat, items.get(index).copied());
    }
    let array = mat.array(kinds)?;
    match mat.numbers(&array)? {
        Some(numbers) if numbers.count > 1 && (index as u64) < numbers.count => {
            Ok(mat.number(&numbers, index as u64)?.to_string())
        }
        _ => name_of(mat, Some(kinds)),
    }
}

/// Milliseconds from the event an epoch was cut around; rounding leaves a trace.
fn is_zero(latency_ms: f64) -> bool {
    latency_ms.abs() < 1e-6
}

/// More events in one epoch than these are not looked at.
const MOST_IN_EPOCH: usize = 10_000;

/// The items of a cell; `None` for anything else.
fn items(mat: &mut Mat, node: Node) -> Result<Option<Vec<Node>>> {
    let array = mat.array(node)?;
    let Some(mut records) = mat.records(&array)?.filter(|r| r.names == [""]) else { return Ok(None) };
    let (mut items, mut one) = (Vec::new(), Vec::new());
    while items.len() < MOST_IN_EPOCH && records.next(mat, &mut one)? {
        items.extend(&one);
    }
    Ok(Some(items))
}
