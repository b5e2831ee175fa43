//! Slices in, slices out: the signal processing that knows nothing of EEG.

pub mod aperiodic;
pub mod burg;
pub mod cross;
pub mod dpss;
pub mod fft;
pub mod fir;
pub mod iir;
pub mod interpolate;
pub mod levmar;
pub mod lsq;
pub mod lzc;
pub mod morlet;
pub mod multitaper;
pub mod periodogram;
pub mod resample;
pub mod savgol;
pub mod sphere;
pub mod spline;
pub mod stats;
pub mod stft;
pub mod tile;
pub mod var;
pub mod window;
