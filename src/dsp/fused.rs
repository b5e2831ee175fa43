//! a·b + c with one rounding, for sums whose terms are many: twice as fast where the processor has an instruction for it.
//!
//! Sums that are taken so differ between processors with and without the instruction, by parts in 10¹⁵ of their largest term; on one
//! processor they are the same bits however samples are cut and threads share the work. Filters do without it: their bits are
//! the same everywhere.

/// a·b + c. `FMA`: whether the code that calls it is compiled for a processor that has the instruction
/// (`target_cfg_f!(target_feature = "fma")`); elsewhere a call that emulates it would be a hundred times slower.
#[inline(always)]
pub fn fused<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}
