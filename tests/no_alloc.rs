//! Law 3: push is quiet. A counting allocator sees zero allocations in `push` and `cue`.
#![allow(unsafe_code)] // the counting allocator; nowhere else in the tests

mod common;

use common::Lab;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use stimkit::recipe::Recipe;
use stimkit::run::{Input, Models, Pipeline};
use stimkit::signal::Block;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system allocator unchanged; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

#[test]
fn the_counter_counts() {
    let before = allocations();
    std::hint::black_box(vec![1_u8; 100]);
    assert!(allocations() > before);
}

/// Pulses repeated for as long as `blocks` lasts; returns the allocations in `cue` and `push`.
fn push_blocks(recipe: &Recipe, blocks: u64, size: impl Fn(u64) -> usize) -> u64 {
    push_laps(&common::lab(9, 1000.0, 12.0, 1), recipe, &Vec::new(), blocks, size)
}

/// The same of any recording, with models.
fn push_laps(lab: &Lab, recipe: &Recipe, models: &Models, blocks: u64, size: impl Fn(u64) -> usize) -> u64 {
    let recording = lab.recording();
    let (input, chosen) = Input::of(&recording, recipe).unwrap();
    let mut pipeline = Pipeline::build(recipe, &input, models, 1).unwrap();
    let (mut rows, mut tables) = (Vec::with_capacity(1 << 16), Vec::new());
    let n = lab.rows[0].len();
    let mut block = Block::new(chosen.len(), 4096);
    let (mut at, mut in_push) = (0_usize, 0);
    let mut events = 0;
    for i in 0..blocks {
        let len = size(i);
        block.start(0, at as i64, len);
        for (c, &row) in chosen.iter().enumerate() {
            for s in 0..len {
                block.set(c, s, lab.rows[row][(at + s) % n]);
            }
        }
        let before = allocations();
        for event in &lab.events {
            let lap = (at / n * n) as i64;
            let tick = event.tick.0 + lap;
            if (at as i64..(at + len) as i64).contains(&tick) {
                let mut event = *event;
                event.tick.0 = tick;
                pipeline.cue(&event);
                events += 1;
            }
        }
        pipeline.push(&block);
        in_push += allocations() - before;
        if i % 256 == 0 {
            pipeline.drain(&mut rows, &mut tables);
            rows.clear();
            tables.clear();
        }
        at += len;
    }
    assert!(events > 0 && pipeline.lost() == (0, 0), "{events} events, lost {:?}", pipeline.lost());
    in_push
}

#[test]
fn law_3_a_million_blocks_without_an_allocation() {
    assert_eq!(push_blocks(&common::quick("tms-live"), 1_000_000, |_| 1), 0);
}

#[test]
fn law_3_zero_phase_and_odd_sizes() {
    assert_eq!(push_blocks(&common::quick("tep-1hz"), 2_000, |i| [1, 7, 4000, 64, 513][i as usize % 5]), 0);
}

#[test]
fn law_3_windows_within_events() {
    assert_eq!(push_blocks(&common::clocked(), 20_000, |i| [1, 7, 400, 64, 513][i as usize % 5]), 0);
}

#[test]
fn law_3_every_kind_of_density() {
    let mut recipe = common::quick("tms-live");
    for psd in ["average=median", "method=multitaper", "adaptive=true"] {
        let text = "[cut]\nwindow_ms=[0, 1]\n[[marker]]\nuse='power'\n[marker.psd]\nmedian_segments=6";
        let patches = ["marker.power.psd.method=multitaper".to_owned(), format!("marker.power.psd.{psd}")];
        let used = if psd == "average=median" { &patches[1..] } else { &patches };
        recipe.marker.extend(Recipe::patched(text, used).unwrap().marker);
    }
    assert_eq!(push_blocks(&recipe, 3_000, |i| [1, 7, 4000, 64, 513][i as usize % 5]), 0);
}

#[test]
fn law_3_markers_that_look_at_every_epoch() {
    let text = "[input]\nline = 'off'\n[cut]\nevent = 'TMS'\nwindow_ms = [-500, 500]\n[[marker]]\nuse = 'aperiodic'\n\
                method = 'irasa'\n[[marker]]\nuse = 'index'\n[[marker]]\nuse = 'rhythm'";
    assert_eq!(push_blocks(&Recipe::parse(text).unwrap(), 500, |i| [1, 7, 4000, 64, 513][i as usize % 5]), 0);
}

#[test]
fn law_3_every_marker_of_power_time_and_connectivity() {
    let (clocked, around) = common::every_marker("");
    for recipe in [clocked, around] {
        assert_eq!(push_blocks(&recipe, 100, |i| [1, 7, 4000, 64, 513][i as usize % 5]), 0);
    }
}

/// So many epochs that blocks are joined.
#[test]
fn law_3_before_and_after() {
    let patches = ["cut.every_ms=500", "marker.after-effect.block_epochs=1", "input.line=50"].map(str::to_owned);
    let more = "[[marker]]\nuse = 'after-effect'\nfrom = 'p*'\nblock_epochs = 1\n\
                connectivity = ['wpli2_debiased', 'imcoh']\npairs = [['Fz', 'Cz'], ['F*', 'P*']]\n";
    let text = format!("{}{more}", stimkit::recipe::Builtin::find("pre-post").unwrap().text);
    let recipe = Recipe::patched(&text, &patches).unwrap();
    let lab = common::calm(9, 1000.0, 12.0, 1);
    let lab = Lab { events: Vec::new(), ..lab }.halves();
    let models = learnt(&lab, &recipe);
    assert_eq!(models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["bad-channels"]);
    assert_eq!(push_laps(&lab, &recipe, &models, 1_500, |i| [1, 7, 400, 64, 513][i as usize % 5]), 0);
}

/// Stimulation with a gap, a sample that is missing and a channel that is flat.
fn stimulated(seed: u64) -> Lab {
    let mut lab = common::under_stimulation(9, seed).with_gap(7000, 3.0);
    lab.rows[2][6000] = f64::NAN;
    lab.rows[5].fill(3.0);
    lab
}

/// Allocations in `cue` and `push` of a recording whose models are known, cut into blocks of odd sizes, and once more after a
/// reset; how many rows came of it each time.
fn push_cleaned(lab: &Lab, recipe: &Recipe, models: &Models) -> (u64, [usize; 2]) {
    let (mut pipeline, chosen, cued) = common::ready(lab, recipe, models);
    let (mut rows, mut tables) = (Vec::with_capacity(1 << 16), Vec::new());
    let mut block = Block::new(chosen.len(), 4096);
    let mut in_push = 0;
    let found = [(); 2].map(|()| {
        let (mut events, mut i, mut found) = (cued.events.iter().peekable(), 0, 0);
        for (s, segment) in lab.segments.iter().enumerate() {
            let mut at = segment.first.0;
            while at < segment.end().0 {
                let len = [1, 7, 4000, 64, 513][i % 5].min((segment.end().0 - at) as usize);
                i += 1;
                block.start(s as u32, at, len);
                for (c, &row) in chosen.iter().enumerate() {
                    (0..len).for_each(|k| block.set(c, k, lab.rows[row][at as usize + k]));
                }
                let before = allocations();
                while let Some(event) = events.next_if(|e| e.tick.0 < at + len as i64) {
                    pipeline.cue(event);
                }
                pipeline.push(&block);
                in_push += allocations() - before;
                pipeline.drain(&mut rows, &mut tables);
                found += rows.len();
                rows.clear();
                tables.clear();
                at += len as i64;
            }
        }
        assert_eq!((events.next(), pipeline.lost()), (None, (0, 0)));
        pipeline.reset();
        found
    });
    (in_push, found)
}

fn learnt(lab: &Lab, recipe: &Recipe) -> Models {
    let done = stimkit::run::recording::analyse_source(&|| Ok(lab.source()), recipe, &common::options(1)).unwrap();
    done.models
}

/// Every Stage that cleans, as it is by default and in its other ways.
#[test]
fn law_3_every_method_that_cleans() {
    let lab = stimulated(8);
    let ways = [
        ("harmonics", "window_s = 2\nharmonics = 3"),
        ("kalman", "restart_sd = 3\nharmonics = 2"),
        ("sass", "nulls = 3"),
        ("regression", "lags_ms = [0, 10, 25]"),
        ("parrm", "direction = 'past'"),
        ("comb", "direction = 'past'\nweights = 'triangle'"),
        ("template", "bins = 16"),
    ];
    let all = common::methods();
    assert!(ways.iter().all(|(name, _)| all.iter().any(|(method, _)| method == name)), "{all:?}");
    for (method, keys) in all.into_iter().chain(ways) {
        let recipe = common::cleaning(method, keys).unwrap();
        let (in_push, found) = push_cleaned(&lab, &recipe, &learnt(&lab, &recipe));
        assert!(found[0] > 30 && found[0] == found[1], "{method}, {keys}: {found:?} rows");
        assert_eq!(in_push, 0, "{method}, {keys}");
    }
}

/// Recipe `tacs`, whole: entrainment and after-effect behind a Stage that cleans.
#[test]
fn law_3_entrainment_and_after_effect() {
    let lab = stimulated(10);
    let patches = ["input.channels=*", "cut.every_ms=1000", "input.line=50", "epoch.reject.max_ptp_uv=1e4"];
    let more = "[[marker]]\nuse = 'entrainment'\nmultiples = [1, 2]\nwindow_ms = 400\npower_hz = {}\n";
    let text = format!("{}{more}", stimkit::recipe::Builtin::find("tacs").unwrap().text);
    let recipe = Recipe::patched(&text, &patches.map(str::to_owned)).unwrap();
    let (in_push, found) = push_cleaned(&lab, &recipe, &learnt(&lab, &recipe));
    assert!(found[0] > 15 && found[0] == found[1], "{found:?} rows");
    assert_eq!(in_push, 0);
}

#[test]
fn law_3_phase_of_every_kind_in_a_callback() {
    use stimkit::clean::phase::{Phase, Tracker};
    let x: Vec<f64> =
        (0..20_000).map(|i| 10.0 * (0.2527 * f64::from(i)).cos() + f64::from(i * 7919 % 101) / 20.0).collect();
    for method in ["echt", "phastimate", "kalman"] {
        let text = format!("method = '{method}'\ntarget_deg = 90\nmin_percentile = 10\nrefractory_ms = 0");
        let config: Phase = toml::from_str(&text).unwrap();
        let model = config.calibrate(250.0, &["Cz"], std::slice::from_ref(&x)).unwrap();
        let mut tracker = Tracker::new(&config, 250.0, &["Cz"], Some(&model)).unwrap();
        let before = allocations();
        let hits = x.iter().filter(|v| tracker.push(&[**v]).is_some()).count();
        assert_eq!((allocations() - before, hits > 500), (0, true), "{method}: {hits} triggers");
    }
}

/// Who watches a cleaning Stage is as quiet as the Stage, with a recording to compare with, a gap, a channel that clips and one of NaN.
#[test]
fn the_quality_check_allocates_nothing() {
    use std::sync::Arc;
    use stimkit::clean::quality::{Method, watch};
    use stimkit::flow::BuildContext;
    use stimkit::signal::{Channel, ChannelKind, Episode, Segment, Stimulation, StreamInfo};
    use stimkit::unit::{Clock, Rate, Tick, Unit};

    let clock = Clock::stored(Rate::from_hz(500.0).unwrap());
    let channels: Vec<Channel> =
        (0..9).map(|c| Channel::new(format!("E{c}"), ChannelKind::Eeg, Unit::Microvolt)).collect();
    let info = StreamInfo { clock, channels: channels.into(), max_block: 512 };
    let episode = |segment, on: std::ops::Range<i64>| Episode {
        segment,
        plateau: on.clone(),
        on,
        cycles: 0.02,
        phase: 0.0,
        amplitude: 1e3,
        channel: "E0".into(),
    };
    let segment = |first, length| Segment { first: Tick(first), length, start_s: 0.0 };
    let episodes = vec![episode(0, 20_000..30_000), episode(1, 40_000..40_500)];
    let context = BuildContext {
        segments: Arc::new([segment(0, 35_000), segment(35_000, 15_000)]),
        stimulation: Some((clock, Arc::new(Stimulation { episodes, ..Stimulation::default() }))),
        ..BuildContext::default()
    };
    let mut watch = watch(&info, &info, &context, Method::new("test")).unwrap();
    let mut block = Block::new(9, 512);
    let mut counted = 0;
    for pass in 0..3 {
        for (i, first) in (0..50_000_i64).step_by(500).enumerate() {
            block.start(u32::from(first >= 35_000), first, 500);
            for (c, k) in (0..9).flat_map(|c| (0..500).map(move |k| (c, k))) {
                let n = first + k as i64;
                let noise = (n * 7919 % 1013) as f64 / 100.0;
                let value = (1e3 * (n as f64 * 0.02 * std::f64::consts::TAU).sin() + noise).min(990.0);
                block.set(c, k, if c == 3 { f64::NAN } else { value });
            }
            let before = allocations();
            if pass == 0 {
                watch.quiet(&block);
            } else {
                watch.before(&block);
                watch.after(&block);
                if i == 69 || i == 99 {
                    watch.end_segment();
                }
            }
            counted += allocations() - before;
        }
        if pass == 1 {
            assert_eq!(watch.report()[0].len(), 18);
            let before = allocations();
            watch.reset();
            counted += allocations() - before;
        }
    }
    assert_eq!(counted, 0);
}
