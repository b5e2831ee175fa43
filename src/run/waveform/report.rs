//! The tables out of what was measured.

use super::bursts::Train;
use super::columns::{self, BURSTS, ENVELOPE, EXPECTATIONS, LEVEL, NOISE, WAVEFORM};
use super::envelope::Envelope;
use super::expect::{Found, Line};
use super::kind::Kind;
use super::measure::{self, Measured};
use super::steady::Steady;
use super::survey::Survey;
use super::{Settings, expect};
use crate::Warning;
use crate::signal::{Channel, Stream};
use crate::table::{Cell, Table};

/// What all rows share.
pub(super) struct Report<'a> {
    pub stream: &'a Stream,
    pub channels: &'a [Channel],
    pub surveys: &'a [Survey],
    pub settings: &'a Settings,
}

/// A verdict with its reasons.
struct Verdict {
    name: &'static str,
    reason: Cell,
}

impl Verdict {
    /// `doubtful` for what casts doubt, an expectation that could not be compared too, else `deviates` where an expectation was missed.
    fn new(mut doubts: Vec<String>, lines: &[Line], channel: &Channel) -> Self {
        // what could not be compared was not met
        doubts.extend(lines.iter().filter(|l| l.verdict == "not_comparable").map(|l| match l.same_unit {
            true => format!("{} not_comparable", l.item),
            false => format!("{} not_comparable: {}, not {}", l.item, channel.unit, l.unit),
        }));
        let missed = lines
            .iter()
            .filter(|l| l.verdict == "missed")
            .map(|l| format!("{} {} {u}, not {} {u}", l.item, short(l.measured), short(l.expected), u = l.unit));
        let doubtful = !doubts.is_empty();
        let reasons: Vec<String> = doubts.into_iter().chain(missed).collect();
        let name = match (doubtful, reasons.is_empty()) {
            (true, _) => "doubtful",
            (false, true) => "ok",
            (false, false) => "deviates",
        };
        Self { name, reason: Some(reasons.join("; ")).filter(|r| !r.is_empty()).into() }
    }
}

/// What came of it: the tables, how many episodes are as they should be, of how many, and what is to be said.
pub(super) struct Tables {
    pub tables: Vec<Table>,
    pub ok: u64,
    pub all: u64,
    pub warnings: Vec<Warning>,
}

/// An amplitude in another unit than the channel's: what to do.
fn other_unit(has: &str, wants: &str) -> Warning {
    let what = if has == "fs" {
        // voltages are kept in µV, and nobody's full scale is 2 µV
        let unit = if wants == "uV" { "V" } else { wants };
        format!("tell what full scale means, like --full-scale 2{unit}")
    } else {
        format!("--expect must be in a unit of the channel ({has})")
    };
    Warning::new("W_NOT_COMPARABLE", format!("{wants} is expected and the channel is in {has}: {what}"))
}

impl Report<'_> {
    /// All tables.
    pub fn tables(&self, measured: &[Vec<Measured>], envelopes: &[Envelope], steadies: &[Steady]) -> Tables {
        let mut waveform = Table::new(&WAVEFORM);
        let mut expectations = Table::new(&EXPECTATIONS);
        let (mut ok, mut all) = (0, 0);
        let mut other_units: Vec<(String, String)> = Vec::new();
        let mut count = |name: &str| {
            all += 1;
            ok += u64::from(name == "ok");
        };
        for (c, channel) in self.channels.iter().enumerate() {
            let mut note = |lines: &[Line]| {
                for line in lines.iter().filter(|l| !l.same_unit) {
                    let pair = (channel.unit.to_string(), line.unit.clone());
                    if !other_units.contains(&pair) {
                        other_units.push(pair);
                    }
                }
            };
            for (number, m) in measured[c].iter().enumerate() {
                let envelope = envelopes.iter().find(|e| {
                    (e.channel == c && e.number == number && e.other.is_none())
                        || (e.other.is_some()
                            && (e.channel == c || e.other == Some(c))
                            && (e.start..e.end).contains(&m.middle))
                });
                let mut found = self.found(m, envelope);
                if self.surveys[c].told_only {
                    // the fit begins where it was told to: what it finds there is no evidence
                    found.frequency_hz = f64::NAN;
                }
                let lines = self.compare(&found, channel);
                note(&lines);
                lines.iter().for_each(|l| expectations.push(None, line_cells(channel, number, l)));
                let wanted = matches!(self.settings.kind(), Some(Kind::Am | Kind::Ti));
                let more = match envelope {
                    Some(envelope) => envelope.reasons(),
                    None => wanted.then_some("no_envelope").into_iter().collect(),
                };
                let none = self.surveys[c].told_only.then_some("no_carrier");
                let more = none.into_iter().chain(more).map(str::to_owned);
                let verdict = Verdict::new(m.reasons().into_iter().chain(more).collect(), &lines, channel);
                count(verdict.name);
                let row = self.carrier_row(c, number, m, measure::phase_between(&measured[0], m), verdict);
                waveform.push(None, row);
            }
            for s in steadies.iter().filter(|s| s.channel == c) {
                let lines = self.compare(&self.found_steady(s), channel);
                note(&lines);
                lines.iter().for_each(|l| expectations.push(None, line_cells(channel, s.number, l)));
                // noise is what is left where nothing else is found: that it was wanted must be told
                let wanted = s.kind != Kind::Noise || self.settings.kind() == Some(Kind::Noise);
                let why = (!wanted).then_some("no_carrier").into_iter().chain(s.reasons());
                let verdict = Verdict::new(why.map(str::to_owned).collect(), &lines, channel);
                count(verdict.name);
                waveform.push(None, self.steady_row(s, verdict));
            }
            if measured[c].is_empty() && !steadies.iter().any(|s| s.channel == c) {
                count("doubtful");
                for line in self.compare(&Found::default(), channel) {
                    // of nothing there is nothing to compare: what was expected did not come
                    expectations.push(None, line_cells(channel, 0, &Line { verdict: "missed", ..line }));
                }
                waveform.push(None, self.surveys[c].row(channel, self.stream));
            }
        }
        let mut tables = vec![waveform];
        if !self.settings.expect.is_empty() {
            tables.push(expectations);
        }
        let bursts = self.bursts(measured, steadies);
        let kinds = [self.envelopes(envelopes), self.noise(steadies), self.level(steadies), bursts];
        tables.extend(kinds.into_iter().filter(|t| !t.is_empty()));
        Tables { tables, ok, all, warnings: other_units.iter().map(|(has, wants)| other_unit(has, wants)).collect() }
    }

    fn rate(&self) -> f64 {
        self.stream.rate.hz()
    }

    fn at(&self, segment: usize, sample: f64) -> f64 {
        self.stream.segments.get(segment).map_or(f64::NAN, |s| s.start_s + (sample - s.first.0 as f64) / self.rate())
    }

    fn compare(&self, found: &Found, channel: &Channel) -> Vec<Line> {
        self.settings.expect.compare(found, channel)
    }

    fn found(&self, m: &Measured, envelope: Option<&Envelope>) -> Found {
        let rate = self.rate();
        let mut found = Found {
            frequency_hz: m.cycles * rate,
            amplitude: m.amplitude,
            rms: m.rms,
            ramps_s: [m.ramp_up.samples, m.ramp_down.samples].map(|r| r / rate),
            duration_s: (m.end - m.start) / rate,
            ..Found::default()
        };
        if let Some(e) = envelope {
            found.depth = e.depth();
            if e.kind == Kind::Am {
                found.envelope_hz = e.beat[0] * rate;
                found.amplitude = e.max;
            } else {
                found.beat_hz = e.beat[0] * rate;
                found.other_hz = [e.carrier[0] * rate, (e.carrier[0] + e.beat[0]) * rate];
            }
        }
        found
    }

    fn found_steady(&self, s: &Steady) -> Found {
        let rate = self.rate();
        let mut found = Found {
            rms: s.rms,
            ramps_s: [s.ramp_up.samples, s.ramp_down.samples].map(|r| r / rate),
            duration_s: (s.end - s.start) / rate,
            ..Found::default()
        };
        if let Some(noise) = &s.noise {
            (found.band_hz, found.rms, found.peak) = ([noise.low_hz, noise.high_hz], noise.rms, s.peak);
        }
        if let Some(level) = &s.level {
            found.level = level.level.abs();
        }
        found
    }

    fn carrier_row(&self, c: usize, number: usize, m: &Measured, phase: f64, verdict: Verdict) -> Vec<Cell> {
        let (channel, rate) = (&self.channels[c], self.rate());
        let hz = m.cycles * rate;
        let offset = self.settings.nominal_hz().map(|nominal| {
            // of two carriers the other is a beat away
            let other = nominal + self.settings.expect.beat_hz.unwrap_or(0.0);
            let nearer = if (hz - other).abs() < (hz - nominal).abs() { other } else { nominal };
            (hz / nearer - 1.0) * 1e6
        });
        columns::row(vec![
            ("segment", number.into()),
            ("start_s", self.at(m.segment, m.start).into()),
            ("end_s", self.at(m.segment, m.end).into()),
            ("channel", channel.name.clone().into()),
            ("unit", channel.unit.to_string().into()),
            ("frequency_hz", hz.into()),
            ("frequency_sd_hz", (m.sd_cycles * rate).into()),
            ("offset_ppm", offset.into()),
            ("amplitude", m.amplitude.into()),
            ("rms", m.rms.into()),
            ("crest_factor", (m.peak / m.rms).into()),
            ("dc", m.dc.into()),
            ("thd", m.thd.into()),
            ("thd_n", m.thd_n.into()),
            ("phase_deg", phase.into()),
            ("phase_jitter_deg", m.jitter_deg.into()),
            ("ramp_up_s", (m.ramp_up.samples / rate).into()),
            ("plateau_s", (m.plateau / rate).into()),
            ("ramp_down_s", (m.ramp_down.samples / rate).into()),
            ("ripple", m.ripple.into()),
            ("clipped_fraction", m.clipped.into()),
            ("verdict", verdict.name.into()),
            ("reason", verdict.reason),
            ("peak", m.peak.into()),
            ("charge_balance", m.charge_balance.into()),
            ("net_charge", (m.net / rate).into()),
            ("phase_drift_deg", m.drift_deg.into()),
            ("ramp_up_r2", m.ramp_up.r2.into()),
            ("ramp_down_r2", m.ramp_down.r2.into()),
            ("dropouts", m.dropouts.into()),
            ("phase_jumps", m.jumps.into()),
            ("kind", self.surveys[c].kind.map(Kind::name).into()),
        ])
    }

    fn steady_row(&self, s: &Steady, verdict: Verdict) -> Vec<Cell> {
        let (channel, rate) = (&self.channels[s.channel], self.rate());
        let charge = s.level.as_ref().map(|l| l.charge);
        let clipped = s.noise.as_ref().map(|n| n.clipped);
        columns::row(vec![
            ("segment", s.number.into()),
            ("start_s", self.at(s.segment, s.start).into()),
            ("end_s", self.at(s.segment, s.end).into()),
            ("channel", channel.name.clone().into()),
            ("unit", channel.unit.to_string().into()),
            ("rms", s.rms.into()),
            ("crest_factor", (s.peak / s.rms).into()),
            ("dc", s.level.as_ref().map_or(s.mean, |l| l.level).into()),
            ("ramp_up_s", (s.ramp_up.samples / rate).into()),
            ("plateau_s", (s.plateau / rate).into()),
            ("ramp_down_s", (s.ramp_down.samples / rate).into()),
            ("ripple", s.ripple.into()),
            ("clipped_fraction", clipped.into()),
            ("verdict", verdict.name.into()),
            ("reason", verdict.reason),
            ("peak", s.peak.into()),
            ("net_charge", charge.into()),
            ("ramp_up_r2", s.ramp_up.r2.into()),
            ("ramp_down_r2", s.ramp_down.r2.into()),
            ("dropouts", s.dropouts.into()),
            ("kind", s.kind.name().into()),
        ])
    }

    fn envelopes(&self, envelopes: &[Envelope]) -> Table {
        let mut table = Table::new(&ENVELOPE);
        let rate = self.rate();
        for e in envelopes {
            let two = e.kind == Kind::Ti;
            let verdict =
                Verdict::new(e.reasons().into_iter().map(str::to_owned).collect(), &[], &self.channels[e.channel]);
            table.push(
                None,
                [
                    e.number.into(),
                    self.at(e.segment, e.start).into(),
                    self.at(e.segment, e.end).into(),
                    self.channels[e.channel].name.clone().into(),
                    e.other.map(|c| self.channels[c].name.clone()).into(),
                    e.kind.name().into(),
                    self.channels[e.channel].unit.to_string().into(),
                    (e.carrier[0] * rate).into(),
                    (e.carrier[1] * rate).into(),
                    (e.beat[0] * rate).into(),
                    (e.beat[1] * rate).into(),
                    e.amplitudes[0].into(),
                    two.then_some(e.amplitudes[1]).into(),
                    e.max.into(),
                    e.min.into(),
                    e.modulation.into(),
                    e.depth().into(),
                    e.thd.into(),
                    e.intermodulation_db.into(),
                    e.floor_db.into(),
                    e.third_db.into(),
                    e.crosstalk_db.into(),
                    verdict.name.into(),
                    verdict.reason,
                ],
            );
        }
        table
    }

    /// Number, times and channel of an episode.
    fn place(&self, s: &Steady) -> [Cell; 5] {
        let channel = &self.channels[s.channel];
        [
            s.number.into(),
            self.at(s.segment, s.start).into(),
            self.at(s.segment, s.end).into(),
            channel.name.clone().into(),
            channel.unit.to_string().into(),
        ]
    }

    fn noise(&self, steadies: &[Steady]) -> Table {
        let mut table = Table::new(&NOISE);
        for s in steadies {
            let Some(n) = &s.noise else { continue };
            let verdict =
                Verdict::new(s.reasons().into_iter().map(str::to_owned).collect(), &[], &self.channels[s.channel]);
            let own: [Cell; 17] = [
                n.rms.into(),
                n.peak_to_peak.into(),
                n.low_hz.into(),
                n.high_hz.into(),
                n.in_band.into(),
                n.flatness.into(),
                n.skewness[0].into(),
                n.kurtosis[0].into(),
                n.skewness[1].into(),
                n.kurtosis[1].into(),
                n.clipped.into(),
                n.autocorrelation.into(),
                n.repeat.0.into(),
                n.repeat.1.into(),
                n.stationarity.into(),
                verdict.name.into(),
                verdict.reason,
            ];
            table.push(None, self.place(s).into_iter().chain(own).collect::<Vec<_>>());
        }
        table
    }

    fn level(&self, steadies: &[Steady]) -> Table {
        let mut table = Table::new(&LEVEL);
        for s in steadies {
            let Some(l) = &s.level else { continue };
            let verdict =
                Verdict::new(s.reasons().into_iter().map(str::to_owned).collect(), &[], &self.channels[s.channel]);
            let own: [Cell; 7] = [
                l.level.into(),
                l.drift_per_min.into(),
                l.ripple.into(),
                l.peak_to_peak().into(),
                l.charge.into(),
                verdict.name.into(),
                verdict.reason,
            ];
            table.push(None, self.place(s).into_iter().chain(own).collect::<Vec<_>>());
        }
        table
    }

    fn bursts(&self, measured: &[Vec<Measured>], steadies: &[Steady]) -> Table {
        let mut table = Table::new(&BURSTS);
        for (c, channel) in self.channels.iter().enumerate() {
            // number of the episode, segment, and bursts
            let mut all: Vec<(usize, usize, Vec<[f64; 2]>)> = Vec::new();
            let mut add = |number, segment, bursts: Vec<[f64; 2]>| match all.last_mut() {
                Some((_, before, train)) if *before == segment => train.extend(bursts),
                _ => all.push((number, segment, bursts)),
            };
            for (number, m) in measured[c].iter().enumerate() {
                let whole = vec![[m.start, m.end]];
                add(number, m.segment, if m.bursts.is_empty() { whole } else { m.bursts.clone() });
            }
            steadies.iter().filter(|s| s.channel == c).for_each(|s| add(s.number, s.segment, vec![[s.start, s.end]]));
            for (number, segment, bursts) in &all {
                // an edge is known to about a cycle
                let slack = self.surveys[c].cycles.map_or(0.0, |cycles| 1.0 / cycles);
                let Some(train) = Train::new(bursts, slack) else { continue };
                let seconds = |samples: f64| samples / self.rate();
                table.push(
                    None,
                    [
                        (*number).into(),
                        self.at(*segment, train.start).into(),
                        self.at(*segment, train.end).into(),
                        channel.name.clone().into(),
                        train.bursts.into(),
                        seconds(train.on[0]).into(),
                        seconds(train.on[1]).into(),
                        seconds(train.period[0]).into(),
                        seconds(train.period[1]).into(),
                        train.duty.into(),
                        u32::from(train.regular).into(),
                    ],
                );
            }
        }
        table
    }
}

fn line_cells(channel: &Channel, number: usize, line: &expect::Line) -> [Cell; 8] {
    [
        channel.name.clone().into(),
        line.expected.into(),
        line.measured.into(),
        line.tolerance.into(),
        line.verdict.into(),
        number.into(),
        line.item.into(),
        line.unit.clone().into(),
    ]
}

/// A number for people: six digits.
fn short(x: f64) -> String {
    format!("{}", format!("{x:.5e}").parse::<f64>().unwrap_or(x))
}
