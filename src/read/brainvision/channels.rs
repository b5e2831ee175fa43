//! The channels of a header: names, scales, units.

use super::ini::{Entry, Section, fields, number};
use super::{missing, odd};
use crate::read::decode::Number;
use crate::read::samples::Column;
use crate::read::text::{Defects, decimal, visible};
use crate::read::{channel, note_duplicate_labels};
use crate::signal::Channel;
use crate::unit::Unit;
use crate::{Error, Result};

/// `Ch<n>=<name>,<reference>,<resolution>,<unit>`: the number decides the order, not the line.
pub(super) fn channels(
    common: &Section,
    infos: &Section,
    number_type: Number,
    defects: &mut Defects,
) -> Result<(Vec<Channel>, Vec<Column>)> {
    let text = common.get("NumberOfChannels").ok_or_else(|| missing("NumberOfChannels"))?;
    let count = text.parse::<u64>().ok().filter(|&n| n > 0);
    let count = count.ok_or_else(|| odd("NumberOfChannels", text, "a whole number from 1 on"))?;
    let entries: Vec<(u64, &Entry)> = infos.entries.iter().filter_map(|e| Some((number(&e.key, "Ch")?, e))).collect();
    if count > entries.len() as u64 {
        let message = format!("the header states {count} channels but describes {}", entries.len());
        return Err(Error::format(message).with_hint("correct NumberOfChannels=, or add the missing Ch lines"));
    }
    let mut of_channel: Vec<Option<&Entry>> = vec![None; count as usize];
    let mut surplus = 0;
    for (number, entry) in &entries {
        let slot = usize::try_from(*number).ok().and_then(|n| of_channel.get_mut(n.checked_sub(1)?));
        match slot {
            Some(slot) if slot.is_none() => *slot = Some(entry),
            Some(_) => {
                let message = format!("Ch{number}= stands there more than once (let pass, the first counts)");
                defects.refuse("E_BV_DUPLICATE_KEY", message, entry.offset)?;
            }
            None => surplus += 1,
        }
    }
    if surplus > 0 {
        let message =
            format!("{surplus} Ch line(s) lie outside NumberOfChannels={count} (let pass, they are left out)");
        defects.refuse("E_BV_CHANNEL_COUNT", message, None)?;
    }
    let (mut found, mut columns) = (Vec::new(), Vec::new());
    let (mut uncalibrated, mut controls) = (Vec::new(), false);
    for (k, entry) in of_channel.into_iter().enumerate() {
        let Some(entry) = entry else {
            return Err(Error::format(format!("the header has no Ch{}= line", k + 1))
                .with_hint("correct NumberOfChannels=, or add the missing Ch line"));
        };
        let described = describe(entry, number_type)?;
        if !described.0.calibrated {
            uncalibrated.push(k + 1);
        }
        controls |= visible(entry.value.split(',').next().unwrap_or_default(), &[]).1;
        found.push(described.0);
        columns.push(described.1);
    }
    if let Some(first) = uncalibrated.first() {
        let n = uncalibrated.len();
        defects.warn(
            "W_BV_UNCALIBRATED",
            format!(
                "the resolution of {n} channel(s) makes no scale (first: Ch{first}); kept as raw numbers without a unit"
            ),
        );
    }
    if controls {
        defects
            .warn("W_BV_CONTROL_CHARACTER", "a channel name holds control characters; they are shown, never executed");
    }
    note_duplicate_labels(found.iter().map(|c| &*c.name), defects, "W_BV_DUPLICATE_NAME");
    Ok((found, columns))
}

/// One channel and its scale. A missing resolution is 1, a missing unit µV (format 1.0, §3.4).
fn describe(entry: &Entry, number_type: Number) -> Result<(Channel, Column)> {
    let fields = fields(&entry.value);
    let field = |i: usize| fields.get(i).map(String::as_str).unwrap_or_default();
    let (name, resolution, unit) = (visible(field(0), &[]).0, field(2), field(3));
    let split = decimal(resolution).is_some() && decimal(unit).is_some();
    if split && !field(4).is_empty() {
        let message = format!("{} has a decimal comma in its resolution, which parts the field", entry.key);
        return Err(Error::format(message).at_offset(entry.offset).with_hint("write the resolution with a point"));
    }
    if split || (!unit.is_empty() && decimal(unit).is_some()) {
        let message = format!("{} has a number where its unit belongs", entry.key);
        return Err(Error::format(message).at_offset(entry.offset).with_hint("correct the line"));
    }
    let scale = match resolution {
        "" => Some(1.0),
        text => decimal(text).filter(|d| d.value != 0.0 && !d.comma).map(|d| d.value),
    };
    let raw = Column { offset: 0, zero: 0.0, gain: 1.0, bias: 0.0 };
    let Some(scale) = scale else { return Ok((channel(name, Unit::None, false), raw)) };
    let (unit, factor) = match unit {
        "" => (Unit::Microvolt, 1.0),
        // What writers put where there is no unit, since nothing at all means µV.
        "n/a" | "N/A" => (Unit::None, 1.0),
        unit => Unit::parse(unit),
    };
    let gain = scale * factor;
    let mut channel = channel(name, unit, true);
    channel.range = number_type.range().map(|[lo, hi]| [(lo * gain).min(hi * gain), (lo * gain).max(hi * gain)]);
    Ok((channel, Column { gain, ..raw }))
}
