//! Recipe `phase`, whole: a file and an amplifier give the same triggers, and epochs hold the channels that a Stage adds.

mod common;

use common::{Lab, csv, options, play, table};
use std::f64::consts::TAU;
use stimkit::recipe::Recipe;
use stimkit::run::recording::analyse_source;
use stimkit::run::{Input, Options, Pipeline};

/// Nine channels with a rhythm at 10.4 Hz that swells, in noise; a gap after 20 s.
fn lab() -> Lab {
    let mut lab = Lab::silent(9, 250.0, 40.0);
    for (c, row) in lab.rows.iter_mut().enumerate() {
        let mut random = common::Lcg(c as u32 + 1);
        for (i, v) in row.iter_mut().enumerate() {
            let t = i as f64 / 250.0;
            let noise = random.below(1000) as f64 / 100.0 - 5.0;
            *v = (8.0 + 4.0 * (TAU * 0.2 * t).sin()) * (TAU * 10.4 * t + c as f64).cos() + noise;
        }
    }
    lab.with_gap(5000, 7.0)
}

fn recipe(patches: &[&str]) -> Recipe {
    let patches: Vec<String> = patches.iter().map(ToString::to_string).collect();
    Recipe::patched(stimkit::recipe::Builtin::find("phase").unwrap().text, &patches).unwrap()
}

#[test]
fn a_file_and_an_amplifier_give_the_same_triggers() {
    let lab = lab();
    for method in ["echt", "phastimate", "kalman"] {
        let recipe = recipe(&[&format!("stream.phase.method={method}"), "stream.phase.calibrate_s=15"]);
        let batch = analyse_source(&|| Ok(lab.source()), &recipe, &options(2)).unwrap();
        assert_eq!(batch.models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["phase"]);
        let found = batch.models[0].values["frequency_hz"].as_f64().unwrap();
        assert!(method == "phastimate" || (found - 10.4).abs() < 0.1, "{method}: {found}");
        let triggers = table(&batch.tables, "triggers");
        assert!(triggers.len() > 9 * 8, "{method}: {} triggers", triggers.len());
        // the saved model, live, in blocks of odd sizes
        let (input, chosen) = Input::of(&lab.recording(), &recipe).unwrap();
        let mut pipeline = Pipeline::build(&recipe, &input, &batch.models, 1).unwrap();
        assert_eq!(pipeline.latency().as_secs_f64(), 1.0, "the window of the epochs, no look-ahead");
        let live = play(&mut pipeline, &lab, &chosen, 0, |i| [1, 7, 64, 300][i % 4]);
        assert!(csv(triggers) == csv(table(&live, "triggers")), "{method}");
        let again = Options { models: batch.models.clone(), ..options(1) };
        let again = analyse_source(&|| Ok(lab.source()), &recipe, &again).unwrap();
        assert!(csv(triggers) == csv(table(&again.tables, "triggers")), "{method}");
    }
}

#[test]
fn epochs_hold_what_a_stage_adds() {
    let text = "[input]\nline = 'off'\n[[stream]]\nuse = 'phase'\nfrequency_hz = 10.4\nchannels = ['Cz']\n[cut]\nevery_ms = 1000\n\
                [[epoch]]\nuse = 'reject'\nmax_ptp_uv = 1e4\n[[marker]]\nuse = 'power'\n";
    let batch = analyse_source(&|| Ok(lab().source()), &Recipe::parse(text).unwrap(), &options(1)).unwrap();
    let channels = table(&batch.tables, "channels");
    let named: Vec<&str> = (0..channels.len()).filter_map(|r| channels.text(r, "channel")).collect();
    assert_eq!((named.len(), &named[9..]), (11, &["Cz phase", "Cz amplitude"][..]));
}
