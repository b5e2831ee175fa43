//! The laws of the house for Stages that are fitted on the whole stream and watched at work: every method that cleans.

mod common;

use common::{Lab, Lcg, cleaning, methods, options, play, ready, same, under_stimulation};
use stimkit::recipe::Recipe;
use stimkit::run::recording::analyse_source;
use stimkit::run::{Analysis, Models, Options};
use stimkit::signal::ChannelKind;
use stimkit::table::Table;

fn batch(lab: &Lab, recipe: &Recipe, threads: usize) -> Analysis {
    analyse_source(&|| Ok(lab.source()), recipe, &options(threads)).unwrap()
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
        assert!(
            starts.iter().any(|s| (16.9..17.6).contains(s)),
            "{method}: no episode begins behind the gap: {starts:?}"
        );
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

/// A model whose stimulation cannot be this recording's is refused, not run beside the artefact.
#[test]
fn a_model_of_another_recording_is_refused() {
    let lab = under_stimulation(9, 8);
    let recipe = cleaning("template", "").unwrap();
    let models = batch(&lab, &recipe, 1).models;
    let mut short = lab.clone();
    short.rows.iter_mut().for_each(|row| row.truncate(7500));
    short.segments[0].length = 7500;
    let taken = |lab: &Lab| {
        let options = Options { models: models.clone(), ..options(1) };
        analyse_source(&|| Ok(lab.source()), &recipe, &options).map(|done| done.models)
    };
    assert_eq!(taken(&lab).unwrap(), models);
    let told = taken(&short).unwrap_err().to_string();
    assert!(told.contains("fitted on another recording: its stimulation ends at sample 10000"), "{told}");
}

/// Law 2: what the brain does keeps its time, and before stimulation its samples, where a method leaves them alone (a spatial filter and a
/// filter that is always on do not).
#[test]
fn law_2_time_is_source_time_in_cleaning() {
    let lab = under_stimulation(9, 7);
    for (method, keys) in methods().into_iter().filter(|(m, _)| !["sass", "kalman"].contains(m)) {
        let text = format!(
            "[input]\nchannels = '*'\nline = 'off'\n[[stream]]\nuse = '{method}'\n{keys}\n[cut]\nevery_ms = 7000\n\
             within = 'pre'\n[[marker]]\nuse = 'tep'\n"
        );
        let tables: Vec<Table> = batch(&lab, &Recipe::parse(&text).unwrap(), 1).tables;
        let tep = common::table(&tables, "tep");
        // against an early sample: a reference's level during stimulation is no level of the EEG
        let c3 = &lab.rows[row(&lab, "C3")];
        for sample in [700, 2000, 3400] {
            let got = tep.number(sample, "C3").zip(tep.number(100, "C3")).map(|(v, first)| v - first);
            let want = c3[sample] - c3[100];
            assert!(got.is_some_and(|v| (v - want).abs() < 1e-9), "{method}: sample {sample} is {got:?}, was {want}");
        }
    }
    fn row(lab: &Lab, name: &str) -> usize {
        lab.channels.iter().position(|c| c.name == name).unwrap()
    }
}
