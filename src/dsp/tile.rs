//! Recursive filters over tiles of eight channels: the hot loop of every filter Stage.
//!
//! A cascade is latency-bound on one channel; eight neighbouring channels fill the vector unit, so that a sample of eight
//! costs hardly more than a sample of one. All sections of a cascade (four at a time) run on a sample while it is in
//! registers: measured twice as fast as section after section over a chunk that stays in the first-level cache.
//!
//! Compiled for several instruction sets and chosen at run time. There are no fused multiply–adds, and lanes never mix:
//! the bits are those of [`sosfilt`](super::iir::sosfilt), whatever the CPU and however the data are cut.

use super::iir::{Section, Sos, State};
use multiversion::multiversion;

/// Channels per tile.
pub const LANES: usize = 8;

/// One sample of eight neighbouring channels.
pub type Lanes = [f64; LANES];

/// State of one section for eight channels.
pub type TileState = [Lanes; 2];

/// Sections that run on a sample at once: what the registers hold.
const AT_ONCE: usize = 4;

/// Samples of a chunk that longer cascades pass four sections at a time: 8 KiB, a quarter of a first-level cache.
const CHUNK: usize = 128;

/// Puts `state` (one entry per section) into the steady state of a constant `level`, given [`Sos::steady_state`].
pub fn settle(steady: &[State], level: &Lanes, state: &mut [TileState]) {
    for (state, steady) in state.iter_mut().zip(steady) {
        *state = steady.map(|s| level.map(|v| s * v));
    }
}

/// Filters `data` in place, forward in time; `state` (one entry per section) is carried on.
pub fn forward(sos: &Sos, state: &mut [TileState], data: &mut [Lanes]) {
    forward_any(sos, state, data);
}

/// As [`forward`], from `from` into `to` (the shorter of the two decides).
pub fn forward_into(sos: &Sos, state: &mut [TileState], from: &[Lanes], to: &mut [Lanes]) {
    forward_into_any(sos, state, from, to);
}

/// Filters `data` in place, backward in time: the last sample first.
pub fn backward(sos: &Sos, state: &mut [TileState], data: &mut [Lanes]) {
    backward_any(sos, state, data);
}

/// As [`backward`], from `from` into `to`, which must be of one length.
pub fn backward_into(sos: &Sos, state: &mut [TileState], from: &[Lanes], to: &mut [Lanes]) {
    backward_into_any(sos, state, from, to);
}

/// Runs backward over `data` for the sake of `state` alone.
pub fn backward_over(sos: &Sos, state: &mut [TileState], data: &[Lanes]) {
    backward_over_any(sos, state, data);
}

/// Forward and backward over `data` in place, each pass from the steady state of its first sample: what remains of
/// [`sosfiltfilt`](super::iir::sosfiltfilt) once both ends have been extended. `state` is working space.
pub fn zero_phase(sos: &Sos, steady: &[State], state: &mut [TileState], data: &mut [Lanes]) {
    let Some(&first) = data.first() else { return };
    settle(steady, &first, state);
    forward(sos, state, data);
    let Some(&last) = data.last() else { return };
    settle(steady, &last, state);
    backward(sos, state, data);
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn forward_any(sos: &Sos, state: &mut [TileState], data: &mut [Lanes]) {
    for chunk in data.chunks_mut(chunk(sos)) {
        for go in goes(sos, state) {
            pass(go, chunk.iter_mut());
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn backward_any(sos: &Sos, state: &mut [TileState], data: &mut [Lanes]) {
    for chunk in data.rchunks_mut(chunk(sos)) {
        for go in goes(sos, state) {
            pass(go, chunk.iter_mut().rev());
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn forward_into_any(sos: &Sos, state: &mut [TileState], from: &[Lanes], to: &mut [Lanes]) {
    for (from, to) in from.chunks(chunk(sos)).zip(to.chunks_mut(chunk(sos))) {
        let mut goes = goes(sos, state);
        if let Some(go) = goes.next() {
            pass(go, from.iter().zip(to.iter_mut()));
        }
        for go in goes {
            pass(go, to.iter_mut());
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn backward_into_any(sos: &Sos, state: &mut [TileState], from: &[Lanes], to: &mut [Lanes]) {
    for (from, to) in from.rchunks(chunk(sos)).zip(to.rchunks_mut(chunk(sos))) {
        let mut goes = goes(sos, state);
        if let Some(go) = goes.next() {
            pass(go, from.iter().zip(to.iter_mut()).rev());
        }
        for go in goes {
            pass(go, to.iter_mut().rev());
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn backward_over_any(sos: &Sos, state: &mut [TileState], data: &[Lanes]) {
    if sos.sections().len() <= AT_ONCE {
        for go in goes(sos, state) {
            pass(go, data.iter().rev().copied());
        }
        return;
    }
    let mut copy = [[0.0; LANES]; CHUNK];
    for chunk in data.rchunks(CHUNK) {
        let copy = &mut copy[..chunk.len()];
        copy.copy_from_slice(chunk);
        for go in goes(sos, state) {
            pass(go, copy.iter_mut().rev());
        }
    }
}

/// Only a cascade that needs several goes is worth cutting.
fn chunk(sos: &Sos) -> usize {
    if sos.sections().len() > AT_ONCE { CHUNK } else { usize::MAX }
}

/// At most four sections with their states, and the gain in front of them.
type Go<'a> = (f64, &'a [Section], &'a mut [TileState]);

/// The whole cascade; the first go applies the gain.
fn goes<'a>(sos: &'a Sos, state: &'a mut [TileState]) -> impl Iterator<Item = Go<'a>> {
    let gains = std::iter::once(sos.gain()).chain(std::iter::repeat(1.0));
    let parts = sos.sections().chunks(AT_ONCE).zip(state.chunks_mut(AT_ONCE));
    gains.zip(parts).map(|(gain, (sections, state))| (gain, sections, state))
}

/// Where a sample comes from and goes to.
trait Slot {
    fn load(&self) -> Lanes;
    fn store(self, value: Lanes);
}

/// In place.
impl Slot for &mut Lanes {
    #[inline(always)]
    fn load(&self) -> Lanes {
        **self
    }

    #[inline(always)]
    fn store(self, value: Lanes) {
        *self = value;
    }
}

/// From one buffer into another.
impl Slot for (&Lanes, &mut Lanes) {
    #[inline(always)]
    fn load(&self) -> Lanes {
        *self.0
    }

    #[inline(always)]
    fn store(self, value: Lanes) {
        *self.1 = value;
    }
}

/// For the state alone.
impl Slot for Lanes {
    #[inline(always)]
    fn load(&self) -> Lanes {
        *self
    }

    #[inline(always)]
    fn store(self, _: Lanes) {}
}

#[inline(always)]
fn pass<X: Slot>(go: Go<'_>, data: impl Iterator<Item = X>) {
    match go.1.len() {
        1 => run::<1, X>(go, data),
        2 => run::<2, X>(go, data),
        3 => run::<3, X>(go, data),
        _ => run::<4, X>(go, data),
    }
}

#[inline(always)]
fn run<const S: usize, X: Slot>((gain, sections, state): Go<'_>, data: impl Iterator<Item = X>) {
    let (Some(sections), Some(carried)) = (sections.first_chunk::<S>(), state.first_chunk_mut::<S>()) else { return };
    let (c, a) = (sections.map(|s| s.excess()), sections.map(|s| s.a));
    let mut state = *carried;
    for slot in data {
        let mut x = slot.load();
        sample(gain, &c, &a, &mut state, &mut x);
        slot.store(x);
    }
    *carried = state;
}

/// One sample of eight channels through `S` sections; the order of operations is that of one channel.
#[inline(always)]
fn sample<const S: usize>(gain: f64, c: &[[f64; 2]; S], a: &[[f64; 2]; S], state: &mut [TileState; S], x: &mut Lanes) {
    for v in x.iter_mut() {
        *v *= gain;
    }
    for ((c, a), state) in c.iter().zip(a).zip(state) {
        let ([s, t], v) = (*state, *x);
        for l in 0..LANES {
            x[l] = v[l] + s[l];
        }
        for l in 0..LANES {
            state[0][l] = (c[0] * v[l] + t[l]) - a[0] * s[l];
        }
        for l in 0..LANES {
            state[1][l] = c[1] * v[l] - a[1] * s[l];
        }
    }
}

/// Fills the first and last `pad` samples by mirroring what lies inside, in time and value, about its ends.
pub fn extend_oddly(data: &mut [Lanes], pad: usize) {
    let (first, last) = (pad, data.len() - 1 - pad);
    for i in 1..=pad {
        data[first - i] = mirrored(&data[first], &data[first + i]);
        data[last + i] = mirrored(&data[last], &data[last - i]);
    }
}

/// `2·about − value`, lane by lane.
pub fn mirrored(about: &Lanes, value: &Lanes) -> Lanes {
    std::array::from_fn(|l| 2.0 * about[l] - value[l])
}

#[cfg(test)]
mod tests {
    use super::super::iir::{Band, butterworth, sosfilt};
    use super::*;
    use proptest::prelude::*;

    fn noise(n: usize) -> Vec<Lanes> {
        let mut s = 7_u64;
        let mut next = || {
            s = (1_664_525 * s + 1_013_904_223) & 0xFFFF_FFFF;
            s as f64 / 4_294_967_296.0 - 0.5
        };
        (0..n).map(|_| std::array::from_fn(|_| next())).collect()
    }

    fn bits(data: &[Lanes]) -> Vec<[u64; LANES]> {
        data.iter().map(|x| x.map(f64::to_bits)).collect()
    }

    #[test]
    fn tiles_give_the_bits_of_one_channel_in_both_directions() {
        for order in [1, 2, 3, 4, 5, 9] {
            for band in [Band::Low(80.0), Band::Band(1.0, 80.0), Band::Stop(48.0, 52.0)] {
                let sos = butterworth(order, band, 1000.0).unwrap();
                let input = noise(777);
                let steady = sos.steady_state();
                let mut state = vec![[[0.0; LANES]; 2]; sos.sections().len()];
                let (mut ahead, mut back) = (input.clone(), input.clone());
                let (mut ahead_into, mut back_into) = (vec![[0.0; LANES]; 777], vec![[0.0; LANES]; 777]);
                settle(&steady, &input[0], &mut state);
                forward_into(&sos, &mut state.clone(), &input, &mut ahead_into);
                forward(&sos, &mut state, &mut ahead);
                settle(&steady, &input[776], &mut state);
                backward_into(&sos, &mut state.clone(), &input, &mut back_into);
                backward(&sos, &mut state, &mut back);
                assert!(bits(&ahead) == bits(&ahead_into) && bits(&back) == bits(&back_into));
                for l in 0..LANES {
                    let mut one: Vec<_> = input.iter().map(|x| x[l]).collect();
                    let mut state: Vec<_> = steady.iter().map(|s| s.map(|v| v * one[0])).collect();
                    sosfilt(&sos, &mut one, &mut state);
                    assert!(
                        one.iter().zip(&ahead).all(|(a, b)| a.to_bits() == b[l].to_bits()),
                        "order {order} {band:?}"
                    );
                    let mut one: Vec<_> = input.iter().rev().map(|x| x[l]).collect();
                    let mut state: Vec<_> = steady.iter().map(|s| s.map(|v| v * one[0])).collect();
                    sosfilt(&sos, &mut one, &mut state);
                    assert!(one.iter().zip(back.iter().rev()).all(|(a, b)| a.to_bits() == b[l].to_bits()));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cuts in proptest::collection::vec(0_usize..600, 0..8), order in 1_usize..7) {
            let sos = butterworth(order, Band::Band(3.0, 80.0), 1000.0).unwrap();
            let mut cuts = cuts;
            cuts.extend([0, 600]);
            cuts.sort_unstable();
            let fresh = vec![[[0.0; LANES]; 2]; sos.sections().len()];
            let (mut whole, mut parts) = (noise(600), noise(600));
            forward(&sos, &mut fresh.clone(), &mut whole);
            let mut state = fresh.clone();
            cuts.windows(2).for_each(|w| forward(&sos, &mut state, &mut parts[w[0]..w[1]]));
            prop_assert_eq!(bits(&whole), bits(&parts));
            // Backward: in one go, in parts, and for the state alone.
            let (mut whole, mut parts) = (noise(600), noise(600));
            let mut states = [fresh.clone(), fresh.clone(), fresh];
            backward_over(&sos, &mut states[2], &whole);
            backward(&sos, &mut states[0], &mut whole);
            cuts.windows(2).rev().for_each(|w| backward(&sos, &mut states[1], &mut parts[w[0]..w[1]]));
            prop_assert_eq!(bits(&whole), bits(&parts));
            let ends = states.map(|state| bits(state.as_flattened()));
            prop_assert!(ends[0] == ends[1] && ends[0] == ends[2]);
        }
    }

    #[test]
    fn a_lane_with_nan_leaves_the_others_alone() {
        let sos = butterworth(2, Band::Band(1.0, 80.0), 1000.0).unwrap();
        let mut state = vec![[[0.0; LANES]; 2]; 2];
        let (mut clean, mut dirty) = (noise(300), noise(300));
        dirty[40][3] = f64::NAN;
        forward(&sos, &mut state.clone(), &mut clean);
        forward(&sos, &mut state, &mut dirty);
        for (i, (a, b)) in clean.iter().zip(&dirty).enumerate() {
            assert!((0..LANES).filter(|&l| l != 3).all(|l| a[l].to_bits() == b[l].to_bits()));
            assert_eq!(b[3].is_nan(), i >= 40);
        }
    }
}
