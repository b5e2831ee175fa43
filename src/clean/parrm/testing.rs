//! A stream in memory, and what is built on a fit of it.

use super::super::resample::testing::info;
use super::*;
use crate::signal::{Event, Segment};
use crate::unit::Tick;
use std::ops::Range;

/// Rows behind the [`Replay`] door: one segment, number 0.
pub struct Rows {
    info: StreamInfo,
    segments: Vec<Segment>,
    rows: Vec<Vec<f64>>,
    at: usize,
}

impl Rows {
    pub fn new(rate_hz: f64, rows: Vec<Vec<f64>>) -> Self {
        let segments = vec![Segment { first: Tick(0), length: rows[0].len() as u64, start_s: 0.0 }];
        Self { info: info(rows.len(), rate_hz, 400), segments, rows, at: 0 }
    }
}

impl Replay for Rows {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn events(&self) -> &[Event] {
        &[]
    }

    fn event_names(&self) -> &[String] {
        &[]
    }

    fn rewind(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }

    fn next(&mut self, out: &mut Block) -> Result<bool> {
        let n = (self.rows[0].len() - self.at).min(self.info.max_block);
        out.start(0, self.at as i64, n);
        for (c, row) in self.rows.iter().enumerate() {
            row[self.at..self.at + n].iter().enumerate().for_each(|(i, v)| out.set(c, i, *v));
        }
        self.at += n;
        Ok(n > 0)
    }
}

pub fn episode(segment: usize, on: Range<i64>, plateau: Range<i64>) -> Episode {
    Episode { segment, on, plateau, cycles: 0.01, phase: 0.0, amplitude: 1.0, channel: "c0".into() }
}

pub fn fitted(config: &dyn StageConfig, stream: &mut Rows) -> Model {
    let mut problems = Problems::default();
    let info = stream.info().clone();
    let mut fit = config.fit(&info, &mut BuildContext::default(), &mut problems).unwrap();
    fit.fit(stream).unwrap()
}

pub fn build(config: &dyn StageConfig, input: &StreamInfo, model: Model) -> Box<dyn Stage> {
    let mut problems = Problems::default();
    let mut context = BuildContext { model: Some(model), ..BuildContext::default() };
    let stage = config.build(input, &mut context, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list()));
    assert!(context.stimulation.is_some());
    stage
}
