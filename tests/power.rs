//! The laws of the house on the recipe `power`, with every estimator of a density.

mod common;

use common::{Lab, bytes, lab, live, options, table};
use stimkit::recipe::Recipe;
use stimkit::run::recording::analyse_source;

/// The built-in recipe on what a short, noisy recording can hold.
fn recipe(psd: &[&str]) -> Recipe {
    let text = stimkit::recipe::Builtin::find("power").unwrap().text;
    let quick = ["cut.every_ms=2000", "cut.step_ms=1000", "epoch.bad-channels.window_ms=[0, 1980]", "input.line=50"];
    let wide = ["epoch.bad-channels.max_ptp_uv=1e5", "epoch.reject.max_ptp_uv=1e5"];
    let patches = quick.iter().chain(&wide).map(|p| (*p).to_owned());
    let psd = psd.iter().map(|p| format!("marker.power.psd.{p}"));
    Recipe::patched(text, &patches.chain(psd).collect::<Vec<_>>()).unwrap()
}

fn recipes() -> [Recipe; 4] {
    let multitaper = "method=multitaper";
    [&[][..], &["average=median", "segment_ms=500"], &[multitaper], &[multitaper, "adaptive=true"]].map(recipe)
}

#[test]
fn law_1_cuts_do_not_matter() {
    let lab = lab(10, 1000.0, 9.0, 1);
    for recipe in recipes() {
        let whole = bytes(&live(&lab, &recipe, 0, |_| 100_000));
        let mut rng = common::Lcg(7);
        for most in [1, 10, 1000, 5000] {
            assert!(whole == bytes(&live(&lab, &recipe, 0, |_| 1 + rng.below(most))), "blocks of up to {most}");
        }
    }
}

#[test]
fn law_5_and_6_batch_is_live_on_any_number_of_threads() {
    let lab = lab(21, 1000.0, 9.0, 3);
    for recipe in recipes() {
        let run = |threads| analyse_source(&|| Ok(lab.source()), &recipe, &options(threads)).unwrap().tables;
        let one = run(1);
        common::same(&one, &live(&lab, &recipe, 0, |_| 77), "live and batch");
        assert!(bytes(&one) == bytes(&run(2)) && bytes(&one) == bytes(&run(8)));
    }
}

/// A sine of known amplitude in two channels that the average reference leaves alone.
#[test]
fn a_recording_below_the_rate_keeps_it_and_its_power() {
    let mut lab = Lab::silent(9, 256.0, 20.0);
    for (c, sign) in [(0, 1.0), (1, -1.0)] {
        for (i, v) in lab.rows[c].iter_mut().enumerate() {
            *v = sign * 8.0 * (std::f64::consts::TAU * 10.1 * i as f64 / 256.0).sin() + 100.0 * sign;
        }
    }
    let analysis = analyse_source(&|| Ok(lab.source()), &recipe(&[]), &options(1)).unwrap();
    assert!(analysis.warnings.iter().any(|w| w.code == "W_RATE" && w.message.contains("256 Hz")));
    let power = table(&analysis.tables, "power");
    let name = lab.channels[0].name.clone();
    let row =
        |band| (0..power.len()).find(|&r| power.text(r, "channel") == Some(&name) && power.text(r, "band") == band);
    let alpha = row(Some("alpha")).unwrap();
    assert!((power.number(alpha, "power_uv2").unwrap() - 32.0).abs() < 0.03, "{:?}", power.number(alpha, "power_uv2"));
    assert!(power.number(alpha, "relative").unwrap() > 0.999);
    assert_eq!(power.number(alpha, "n_windows"), Some(19.0));
}
