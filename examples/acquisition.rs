//! A pipeline fed from an amplifier's callback: blocks of odd sizes, triggers that arrive late, results after every pulse.
//!
//! The "amplifier" is a simulated recording played block by block; the calls are those of a real one.
//!
//! ```text
//! cargo run --release --example acquisition
//! ```

use stimkit::flow::Source;
use stimkit::recipe::Recipe;
use stimkit::run::{Input, Pipeline};
use stimkit::signal::Block;
use stimkit::simulate::TmsSimulation;

fn main() -> stimkit::Result<()> {
    let mut amplifier = TmsSimulation { channels: 32, seconds: 30.0, ..TmsSimulation::default() }.build()?;
    let recording = amplifier.recording().clone();
    let stream = recording.main_stream();

    // once, before the session: everything that can fail fails here
    let recipe = Recipe::builtin("tms-live")?;
    let names: Vec<&str> = recording.event_names.iter().map(String::as_str).collect();
    let input = Input::live(stream.rate.hz(), stream.channels.clone(), 512, &names)?;
    let mut pipeline = Pipeline::build(&recipe, &input, &Vec::new(), 1)?;
    println!("a response is known {:.0} ms after its pulse", pipeline.latency().as_secs_f64() * 1e3);

    // the callback: blocks of whatever size the driver gives, triggers up to 20 ms after their own sample
    let late = (0.02 * stream.rate.hz()) as i64;
    let mut triggers = recording.events.iter().peekable();
    let (mut rows, mut tables) = (Vec::new(), Vec::new());
    let sizes = [7, 331, 64, 1, 512, 100];
    for size in sizes.iter().cycle() {
        let mut block = Block::new(stream.channels.len(), *size);
        if !amplifier.read(&mut block)? {
            break;
        }
        // a trigger may be cued until the sample 20 ms after its own is pushed
        while let Some(trigger) = triggers.next_if(|t| t.tick.0 + late < block.end()) {
            pipeline.cue(trigger);
        }
        pipeline.push(&block);
        // between callbacks, wherever it is allowed to allocate
        pipeline.drain(&mut rows, &mut tables);
        for row in rows.drain(..) {
            let peaks = pipeline.report().into_iter().find(|t| t.name() == "peaks");
            let n100 = peaks.and_then(|t| t.number(3, "amplitude_uv")).unwrap_or(f64::NAN);
            let fate = row.reason.map_or("kept", |r| r.code);
            println!("pulse at {:7.3} s: {fate:<12} GMFA around 100 ms so far {n100:.2} uV", row.onset_s);
        }
    }
    pipeline.finish(&mut rows)?;
    println!("{} more rows at the end", rows.len());
    Ok(())
}
