//! fft: to be written.
