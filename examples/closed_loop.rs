//! A closed loop without a pipeline: frames from an amplifier's callback go into a tracker, which says when to stimulate.
//!
//! ```text
//! cargo run --release --example closed_loop
//! ```

use stimkit::clean::phase::{Phase, Tracker};

/// The "brain": a 10.2 Hz oscillator that wanders, at 1 kHz, under C3, in noise that all electrodes share.
struct Brain {
    seed: u32,
    x: [f64; 2],
}

impl Brain {
    /// Nearly normal: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        (0..12).fold(-6.0, |sum, _| {
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum + f64::from(self.seed) / 4_294_967_296.0
        })
    }

    fn frame(&mut self) -> ([f64; 3], f64) {
        let (s, c) = (std::f64::consts::TAU * 10.2 / 1000.0).sin_cos();
        let ([a, b], z) = (self.x, [(); 6].map(|()| self.normal()));
        self.x = [0.999 * (c * a - s * b) + 0.4 * z[0], 0.999 * (s * a + c * b) + 0.4 * z[1]];
        let frame = [self.x[0] + 8.0 * z[2] + 2.0 * z[3], 8.0 * z[2] + 2.0 * z[4], 8.0 * z[2] + 2.0 * z[5]];
        (frame, self.x[1].atan2(self.x[0]).to_degrees())
    }
}

fn main() -> stimkit::Result<()> {
    let mut brain = Brain { seed: 7, x: [0.0; 2] };
    let names = ["C3", "FC3", "CP3"];
    // troughs of C3 against its neighbours, when they are high, and 5 ms early: so long the stimulator takes
    let config = Phase {
        channels: names.map(str::to_owned).to_vec(),
        weights: vec![1.0, -0.5, -0.5],
        target_deg: Some(180.0),
        min_percentile: Some(60.0),
        refractory_ms: 2000.0,
        advance_ms: 5.0,
        ..Phase::default()
    };

    // a minute of rest tells the rhythm's own frequency and what is high
    let rest: Vec<[f64; 3]> = (0..60_000).map(|_| brain.frame().0).collect();
    let rows: Vec<Vec<f64>> = (0..3).map(|c| rest.iter().map(|f| f[c]).collect()).collect();
    let model = config.calibrate(1000.0, &names, &rows)?;
    let mut tracker = Tracker::new(&config, 1000.0, &names, Some(&model))?;
    println!("{}", tracker.notes());

    // the callback: nothing below allocates, waits or fails
    let (mut pulse, mut hits) = (None, Vec::new());
    for i in 0..120_000_u64 {
        let (frame, truth) = brain.frame();
        hits.extend((pulse == Some(i)).then_some(truth));
        if let Some(t) = tracker.push(&frame) {
            pulse = Some(i + 5);
            println!("{:8.3} s: {:6.1} deg, {:4.1} uV", i as f64 / 1000.0, t.phase_deg, t.amplitude_uv);
        }
    }
    let sum = hits.iter().map(|d| d.to_radians().sin_cos()).fold((0.0, 0.0), |(s, c), (a, b)| (s + a, c + b));
    let (mean, length) = (sum.0.atan2(sum.1).to_degrees(), sum.0.hypot(sum.1) / hits.len() as f64);
    let spread = (-2.0 * length.ln()).sqrt().to_degrees();
    println!("{} pulses in 2 min at a true phase of {mean:.0} +- {spread:.0} deg; wanted: 180", hits.len());
    Ok(())
}
