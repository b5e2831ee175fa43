//! bad_channels: to be written.
