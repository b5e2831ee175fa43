//! Slices in, slices out: the signal processing that knows nothing of EEG.

pub mod burg;
pub mod cross;
pub mod dpss;
pub mod fft;
pub mod fir;
pub mod iir;
pub mod interpolate;
pub mod lsq;
pub mod resample;
pub mod sphere;
pub mod spline;
pub mod stats;
pub mod stft;
pub mod tile;
pub mod var;
pub mod window;
