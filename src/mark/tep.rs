//! tep
