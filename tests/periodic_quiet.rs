//! Law 3 for `parrm`, `comb` and `template`: `push`, `finish` and `reset` allocate nothing.
#![allow(unsafe_code)] // the counting allocator

#[path = "support/counting.rs"]
mod counting;

use serde_json::json;
use stimkit::clean::{comb::Comb, parrm::Direction, parrm::Parrm, template::Template};
use stimkit::flow::{BuildContext, Model, Problems, StageConfig};
use stimkit::signal::{Block, Channel, ChannelKind, Episode, Stimulation, StreamInfo};
use stimkit::unit::{Clock, Rate, Unit};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

fn info() -> StreamInfo {
    let channel = |c| Channel::new(format!("c{c}"), ChannelKind::Eeg, Unit::Microvolt);
    let clock = Clock::stored(Rate::from_hz(1000.0).unwrap());
    StreamInfo { clock, channels: (0..11).map(channel).collect(), max_block: 700 }
}

/// Bytes held at most by `push`, `finish` and `reset`.
fn held(name: &str, config: &dyn StageConfig) -> usize {
    let episode = Episode {
        segment: 0,
        on: 500..30_000,
        plateau: 900..29_000,
        cycles: 0.010_001,
        phase: 0.0,
        amplitude: 1.0,
        channel: "c0".into(),
    };
    let info = info();
    let curve: Vec<f64> = (0..64).map(f64::from).collect();
    let values = json!({
        "stimulation": Stimulation { episodes: vec![episode], ..Stimulation::default() }, "periods": [99.99], "cycles": [0.010_001],
        "templates": [vec![curve; 11]],
    });
    let model = Model { name: name.into(), channels: info.channels.iter().map(|c| c.name.clone()).collect(), values };
    let mut context = BuildContext { model: Some(model), ..BuildContext::default() };
    let mut problems = Problems::default();
    let mut stage = config.build(&info, &mut context, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list()));
    let (mut block, mut out) = (Block::for_stream(&info), Block::for_stream(stage.output()));
    let (mut at, mut most) = (0, 0);
    for k in 0_usize.. {
        let len = 1 + k * 37 % 700;
        block.start(0, at, len);
        for c in 0..11 {
            (0..len).for_each(|s| block.set(c, s, if (c, k) == (3, 40) { f64::NAN } else { (at + s as i64) as f64 }));
        }
        most = most.max(counting::measure(|| stage.push(&block, &mut out)).1);
        at += len as i64;
        if at > 35_000 {
            break;
        }
    }
    let (_, end) = counting::measure(|| {
        stage.finish(&mut out);
        stage.reset();
    });
    most.max(end)
}

#[test]
fn nothing_is_allocated() {
    assert!(counting::measure(|| std::hint::black_box(vec![1_u8; 100])).1 >= 100, "the counter counts");
    for direction in [Direction::Both, Direction::Past] {
        assert_eq!(held("parrm", &Parrm { direction, ..Parrm::default() }), 0);
        assert_eq!(held("comb", &Comb { direction, ..Comb::default() }), 0);
    }
    assert_eq!(held("template", &Template::default()), 0);
}
