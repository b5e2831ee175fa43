//! stft: to be written.
