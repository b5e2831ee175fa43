//! The Stage: takes the artefact away, sample by sample, without looking ahead.

use super::model::{Blend, Learnt, Piece};
use crate::dsp::folded::{FOLDED, Folded};
use crate::dsp::normal::{Carriers, Column, TILE, evaluate};
use crate::flow::Stage;
use crate::signal::{Block, LANES, Lanes, StreamInfo};
use std::ops::Range;

/// One episode, ready to be taken away.
struct Part {
    on: Range<i64>,
    carriers: Carriers,
    /// Half the work, where the lines are steady.
    folded: Option<Folded>,
    pieces: Vec<Piece>,
    /// By knot, group and column.
    knots: Vec<Vec<Vec<Lanes>>>,
}

impl Part {
    /// Goes to the tile that holds the `n` samples from `at` on, or as many of them as fit in; their places there.
    fn tile(&mut self, at: i64, n: usize, columns: &mut [Column]) -> Range<usize> {
        match &mut self.folded {
            Some(folded) => {
                let tile = at.div_euclid(FOLDED as i64) * FOLDED as i64;
                folded.at(tile, 0.0, 1.0);
                let from = (at - tile) as usize;
                from..(from + n).min(FOLDED)
            }
            None => {
                let n = n.min(TILE);
                self.carriers.fill(at, n, columns);
                0..n
            }
        }
    }

    /// The artefact of eight channels at these places of the tile.
    fn artefact(&mut self, knot: usize, group: usize, places: Range<usize>, columns: &[Column], out: &mut Tile) {
        let coefficients = &self.knots[knot][group];
        match &mut self.folded {
            Some(folded) => folded.evaluate(coefficients, places.start, places.end, out),
            None => evaluate(&columns[..self.carriers.width()], 0, coefficients, &mut out[places]),
        }
    }
}

type Tile = [Lanes; FOLDED];

/// Subtracts.
pub(super) struct Subtract {
    parts: Vec<Part>,
    columns: Vec<Column>,
    later: Tile,
    sooner: Tile,
    shares: [f64; FOLDED],
    /// Segment and sample that follow the last block.
    end: (u32, i64),
    output: StreamInfo,
}

impl Subtract {
    /// For the channels of `input`; channels without coefficients pass as they are.
    pub fn new(input: &StreamInfo, learnt: &Learnt) -> Self {
        let groups = input.channels.len().div_ceil(LANES);
        let parts: Vec<Part> = learnt
            .episodes
            .iter()
            .map(|part| {
                let carriers = Carriers::new(&part.lines);
                let n_knots = part.knots.values().map(Vec::len).max().unwrap_or(0);
                let mut knots = vec![vec![vec![[0.0; LANES]; carriers.width()]; groups]; n_knots];
                for (c, channel) in input.channels.iter().enumerate() {
                    for (own, knot) in part.knots.get(&channel.name).into_iter().flatten().zip(&mut knots) {
                        for (w, value) in knot[c / LANES].iter_mut().zip(own) {
                            w[c % LANES] = *value;
                        }
                    }
                }
                let fits = |p: &&Piece| p.to > p.from && p.after < n_knots && p.before.is_none_or(|b| b < n_knots);
                let pieces: Vec<Piece> = part.pieces.iter().filter(fits).cloned().collect();
                let on = pieces.first().map_or(0, |p| p.from)..pieces.last().map_or(0, |p| p.to);
                Part { on, carriers, folded: Folded::new(&part.lines, &[]), pieces, knots }
            })
            .collect();
        let width = parts.iter().map(|p| p.carriers.width()).max().unwrap_or(0);
        Self {
            parts,
            columns: vec![[0.0; TILE]; width],
            later: [[0.0; LANES]; FOLDED],
            sooner: [[0.0; LANES]; FOLDED],
            shares: [0.0; FOLDED],
            end: (0, 0),
            output: input.clone(),
        }
    }
}

impl Stage for Subtract {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.copy_from(input, 0, input.len(), 0);
        self.end = (out.segment(), out.end());
        let (first, end) = (out.first(), out.end());
        let from = self.parts.partition_point(|p| p.on.end <= first);
        for part in self.parts[from..].iter_mut().take_while(|p| p.on.start < end) {
            let from = part.pieces.partition_point(|p| p.to <= first);
            for i in from..part.pieces.len() {
                let piece = part.pieces[i];
                let mut at = piece.from.max(first);
                let stop = piece.to.min(end);
                while at < stop {
                    let places = part.tile(at, (stop - at) as usize, &mut self.columns);
                    let n = places.len();
                    let shares = &mut self.shares[..n];
                    shares.iter_mut().enumerate().for_each(|(i, s)| *s = piece.share(at + i as i64));
                    let place = (at - first) as usize;
                    for g in 0..out.groups() {
                        part.artefact(piece.after, g, places.clone(), &self.columns, &mut self.later);
                        let later = &mut self.later[places.clone()];
                        if let Some(before) = piece.before {
                            part.artefact(before, g, places.clone(), &self.columns, &mut self.sooner);
                            for ((a, b), s) in later.iter_mut().zip(&self.sooner[places.clone()]).zip(&*shares) {
                                a.iter_mut().zip(b).for_each(|(a, b)| *a = *b + s * (*a - *b));
                            }
                        } else if !matches!(piece.blend, Blend::Flat) {
                            for (a, s) in later.iter_mut().zip(&*shares) {
                                a.iter_mut().for_each(|a| *a *= s);
                            }
                        }
                        let x = &mut out.group_mut(g)[place..place + n];
                        for (x, a) in x.iter_mut().zip(later) {
                            x.iter_mut().zip(a).for_each(|(x, a)| *x -= *a);
                        }
                    }
                    at += n as i64;
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.end.0, self.end.1, 0);
    }

    fn reset(&mut self) {
        self.end = (0, 0);
    }

    fn memory_bytes(&self) -> u64 {
        let knots =
            self.parts.iter().flat_map(|p| &p.knots).flatten().map(|k| size_of_val(k.as_slice())).sum::<usize>();
        (knots + size_of_val(self.columns.as_slice())) as u64
    }

    fn notes(&self) -> String {
        let harmonics = self.parts.iter().map(|p| p.carriers.width().div_ceil(2)).max().unwrap_or(0);
        let knots: usize = self.parts.iter().map(|p| p.knots.len()).sum();
        let bytes = self.memory_bytes();
        format!(
            "{} episodes, up to {harmonics} harmonics, {knots} sets of coefficients, {bytes} bytes",
            self.parts.len()
        )
    }
}
