//! The laws of the house, on whole recipes. (Every Stage also has its own cut test beside its code.)
//!
//! `tests/proof/mutants.sh` breaks the code once per law and checks that the law's test fails.

mod common;

use common::{Lab, bytes, lab, live, options};
use stimkit::recipe::Recipe;
use stimkit::run::recording::analyse_source;
use stimkit::signal::Event;
use stimkit::table::Table;
use stimkit::unit::Tick;

/// Law 1. However the input is split into blocks, the output is the same bits.
#[test]
fn law_1_cuts_do_not_matter() {
    let lab = lab(10, 1000.0, 9.0, 1);
    for (name, splits) in [("tms-live", 1000), ("tep-1hz", 25), ("tep", 25)] {
        let recipe = common::quick(name);
        let whole = bytes(&live(&lab, &recipe, 0, |_| 100_000));
        let mut rng = common::Lcg(7);
        for split in 0..splits {
            // one sample at a time, then blocks of up to 10, 100, … samples
            let most = [1, 10, 100, 1000, 5000][split % 5];
            let cut = live(&lab, &recipe, 0, |_| 1 + rng.below(most));
            assert!(whole == bytes(&cut), "{name}: split {split} (blocks of up to {most}) changes the output");
        }
    }
}

/// Law 2. An impulse at tick t peaks at t after any chain: delay never leaks into epoching.
#[test]
fn law_2_time_is_source_time() {
    for (rate, tick) in [(5000.0, 7503), (5000.0, 7500), (2048.0, 3001), (1000.0, 2000)] {
        let mut lab = Lab::silent(9, rate, 4.0);
        lab.rows.iter_mut().for_each(|row| row[tick] = 1e4);
        lab.events = vec![Event::new(Tick(tick as i64), stimkit::signal::EventName(0))];
        let resample = if rate == 2048.0 { "use = 'resample'\nto_hz = 500" } else { "use = 'decimate'\nto_hz = 1000" };
        let text = format!(
            "[input]\nline = 'off'\n[[stream]]\n{resample}\n[[stream]]\nuse = 'butterworth'\nband_hz = [1, 80]\n\
             [[stream]]\nuse = 'butterworth'\nstop_hz = [48, 52]\n[cut]\nevent = 'TMS'\nwindow_ms = [-500, 500]\n[[marker]]\nuse = 'tep'"
        );
        let tables = live(&lab, &Recipe::parse(&text).unwrap(), 0, |_| 333);
        let tep = common::table(&tables, "tep");
        let peak = (0..tep.len()).max_by(|a, b| value(tep, *a).total_cmp(&value(tep, *b))).unwrap();
        let out_rate = if rate == 2048.0 { 500.0 } else { 1000.0 };
        let at_ms = tep.number(peak, "time_ms").unwrap();
        assert!(at_ms.abs() <= 500.0 / out_rate + 1e-9, "impulse at tick {tick} of {rate} Hz peaks {at_ms} ms away");
    }
    fn value(tep: &stimkit::table::Table, row: usize) -> f64 {
        tep.number(row, "Cz").unwrap_or(f64::NEG_INFINITY)
    }
}

/// Law 4. A gap is a fact: what straddles it is dropped with a reason, and nothing is joined silently.
#[test]
fn law_4_a_gap_is_a_fact() {
    let whole = lab(9, 1000.0, 12.0, 2);
    let cut_at = whole.events[2].tick.0 + 300;
    let gapped = whole.clone().with_gap(cut_at, 5.0);
    let recipe = common::quick("tep-1hz");
    let tables = live(&gapped, &recipe, 0, |_| 250);
    let trials = common::table(&tables, "trials");
    let reasons: Vec<String> = (0..trials.len()).map(|r| format!("{:?}", trials.cell(r, "reason").unwrap())).collect();
    assert!(reasons[2].contains("gap"), "the straddling epoch was not dropped for the gap: {reasons:?}");
    let expected = gapped.events[3].tick.0 as f64 / 1000.0 + 5.0;
    assert!((trials.number(3, "onset_s").unwrap() - expected).abs() < 1e-9, "onset_s counts the gap");

    // the second segment alone, as a recording of its own, gives the same numbers (to the zero-phase frames' stated bound:
    // frames are anchored to sample indices, which differ)
    let (a, b) = (gapped.only_events_from(cut_at), whole.after(cut_at));
    let (a, b) = (live(&a, &recipe, 0, |_| 250), live(&b, &recipe, 0, |_| 250));
    let (a, b) = (common::table(&a, "tep"), common::table(&b, "tep"));
    assert_eq!(a.len(), b.len());
    for row in 0..a.len() {
        let (x, y) = (a.number(row, "Cz").unwrap(), b.number(row, "Cz").unwrap());
        assert!((x - y).abs() < 1e-6, "a filter remembers what lies before the gap: {x} and {y} uV");
    }
}

/// Law 5. The file path and the callback path give the same bits, late events included.
#[test]
fn law_5_batch_is_live() {
    let lab = lab(12, 2000.0, 10.0, 3);
    for name in ["tms-live", "tep-1hz", "tep"] {
        let recipe = common::quick(name);
        let batch = analyse_source(&|| Ok(lab.source()), &recipe, &options(1)).unwrap();
        let late = (0.02 * 2000.0) as i64;
        let mut rng = common::Lcg(11);
        let live = live(&lab, &recipe, late, |_| 1 + rng.below(700));
        common::same(&batch.tables, &live, &format!("{name}: live and batch"));
    }
}

/// Law 5, for windows by the clock inside the stretches that events begin: late events too, and a gap.
#[test]
fn law_5_windows_within_events() {
    let mut lab = lab(9, 1000.0, 14.0, 7).with_gap(8000, 3.0);
    lab.events.iter_mut().step_by(3).for_each(|e| e.duration_s = 0.7);
    let recipe = common::clocked();
    let batch = analyse_source(&|| Ok(lab.source()), &recipe, &options(1)).unwrap();
    let mut random = common::Lcg(9);
    for (late, most) in [(0, 700), (20, 300), (20, 1)] {
        let live = live(&lab, &recipe, late, |_| 1 + random.below(most));
        common::same(&batch.tables, &live, &format!("{late} ms late, blocks up to {most}"));
    }
    let trials = common::table(&batch.tables, "trials");
    let at: Vec<f64> = (0..trials.len()).filter_map(|r| trials.number(r, "sample")).collect();
    let starts = |e: &Event| at.contains(&(e.tick.0 as f64));
    assert!(lab.events.iter().filter(|e| e.tick.0 + 300 < 8000).all(starts), "every stretch begins with a window");
    for event in lab.events.iter().filter(|e| e.duration_s > 0.0) {
        let after = (event.tick.0 + 700 - 249) as f64..(event.tick.0 + 1000) as f64;
        assert!(!at.iter().any(|t| after.contains(t)), "a window behind the end of its event");
    }
    assert!(!at.iter().any(|t| (7751.0..8000.0).contains(t)), "a window over the gap");
    assert_eq!(batch.trials.1 as usize, trials.len());
}

/// Law 6. 1, 2 or 8 threads: identical bytes.
#[test]
fn law_6_threads_do_not_matter() {
    let lab = lab(64, 1000.0, 10.0, 4);
    for name in ["tep", "tep-1hz"] {
        let recipe = common::quick(name);
        let run = |threads| bytes(&analyse_source(&|| Ok(lab.source()), &recipe, &options(threads)).unwrap().tables);
        let one = run(1);
        assert!(one == run(2) && one == run(8), "{name}: the number of threads changes the output");
    }
}

/// Law 7. Nothing disappears: every event has its row, a NaN is a visible reason, every channel is listed.
#[test]
fn law_7_nothing_disappears() {
    let mut lab = lab(9, 1000.0, 12.0, 5);
    let name = lab.events[0].name;
    let n = lab.rows[0].len() as i64;
    lab.events.extend([-50, 100, n - 100, n + 5000].map(|t| Event::new(Tick(t), name)));
    lab.events.sort_by_key(|e| e.tick);
    let bad = lab.events.iter().find(|e| e.tick.0 > 3000).unwrap().tick.0;
    lab.rows[4][(bad + 200) as usize] = f64::NAN;
    let recipe = common::quick("tms-live");
    let tables = live(&lab, &recipe, 0, |_| 500);
    let trials = common::table(&tables, "trials");
    assert_eq!(trials.len(), lab.events.len(), "an event has no row");
    let rows = |code: &str| {
        (0..trials.len()).filter(|r| format!("{:?}", trials.cell(*r, "reason").unwrap()).contains(code)).count()
    };
    assert_eq!((rows("\"start\""), rows("\"end\"")), (2, 2), "events at the edges");
    assert!(rows("non_finite") >= 1, "the NaN is not visible");
    let kept: f64 = (0..trials.len()).filter_map(|r| trials.number(r, "kept")).sum();
    assert_eq!(kept, common::table(&tables, "tep").number(0, "n_trials").unwrap(), "kept trials and the mean's count");
    assert_eq!(common::table(&tables, "channels").len(), 9);
}

/// Law 7, for filters: a sample that is not finite costs the trials that it falls into, and no other.
#[test]
fn law_7_one_nan_spoils_its_own_trial_only() {
    let mut lab = lab(9, 1000.0, 14.0, 8);
    let hit = lab.events[4].tick.0;
    lab.rows[2][(hit + 150) as usize] = f64::NAN;
    lab.rows[3][(hit + 151) as usize] = f64::INFINITY;
    for name in ["tms-live", "tep-1hz"] {
        let tables = live(&lab, &common::quick(name), 0, |_| 123);
        let trials = common::table(&tables, "trials");
        let spoiled: Vec<usize> =
            (0..trials.len()).filter(|r| trials.text(*r, "reason") == Some("non_finite")).collect();
        assert_eq!(spoiled, [4], "{name}");
        let tep = common::table(&tables, "tep");
        for channel in &lab.channels {
            let whole = (0..tep.len()).all(|row| tep.number(row, &channel.name).is_some());
            assert!(whole, "{name}: a NaN reached the mean of {}", channel.name);
        }
    }
}

/// Law 8. A number comes with its noise.
#[test]
fn law_8_a_number_comes_with_its_noise() {
    let doubt = [
        ("tep", vec!["n_trials", "filled"]),
        ("field", vec!["n_trials", "filled"]),
        ("peaks", vec!["n_trials", "z_baseline", "p_signflip", "n_candidates", "gap_distance_ms", "odd_uv", "even_uv"]),
        ("areas", vec!["n_trials", "baseline_mean_uv"]),
        ("channels", vec!["noise_uv", "rejected_trials"]),
        ("quality", vec!["n_events", "n_kept", "snr_db", "plus_minus_noise_uv"]),
    ];
    let lab = lab(32, 1000.0, 16.0, 6);
    let tables = live(&lab, &common::quick("tep"), 0, |_| 1000);
    for (name, columns) in doubt {
        let table = common::table(&tables, name);
        assert!(!table.is_empty(), "{name} is empty");
        for column in columns {
            let filled = (0..table.len()).filter(|r| table.number(*r, column).is_some()).count();
            assert!(filled > 0, "{name}.{column} is never filled");
        }
    }
}

/// A recipe's name, the recipe, and what came of it.
type Ran = (&'static str, Recipe, Vec<Table>);

/// What each recipe of [`common::spectral`] gives from a calm recording, and that no table of it is empty.
fn spectral_results() -> (Lab, Vec<Ran>) {
    let lab = common::calm(9, 1000.0, 22.0, 9).halves();
    let run = |(name, recipe): (&'static str, Recipe)| {
        let tables = live(&lab, &recipe, 0, |_| 100_000);
        // a peak or a natural frequency need not be there in every mode
        for table in tables.iter().filter(|t| t.name() != "aperiodic_peaks") {
            let filled = tables.iter().any(|t| t.name() == table.name() && !t.is_empty());
            assert!(filled, "{name}: {} is empty", table.name());
        }
        (name, recipe, tables)
    };
    let results = common::spectral().into_iter().map(run).collect();
    (lab, results)
}

/// Laws 1 and 5 for power, time-frequency and connectivity: neither cuts nor the path that samples take matter.
#[test]
fn law_1_and_5_spectral_markers_do_not_see_blocks() {
    let (lab, results) = spectral_results();
    let mut random = common::Lcg(3);
    for (name, recipe, whole) in &results {
        for (most, late) in [(1, 0), (30, 20), (3000, 20)] {
            let cut = live(&lab, recipe, late, |_| 1 + random.below(most));
            common::same(whole, &cut, &format!("{name}: one block and blocks of up to {most}"));
        }
        let batch = analyse_source(&|| Ok(lab.source()), recipe, &options(1)).unwrap();
        common::same(whole, &batch.tables, &format!("{name}: live and batch"));
    }
}

/// Law 6 for them, with surrogates too.
#[test]
fn law_6_spectral_markers_do_not_see_threads() {
    let lab = common::calm(13, 500.0, 13.0, 10).halves();
    let mut recipes = common::spectral();
    recipes.push(("with surrogates", common::every_marker("surrogates = 5").0));
    for (name, recipe) in &recipes {
        let run = |threads| analyse_source(&|| Ok(lab.source()), recipe, &options(threads)).unwrap().tables;
        let one = run(1);
        for threads in [2, 8] {
            common::same(&one, &run(threads), &format!("{name}: 1 and {threads} threads"));
        }
    }
}

/// A pipeline that was reset gives the same again: nothing of the recording before is left.
#[test]
fn reset_forgets_all_of_a_recording() {
    let (lab, results) = spectral_results();
    let other = common::calm(9, 1000.0, 7.0, 11).halves();
    for (name, recipe, first) in &results {
        let (input, chosen) = stimkit::run::Input::of(&lab.recording(), recipe).unwrap();
        let mut pipeline = stimkit::run::Pipeline::build(recipe, &input, &Vec::new(), 1).unwrap();
        common::same(first, &common::play(&mut pipeline, &lab, &chosen, 0, |_| 700), name);
        pipeline.reset();
        common::play(&mut pipeline, &other, &chosen, 0, |_| 700);
        pipeline.reset();
        common::same(first, &common::play(&mut pipeline, &lab, &chosen, 0, |_| 700), &format!("{name}: after a reset"));
    }
}

/// Law 2 for time-frequency: a burst lies where it was, whatever the stages delay and whatever is left out between cells.
#[test]
fn law_2_a_burst_keeps_its_time() {
    for (rate, tick, stage, first_ms) in [
        (5000.0, 12_503, "use = 'decimate'\nto_hz = 1000", -1000),
        (2048.0, 5001, "use = 'resample'\nto_hz = 500", -1000),
        (1000.0, 2507, "use = 'butterworth'\nband_hz = [1, 80]", -1003),
    ] {
        let mut lab = Lab::silent(9, rate, 5.0);
        for (i, v) in lab.rows.iter_mut().flat_map(|row| row.iter_mut().enumerate()) {
            let t = (i as f64 - f64::from(tick)) / rate;
            *v = 50.0 * (std::f64::consts::TAU * 20.0 * t).cos() * (-0.5 * (t / 0.05).powi(2)).exp();
        }
        lab.events = vec![common::event(i64::from(tick))];
        let text = format!(
            "[input]\nline = 'off'\n[[stream]]\n{stage}\n[cut]\nevent = 'TMS'\nwindow_ms = [{first_ms}, 1000]\n\
             [[marker]]\nuse = 'tfr'\nrange_hz = [20, 20]\nbaseline = 'none'\nstep_ms = 10\n"
        );
        let tables = live(&lab, &Recipe::parse(&text).unwrap(), 0, |_| 333);
        let tfr = common::table(&tables, "tfr");
        let density = |row: &usize| tfr.number(*row, "power_uv2_per_hz").unwrap_or(0.0);
        let top = (0..tfr.len()).max_by(|a, b| density(a).total_cmp(&density(b))).unwrap();
        assert_eq!(tfr.number(top, "time_ms"), Some(0.0), "{rate} Hz, {stage}");
    }
}

/// Law 4 for spectra: steps at a gap are in no window. Both segments are constant, so any window over the gap has power.
#[test]
fn law_4_no_spectrum_spans_a_gap() {
    let cut_at = 10_300;
    let mut lab = common::calm(9, 1000.0, 22.0, 12).with_gap(cut_at, 2.0);
    lab.rows.iter_mut().for_each(|row| {
        row[..cut_at as usize].fill(0.0);
        row[cut_at as usize..].fill(1000.0);
    });
    let (clocked, around) = common::every_marker("");
    for (recipe, before, len) in [(clocked, 0, 2000), (around, 1100, 1701)] {
        let tables = live(&lab, &recipe, 0, |_| 333);
        let trials = common::table(&tables, "trials");
        let kept: Vec<usize> = (0..trials.len()).filter(|r| trials.number(*r, "kept") == Some(1.0)).collect();
        assert!(kept.len() > 7);
        for row in kept {
            let start = trials.number(row, "sample").unwrap() as i64 - before;
            assert!(start + len <= cut_at || start >= cut_at, "an epoch spans the gap");
        }
        for table in tables.iter().filter(|t| ["power", "state"].contains(&t.name())) {
            let most = (0..table.len()).filter_map(|r| table.number(r, "power_uv2")).fold(0.0, f64::max);
            assert!(most < 1e-12, "{} of a constant: {most} uV2", table.name());
        }
    }
}

/// Law 7 for them: what a bad channel holds, NaN even, changes nothing that does not name it.
#[test]
fn law_7_a_channel_of_nan_poisons_no_other() {
    let lab = common::calm(9, 1000.0, 22.0, 13).halves();
    let mut spoiled = lab.clone();
    spoiled.rows[4][5000..5600].fill(f64::NAN);
    let bad = lab.channels[4].name.clone();
    for (name, mut recipe) in common::spectral() {
        recipe.input.bad.push(bad.clone());
        let [clean, spoiled] = [&lab, &spoiled].map(|lab| live(lab, &recipe, 0, |_| 700));
        let others = |line: &str| !line.split(',').any(|cell| cell.split([' ', ':']).any(|word| word == bad));
        common::same_lines(&clean, &spoiled, &format!("{name}: with and without NaN"), others);
    }
}

/// Law 7 for markers that let epochs wait for each other: every kept epoch is in the numbers, those that still wait too.
#[test]
fn law_7_epochs_that_wait_count() {
    let (_, results) = spectral_results();
    for (name, _, tables) in &results {
        let trials = common::table(tables, "trials");
        let kept: f64 = (0..trials.len()).filter_map(|r| trials.number(r, "kept")).sum();
        for (table, column) in [("connectivity", "n_epochs"), ("tfr", "n_trials"), ("pac", "n_epochs")] {
            for table in tables.iter().filter(|t| t.name() == table) {
                let most = (0..table.len()).filter_map(|r| table.number(r, column)).fold(0.0, f64::max);
                assert_eq!(most, kept, "{name}: {} of {}", column, table.name());
            }
        }
    }
}

/// Laws 5 and 6 behind each door: a file gives what its samples give in memory, on any number of threads.
#[test]
fn law_5_files_and_memory_are_one() {
    let text = "[input]\nchannels = '*'\nline = 'off'\n[cut]\nevery_ms = 100\nevent = 'auto'\n[[marker]]\nuse = 'power'\n\
                relative_to_hz = [10, 50]\nbands_hz = { all = [10, 50] }\n[[marker]]\nuse = 'tep'\n";
    let recipe = Recipe::parse(text).unwrap();
    let open = stimkit::read::OpenOptions {
        rate: stimkit::unit::Rate::from_hz(250.0).ok(),
        unit: Some("uV".into()),
        ..Default::default()
    };
    for file in [
        "eeglab/inline.set",
        "eeglab/beside.set",
        "eeglab/epochs.set",
        "matrix/comma.csv",
        "matrix/i2.npy",
        "matrix/epochs_f8.npy",
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
        let door = || stimkit::read::open(&path, &open);
        let mut source = door().unwrap();
        let recording = source.recording().clone();
        assert_eq!(recording.streams.len(), 1, "{file}");
        let rows = stimkit::flow::read_all(&mut *source, recording.main_stream().channels.len(), 7).unwrap();
        let memory = stimkit::read::memory::MemorySource::new(recording, vec![rows]).unwrap();
        let inside = analyse_source(&|| Ok(Box::new(memory.clone()) as _), &recipe, &options(1)).unwrap();
        assert!(!common::table(&inside.tables, "power").is_empty(), "{file}");
        for threads in [1, 2, 8] {
            let outside = analyse_source(&door, &recipe, &options(threads)).unwrap();
            common::same(&inside.tables, &outside.tables, &format!("{file}, {threads} threads"));
        }
    }
}
