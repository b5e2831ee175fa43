//! Slices in, slices out: the signal processing that knows nothing of EEG.

pub mod analytic;
pub mod burg;
pub mod cross;
pub mod dpss;
pub mod envelope;
pub mod fft;
pub mod fir;
pub mod graph;
pub mod iir;
pub mod interpolate;
pub mod lsq;
pub mod pac;
pub mod resample;
pub mod sphere;
pub mod spline;
pub mod stats;
pub mod stft;
pub mod symmetric;
pub mod tile;
pub mod window;
