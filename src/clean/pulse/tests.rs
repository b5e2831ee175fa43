//! The Stage against a naive bridging of whole rows, and its laws.

use super::*;
use crate::dsp::stats::tests::{golden, numbers};
use crate::signal::{Channel, ChannelKind};
use crate::unit::{Clock, Rate, Tick, Unit};

/// The integer generator of the reference scripts.
struct Lcg(u32);

impl Lcg {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next()) * n as u64) >> 32) as usize
    }

    fn noise(&mut self) -> f64 {
        f64::from(self.next()) / 4_294_967_296.0 - 0.5
    }
}

fn info(channels: usize, rate: f64, max_block: usize) -> StreamInfo {
    let channel = |i: usize| Channel::new(format!("C{i}"), ChannelKind::Eeg, Unit::Microvolt);
    StreamInfo {
        clock: Clock::stored(Rate::from_hz(rate).unwrap()),
        channels: (0..channels).map(channel).collect(),
        max_block,
    }
}

fn context(late_ticks: u64) -> BuildContext {
    BuildContext { pulses: vec![EventName(1)], late_ticks, ..BuildContext::default() }
}

fn plan(config: &Pulse, info: &StreamInfo, late: u64) -> PulseStage {
    let mut problems = Problems::default();
    let stage = config.plan(info, &mut context(late), &mut problems);
    stage.unwrap_or_else(|| panic!("{:?}", problems.list()))
}

/// When events are told.
#[derive(Clone, Copy)]
enum Cue {
    AllFirst,
    JustInTime,
}

/// Rows of all channels over several segments: (first tick, rows).
type Segments = Vec<(i64, Vec<Vec<f64>>)>;

/// Pushes everything through the Stage in random blocks; gives rows as they come out, and checks the stamps.
fn run(stage: &mut PulseStage, segments: &Segments, events: &[i64], late: i64, cue: Cue, seed: u32) -> Segments {
    let mut lcg = Lcg(seed);
    let max = stage.output().max_block;
    let channels = stage.output().channels.len();
    let (mut input, mut out) = (Block::new(channels, max), Block::new(channels, max));
    let tell = |stage: &mut PulseStage, e: i64| {
        stage.cue(&Event::new(Tick(e), EventName(1)));
        stage.cue(&Event::new(Tick(e + 3), EventName(0)));
    };
    let mut waiting: Vec<i64> = events.to_vec();
    let mut result = Segments::new();
    for (index, (first, rows)) in segments.iter().enumerate() {
        let mut got = vec![Vec::new(); channels];
        let take = |out: &Block, got: &mut Vec<Vec<f64>>| {
            if !out.is_empty() {
                assert_eq!((out.segment(), out.first()), (index as u32, first + got[0].len() as i64));
            }
            for (c, row) in got.iter_mut().enumerate() {
                row.extend((0..out.len()).map(|s| out.get(c, s)));
            }
        };
        let mut at = 0;
        while at < rows[0].len() {
            // one sample at a time, small blocks, or the largest
            let n = match seed % 3 {
                0 => 1,
                1 => 1 + lcg.below(40),
                _ => 1 + lcg.below(max),
            };
            let n = n.min(rows[0].len() - at).min(max);
            let end = first + (at + n) as i64;
            waiting.retain(|&e| {
                let now = match cue {
                    Cue::AllFirst => true,
                    Cue::JustInTime => e + late < end,
                };
                if now {
                    tell(stage, e);
                }
                !now
            });
            input.start(index as u32, first + at as i64, n);
            for (c, row) in rows.iter().enumerate() {
                (0..n).for_each(|s| input.set(c, s, row[at + s]));
            }
            stage.push(&input, &mut out);
            take(&out, &mut got);
            at += n;
        }
        // whatever was cued late and belongs here
        waiting.retain(|&e| {
            let here = e < first + at as i64;
            if here {
                tell(stage, e);
            }
            !here
        });
        stage.finish(&mut out);
        take(&out, &mut got);
        stage.reset();
        result.push((*first, got));
    }
    result
}

/// The same on whole rows.
fn naive(config: &Pulse, info: &StreamInfo, segments: &Segments, events: &[i64]) -> Segments {
    let stage = plan(config, info, 0);
    let windows = config.windows(info.rate_hz(), &mut Problems::default());
    let (fit, longest) = (stage.fit, stage.longest);
    let mut result = segments.clone();
    for (first, rows) in &mut result {
        let n = rows[0].len() as i64;
        let mut gaps: Vec<(i64, i64, i64)> = Vec::new();
        for &e in events.iter().filter(|e| (*first..*first + n).contains(e)) {
            gaps.extend(windows.iter().map(|w| (e + w.0 - *first, e + w.1 - *first, e - *first)));
        }
        gaps.retain(|g| g.1 >= 0 && g.0 < n);
        gaps.sort_unstable();
        gaps.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1 + 1;
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        let mut filled = vec![false; n as usize];
        for g in &mut gaps {
            (g.0, g.1) = (g.0.max(0), g.1.min(n - 1));
            filled[g.0 as usize..=g.1 as usize].fill(true);
        }
        for row in rows.iter_mut() {
            let raw = row.clone();
            let mut bridge = Bridge::new(config.fill, config.anchor_samples, fit, config.max_order, longest);
            for (i, &(a, b, e)) in gaps.iter().enumerate() {
                let (a, b) = (a as usize, b as usize);
                let from = if i == 0 { 0 } else { gaps[i - 1].1 as usize + 1 };
                let to = gaps.get(i + 1).map_or(n as usize, |g| g.0 as usize);
                let pre = &raw[a.saturating_sub(fit).max(from)..a];
                let post = &raw[b + 1..(b + 1 + fit).min(to)];
                let level = stage.baseline.and_then(|w| {
                    let window = (e + w.0).max(0)..(e + w.1 + 1).max(0);
                    let values: Vec<_> = window
                        .map(|s| s as usize)
                        .filter(|&s| !filled[s])
                        .map(|s| raw[s])
                        .filter(|v| v.is_finite())
                        .collect();
                    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
                });
                if b - a + 1 > longest {
                    let mut one = [0.0];
                    bridge.fill(pre, &[], level, &mut one);
                    row[a..=b].fill(one[0]);
                } else {
                    bridge.fill(pre, post, level, &mut row[a..=b]);
                }
            }
        }
    }
    result
}

fn same_bits(a: &Segments, b: &Segments, what: &str) {
    for ((first, a), (_, b)) in a.iter().zip(b) {
        for (c, (a, b)) in a.iter().zip(b).enumerate() {
            assert_eq!(a.len(), b.len(), "{what}");
            if let Some(at) =
                (0..a.len()).find(|&i| a[i].to_bits() != b[i].to_bits() && !(a[i].is_nan() && b[i].is_nan()))
            {
                panic!("{what}: channel {c}, segment from {first}, sample {at}: {} against {}", a[at], b[at]);
            }
        }
    }
}

fn noise(lcg: &mut Lcg, channels: usize, n: usize) -> Vec<Vec<f64>> {
    let row =
        |c: usize, lcg: &mut Lcg| (0..n).map(|i| 20.0 * (0.05 * i as f64 + c as f64).sin() + lcg.noise()).collect();
    (0..channels).map(|c| row(c, lcg)).collect()
}

fn configs() -> Vec<Pulse> {
    let base = Pulse { max_gap_ms: Some(40.0), ..Pulse::default() };
    let pair = Windows::Many(vec![[99.0, 111.0], [-2.0, 12.0]]);
    let later = Windows::One([5.0, 12.0]);
    let fill = |fill| Pulse { fill, ..base.clone() };
    vec![
        base.clone(),
        Pulse { anchor_samples: 4, cut_ms: pair.clone(), ..base.clone() },
        Pulse { cut_ms: later, ..fill(Fill::Pchip) },
        fill(Fill::Pchip),
        fill(Fill::Cubic),
        fill(Fill::Ar),
        // no delay to spare: the longest gap is the window itself
        Pulse { max_gap_ms: Some(15.0), ..fill(Fill::Cubic) },
        Pulse { max_gap_ms: Some(15.0), ..base.clone() },
        Pulse { cut_ms: pair.clone(), baseline_ms: [-60.0, -5.0], ..fill(Fill::Constant) },
        Pulse { cut_ms: pair, ..fill(Fill::Nan) },
    ]
}

/// Gaps at both ends of a segment, beside each other, touching, too long, across a boundary, and a segment that is all gap.
fn hard_case(channels: usize) -> (Segments, Vec<i64>) {
    let mut lcg = Lcg(7);
    let lengths = [900_usize, 10, 700, 1];
    let mut segments = Segments::new();
    let mut first = 0;
    for n in lengths {
        segments.push((first, noise(&mut lcg, channels, n)));
        first += n as i64;
    }
    // missing samples around the gap of event 300
    let rows = &mut segments[0].1;
    rows[0][297] = f64::NAN;
    rows[0][313] = f64::INFINITY;
    rows[1][250..298].fill(f64::NAN);
    rows[2][200..500].fill(f64::NAN);
    let events = vec![
        1, 60, 74, 100, 117, 300, 301, 320, 500, 512, 524, 536, 548, 560, 700, 898, // first segment
        905, // the second, all gap
        911, 1000, 1015, 1100, 1116, 1150, 1169, 1200, 1203, 1600, 1609, // third
        1610, 1611, // the last sample, and none
    ];
    (segments, events)
}

#[test]
fn the_stage_is_the_naive_bridging_however_cut_and_cued() {
    let (segments, events) = hard_case(11);
    let info = info(11, 1000.0, 333);
    for (i, config) in configs().iter().enumerate() {
        let want = naive(config, &info, &segments, &events);
        for late in [0, 1, 30] {
            for seed in 0..9 {
                let cue = if seed % 2 == 0 { Cue::AllFirst } else { Cue::JustInTime };
                let mut stage = plan(config, &info, late as u64);
                let got = run(&mut stage, &segments, &events, late, cue, seed);
                same_bits(&got, &want, &format!("config {i}, late {late}, seed {seed}"));
                assert_eq!(stage.counts().late_events + stage.counts().lost_events, 0);
                let again = run(&mut stage, &segments, &events, late, cue, seed + 1);
                same_bits(&again, &want, "a second recording");
            }
        }
    }
}

#[test]
fn all_fills_give_the_reference_numbers_through_the_stage() {
    let golden = golden();
    let x = numbers(&golden["signal"]);
    // the gap 200..=213 around an event at 202, at 1 kHz; channel 1 is shifted and must not matter to channel 0
    let other: Vec<_> = x.iter().map(|v| -3.0 * v + 100.0).collect();
    let info = info(2, 1000.0, 64);
    let base = Pulse { cut_ms: Windows::One([-2.0, 11.0]), ..Pulse::default() };
    let with = |fill, fit_ms| Pulse { fill, fit_ms, ..base.clone() };
    for (key, config, tolerance) in [
        ("linear_1", base.clone(), 1e-12),
        ("linear_3", Pulse { anchor_samples: 3, ..base.clone() }, 1e-12),
        ("pchip_10", with(Fill::Pchip, None), 1e-12),
        ("cubic_5", with(Fill::Cubic, None), 1e-9),
        ("cubic_20", with(Fill::Cubic, Some(20.0)), 1e-9),
        ("cubic_2", with(Fill::Cubic, Some(2.0)), 1e-9),
        ("ar_20", with(Fill::Ar, None), 1e-8),
        ("ar_7", with(Fill::Ar, Some(7.0)), 1e-8),
    ] {
        let mut stage = plan(&config, &info, 0);
        let got = run(&mut stage, &vec![(0, vec![x.clone(), other.clone()])], &[202], 0, Cue::JustInTime, 1);
        for (i, want) in numbers(&golden[key]).into_iter().enumerate() {
            let (a, b) = (got[0].1[0][200 + i], got[0].1[1][200 + i]);
            assert!((a - want).abs() <= tolerance * want.abs().max(1.0), "{key}: {a} against {want}");
            // a shift passes through every fill but the autoregressive one, which keeps no mean
            assert!(config.fill == Fill::Ar || (b - (100.0 - 3.0 * want)).abs() < 1e-8, "{key}");
        }
        for i in (0..400).filter(|i| !(200..214).contains(i)) {
            assert_eq!(got[0].1[0][i], x[i], "{key}: outside the gap nothing changes");
        }
        let counts = stage.counts();
        assert_eq!((counts.gaps, counts.filled_samples, counts.fallbacks, counts.held), (1, 14, 0, 0));
        assert!(counts.max_step > 0.0 && stage.notes().contains("14 samples filled"), "{}", stage.notes());
    }
}

#[test]
fn what_could_not_be_done_is_counted() {
    let info = info(1, 1000.0, 50);
    let rows = noise(&mut Lcg(1), 1, 400);
    let count = |config: &Pulse, events: &[i64]| {
        let mut stage = plan(config, &info, 0);
        run(&mut stage, &vec![(0, rows.clone())], events, 0, Cue::AllFirst, 2);
        stage.counts()
    };
    let base = Pulse::default();
    assert_eq!(count(&base, &[0, 399]).held, 2);
    let train: Vec<_> = (0..10).map(|i| 100 + 10 * i).collect();
    let long = count(&base, &train);
    assert_eq!((long.gaps, long.too_long, long.filled_samples), (1, 1, 105));
    let ar = Pulse { fill: Fill::Ar, ..base.clone() };
    // 3 samples between the two gaps: 112 113 114
    assert_eq!(count(&ar, &[100, 117]).fallbacks, 2);
    let mut stage = plan(&base, &info, 0);
    run(&mut stage, &vec![(0, rows.clone())], &[200], 150, Cue::JustInTime, 0);
    assert_eq!((stage.counts().late_events, stage.counts().gaps), (1, 0));
    let everything: Vec<_> = (0..5000).map(|i| 20 * i).collect();
    assert_eq!(count(&base, &everything).lost_events, 5000 - PENDING_EVENTS as u64);
}

#[test]
fn a_resampled_stream_is_cut_on_its_own_clock() {
    let mut info = info(1, 5000.0, 64);
    info.clock = info.clock.resampled(1, 5).unwrap();
    let mut stage = plan(&Pulse::default(), &info, 7);
    // late ticks 7 at 5 kHz are 2 samples at 1 kHz; window −2…12
    assert_eq!(stage.lookahead(), 60 + 1 - 1 + 2 + 2);
    let got =
        run(&mut stage, &vec![(0, vec![(0..300).map(|i| f64::from(i * i)).collect()])], &[502], 7, Cue::AllFirst, 1);
    // tick 502 is sample 100.4
    let changed: Vec<_> = (0..300).filter(|&i| got[0].1[0][i] != (i * i) as f64).collect();
    assert_eq!(changed, (98..=112).collect::<Vec<_>>());
}

#[test]
fn recipes() {
    let parse = |text: &str| toml::from_str::<Pulse>(text);
    assert_eq!(parse("").unwrap(), Pulse::default());
    let config = parse("cut_ms = [[-2, 12], [499, 511.5]]\nfill = \"ar\"\nfit_ms = 15").unwrap();
    assert_eq!(config.cut_ms.list(), [[-2.0, 12.0], [499.0, 511.5]]);
    assert_eq!((config.fill, config.fit_ms), (Fill::Ar, Some(15.0)));
    assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
    assert!(parse("cut = [-2, 12]").is_err() && parse("fill = \"spline\"").is_err());

    let problems = |text: &str| {
        let mut problems = Problems::default();
        let mut context = context(0);
        let built = parse(text).unwrap().build(&info(3, 1000.0, 10), &mut context, &mut problems);
        assert_eq!(built.is_none(), !problems.list().is_empty());
        assert_eq!(context.bridged_ms.is_empty(), built.is_none());
        problems.list().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    for (text, word) in [
        ("cut_ms = [12, -2]", "no window"),
        ("cut_ms = [0.2, 0.8]", "no sample"),
        ("cut_ms = []", "no window"),
        ("cut_ms = [nan, 12]", "no window"),
        ("fit_ms = 5", "no meaning"),
        ("fill = \"cubic\"\nfit_ms = -1", "not between"),
        ("fill = \"ar\"\nmax_order = 0", "max_order"),
        ("anchor_samples = 0", "anchor_samples"),
        ("max_gap_ms = 5", "below the longest"),
        ("fill = \"constant\"\nbaseline_ms = [-100, 0]", "before the first cut"),
    ] {
        let found = problems(text);
        assert!(found.contains(word), "{text}: {found}");
    }
    assert_eq!(problems("cut_ms = [[-2, 12], [499, 511]]"), "");
}
