//! A date and a time of day, to the microsecond: just enough for start times and pauses. A recording states its start
//! as the ISO text of one.

/// Microseconds since 1970-01-01T00:00:00, local time as the file states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DateTime(i64);

const DAY: i64 = 86_400_000_000;

impl DateTime {
    /// `None` where such a moment does not exist.
    pub(crate) fn new(
        year: i64,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
        micros: u32,
    ) -> Option<Self> {
        const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = *DAYS.get((month as usize).checked_sub(1)?)? + u32::from(leap && month == 2);
        let valid = (1..=9999).contains(&year)
            && (1..=last).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60
            && micros < 1_000_000;
        if !valid {
            return None;
        }
        // Days from a civil date (H. Hinnant, "chrono-compatible low-level date algorithms", 2013).
        let (month, day) = (i64::from(month), i64::from(day));
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let of_era = y.rem_euclid(400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Some(Self(days * DAY + seconds * 1_000_000 + i64::from(micros)))
    }

    /// The moment `micros` later.
    pub(crate) fn plus_micros(self, micros: i64) -> Option<Self> {
        self.0.checked_add(micros).map(Self).filter(|t| t.0.abs() < 300_000_000_000_000_000)
    }

    /// Seconds from `other` to this moment.
    pub(crate) fn seconds_since(self, other: Self) -> f64 {
        (self.0 - other.0) as f64 * 1e-6
    }

    fn civil(self) -> (i64, i64, i64) {
        let z = self.0.div_euclid(DAY) + 719_468;
        let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let mp = (5 * of_year + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * mp + 2) / 5 + 1)
    }

    /// ISO 8601 without a zone; a fraction only where there is one.
    pub(crate) fn iso(self) -> String {
        let (year, month, day) = self.civil();
        let micros = self.0.rem_euclid(DAY);
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let mut text = format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
        if micros > 0 {
            text.push_str(format!(".{micros:06}").trim_end_matches('0'));
        }
        text
    }

    /// What [`DateTime::iso`] writes.
    pub(crate) fn from_iso(text: &str) -> Option<Self> {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let bytes = seconds.as_bytes();
        if bytes.len() != 19
            || fraction.len() > 6
            || ![(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')].iter().all(|&(i, b)| bytes[i] == b)
        {
            return None;
        }
        let part = |from: usize, to: usize| seconds.get(from..to)?.parse::<u32>().ok();
        let micros: u32 = format!("{fraction:0<6}").parse().ok()?;
        Self::new(
            i64::from(part(0, 4)?),
            part(5, 7)?,
            part(8, 10)?,
            part(11, 13)?,
            part(14, 16)?,
            part(17, 19)?,
            micros,
        )
    }

    /// `YYYYMMDDhhmmssuuuuuu`, as BrainVision's New Segment markers have it.
    pub(crate) fn compact(self) -> String {
        let (year, month, day) = self.civil();
        let micros = self.0.rem_euclid(DAY);
        let seconds = micros / 1_000_000;
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}{month:02}{day:02}{h:02}{m:02}{s:02}{:06}", micros % 1_000_000)
    }

    /// What [`DateTime::compact`] writes.
    pub(crate) fn from_compact(text: &str) -> Option<Self> {
        if text.len() != 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let part = |from: usize, to: usize| text[from..to].parse::<u32>().ok();
        Self::new(
            i64::from(part(0, 4)?),
            part(4, 6)?,
            part(6, 8)?,
            part(8, 10)?,
            part(10, 12)?,
            part(12, 14)?,
            part(14, 20)?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for days in (-700_000_i64..2_000_000).step_by(997) {
            let t = DateTime(days * DAY + days.rem_euclid(86_400) * 1_000_000 + 345_600);
            assert_eq!(DateTime::from_iso(&t.iso()), Some(t), "{}", t.iso());
            assert_eq!(DateTime::from_compact(&t.compact()), Some(t));
        }
        let t = DateTime::new(2020, 2, 29, 23, 59, 59, 900_000).unwrap();
        assert_eq!(t.plus_micros(200_000).unwrap().iso(), "2020-03-01T00:00:00.1");
        assert_eq!(DateTime::new(1970, 1, 1, 0, 0, 0, 0), Some(DateTime(0)));
        for (month, day, hour) in [(2, 30, 0), (13, 1, 0), (0, 1, 0), (1, 0, 0), (1, 1, 24)] {
            assert_eq!(DateTime::new(2021, month, day, hour, 0, 0, 0), None);
        }
    }
}
