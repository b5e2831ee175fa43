//! The laws of the house for Stages that are fitted on the whole stream and watched at work: every method that cleans.

mod common;

use common::{Lab, Lcg, calm, options, play, same};
use stimkit::recipe::{Recipe, StagePart};
use stimkit::run::recording::analyse_source;
use stimkit::run::{Analysis, Input, Models, Pipeline, found_events};
use stimkit::signal::{Channel, ChannelKind, Event};
use stimkit::table::Table;
use stimkit::unit::Unit;

/// Every part that cleans, with what else it must be told.
fn methods() -> Vec<(&'static str, &'static str)> {
    StagePart::NAMES
        .iter()
        .filter(|name| cleaning(name, "").is_some())
        .map(|name| match *name {
            "sass" => (*name, "band_hz = [8, 12]"),
            _ => (*name, ""),
        })
        .collect()
}

/// The recipe of a method, where it is one that cleans.
fn cleaning(method: &str, keys: &str) -> Option<Recipe> {
    let text = format!(
        "[input]\nchannels = '*'\nline = 'off'\n[[stream]]\nuse = '{method}'\n{keys}\n[cut]\nevery_ms = 500\n\
         within = ['pre', 'stim', 'post']\n[[marker]]\nuse = 'tep'\n"
    );
    let recipe = Recipe::parse(&text).ok()?;
    (!recipe.stream[0].config().tables().is_empty()).then_some(recipe)
}

/// 26 s of a calm brain under a sine of 10.0002 Hz and up to 4 mV from 8 s to 20 s, and a copy of the current.
fn under_stimulation(channels: usize, seed: u64) -> Lab {
    let rate = 500.0;
    let mut lab = calm(channels, rate, 26.0, seed);
    lab.events.clear();
    let wave = |i: usize| {
        let t = i as f64 / rate;
        let turns = std::f64::consts::TAU * 10.0002 * t;
        if (8.0..20.0).contains(&t) { (turns + 0.4).sin() + 0.002 * (2.0 * turns).cos() } else { 0.0 }
    };
    for (c, row) in lab.rows.iter_mut().enumerate() {
        let size = 4000.0 * (0.3 + 0.7 * ((c * 37 + 11) % 23) as f64 / 23.0) * if c % 3 == 0 { -1.0 } else { 1.0 };
        row.iter_mut().enumerate().for_each(|(i, v)| *v += size * wave(i));
    }
    let copy = (0..lab.rows[0].len()).map(|i| 2.0 * wave(i)).collect();
    lab.rows.push(copy);
    lab.channels.push(Channel::new("STIM", ChannelKind::Stim, Unit::Milliampere));
    lab
}

fn batch(lab: &Lab, recipe: &Recipe, threads: usize) -> Analysis {
    analyse_source(&|| Ok(lab.source()), recipe, &options(threads)).unwrap()
}

/// A pipeline with models, what it takes to feed it, and the lab with the events that the models tell of.
fn ready(lab: &Lab, recipe: &Recipe, models: &Models) -> (Pipeline, Vec<usize>, Lab) {
    let (mut input, chosen) = Input::of(&lab.recording(), recipe).unwrap();
    let events: Vec<Event> = found_events(recipe, models, &mut input);
    assert!(!events.is_empty());
    let pipeline = Pipeline::build(recipe, &input, models, 1).unwrap();
    (pipeline, chosen, Lab { events, ..lab.clone() })
}

/// Laws 1 and 5, and the promise of Models: saved as text and read again they give the same bits live, however the input is cut.
#[test]
fn law_1_and_5_a_saved_model_gives_the_same_bits_live() {
    let lab = under_stimulation(9, 1);
    let all = methods();
    assert!(all.iter().any(|(name, _)| *name == "harmonics"), "{all:?}");
    for (method, keys) in all {
        let recipe = cleaning(method, keys).unwrap();
        let done = batch(&lab, &recipe, 1);
        let saved = serde_json::to_string(&done.models).unwrap();
        let models: Models = serde_json::from_str(&saved).unwrap();
        assert_eq!(models, done.models, "{method}: a model changes on its way through a file");
        let mut rng = Lcg(5);
        for most in [100_000, 700, 30, 1] {
            let (mut pipeline, chosen, cued) = ready(&lab, &recipe, &models);
            let live = play(&mut pipeline, &cued, &chosen, 0, |_| 1 + rng.below(most));
            same(&done.tables, &live, &format!("{method}: batch, and live in blocks of up to {most}"));
        }
    }
}

/// Law 6, models included.
#[test]
fn law_6_threads_do_not_matter_to_fits() {
    let lab = under_stimulation(19, 2);
    for (method, keys) in methods() {
        let recipe = cleaning(method, keys).unwrap();
        let one = batch(&lab, &recipe, 1);
        for threads in [2, 8] {
            let more = batch(&lab, &recipe, threads);
            assert_eq!(one.models, more.models, "{method}: models of 1 and {threads} threads");
            same(&one.tables, &more.tables, &format!("{method}: 1 and {threads} threads"));
        }
    }
}

/// Law 4: what lies before a gap is not remembered behind it, and every window that straddles it says so.
#[test]
fn law_4_a_gap_is_a_fact_to_fits() {
    let lab = under_stimulation(9, 3).with_gap(7000, 3.0);
    for (method, keys) in methods() {
        let recipe = cleaning(method, keys).unwrap();
        let done = batch(&lab, &recipe, 1);
        let (mut pipeline, chosen, cued) = ready(&lab, &recipe, &done.models);
        let live = play(&mut pipeline, &cued, &chosen, 0, |_| 333);
        same(&done.tables, &live, &format!("{method}: batch and live across a gap"));
        let tacs = common::table(&done.tables, "tacs");
        let starts: Vec<f64> = (0..tacs.len()).filter_map(|r| tacs.number(r, "start_s")).collect();
        assert!(starts.iter().any(|s| (16.9..17.6).contains(s)), "{method}: no episode begins behind the gap: {starts:?}");
    }
}

/// Law 7: every channel and episode has its row, and what is not finite or flat costs its own channel only.
#[test]
fn law_7_nothing_disappears_in_cleaning() {
    let mut lab = under_stimulation(9, 4);
    lab.rows[2][6000] = f64::NAN;
    lab.rows[5].fill(3.0);
    for (method, keys) in methods() {
        let recipe = cleaning(method, keys).unwrap();
        let done = batch(&lab, &recipe, 1);
        let tacs = common::table(&done.tables, "tacs");
        for channel in lab.channels.iter().filter(|c| c.kind == ChannelKind::Eeg) {
            let row = (0..tacs.len()).find(|r| tacs.text(*r, "channel") == Some(&channel.name));
            let row = row.unwrap_or_else(|| panic!("{method}: {} has no row in tacs", channel.name));
            assert!(tacs.text(row, "verdict").is_some(), "{method}: {} has no verdict", channel.name);
        }
        let clean = (0..tacs.len()).filter(|r| tacs.text(*r, "channel") == Some("Fp1"));
        assert!(clean.clone().all(|r| tacs.number(r, "attenuation_db").is_some_and(|db| db > 20.0)), "{method}");
    }
}

/// A pipeline that was reset gives the same again.
#[test]
fn reset_forgets_a_cleaned_recording() {
    let lab = under_stimulation(9, 5);
    let other = under_stimulation(9, 6);
    for (method, keys) in methods() {
        let recipe = cleaning(method, keys).unwrap();
        let done = batch(&lab, &recipe, 1);
        let (mut pipeline, chosen, cued) = ready(&lab, &recipe, &done.models);
        let first = play(&mut pipeline, &cued, &chosen, 0, |_| 700);
        pipeline.reset();
        play(&mut pipeline, &Lab { events: cued.events.clone(), ..other.clone() }, &chosen, 0, |_| 700);
        pipeline.reset();
        let again = play(&mut pipeline, &cued, &chosen, 0, |_| 700);
        same(&first, &again, &format!("{method}: after a reset"));
    }
}

/// Law 2: what the brain does keeps its time, and outside stimulation its samples, where a method leaves them alone.
#[test]
fn law_2_time_is_source_time_in_cleaning() {
    let lab = under_stimulation(9, 7);
    for (method, keys) in methods().into_iter().filter(|(m, _)| *m != "sass") {
        let text = format!(
            "[input]\nchannels = '*'\nline = 'off'\n[[stream]]\nuse = '{method}'\n{keys}\n[cut]\nevery_ms = 7000\n\
             within = 'pre'\n[[marker]]\nuse = 'tep'\n"
        );
        let tables: Vec<Table> = batch(&lab, &Recipe::parse(&text).unwrap(), 1).tables;
        let tep = common::table(&tables, "tep");
        for sample in [0, 700, 2000, 3400] {
            let (got, want) = (tep.number(sample, "C3"), lab.rows[row(&lab, "C3")][sample]);
            assert!(got.is_some_and(|v| (v - want).abs() < 1e-9), "{method}: sample {sample} is {got:?}, was {want}");
        }
    }
    fn row(lab: &Lab, name: &str) -> usize {
        lab.channels.iter().position(|c| c.name == name).unwrap()
    }
}
