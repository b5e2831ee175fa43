//! A recording that comes in epochs: what was cleaned and cut elsewhere is measured here as it is.
//!
//! Stages see an endless stream; run over the edges of epochs they would smear one into the next. So `[stream]` and `[cut]`
//! are skipped, every segment is one epoch, and its condition is what it was cut around. `[[epoch]]` and `[[marker]]` run.

use super::Input;
use crate::names::nearest;
use crate::recipe::{Cut, Names, Recipe};
use crate::signal::{Epoching, Event, Recording};
use crate::{Error, ErrorKind, Result, Warning};

/// Takes Stages and cut out of the recipe, chooses the conditions, and gives an event at the first sample of each of their
/// epochs.
pub(super) fn settle(
    recipe: &mut Recipe,
    recording: &Recording,
    epochs: &Epoching,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Event>> {
    let segments = &recording.main_stream().segments;
    if epochs.len == 0
        || epochs.around.len() != segments.len()
        || segments.iter().any(|s| s.length != epochs.len as u64)
    {
        return Err(Error::format("the recording says that it comes in epochs, but they are not of one length"));
    }
    let mut names: Vec<&str> = Vec::new();
    for around in &epochs.around {
        let name = recording.event_name(*around);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let all = names.clone();
    if let Some(wanted) = recipe.cut.within.as_ref().or(recipe.cut.event.as_ref()).filter(|e| !e.is("auto")) {
        if wanted.is("detect") {
            return Err(Error::data("the recording comes in epochs: nothing is cut around pulses in the signal")
                .with_hint("choose among its epochs with --event NAME"));
        }
        names.retain(|name| wanted.matches(name));
        if names.is_empty() {
            let asked = wanted.list().join(" or ");
            let near = wanted.list().iter().find_map(|w| nearest(w, all.iter().copied()));
            let hint = near.map_or_else(|| "leave --event out for all".to_owned(), |n| format!("did you mean {n}?"));
            let have = all.join(", ");
            return Err(Error::data(format!("no epoch was cut around {asked}; there is {have}")).with_hint(hint));
        }
    }
    let stages: Vec<&str> = recipe.stream.iter().map(|part| part.name()).collect();
    let skipped = if stages.is_empty() { "[cut] is" } else { "[stream] and [cut] are" };
    let listed = if stages.is_empty() { String::new() } else { format!(" ({})", stages.join(", ")) };
    warnings.push(Warning::new(
        "W_EPOCHED",
        format!(
            "the recording comes in {} epochs; {skipped} skipped{listed}, they are measured as they are",
            segments.len()
        ),
    ));
    let ms = |at: i64| recording.main_stream().rate.seconds(at as f64) * 1e3;
    recipe.stream.clear();
    recipe.cut = Cut {
        event: Some(Names::Many(names.iter().map(|n| n.replace('*', "?")).collect())),
        window_ms: Some([ms(epochs.first), ms(epochs.first + epochs.len as i64 - 1)]),
        ..Cut::default()
    };
    let chosen = epochs.around.iter().zip(segments).filter(|(name, _)| names.contains(&recording.event_name(**name)));
    Ok(chosen.map(|(name, segment)| Event::new(segment.first, *name)).collect())
}

/// Where a window leaves the epochs, which window would do.
pub(super) fn advise(error: Error, input: &Input) -> Error {
    let Some(epochs) = &input.epoched else { return error };
    let path =
        error.message().lines().find_map(|l| l.split_once(": ").filter(|(_, why)| why.contains("leaves the epoch")));
    let (Some((path, _)), ErrorKind::Data) = (path, error.kind()) else { return error };
    let ms = |at: i64| input.info.clock.input.seconds(at as f64) * 1e3;
    let (first, last) = (ms(epochs.first), ms(epochs.first + epochs.len as i64 - 1));
    let hint = format!(
        "the recording comes in epochs of {first}…{last} ms; set a window inside them with --set '{path}=[{first}, {last}]', \
         or leave the part out of the recipe"
    );
    error.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Source;
    use crate::read::MemorySource;
    use crate::run::recording::{Analysis, Options, analyse_source};
    use crate::signal::{Channel, ChannelKind, EventName, Segment, Stream};
    use crate::table::{Identity, Table};
    use crate::unit::{Rate, Tick, Unit};

    /// Five epochs of 40 samples at 100 Hz, 3 s apart, around A B A B A; sample `i` of epoch `e` is `100 e + i` µV on Cz, and
    /// ten channels have ten times as many.
    fn source(first: i64, spoiled: Option<usize>) -> Box<dyn Source> {
        let channel = |c: usize| Channel::new(format!("E{c}"), ChannelKind::Eeg, Unit::Microvolt);
        let around: Vec<EventName> = [0, 1, 0, 1, 0].map(EventName).to_vec();
        let segment = |e: i64| Segment { first: Tick(40 * e), length: 40, start_s: 3.0 * e as f64 };
        let streams = vec![Stream {
            rate: Rate::new(100, 1).unwrap(),
            channels: (1..=10).map(channel).collect(),
            file_index: (0..10).collect(),
            segments: (0..5).map(segment).collect(),
        }];
        let mut rows: Vec<Vec<f64>> =
            (1..=10).map(|c| (0..200).map(|i| f64::from(c * (100 * (i / 40) + i % 40))).collect()).collect();
        if let Some(at) = spoiled {
            rows[3][at] = f64::NAN;
        }
        let recording = Recording {
            name: "epochs".into(),
            format: "memory".into(),
            streams,
            main: 0,
            events: Vec::new(),
            event_names: vec!["A".into(), "B".into(), "other".into()],
            event_is_stimulus: Vec::new(),
            start: None,
            line_hz: None,
            epoched: Some(Epoching { first, len: 40, around }),
            warnings: Vec::new(),
        };
        Box::new(MemorySource::new(recording, vec![rows]).unwrap())
    }

    const RECIPE: &str = "[[stream]]\nuse = 'decimate'\nto_hz = 50\n[cut]\nevent = 'auto'\nwindow_ms = [-500, 500]\n\
                          [[epoch]]\nuse = 'baseline'\nwindow_ms = [200, 300]\n[[marker]]\nuse = 'tep'\n";

    fn run(recipe: &str, first: i64, spoiled: Option<usize>, threads: usize) -> Result<Analysis> {
        let recipe = Recipe::parse(recipe)?;
        analyse_source(&|| Ok(source(first, spoiled)), &recipe, &Options { threads, ..Options::default() })
    }

    fn csv(analysis: &Analysis, name: &str) -> String {
        let mut out = Vec::new();
        let table: &Table = analysis.tables.iter().find(|t| t.name() == name).unwrap();
        table.write_rows(&mut out, &Identity::default(), &analysis.conditions, false).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn epochs_are_measured_as_they_are_also_where_time_0_lies_outside() {
        // a baseline of 11 samples that begins at the first one: its mean is sample 5
        for (first, window) in [(20, "[200, 300]"), (-20, "[-200, -100]"), (-60, "[-600, -500]")] {
            let recipe = RECIPE.replace("[200, 300]", window);
            let analysis = run(&recipe, first, None, 1).unwrap();
            assert_eq!((analysis.conditions.as_slice(), analysis.trials), (&["A".into(), "B".into()][..], (5, 5)));
            assert_eq!(analysis.warnings.iter().filter(|w| w.code == "W_EPOCHED").count(), 1);
            assert!(analysis.warnings.iter().any(|w| w.message.contains("(decimate)")), "{:?}", analysis.warnings);
            let tep = csv(&analysis, "tep");
            assert_eq!(tep.lines().count(), 80);
            let line = tep.lines().nth(7).unwrap();
            let want = format!(",,,,,A,3,{},0,2,4,6,8,10,12,14,16,18,20", 10 * (first + 7));
            assert_eq!(line, want);
            let trials = csv(&analysis, "trials");
            let onset = format!(",,,,,A,2,{},80,", 6.0 - first as f64 / 100.0);
            assert!(trials.lines().any(|l| l.starts_with(&onset)), "{onset}: {trials}");
        }
    }

    #[test]
    fn threads_and_the_recipe_as_it_ran_give_the_same() {
        let one = run(RECIPE, 20, None, 1).unwrap();
        let two = run(RECIPE, 20, None, 2).unwrap();
        let again = run(&one.recipe, 20, None, 1).unwrap();
        for name in ["trials", "channels", "tep"] {
            assert_eq!(csv(&one, name), csv(&two, name));
            assert_eq!(csv(&one, name), csv(&again, name));
        }
    }

    #[test]
    fn a_sample_that_is_no_number_drops_its_own_epoch_only() {
        for at in [40, 79, 100] {
            let analysis = run(RECIPE, 20, Some(at), 1).unwrap();
            let trials = csv(&analysis, "trials");
            let dropped: Vec<&str> = trials.lines().filter(|l| l.contains("non_finite")).collect();
            let epoch = at / 40;
            assert!(dropped.len() == 1 && dropped[0].contains(&format!(",{epoch},")), "{at}: {trials}");
        }
    }

    #[test]
    fn conditions_are_chosen_by_name_and_clocked_recipes_take_all() {
        let only = run(&RECIPE.replace("'auto'", "'B'"), 20, None, 1).unwrap();
        assert_eq!((only.conditions, only.trials), (vec!["B".to_owned()], (2, 2)));
        let error = run(&RECIPE.replace("'auto'", "'other'"), 20, None, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains("there is A, B"), "{error}");
        assert!(run(&RECIPE.replace("'auto'", "'detect'"), 20, None, 1).is_err());
        let clocked = RECIPE.replace("event = 'auto'\nwindow_ms = [-500, 500]", "every_ms = 100");
        let clocked = run(&clocked, 20, None, 1).unwrap();
        assert_eq!((clocked.conditions.len(), clocked.trials), (2, (5, 5)));
    }

    #[test]
    fn a_window_outside_the_epochs_is_told_with_one_inside() {
        let error = run(&RECIPE.replace("[200, 300]", "[-400, -100]"), 20, None, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains("epoch[0].window_ms: -400…-100 ms leaves the epoch"), "{error}");
        assert!(error.hint().is_some_and(|h| h.contains("--set 'epoch[0].window_ms=[200, 590]'")), "{error}");
    }

    #[test]
    fn matched_conditions_keep_as_many() {
        let recipe = RECIPE.replace("[[marker]]", "[[epoch]]\nuse = 'match-trials'\n[[marker]]");
        let analysis = run(&recipe, 20, None, 1).unwrap();
        assert_eq!(analysis.trials, (4, 5));
        assert_eq!(csv(&analysis, "trials").matches(",matched,").count(), 1);
        assert_eq!(analysis.models[0].values, serde_json::json!({ "counts": [3, 2], "keep": 2 }));
    }
}
