//! montage: to be written.
